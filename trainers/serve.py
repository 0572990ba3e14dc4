"""``python -m trainers serve``: JSON requests on standard input, JSON events on standard output, one at a time.

Ends when its input ends, and when the process that started it dies. What a request gets wrong is answered with
``refused`` and the way out; logs go to standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import transformers
from pydantic import ValidationError

from registry.errors import Refusal, did_you_mean
from registry.store import Home
from trainers.assemble import assemble
from trainers.base_build import build_base
from trainers.launch import is_launched, launch
from trainers.measure import measure_files
from trainers.parallel import team
from trainers.requests import (
    AssembleRequest,
    BaseRequest,
    MeasureRequest,
    ModelScoreRequest,
    Request,
    ScoreRequest,
    TrainRequest,
)
from trainers.score import score_model, score_trial
from trainers.train import train
from trainers.workshop import Workshop

logger = logging.getLogger(__name__)

Event = dict[str, Any]
PARENT_CHECK_SECONDS = 1.0
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # glibc's numbers for mallopt


class Server:
    """Answers requests; everything it keeps between them is memory that makes the next one faster."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self.done = False
        """Whether the last request was done."""
        self._workshop = Workshop()
        self._kinds: dict[str, tuple[type[Request], Callable[[Any], Event]]] = {
            "train": (TrainRequest, self._train),
            "score": (ScoreRequest, self._score),
            "score-model": (ModelScoreRequest, self._score_model),
            "base": (BaseRequest, self._base),
            "measure": (MeasureRequest, self._measure),
            "assemble": (AssembleRequest, self._assemble),
        }

    def run(self, lines: Iterable[str]) -> None:
        """Answer every line until there are no more."""
        for line in lines:
            if line.strip():
                self.answer(line)

    def answer(self, line: str) -> None:
        """One request: its progress, and how it ended."""
        self.done = False
        number: Any = None
        try:
            raw = json.loads(line)
            number = raw.get("id") if isinstance(raw, dict) else None
            model, act = self._kind(raw)
            done = act(model.model_validate(raw))
            self.done = True
            if not is_launched():  # who launched tells it for all
                self._tell({"id": number, "event": "done", **done})
        except Refusal as refusal:
            self._refuse(number, refusal.where, refusal.what, refusal.way_out)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            self._refuse(number, f"request field {place}", first["msg"], "correct the request")
        except json.JSONDecodeError as error:
            self._refuse(number, "request", f"is not JSON ({error})", "send one JSON object a line")
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
                raise
            self._refuse(number, "memory", "is used up", "use a smaller capacity or fewer rows a step")
        except OSError as error:
            where = str(error.filename or "file system")
            self._refuse(number, where, error.strerror or str(error), "check space and permissions, then run it again")

    def _kind(self, raw: Any) -> tuple[type[Request], Callable[[Any], Event]]:
        kind = raw.get("do") if isinstance(raw, dict) else None
        if kind not in self._kinds:
            hint = did_you_mean(str(kind), self._kinds)
            raise Refusal("request", f"cannot do {kind!r}{hint}", f"do one of: {', '.join(self._kinds)}")
        return self._kinds[kind]

    def _train(self, request: TrainRequest) -> Event:
        if request.runtime.processes * request.runtime.nodes > 1 and not is_launched():
            return self._launch(request)
        with team(request.runtime) as mine:
            folder, cached = train(self._workshop, request, self._progress(request), mine)
        return {"folder": folder.name, "cached": cached}

    def _launch(self, request: TrainRequest) -> Event:
        """Train in processes of their own; they tell their progress to where this one tells its."""
        home, identity = Home(Path(request.home)), request.settings.digest()
        cached = home.find("trials", identity) is not None
        if not cached:
            launch(request)
        folder = home.find("trials", identity)
        assert folder is not None, "a training whose processes all ended well is there"
        return {"folder": folder.name, "cached": cached}

    def _score(self, request: ScoreRequest) -> Event:
        score, cached = score_trial(self._workshop, request, self._progress(request))
        return {"folder": request.trial, "cached": cached, "score": score.score}

    def _score_model(self, request: ModelScoreRequest) -> Event:
        score, cached = score_model(self._workshop, request, self._progress(request))
        return {"folder": request.model, "cached": cached, "score": score.score}

    def _base(self, request: BaseRequest) -> Event:
        digest = build_base(self._workshop, request, self._progress(request))
        return {"folder": request.folder, "cached": False, "digest": digest}

    def _measure(self, request: MeasureRequest) -> Event:
        fresh = measure_files(self._workshop, request, self._progress(request))
        return {"folder": request.filter, "cached": not fresh}

    def _assemble(self, request: AssembleRequest) -> Event:
        folder, cached = assemble(request)
        return {"folder": folder.name, "cached": cached}

    def _progress(self, request: Request) -> Callable[[Event], None]:
        return lambda event: self._tell({"id": request.id, **event})

    def _refuse(self, number: Any, where: str, what: str, way_out: str) -> None:
        self._tell({"id": number, "event": "refused", "where": where, "what": what, "way_out": way_out})

    def _tell(self, event: Event) -> None:
        self._out.write(json.dumps(event) + "\n")
        self._out.flush()


def serve() -> int:
    """Serve this process's own input and output; the exit status."""
    out = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not end up between the events
    die_with_parent()
    keep_memory()
    transformers.utils.logging.disable_progress_bar()
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        Server(out).run(sys.stdin)
    return 0


def train_one(path: Path) -> int:
    """Serve the one request in a file; the exit status."""
    out = sys.stdout
    sys.stdout = sys.stderr
    die_with_parent()
    keep_memory()
    transformers.utils.logging.disable_progress_bar()
    server = Server(out)
    try:
        server.answer(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"{path}: cannot be read ({error})\n  way out: name a file of 'curator train --request'\n")
    return 0 if server.done else 1


def keep_memory() -> None:
    """Let the C library keep freed memory: a step frees and takes the same blocks again, and page faults cost 10 %.

    Where the C library has no such setting, nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, 32 << 20)
        library.mallopt(TRIM_THRESHOLD, 1 << 30)


def die_with_parent() -> None:
    """End this process when the one that started it ends, however that happens and whatever runs here."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
