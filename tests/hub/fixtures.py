"""The pytest fixture `hub`: one loopback Hub for a whole test session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.hub.server import Hub

# Read by the Hub's client when it is imported, so it has to be said before any test imports it. Xet is a second
# protocol with a store of its own, which the loopback Hub does not speak.
os.environ.update(HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A running Hub, empty at first. Give each test repositories of its own name; switch faults on with `hub.fault`."""
    with Hub(tmp_path_factory.mktemp("hub")) as running:
        yield running
