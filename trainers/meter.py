"""How fast a run is, from the steps it has just done: what the progress events say."""

from __future__ import annotations

import resource
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch

from trainers.flops import peak

RECENT = 32
"""Steps that the rates are of: the first ones, in which kernels are chosen and caches filled, are soon forgotten."""


@dataclass(frozen=True)
class _Done:
    """What was done up to a moment."""

    when: float
    step: int
    samples: int
    tokens: int
    flops: float


class Meter:
    """Counts what all ranks do together."""

    def __init__(
        self,
        steps: int,
        peak_flops: float | None = None,
        start: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps, self._peak, self._clock = steps, peak_flops, clock
        self._done = deque([_Done(clock(), start, 0, 0, 0.0)], RECENT + 1)

    def add(self, samples: int, tokens: int, flops: float = 0.0) -> None:
        """A step was done, with so many samples and tokens that are no padding."""
        last = self._done[-1]
        self._done.append(
            _Done(self._clock(), last.step + 1, last.samples + samples, last.tokens + tokens, last.flops + flops)
        )

    def figures(self) -> dict[str, float]:
        """Rates of the last steps, seconds left, and memory. ``mfu`` only where it is known what the devices can do."""
        first, last = self._done[0], self._done[-1]
        seconds = max(last.when - first.when, 1e-9)
        steps = max(last.step - first.step, 1)
        found = {
            "samples_per_second": round((last.samples - first.samples) / seconds, 1),
            "tokens_per_second": round((last.tokens - first.tokens) / seconds, 1),
            "seconds_left": round((self._steps - last.step) * seconds / steps, 1),
            "memory_bytes": float(memory()),
        }
        if self._peak and last.flops:
            found["mfu"] = round((last.flops - first.flops) / seconds / self._peak, 4)
        return found


def memory() -> int:
    """Bytes that were in use at most: of the GPU where there is one in use, else of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def peak_of_devices(device: str, count: int) -> float | None:
    """What ``count`` devices like this process's can do together; None on a CPU and for a device nobody knows."""
    if not device.startswith("cuda"):
        return None
    one = peak(torch.cuda.get_device_name())
    return None if one is None else one * count
