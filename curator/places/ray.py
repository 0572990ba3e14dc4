"""Ray: a cluster that is there, or one of this machine that lives as long as the run.

``address`` is ``auto``, ``host:port`` or ``ray://host:port``. Without one a Ray is started here and stopped at the
end, unless the program has called ``ray.init`` itself: then that one is used and left as it is. The runner counts
attempts, so Ray makes one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from curator.places.local import processors
from curator.runner import Function, Place
from curator.visit import Outcome, Ticket, attempt, ticket
from registry.errors import Refusal

STORE_BYTES = 100 * 1024 * 1024
"""Ray's store of objects is hardly used, and by default it takes a third of the memory."""
KNOCK_SECONDS = 10.0


@contextlib.contextmanager
def crew(function: Function[Any], place: Place) -> Iterator[RayCrew]:
    """Plain Ray tasks."""
    assert place.home is not None, "every node must see the data home, so it must be named"
    ray = _library(place)
    # Ray tells of dead workers on stdout, where nothing but the command's result may stand.
    with contextlib.redirect_stdout(sys.stderr), _session(ray, place), ticket(place.home) as checked:
        tasks = RayCrew(ray, function, checked, place)
        try:
            yield tasks
        finally:
            tasks.cancel()


class RayCrew:
    """Tasks under way in a Ray that is connected."""

    def __init__(self, ray: ModuleType, function: Function[Any], checked: Ticket, place: Place) -> None:
        self._ray = ray
        self._function = function
        self._ticket = checked
        self._workers = place.workers
        # Spread: files lie on a shared disk, so no node is nearer to them than another.
        needs = {"num_cpus": place.processors, "num_gpus": place.gpus}
        options = ray.remote(**needs, max_retries=0, scheduling_strategy="SPREAD")
        self._attempt = options(attempt)
        self._running: dict[Any, int] = {}

    def room(self) -> int:
        """As many as were asked for, or the processors that the cluster has now: it may grow and shrink."""
        return self._workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def start(self, tasks: Mapping[int, Any]) -> None:
        """Submit tasks."""
        for number, task in tasks.items():
            self._running[self._attempt.remote(self._function, task, self._ticket)] = number

    def ended(self) -> Iterator[tuple[int, Outcome]]:
        """Wait for one, and take all that are done by then."""
        self._ray.wait(list(self._running), num_returns=1)
        done, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        for reference in done:
            yield self._running.pop(reference), self._outcome(reference)

    def cancel(self) -> None:
        """Stop what still runs; a worker that does not answer is killed."""
        for reference in self._running:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.cancel(reference, force=True)

    def _outcome(self, reference: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(reference)
        except errors.RayTaskError as error:  # our own function raises nothing: it could not even be loaded
            what = f"cannot begin a task ({_last_line(error)})"
            return Outcome(error=Refusal("a Ray node", what, "install the same vlm-curator on every node"))
        except errors.RayError as error:
            return Outcome(died=_first_line(error))
        return outcome


@contextlib.contextmanager
def _session(ray: ModuleType, place: Place) -> Iterator[None]:
    if place.address is None and ray.is_initialized():
        yield
        return
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        _connect(ray, place)
        yield
    finally:
        ray.shutdown()


def _connect(ray: ModuleType, place: Place) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False}
    if place.address is None:
        # "local" rather than nothing: nothing would join whatever Ray runs on this machine already.
        size = {"num_cpus": place.workers * place.processors or processors(), "object_store_memory": STORE_BYTES}
        ray.init(address="local", include_dashboard=False, **size, **quiet)
        return
    try:
        _knock(place.address)
        ray.init(address=place.address, **quiet)
    except (OSError, RuntimeError, ValueError, AssertionError, ray.exceptions.RayError) as error:
        way_out = "is it running ('ray start --head'), and is its token in RAY_AUTH_TOKEN or ~/.ray/auth_token?"
        raise Refusal(f"Ray at '{place.address}'", f"cannot be joined ({_first_line(error)})", way_out) from None


def _knock(address: str) -> None:
    """Raise OSError where nobody answers: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


def _library(place: Place) -> ModuleType:
    # Ray reads its settings when it is imported; what the user has set wins.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if place.address not in (None, "auto") and _has_token():
        # A cluster asks for a token unless it is told not to. Ray itself shows the one it has to ``auto`` alone.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError:
        raise Refusal("--on ray", "Ray is not installed", "pip install 'vlm-curator[ray]'") from None
    return ray


def _has_token() -> bool:
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _last_line(error: Exception) -> str:
    return _first_line(Exception("\n".join(reversed(str(error).splitlines()))))
