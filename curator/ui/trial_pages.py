"""Pages of trials: all of them, one with its curve, one that is running, and the board of scores."""

from __future__ import annotations

import json
from statistics import fmean
from typing import TYPE_CHECKING

from curator.ui.asked import Asked
from curator.ui.board import AVERAGE, benchmarks_of, board, ranked
from curator.ui.library import Library
from curator.ui.rendering import page
from curator.ui.running import LOG, being_made, log_of, read_curve
from registry import facts
from registry.errors import Refusal
from registry.store import read_record

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def trials(library: Library, request: Request) -> Response:
    """All trials, and what is being made now."""
    found = facts.HomeFacts(library.home.path)
    scored: dict[str, list[float]] = {}
    for row in facts.score_rows(found):
        scored.setdefault(row["trial"], []).append(row["score"])
    rows = [(row, fmean(scored[row["folder"]]) if row["folder"] in scored else None) for row in facts.trial_rows(found)]
    return page(request, "trials.html.jinja", rows=rows, making=being_made(library.home))


def trial(library: Library, request: Request) -> Response:
    """One trial: settings, curve, scores, cost."""
    folder = library.folder("trials", request.path_params["folder"])
    found = facts.HomeFacts(library.home.path)
    row = next(row for row in facts.trial_rows(found) if row["folder"] == folder.name)
    return page(
        request,
        "trial.html.jinja",
        row=row,
        record=read_record(folder),
        settings=json.dumps(row["settings"], indent=2, ensure_ascii=False),
        curve=read_curve(folder / LOG),
        scores=[score for score in facts.score_rows(found) if score["trial"] == folder.name],
    )


def running(library: Library, request: Request) -> Response:
    """A trial that is being trained; its curve renews itself."""
    workspace = request.path_params["workspace"]
    making = next((one for one in being_made(library.home) if one.workspace == workspace), None)
    if making is None:
        name = workspace.rpartition(".")[0].rpartition(".")[0]
        done = [folder.name for folder in library.home.finished("trials") if folder.name == name]
        way_out = f"it is finished: see /trials/{done[0]}" if done else "see the list of trials"
        raise Refusal(f"trial '{name}'", "is not being made any more", way_out)
    template = "curve.html.jinja" if request.url.path.endswith("/curve") else "running.html.jinja"
    curve = read_curve(log_of(library.home.aside / making.workspace))
    return page(request, template, making=making, curve=curve)


def leaderboard(library: Library, request: Request) -> Response:
    """Scores of trials (or of mixes, over their seeds) on benchmarks, sorted by any column."""
    asked = Asked(request.query_params)
    by = asked.choice("by", "trial", "mix")
    scores = facts.score_rows(facts.HomeFacts(library.home.path))
    columns = [by, AVERAGE, *benchmarks_of(scores)]
    sort = asked.choice("sort", AVERAGE, *columns)
    rising = asked.choice("order", "falling" if sort != by else "rising", "rising", "falling") == "rising"
    return page(
        request,
        "leaderboard.html.jinja",
        by=by,
        columns=columns,
        rows=ranked(board(scores, by), sort, by, rising=rising),
        sort=sort,
        rising=rising,
        partial=any(row["partial"] for row in scores),
    )
