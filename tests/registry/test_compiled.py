"""Kernels are compiled once, for the types they name, wherever the result can or cannot be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from registry.compiled import BYTES, compiled

KERNEL = """
import sys
import numpy as np
from numba import types
from registry.compiled import BYTES, compiled

@compiled(types.int64, BYTES)
def total(data):
    found = 0
    for value in data:
        found += value
    return found

print(total(np.arange(5, dtype=np.uint8)), sum(total.stats.cache_hits.values()))
"""
ROOT = Path(__file__).parents[2]


def test_what_is_compiled_is_kept_for_the_next_process(tmp_path: Path) -> None:
    script = tmp_path / "kernel.py"
    script.write_text(KERNEL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    runs = [
        subprocess.run([sys.executable, script], env=environment, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert [run.split() for run in runs] == [["10", "0"], ["10", "1"]]


def test_without_a_place_for_it_kernels_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    njit, asked = numba.njit, []

    def homeless(*arguments: Any, **options: Any) -> Any:
        asked.append(options.get("cache", False))
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'double': no locator available for file 'x.py'")
        return njit(*arguments, **options)

    monkeypatch.setattr(numba, "njit", homeless)

    @compiled(types.int64, types.int64)
    def double(number: int) -> int:
        return 2 * number

    assert double(21) == 42
    assert asked[:2] == [True, False]
    assert asked.count(True) == 1


def test_other_faults_of_the_compiler_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any, **_options: Any) -> Any:
        raise RuntimeError("something else")

    monkeypatch.setattr(numba, "njit", broken)
    with pytest.raises(RuntimeError, match="something else"):
        compiled(types.int64, types.int64)(lambda number: number)


def test_nothing_is_compiled_for_other_types() -> None:
    @compiled(types.int64, BYTES)
    def count(data: Any) -> int:
        return len(data)

    assert count(np.zeros(3, np.uint8)) == 3
    with pytest.raises(TypeError, match="No matching definition"):
        count(np.zeros(3, np.float64))
