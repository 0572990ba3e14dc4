"""The short form of ``tests.faults.kills``: a small demo is killed twice and must end as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.kills import check

SMALL = ["--candidate", "demo-flags", "--samples", "128", "--seeds", "1", "--max-seeds", "1"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_demo_ends_with_the_same_bytes(tmp_path: Path) -> None:
    assert check(tmp_path, kills=2, options=SMALL, seed=0) == []
