"""Pages of decisions: all of them, one with its selection map, and its whole report."""

from __future__ import annotations

import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from curator.evidence import read_decision
from curator.report import wording
from curator.report.selection_map import selection_map
from curator.ui.library import Library
from curator.ui.rendering import page
from registry.store import Home

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a report may load: nothing, since it holds all it shows, its style too."""
_DRAWING = threading.Lock()
"""The library that draws figures is not made for several threads."""


def decisions(library: Library, request: Request) -> Response:
    """All decisions, each with its headline."""
    rows = [
        (folder.name, decision) for folder in library.home.finished("decisions") for decision in [read_decision(folder)]
    ]
    told = [(name, decision, wording.headline(decision)) for name, decision in rows]
    return page(request, "decisions.html.jinja", rows=told)


def decision(library: Library, request: Request) -> Response:
    """One decision: its selection map and what it compared."""
    folder = library.folder("decisions", request.path_params["folder"])
    decided = read_decision(folder)
    outcomes = [("Baseline", decided.baseline), ("Selected", decided.selected), ("All", decided.all)]
    return page(
        request,
        "decision.html.jinja",
        folder=folder.name,
        decision=decided,
        headline=wording.headline(decided),
        summary=wording.summary(decided),
        map=selection_map(decided),
        outcomes=[(title, outcome) for title, outcome in outcomes if outcome is not None],
    )


def report(library: Library, request: Request) -> Response:
    """The report of a decision, as ``curator report`` writes it."""
    from starlette.responses import HTMLResponse

    folder = library.folder("decisions", request.path_params["folder"])
    with _DRAWING:
        page_bytes = _report(library.home.path, folder)
    return HTMLResponse(page_bytes, headers={"content-security-policy": REPORT})


@lru_cache(maxsize=4)
def _report(home: Path, folder: Path) -> bytes:
    from curator.report.page import build_report

    with tempfile.TemporaryDirectory() as aside:
        out = Path(aside) / "report.html"
        build_report(Home(home), folder, out)
        return out.read_bytes()
