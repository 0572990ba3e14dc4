"""Typed files: nothing is guessed, every error has a line, and no file can do more than be refused."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import Field, field_validator

from registry.errors import Refusal, did_you_mean
from registry.yaml_file import StrictModel, load
from registry.yaml_text import MAX_BYTES, MAX_DEPTH, read_raw, read_text


class Limits(StrictModel):
    min: float | None = None
    max: float | None = None


class Entry(StrictModel):
    name: str
    kind: Literal["chart", "document"] = "chart"
    limits: Limits | None = None
    repeat: int = Field(default=1, ge=1)


class Sheet(StrictModel):
    name: str
    revision: str | None = None
    licence: str | None = None
    seed: int = 0
    exact: bool = False
    note: str | None = None
    tags: list[str] = Field(default_factory=list)
    entries: list[Entry] = Field(default_factory=list)
    bounds: dict[str, Limits] = Field(default_factory=dict)

    @field_validator("note")
    @classmethod
    def _no_shouting(cls, note: str | None) -> str | None:
        if note is not None and note.isupper():
            raise ValueError("notes are not shouted")
        return note


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "sheet.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(folder: Path, text: str | bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        load(write(folder, text), Sheet)
    assert caught.value.way_out
    return caught.value


def test_scalars_that_yaml_would_guess_about_survive(tmp_path: Path) -> None:
    text = "name: 1e3\nrevision: 0123456\nlicence: no\ntags: [yes, 1_000, 2024-05-01, 0x1F, 'null', off]\n"
    sheet = load(write(tmp_path, text), Sheet)
    assert (sheet.name, sheet.revision, sheet.licence) == ("1e3", "0123456", "no")
    assert sheet.tags == ["yes", "1_000", "2024-05-01", "0x1F", "null", "off"]


@pytest.mark.parametrize("written", ["null", "~", "", "''"])
def test_null_and_empty_mean_not_established(tmp_path: Path, written: str) -> None:
    assert load(write(tmp_path, f"name: x\nlicence: {written}\n"), Sheet).licence is None


def test_the_model_says_what_text_becomes(tmp_path: Path) -> None:
    sheet = load(write(tmp_path, "name: x\nseed: 42\nexact: yes\nbounds: {width: {min: 2e-1}}\n"), Sheet)
    assert (sheet.seed, sheet.exact, sheet.bounds["width"].min) == (42, True, 0.2)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("name: x\n\nsede: 3\n", 3, "unknown field 'sede'; did you mean 'seed'?"),
        ("name: x\nqqq: 3\n", 2, "unknown field 'qqq'"),
        ("name: x\nseed: many\n", 2, "seed: Input should be a valid integer"),
        ("seed: 1\n", 1, "name: Field required"),
        ("seed: 1\nnmae: x\n", 2, "unknown field 'nmae'; did you mean 'name'? (and 1 more)"),
        (
            "name: x\nentries:\n  - name: a\n  - name: b\n    repeat: 0\n",
            5,
            "entries.1.repeat: Input should be greater",
        ),
        (
            "name: x\nentries:\n  - name: a\n    knid: chart\n",
            4,
            "unknown field 'entries.0.knid'; did you mean 'kind'?",
        ),
        ("name: x\nentries:\n  - name: a\n    kind: graph\n", 4, "entries.0.kind: Input should be 'chart' or"),
        ("name: x\nentries:\n  - name: a\n    limits: {mim: 1}\n", 4, "did you mean 'min'?"),
        ("name: x\nentries: [just text]\n", 2, "entries.0: Input should be a valid dictionary"),
        ("name: x\nnote: LOUD\n", 2, "note: Value error, notes are not shouted"),
        ("name: x\nseed: a\nexact: b\nnote: c\n", 2, "(and 1 more)"),
        ("name: x\nbounds:\n  width:\n    max: wide\n", 4, "bounds.width.max: Input should be a valid number"),
        ("name: x\nbounds:\n  width: {max: nan}\n", 3, "bounds.width.max: Input should be a finite number"),
        ("name: x\nbounds:\n  width: {max: inf}\n", 3, "bounds.width.max: Input should be a finite number"),
    ],
)
def test_a_wrong_field_is_refused_at_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    told = refusal(tmp_path, text)
    assert told.where == f"{tmp_path / 'sheet.yaml'}:{line}"
    assert what in told.what


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("name: x\ntags: [a, b\n", 3, "not valid YAML"),
        ("name: x\n\tseed: 1\n", 2, "not valid YAML"),
        ("a: &x [1]\nb: *x\n", 1, "anchors and aliases are not allowed"),
        ("name: x\ntags:\n  - &t text\n", 3, "anchors and aliases are not allowed"),
        ("name: x\nnote: !!python/object/apply:os.system ['true']\n", 2, "tag"),
        ("name: !mine x\n", 1, "the tag '!mine' is not allowed"),
        ("name: x\nseed: 1\nseed: 2\n", 3, "the field 'seed' is given twice"),
        ("name: x\nentries:\n  - name: a\n    repeat: 1\n    repeat: 2\n", 5, "the field 'repeat' is given twice"),
        ("name: x\n---\nname: y\n", 2, "not valid YAML"),
        ("[a]: b\n", 1, "not valid YAML"),
    ],
)
def test_yaml_that_no_file_needs_is_refused_at_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    told = refusal(tmp_path, text)
    assert told.where == f"{tmp_path / 'sheet.yaml'}:{line}"
    assert what in told.what


def test_a_small_file_cannot_become_a_large_one(tmp_path: Path) -> None:
    lines = ["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"{new}: &{new} [{', '.join(['*' + old] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    assert "anchors" in refusal(tmp_path, "\n".join(lines)).what


@pytest.mark.parametrize(
    "text", ["[" * 500_000, "a: " + "[" * 100_000 + "]" * 100_000, "{a: " * 100_000, "- " * 100_000]
)
def test_a_bottomless_file_is_refused_and_does_not_end_the_process(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    for read in (read_raw, read_text):
        with pytest.raises(Refusal, match="nested too deeply"):
            read(path)


def test_nesting_of_a_reasonable_depth_is_read(tmp_path: Path) -> None:
    depth = MAX_DEPTH - 1
    raw, _ = read_raw(write(tmp_path, "a: " + "[" * depth + "]" * depth))
    assert str(raw["a"]) == "[" * depth + "]" * depth


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a\n- b\n", "just text\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).what == "the file is not a mapping of fields"


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="No such file"):
        load(tmp_path / "absent.yaml", Sheet)
    with pytest.raises(Refusal, match="directory"):
        load(tmp_path, Sheet)
    with pytest.raises(Refusal, match="is no name of a file"):
        load(Path("a\0b.yaml"), Sheet)
    assert "more than" in refusal(tmp_path, b"name: x\n" + b"#" * MAX_BYTES).what
    assert "not valid YAML" in refusal(tmp_path, b"name: \xff\xfe\xfa").what


def test_an_endless_file_is_read_no_further_than_its_bound() -> None:
    if not os.path.exists("/dev/zero"):  # noqa: PTH110  a device, not a path of ours
        pytest.skip("no such device here")
    with pytest.raises(Refusal, match="has more than"):
        load(Path("/dev/zero"), Sheet)


def test_a_refusal_has_three_parts() -> None:
    told = Refusal("sheet.yaml:3", "unknown field", "remove it")
    assert str(told) == "sheet.yaml:3: unknown field\n  way out: remove it"
    assert (told.where, told.what, told.way_out) == ("sheet.yaml:3", "unknown field", "remove it")


def test_did_you_mean_is_silent_when_nothing_is_near() -> None:
    assert did_you_mean("chartqa", ["charts", "docvqa", "chart_qa"]) == "; did you mean 'chart_qa'?"
    assert did_you_mean("zzz", ["chartqa", "docvqa"]) == ""


# What hypothesis throws at a reader: bytes, text full of YAML's own signs, and damaged versions of a good file.
GOOD = b"""\
name: x
revision: "0123456"
entries:
  - name: a
    kind: chart
    limits: {min: 1, max: 2.5}
  - {name: b, repeat: 2}
