"""Templates of the web app: everything that is put into one is text, shown as it is, with control codes as escapes."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from curator import __version__
from curator.output import cell, visible
from curator.report import theme, wording

if TYPE_CHECKING:
    import jinja2
    from starlette.requests import Request
    from starlette.responses import Response

HERE = Path(__file__).parent
REPORT = HERE.parent / "report"
SCRIPT = "live.js"
CELL = 500
"""Characters of a table's cell that are shown."""


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page of the app."""
    from starlette.responses import HTMLResponse

    text = environment().get_template(template).render(path=request.url.path, **values)
    return HTMLResponse(text.encode("utf-8", errors="backslashreplace"), status)


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Where templates come from, and what they may call."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    for function in (wording.score, wording.signed, wording.interval, wording.percent, wording.category_title):
        made.filters[function.__name__] = function
    made.filters |= {
        "count": _count,
        "duration": wording.duration,
        "plural": wording.plural,
        "listed": wording.listed,
        "cell": short_cell,
        "segment": segment,
    }
    made.globals |= {"program": f"vlm-curator {__version__}", "style": style_address(), "query": query}
    return made


def _shown(value: Any) -> Any:
    """Foreign text with control codes and direction overrides made visible; escaping for HTML follows it."""
    if isinstance(value, str) and not hasattr(value, "__html__"):  # what a macro made is HTML already
        return visible(value)
    return value


def _count(value: float | None) -> str:
    return "–" if value is None else wording.count(value)


def short_cell(value: Any) -> str:
    """A value of a table."""
    text = "–" if value is None else cell(value)
    return text if len(text) <= CELL else text[:CELL] + "…"


def segment(name: str) -> str:
    """A name as one part of an address."""
    return quote(name, safe="@+=~")


def query(fields: dict[str, Any], **changed: Any) -> str:
    """The query of an address with some fields changed; those without a value are left out."""
    merged = {**fields, **changed}
    return urlencode({name: value for name, value in merged.items() if value not in (None, "", [])}, doseq=True)


@lru_cache(maxsize=1)
def style() -> str:
    """The style sheet: the report's, for light and dark, and what the app has beyond a report."""
    report = (REPORT / "style.css").read_text(encoding="utf-8")
    coloured = report.replace("/* light */", theme.variables(theme.LIGHT)).replace(
        "/* dark */", theme.variables(theme.DARK)
    )
    return coloured + (HERE / "ui.css").read_text(encoding="utf-8")


def style_address() -> str:
    """Where the style lies: a name that changes with it, so that it may be kept for long."""
    return f"/static/{hashlib.sha256(style().encode()).hexdigest()[:12]}.css"
