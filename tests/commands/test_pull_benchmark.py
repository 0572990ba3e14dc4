"""``curator pull-benchmark`` as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "tests" / "registry" / "benchmarks"


def curator(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "curator", "pull-benchmark", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CURATOR_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dry_run_says_from_where_and_brings_nothing(tmp_path: Path) -> None:
    done = curator(tmp_path, "pope", "tabmwp_test", "--dry-run", "--json")
    assert json.loads(done.stdout) == [
        {"benchmark": "pope", "from": "https://opencompass.openxlab.space/utils/VLMEval/POPE.tsv"},
        {"benchmark": "tabmwp_test", "from": None},
    ]
    assert not (tmp_path / "home").exists()


def test_another_table_is_refused_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "MME.tsv").write_bytes((ARTEFACTS / "mme.tsv").read_bytes())
    done = curator(tmp_path, "mme", "--from", tmp_path)
    assert done.returncode == 1
    assert "that of the published MME.tsv is b36b43c3f09801f5d368627fb92187c3" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "home" / "benchmarks").iterdir())


def test_offline_there_is_a_way_out(tmp_path: Path) -> None:
    done = curator(tmp_path, "mme")
    assert done.returncode == 1
    assert "cannot be downloaded" in done.stderr
    assert "Traceback" not in done.stderr
