"""``curator demo`` before it spends anything. What it does is in tests/test_journey.py."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Curator


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(curator: Curator, tmp_path: Path) -> None:
    home = tmp_path / "demo"
    told = json.loads(curator("demo", "--home", str(home), "--dry-run", "--json").stdout)
    assert len(told["candidates"]) >= 8
    assert len(told["categories"]) >= 5
    assert told["trials_at_least"] == 2 * (len(told["candidates"]) + 3)
    assert told["trials_here"] == 0
    few = curator("demo", "--home", str(home), "--dry-run", "--candidate", "demo-flags", "--seeds", "3", "--json")
    assert json.loads(few.stdout)["trials_at_least"] == 12
    assert "builds" in curator("demo", "--home", str(home), "--dry-run", "--rebuild-base").stdout
    assert not home.exists()


def test_a_misspelt_candidate_is_refused_before_anything_is_drawn(curator: Curator, tmp_path: Path) -> None:
    refused = curator("demo", "--home", str(tmp_path / "demo"), "--candidate", "demo-flag", "--dry-run")
    assert refused.exit_code == 1
    assert "did you mean 'demo-flags'" in refused.stderr
    assert not (tmp_path / "demo").exists()
