"""What all tests share: a machine of their own, so that no test reads or writes the user's files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest_plugins = ["tests.hub.fixtures", "tests.ray_cluster", "tests.registry.mixes"]

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

Curator = Callable[..., Result]
"""``curator("list", "--json")``: run a command line in this process and return what it printed."""


@pytest.fixture(scope="session", autouse=True)
def _folders_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Data home, caches and matplotlib's settings lie in a folder of the session."""
    root = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURATOR_HOME", str(root / "home"))
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setenv("MPLCONFIGDIR", str(root / "matplotlib"))
        patch.delenv("CURATOR_TRACEBACK", raising=False)
        yield


@pytest.fixture
def home_path(tmp_path: Path) -> Path:
    """A data home of one test: the folder, not made yet."""
    return tmp_path / "home"


@pytest.fixture
def curator(home_path: Path) -> Curator:
    """Run ``curator`` with the data home of this test; stdout and stderr are kept apart."""
    from curator.cli import cli

    def run(*arguments: str, stdin: str | None = None) -> Result:
        environment = {"CURATOR_HOME": str(home_path)}
        return CliRunner().invoke(cli, list(arguments), input=stdin, env=environment, prog_name="curator")

    return run
