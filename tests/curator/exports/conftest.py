"""One awkward mix for the tests of all forms, and what every export of it has to give back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from curator.exporting.run import Summary, export, look, plan_export
from registry.store import Home
from tests.curator.export_home import Wanted, make_awkward, wanted


@dataclass(frozen=True)
class Awkward:
    """The mix, and its rows."""

    home: Home
    mix: Path
    rows: list[Wanted]

    def without(self, *names: str) -> list[Wanted]:
        """The rows but for those whose source_id begins with one of these names."""
        return [row for row in self.rows if not row.origin["source_id"].startswith(names)]


@pytest.fixture(scope="package")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Awkward:
    home, mix = make_awkward(tmp_path_factory.mktemp("awkward"))
    return Awkward(home, mix, wanted(home, mix))


Export = Callable[..., Summary]


@pytest.fixture
def exported(awkward: Awkward, tmp_path: Path) -> Export:
    """Write the mix as a form to a folder of the test; what was told before writing is what was done."""

    def write(form: str, shard_bytes: int = 1 << 20) -> Summary:
        plan = plan_export(awkward.home, awkward.mix, form, tmp_path / form, shard_bytes)
        before = look(plan)
        assert not (tmp_path / form).exists()
        done = export(plan)
        assert done == before
        return done

    return write
