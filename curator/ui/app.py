"""The web app: which address is which page, and how a refusal looks there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from curator.ui import data_pages, decision_pages, samples_pages, sql_page, trial_pages
from curator.ui.library import Library
from curator.ui.pictures import SIDES
from curator.ui.rendering import HERE, SCRIPT, page, style, style_address
from registry.errors import Refusal
from registry.store import Home

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

Page = Callable[[Library, "Request"], "Response"]

PAGES: dict[str, Page] = {
    "/": data_pages.start,
    "/datasets": data_pages.datasets,
    "/datasets/{name}": data_pages.dataset,
    "/samples/{folder}": samples_pages.browse_dataset,
    "/samples/{folder}/set-aside": samples_pages.set_aside,
    "/samples/{folder}/{file}/{row:int}": samples_pages.one_sample,
    "/mixes": data_pages.mixes,
    "/mixes/{folder}": data_pages.mix,
    "/mixes/{folder}/samples": samples_pages.browse_mix,
    "/diff": data_pages.diff,
    "/trials": trial_pages.trials,
    "/trials/{folder}": trial_pages.trial,
    "/running/{workspace}": trial_pages.running,
    "/running/{workspace}/curve": trial_pages.running,
    "/leaderboard": trial_pages.leaderboard,
    "/decisions": decision_pages.decisions,
    "/decisions/{folder}": decision_pages.decision,
    "/decisions/{folder}/report": decision_pages.report,
    "/sql": sql_page.sql,
}
"""Address -> what makes its page."""
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7.5" fill="#0a6796"/>'
    '<path d="M4.6 8.3l2.3 2.3 4.5-5" fill="none" stroke="#fff" stroke-width="1.7" stroke-linecap="round"/></svg>'
)
LONG = {"cache-control": "private, max-age=86400, immutable"}
"""For what never changes under its address."""


def make_app(home: Home) -> Starlette:
    """The app over one data home. It is to be wrapped in a ``Guard``."""
    # Loaded before the first page is asked for, which would wait for them.
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 - as said
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    library = Library(home)
    static = [
        Route(style_address(), _style, methods=["GET"]),
        Route(f"/static/{SCRIPT}", _script, methods=["GET"]),
        Route("/static/icon.svg", _icon, methods=["GET"]),
        Route("/picture/{sha256}", _bound(_picture, library), methods=["GET"]),
    ]
    pages = [Route(address, _bound(made, library), methods=["GET"]) for address, made in PAGES.items()]
    handlers = {Refusal: _refused, HTTPException: _no_page, Exception: _broken}
    # Starlette's type has handlers take any exception; each of these takes its own
    return Starlette(routes=[*static, *pages], exception_handlers=handlers)  # type: ignore[arg-type]


def _bound(made: Page, library: Library) -> Callable[[Request], Response]:
    """A page of one library, as a plain function: it is run beside the others, in a thread."""

    def endpoint(request: Request) -> Response:
        return made(library, request)

    return endpoint


def _picture(library: Library, request: Request) -> Response:
    """A picture by its digest, small or large."""
    from starlette.responses import Response

    side = SIDES[request.query_params.get("size") == "large"]
    data, kind = library.pictures.made(request.path_params["sha256"], side)
    return Response(data, media_type=kind, headers=LONG)


def _style(_request: Request) -> Response:
    from starlette.responses import Response

    return Response(style(), media_type="text/css", headers=LONG)


def _script(_request: Request) -> Response:
    from starlette.responses import FileResponse

    return FileResponse(HERE / SCRIPT, media_type="text/javascript")


def _icon(_request: Request) -> Response:
    from starlette.responses import Response

    return Response(ICON, media_type="image/svg+xml", headers=LONG)


def _refused(request: Request, refusal: Refusal) -> Response:
    """What was asked for is not there, or damaged: the three parts of a refusal."""
    return page(request, "refused.html.jinja", 404, where=refusal.where, what=refusal.what, way_out=refusal.way_out)


def _no_page(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return page(
        request, "refused.html.jinja", status, where=request.url.path, what="there is no such page", way_out="go back"
    )


def _broken(request: Request, error: Exception) -> Response:
    """A mistake of ours: said plainly, without the insides; they go to the terminal."""
    print(f"{request.url.path}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - the server's log
    what = f"the page broke ({type(error).__name__})"
    return page(
        request, "refused.html.jinja", 500, where=request.url.path, what=what, way_out="report how you got here"
    )
