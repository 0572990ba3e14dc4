"""A few samples of each candidate, with their pictures: what the numbers are about.

The samples are drawn from the mix the candidate was tried in, by their ids alone: the same ones every time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from curator.output import visible
from curator.report.ancestry import Ancestor, Ancestry
from curator.report.pictures import Picture, embed
from registry.errors import Refusal
from registry.identity import order_key
from registry.images import ImageStore
from registry.mix import MixReader
from registry.sample import Message, message_text
from registry.store import Home
from registry.trial import CandidateDecision, Decision

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLES = 4
"""Samples shown of each candidate."""
TURNS = 6
"""Messages shown of each sample."""
CHARACTERS = 420
"""Characters shown of each message."""
PICTURES = 4
"""Pictures shown of each sample."""


@dataclass(frozen=True)
class Turn:
    """One message as it is shown."""

    role: str
    text: str


@dataclass(frozen=True)
class Example:
    """One sample as it is shown."""

    id: str
    pictures: list[Picture]
    turns: list[Turn]
    more_turns: int
    lost_pictures: int
    """Pictures of the sample that are not in the home any more, or not shown for their number."""


@dataclass(frozen=True)
class Strip:
    """The examples of one candidate; ``missing`` says why there are none."""

    candidate: CandidateDecision
    examples: list[Example]
    planted: str = ""
    """What is known to be in it (the demo alone)."""
    missing: str = ""


def strips(home: Home, decision: Decision, ancestry: Ancestry) -> list[Strip]:
    """One strip a candidate, in the order of the decision."""
    drawer = _Drawer(home, decision, ancestry)
    found = [drawer.strip(candidate) for candidate in decision.candidates]
    drawer.close()
    return found


class _Drawer:
    """Reads samples of the mixes of one decision."""

    def __init__(self, home: Home, decision: Decision, ancestry: Ancestry) -> None:
        self.home = home
        self._folders = decision.trials
        self._ancestry = ancestry
        self._trials = {ancestor.folder.name: ancestor for ancestor in ancestry.of("trials")}

    @cached_property
    def store(self) -> ImageStore:
        """The pictures of the home."""
        return ImageStore(self.home)

    def close(self) -> None:
        """Give the file descriptors back."""
        self.store.close()

    def strip(self, candidate: CandidateDecision) -> Strip:
        """Examples of one candidate, or why there are none."""
        trial = self._trials.get(self._folders.get(candidate.trials[0], "")) if candidate.trials else None
        try:
            examples = self._examples(candidate, trial) if trial is not None else []
        except (Refusal, OSError):
            examples = []
        missing = "" if examples else "Its samples are not in this data home."
        return Strip(candidate, examples, _planted(candidate), missing)

    def _examples(self, candidate: CandidateDecision, trial: Ancestor) -> list[Example]:
        mix = self._ancestry.mix_of(trial)
        if mix is None:
            return []
        reader = MixReader(self.home, mix)
        rows = _first_of(reader.rows(), candidate)
        identities, images = rows.column("id").to_pylist(), rows.column("images").to_pylist()
        columns = zip(identities, images, reader.messages(rows), strict=True)
        return [_example(*row, read=self.store.read) for row in columns]


def _planted(candidate: CandidateDecision) -> str:
    """What the demo planted in a candidate whose truth is known."""
    if candidate.truth is None:
        return ""
    from curator.demo.truth import CANDIDATES

    return next((known.why for known in CANDIDATES if known.name == candidate.candidate), "")


def _first_of(rows: pa.Table, candidate: CandidateDecision) -> pa.Table:
    """The rows of a candidate that come first in the order of their ids' keys; each sample once."""
    import pyarrow.compute as pc

    wanted = pc.equal(rows.column("dataset"), candidate.dataset)
    if candidate.part is not None:
        wanted = pc.and_(wanted, pc.equal(rows.column("part"), candidate.part))
    own = rows.filter(wanted)
    places: dict[str, int] = {}
    for place, identity in enumerate(own.column("id").to_pylist()):
        places.setdefault(identity, place)
    chosen = sorted(places, key=lambda identity: order_key("report", identity))[:SAMPLES]
    return own.take([places[identity] for identity in chosen])


def _example(
    identity: str, images: list[dict[str, Any]], messages: list[Message], read: Callable[[str], bytes]
) -> Example:
    pictures = []
    for image in images[:PICTURES]:
        try:
            picture = embed(read(image["sha256"]))
        except (Refusal, OSError):
            picture = None
        if picture is not None:
            pictures.append(picture)
    turns = [Turn(message["role"], _shortened(message_text(message))) for message in messages]
    return Example(identity, pictures, turns[:TURNS], max(0, len(turns) - TURNS), len(images) - len(pictures))


def _shortened(text: str) -> str:
    """The beginning of a message, with control codes and direction overrides made visible."""
    shown = visible(text.strip())
    return shown if len(shown) <= CHARACTERS else f"{shown[:CHARACTERS].rstrip()}…"
