"""The hostile home and a server over it, made once for all tests of the web app."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.curator.ui.server import Server
from tests.curator.ui.ui_home import Made, make_home


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_home(tmp_path_factory.mktemp("ui"))


@pytest.fixture(scope="session")
def server(made: Made) -> Iterator[Server]:
    with Server(made.home.path) as running:
        yield running
    assert "Traceback" not in running.log
