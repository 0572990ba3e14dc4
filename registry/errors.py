"""The one error a user may cause: where it happened, what is wrong, and the way out."""

from __future__ import annotations

from collections.abc import Iterable


class Refusal(Exception):
    """A command refuses to go on for a reason the user can act on (exit status 1, never a traceback)."""

    def __init__(self, where: str, what: str, way_out: str) -> None:
        super().__init__(where, what, way_out)
        self.where = where
        self.what = what
        self.way_out = way_out

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n  way out: {self.way_out}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" did you mean 'x'?"`` for the nearest known name, or an empty string."""
    import difflib  # only when something went wrong: start-up stays light

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
