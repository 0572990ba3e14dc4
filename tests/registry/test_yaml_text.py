"""The fast reader gives what the full one gives, and refuses what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import Refusal
from registry.facts import PACKAGED_CARDS
from registry.yaml_text import read_raw, read_text

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
VALUES = st.recursive(TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@settings(max_examples=60, deadline=None)
@given(value=VALUES)
def test_any_text_is_read_as_it_was_written(value: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("yaml") / "x.yaml"
    path.write_text(yaml.dump(value, allow_unicode=True, default_style='"'), encoding="utf-8")
    assert read_text(path) == value == read_raw(path)[0]


@pytest.mark.parametrize("path", sorted(PACKAGED_CARDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_both_readers_agree_on_every_packaged_card(path: Path) -> None:
    assert read_text(path) == read_raw(path)[0]


@pytest.mark.parametrize(
    ("text", "value"), [("", None), ("# nothing\n", None), ("007", "007"), ("no: 1.0", {"no": "1.0"}), ("- []", [[]])]
)
def test_scalars_stay_text(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    assert read_text(path) == value


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: &x 2\nc: *x\n", 2, "anchors and aliases"),
        ("a: 1\nb: [1, 2\n", 3, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "more than one document"),
        ("a: 1\n? [b]\n: 2\n", 2, "key that is not plain text"),
        ("a: 1\nb\x00: 2\n", None, "not valid YAML"),
        ("[" * 5000, None, "nested too deeply"),
    ],
)
def test_what_is_refused_is_named_with_its_line(tmp_path: Path, text: str, line: int | None, what: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Refusal) as caught:
        read_text(path)
    assert what in caught.value.what
    if line is not None:
        assert caught.value.where == f"{path}:{line}"


def test_a_file_that_is_absent_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be read"):
        read_text(tmp_path / "absent.yaml")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 4_000_001)
    with pytest.raises(Refusal, match="more than 4,000,000 bytes"):
        read_text(large)
