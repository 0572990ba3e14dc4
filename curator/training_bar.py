"""The progress of a training on the terminal: steps, time left, and how fast it goes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from curator.output import visible

if TYPE_CHECKING:
    from rich.console import Console

Event = Mapping[str, Any]
_GIB = 1 << 30


@contextlib.contextmanager
def training_bar(description: str, console: Console | None = None) -> Iterator[Callable[[Event], None]]:
    """What to tell a trainer's events to. A bar on stderr that leaves nothing behind; it needs a terminal."""
    if console is None and not sys.stderr.isatty():
        yield lambda _event: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(bar_width=None),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[told]}"),
        bars.TimeElapsedColumn(),
        bars.TextColumn("{task.fields[left]}"),
    )
    with bars.Progress(*columns, console=console or Console(stderr=True), transient=True, expand=True) as shown:
        task = shown.add_task(visible(description).replace("[", r"\["), total=None, told="", left="")

        def listen(event: Event) -> None:
            if event.get("event") == "progress" and event.get("steps"):
                told, left = described(event), time_left(event)
                shown.update(task, completed=event["step"], total=event["steps"], told=told, left=left)

        yield listen


def described(event: Event) -> str:
    """Loss, speed, use of the device and memory, as far as an event has them."""
    forms: dict[str, Callable[[float], str]] = {
        "loss": lambda value: f"loss {value:.3f}",
        "tokens_per_second": lambda value: f"{value:,.0f} tokens/s",
        "samples_per_second": lambda value: f"{value:,.1f} samples/s",
        "mfu": lambda value: f"{value:.1%} MFU",
        "memory_bytes": lambda value: f"{value / _GIB:.1f} GiB",
    }
    return " · ".join(form(float(event[name])) for name, form in forms.items() if event.get(name) is not None)


def time_left(event: Event) -> str:
    """Hours, minutes and seconds to the end; nothing where an event does not say."""
    if event.get("seconds_left") is None:
        return ""
    minutes, seconds = divmod(round(float(event["seconds_left"])), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"
