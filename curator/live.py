"""The live table of a study: which trials run, what was scored, how long it will take. Goes to stderr only.

On a terminal the table redraws itself; elsewhere one line is written when a trial is done.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from curator.output import note, visible
from curator.study import Study, Wave
from curator.trials import Event

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live


@dataclass
class _Running:
    """One trial that is being trained or scored."""

    label: str
    step: int = 0
    steps: int = 0
    loss: float | None = None


@dataclass
class StudyTable:
    """Listens to a study; use it as a context manager."""

    study: Study
    quiet: bool = False
    expected: int | None = None
    """Runs that the strategy will probably ask for; None = two mixes and every candidate once per seed."""
    _running: dict[int, _Running] = field(default_factory=dict)
    _scores: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    _trained: int = 0
    """Trials trained by this process: their pace is the forecast."""
    _asked: int = 0
    """Runs asked for so far."""
    _answered: int = 0
    """Of them, those that are known to be done, trained here or found finished."""
    _begun: float = field(default_factory=time.monotonic)
    _live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self.quiet:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=4, get_renderable=self._render)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def on_wave(self, wave: Wave) -> None:
        """A strategy asked for these runs."""
        self._answered = self._asked  # a strategy asks again when it has all answers
        self._asked += len(wave)

    def listen(self, event: Event) -> None:
        """Take in one event of a trainer process."""
        job = int(event["job"])
        if event["event"] == "started":
            self._running[job] = _Running(event["label"])
        elif event["event"] == "progress" and job in self._running:
            running = self._running[job]
            running.step, running.steps = int(event.get("step", 0)), int(event.get("steps", 0))
            running.loss = event.get("loss", running.loss)
        elif event["event"] == "done":
            self._running.pop(job, None)
            self._done(event)

    def eta_seconds(self) -> float | None:
        """Seconds until the study is probably done, at the pace so far; None before the first trial is trained.

        What a strategy asks beyond what was expected is known when it asks.
        """
        if not self._trained:
            return None
        usual = self.study.rule.seeds * (len(self.study.candidates) + 2)
        left = max(self._asked, usual if self.expected is None else self.expected) - self._answered
        return left * (time.monotonic() - self._begun) / self._trained

    def _done(self, event: Event) -> None:
        if "score" in event:
            mix, _, benchmark = str(event["label"]).partition(" · ")
            name = mix.rsplit("-s", 1)[0]
            self._scores.setdefault(name, {}).setdefault(benchmark, []).append(float(event["score"]))
            return
        self._trained += 1
        self._answered = min(self._answered + 1, self._asked)
        if self._live is None and not self.quiet:
            note(f"trained {event['label']}{self._eta_text()}")

    def _eta_text(self) -> str:
        eta = self.eta_seconds()
        return "" if eta is None else f" · about {int(eta // 60)}:{int(eta % 60):02d} left"

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        elapsed = time.monotonic() - self._begun
        head = Text(f"{visible(self.study.name)} · {self._trained} trials trained · ", style="bold")
        head.append(f"{int(elapsed // 60)}:{int(elapsed % 60):02d} gone{self._eta_text()}")
        table = Table(box=None, pad_edge=False)
        for column in ("mix", *self.study.benchmarks, "average"):
            table.add_column(column, justify="left" if column == "mix" else "right")
        for name, figures in list(self._scores.items())[-18:]:
            table.add_row(Text(visible(name)), *self._cells(figures))
        running = Table(box=None, pad_edge=False, show_header=False)
        for state in list(self._running.values()):
            bar = f"{state.step}/{state.steps}" if state.steps else ""
            loss = f"loss {state.loss:.3f}" if state.loss is not None else ""
            running.add_row(Text("running", style="cyan"), Text(visible(state.label)), bar, loss)
        return Group(head, table, running)

    def _cells(self, figures: dict[str, list[float]]) -> list[str]:
        means: list[float | None] = [_mean(figures.get(name, [])) for name in self.study.benchmarks]
        known = [mean for mean in means if mean is not None]
        average = f"{sum(known) / len(known):.1f}" if len(known) == len(means) else "…"
        return [f"{mean:.1f}" if mean is not None else "…" for mean in means] + [average]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
