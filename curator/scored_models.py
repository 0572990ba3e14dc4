"""Models that are scored: trials, other checkpoints, and models behind an address.

A trial's scores lie in its folder. Any other model has a folder ``models/<name>-<d>`` in the data home, with a record
and its scores, where a trial's would lie. What a checkpoint is known by are the digest of its files and the template
that it is asked in; a model behind an address is known by address and name, which is all that can be known of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.laboratory import missing_scores, read_score, score_file
from curator.models import find_model
from curator.output import note, progress
from curator.trials import Event, Listener, Request, Workers, model_score_request, score_request
from registry.benchmark import load_benchmark
from registry.checkpoint import CHECKPOINT, DEMO
from registry.errors import Refusal
from registry.identity import digest
from registry.sheet import NO_REPLY, Batches, Marking, Sheet, make_score, read_sheet
from registry.store import Home, Record, find_folder, is_finished

if TYPE_CHECKING:
    from curator.chat_api import Ask, ChatApi
    from curator.laboratory import Bench
    from registry.trial import BenchmarkScore

GIVE_UP = 16
"""Questions without a reply, before there was any, after which no other is asked."""

Make = Callable[[Sequence["Bench"], str], None]
"""Makes scores of benchmarks under a set of rules."""


@dataclass(frozen=True)
class ScoredModel:
    """A model and where its scores lie."""

    folder: Path
    make: Make = field(repr=False)

    def missing(self, benches: Sequence[Bench], rules: str) -> list[Bench]:
        """The benchmarks whose score is still to be made."""
        return missing_scores(self.folder, benches, rules)

    def score(self, benches: Sequence[Bench], rules: str) -> list[BenchmarkScore]:
        """Make the scores that are not there yet, and read all of them."""
        missing = missing_scores(self.folder, benches, rules)
        if missing:
            self.make(missing, rules)
        return [read_score(self.folder, bench, rules) for bench in benches]


def is_trial(home: Home, name: str) -> bool:
    """Whether a trial of the home is meant, and not a checkpoint: a name alone, or the path of a trial's folder."""
    path = Path(name).expanduser()
    if path.resolve().parent == home.stage("trials"):
        return True
    return not (name == DEMO or "/" in name or "#" in name or path.is_dir())


def trial(home: Home, name: str) -> ScoredModel:
    """A finished trial of the home."""
    folder = find_folder(home, "trials", Path(name).name)

    def make(benches: Sequence[Bench], rules: str) -> None:
        _by_trainer([score_request(home, folder.name, folder, bench, rules) for bench in benches])

    return ScoredModel(folder, make)


def checkpoint(home: Home, name: str, *, fetch: bool) -> ScoredModel:
    """A checkpoint by its folder, or ``org/name@revision`` on the Hub; ``#TEMPLATE`` behind it names one of ours."""
    model = find_model(home, name, fetch=fetch)
    if model.folder is None:
        what = "is known by its digest alone"
        raise Refusal(f"model {name}", what, "name the folder or repository that has its files")
    files, template = model.folder, model.template
    named = files.resolve()
    title = (named.parent if named.name == CHECKPOINT else named).name.rpartition("--")[2]
    folder, record = _folder(home, title, model.identity())

    def make(benches: Sequence[Bench], rules: str) -> None:
        _write_record(home, folder, record)
        asked = (folder.name, str(files), template)
        _by_trainer([model_score_request(home, asked, bench, rules) for bench in benches])

    return ScoredModel(folder, make)


def behind_address(home: Home, url: str, name: str, concurrency: int, *, partial: bool) -> ScoredModel:
    """A model behind an OpenAI-compatible address. What it has answered is kept, whatever ends a run.

    With ``partial`` a question that has no reply in the end gets the text that the published scorer gives it, and the
    score says so; otherwise the run ends with a Refusal.
    """
    from curator.chat_api import ChatApi, chat_address

    address = chat_address(url)
    folder, record = _folder(home, name, {"api": address, "model": name})
    record.command = f"curator score --api {address} --model {name}"

    def make(benches: Sequence[Bench], rules: str) -> None:
        _write_record(home, folder, record)
        with _told(len(benches)) as listen, ChatApi(url, name, concurrency=concurrency) as api:
            for bench in benches:
                listen({"event": "started", "label": f"{name} · {bench.name}"})
                benchmark = load_benchmark(bench.name)
                sheet = read_sheet(benchmark, bench.table, bench.replying.limit)
                questions = _Questions(api, sheet, bench.replying.max_new_tokens, partial)
                marking = Marking(benchmark, rules, bench.table_digest, bench.replying.answer_by, bench.replying.limit)
                path = score_file(folder, bench, rules)
                make_score(path, sheet, sheet.asked, questions.ask, marking, listen)

    return ScoredModel(folder, make)


def _folder(home: Home, title: str, identity: dict[str, str]) -> tuple[Path, Record]:
    record = Record(kind="model", name=title, digest=digest(identity), settings=dict(identity))
    return home.folder("models", title.replace("/", "-"), record.digest), record


def _write_record(home: Home, folder: Path, record: Record) -> None:
    if not is_finished(folder):
        with home.making(folder, record):
            pass


def _by_trainer(requests: Sequence[Request]) -> None:
    with _told(len(requests)) as listen, Workers(count=1) as workers:
        workers.run([requests], listen)


@contextlib.contextmanager
def _told(benchmarks: int) -> Iterator[Listener]:
    """Says which benchmark is begun, and shows how far they are, a thousand steps each."""
    with progress("scoring", 1000 * benchmarks) as advance:
        begun = done = 0

        def listen(event: Event) -> None:
            nonlocal begun, done
            if event["event"] == "started":
                note(f"scoring {event['label']}")
                begun += 1
            elif event["event"] == "progress":
                now = 1000 * (begun - 1) + 1000 * int(event["step"]) // max(int(event["steps"]), 1)
                advance(max(now - done, 0))
                done = max(now, done)

        yield listen


@dataclass
class _Questions:
    """A sheet that is put to a model behind an address."""

    api: ChatApi
    sheet: Sheet
    max_tokens: int
    partial: bool

    def ask(self, numbers: list[int]) -> Batches:
        """Replies as they come; the pictures of a question are read when it is sent."""
        from curator.chat_api import NoReply

        failed: list[str] = []
        answered, down = len(numbers) < len(self.sheet.questions), False
        empty = 0
        for number, outcome in self.api.ask_each((number, self._question(number)) for number in numbers):
            if not isinstance(outcome, NoReply):
                answered = True
                empty += not outcome.strip()
                yield {number: outcome.strip()}
                continue
            failed.append(f"index {self.sheet.questions[number].index}: {outcome}")
            if not answered and len(failed) >= GIVE_UP:  # a server that is down says nothing to the others either
                down = True
                break
            if self.partial:
                yield {number: NO_REPLY}
        if empty:
            note(f"{empty} replies came back empty: the server cut them off, or would not answer")
        if failed and (down or not self.partial):
            what = f"{len(failed)} of {len(numbers)} questions have no reply; {failed[0]}"
            way = "run the same command again (what was answered is kept), or score without them: --partial"
            raise Refusal(self.api.url.split("?")[0], what, way)

    def _question(self, number: int) -> Ask:
        from curator.chat_api import Ask, user_turn

        pictures = [self.sheet.read(image) for image in self.sheet.images[number]]
        message: dict[str, Any] = user_turn(self.sheet.asked[number], pictures)
        return Ask([message], self.max_tokens)
