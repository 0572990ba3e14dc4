"""The cache of parsed cards is never the truth: any edit or damage is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from registry import card_cache


class Reader:
    """Reads a file as ``{"text": …}`` and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, path: Path) -> dict[str, Any]:
        self.count += 1
        return {"text": path.read_text(encoding="utf-8")}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two cards, and a cache folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = {name: tmp_path / f"{name}.yaml" for name in ("a", "b")}
    for name, path in found.items():
        path.write_text(f"card {name}", encoding="utf-8")
    return found


def test_the_second_reading_reads_no_card(files: dict[str, Path]) -> None:
    reader = Reader()
    first = card_cache.cached_cards(files, reader)
    assert first == {"a": {"text": "card a"}, "b": {"text": "card b"}}
    assert card_cache.cached_cards(files, reader) == first
    assert reader.count == 2


def test_an_edit_of_the_same_length_at_the_same_time_is_seen(files: dict[str, Path]) -> None:
    reader = Reader()
    card_cache.cached_cards(files, reader)
    files["a"].write_text("CARD a", encoding="utf-8")
    assert card_cache.cached_cards(files, reader)["a"] == {"text": "CARD a"}


def test_contents_cannot_trade_places(files: dict[str, Path]) -> None:
    reader = Reader()
    card_cache.cached_cards(files, reader)
    swapped = {"a": files["b"], "b": files["a"]}
    assert card_cache.cached_cards(swapped, reader)["a"] == {"text": "card b"}


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"a": {}}'])
def test_a_damaged_cache_costs_time_and_nothing_else(files: dict[str, Path], damage: bytes) -> None:
    expected = card_cache.cached_cards(files, Reader())
    (cache,) = card_cache.folder().glob("cards-*.json")
    cache.write_bytes(damage)
    assert card_cache.cached_cards(files, Reader()) == expected


def test_no_cache_can_be_written_and_all_is_well(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))
    assert set(card_cache.cached_cards(files, Reader())) == {"a", "b"}


def test_old_caches_are_dropped(files: dict[str, Path]) -> None:
    for number in range(card_cache.KEPT + 3):
        files["a"].write_text(str(number), encoding="utf-8")
        card_cache.cached_cards(files, Reader())
    assert len(list(card_cache.folder().iterdir())) == card_cache.KEPT
