"""A language model that reads the replies no rule can read: any OpenAI-compatible server, each question asked once.

Whatever it says is kept in the data home under the digest of what it was asked, so a run that was killed asks on where
it stopped, and a run whose replies are all known needs no server. A judge's reply that cannot be read is asked for
again, warmer each time; what is still unclear then stays unsettled, and is counted by the benchmark: nothing is drawn
at random. What is kept has no key in it, and no address: the same model on another server says the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.chat_api import Ask, ChatApi, NoReply, user_turn
from curator.output import note
from registry.benchmark import Benchmark, Index, Judged, JudgeRequest, Question
from registry.identity import digest
from registry.store import Home, dump_json, write_aside

TRIES = 3
"""Questions for one reply, until what the judge says can be read."""
WARMER = 0.5
"""Degrees of temperature from one try to the next."""
_NAMED = 3
_FOLDER = "judged"


@dataclass(frozen=True)
class _Try:
    """One question to the judge."""

    index: Index
    request: JudgeRequest
    number: int

    @property
    def ask(self) -> Ask:
        temperature = self.request.temperature + WARMER * self.number
        return Ask([user_turn(self.request.text)], self.request.max_tokens, temperature)


class Judge:
    """Asks a model about replies, and remembers what it said."""

    def __init__(self, api: ChatApi, home: Home, spends: bool = True) -> None:
        """With ``spends=False`` the server is asked nothing: only what is known is heard."""
        self._api = api
        self._spends = spends
        self._folder = home.path / _FOLDER

    def __call__(
        self, benchmark: Benchmark, questions: Sequence[Question], replies: Mapping[Index, str], rules: str
    ) -> Judged:
        """What the judge says of the replies that the rules do not settle."""
        requests = unsettled(benchmark, questions, replies, rules)
        said: dict[Index, str] = {}
        failures: list[str] = []
        for number in range(TRIES):
            left = [
                _Try(index, request, number)
                for index, request in requests.items()
                if number == 0 or (index in said and not request.is_clear(said[index]))
            ]
            found = [(one, self._read(one)) for one in left]
            said |= {one.index: reply for one, reply in found if reply is not None}
            unknown = [one for one, reply in found if reply is None]
            if unknown:
                known = len(left) - len(unknown)
                does = "are asked for" if self._spends else "would be asked for"
                note(f"judge {self._api.model}: {known} replies are known, {len(unknown)} {does}")
            if unknown and self._spends:
                failures += self._ask(unknown, said)
        if failures:
            few = "; ".join(dict.fromkeys(failures[:_NAMED]))
            note(f"judge {self._api.model}: {len(failures)} questions have no reply; a further run asks again: {few}")
        return said

    def _ask(self, asked: Sequence[_Try], said: dict[Index, str]) -> list[str]:
        """Ask, keep and note down every reply as it comes; why others have none."""
        by_place = dict(enumerate(asked))
        failures: list[str] = []
        for place, reply in self._api.ask_each((place, one.ask) for place, one in by_place.items()):
            if isinstance(reply, NoReply):
                failures.append(str(reply))
                continue
            self._keep(by_place[place], reply)
            said[by_place[place].index] = reply
        return failures

    def _path(self, one: _Try) -> Path:
        name = digest(self._question(one))
        return self._folder / name[:2] / f"{name}.json"

    def _question(self, one: _Try) -> dict[str, Any]:
        ask = one.ask
        return {
            "model": self._api.model,
            "text": one.request.text,
            "max_tokens": ask.max_tokens,
            "temperature": ask.temperature,
        }

    def _read(self, one: _Try) -> str | None:
        """The reply that is kept; None for none, or a file that somebody damaged."""
        try:
            reply = json.loads(self._path(one).read_bytes())["reply"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return reply if isinstance(reply, str) else None

    def _keep(self, one: _Try, reply: str) -> None:
        text = reply.encode("utf-8", "replace").decode()
        write_aside(self._path(one), dump_json(self._question(one) | {"reply": text}))


def unsettled(
    benchmark: Benchmark, questions: Sequence[Question], replies: Mapping[Index, str], rules: str
) -> dict[Index, JudgeRequest]:
    """What a judge would be asked, by question."""
    found = ((q.index, benchmark.judge_request(q, replies[q.index], rules)) for q in questions)
    return {index: request for index, request in found if request is not None}