note: >
  folded
  text
"""
signs = st.text(alphabet="abn:-?,[]{}#&*!|>'\"%@` \n\t\\0é\x00\u2028\ufeff~<=", max_size=60)
spliced = st.builds(
    lambda at, length, new: GOOD[:at] + new + GOOD[at + length :],
    st.integers(0, len(GOOD)),
    st.integers(0, 12),
    st.binary(max_size=8) | signs.map(str.encode),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80) | signs.map(str.encode) | spliced)
@example(b'"\\ud800": 1\nname: "\\udfff"\n')
@example(b"? [a, b]\n: c\n")
@example(b"%YAML 9.9\n---\nname: x\n")
@example(b"\xff\xfen\x00a\x00m\x00e\x00:\x00 \x00x\x00")
def test_whatever_is_in_a_file_it_is_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = write(tmp_path, data)
    with contextlib.suppress(Refusal):
        load(path, Sheet)
    values: list[Any] = []
    for read in (lambda p: read_raw(p)[0], read_text):
        with contextlib.suppress(Refusal):
            values.append(read(path))
    if len(values) == 2:
        assert values[0] == values[1]


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text("abc 019.:-#'", max_size=12), max_size=5))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_quoted_text_comes_back_as_it_was_written(tmp_path: Path, fields: dict[str, str]) -> None:
    escaped = {key: value.replace("'", "''") for key, value in fields.items()}
    path = write(tmp_path, "".join(f"{key}: '{value}'\n" for key, value in escaped.items()))
    assert read_raw(path)[0] == (fields or None)
    assert read_text(path) == (fields or None)


def test_every_refusal_of_a_file_names_the_file(tmp_path: Path) -> None:
    for text in ("name: [", "name: &a b", "nmae: x", "", "seed: x"):
        assert re.match(re.escape(str(tmp_path / "sheet.yaml")), refusal(tmp_path, text).where)
