"""Whatever a published row holds, it ends as a sample or is set aside: no format raises, no row is lost."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.normalise import normalise
from curator.pull import offer_from_folder, pull
from curator.raw_sample import RawSample, Rejected
from curator.reading import RawFiles
from curator.selection import FORMATS, Form
from registry.card import Source
from registry.discovery import load_module, names, package_folder
from registry.sample import check
from registry.store import Home
from tests.curator.data_home import rows_of, write_card, write_json

KNOWN = names(package_folder(FORMATS), ".py")
TEXTS = st.sampled_from(
    ["", " ", "A", "B", "red", "<image>", "<image>\nWhat?", "a.png", "../a", "\x00", "\ud800", "human"]
)
KEYS = [
    *("from", "value", "role", "content", "user", "assistant", "bytes", "path", "answer", "question", "bbox", "raw"),
    *("width", "height", "full_answer"),
]
CELLS = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=True) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


INSIDE = {"visual_dialog": ("data.dialogs", {"questions": ["q", 3, ""], "answers": ["a", None]})}
"""Formats whose rows lie in an object: where, and what else is in it."""
SEVERAL = {"svit"}
"""Formats that make several samples of a row."""


def hostile_rows(columns: list[str]) -> st.SearchStrategy[list[Any]]:
    row = st.dictionaries(st.sampled_from(columns), CELLS, max_size=len(columns))
    return st.lists(row | CELLS, max_size=4)


@pytest.mark.parametrize("name", KNOWN)
@settings(max_examples=66, deadline=None)
@given(data=st.data())
def test_a_format_never_raises_and_loses_no_row(name: str, data: st.DataObject) -> None:
    form = Form(name, {}, {}, Source())
    rows = data.draw(hostile_rows(list(form.roles().values())))
    rows_at, tables = INSIDE.get(name, (None, {}))
    with tempfile.TemporaryDirectory() as folder:
        path = write_json(Path(folder) / "rows.json", {"data": {**tables, "dialogs": rows}} if rows_at else rows)
        source = RawFiles(Path(folder), [path], form.roles(), rows_at=rows_at)
        made = list(load_module(FORMATS, name, "format").rows(source))
    assert len(made) == len(rows) or (name in SEVERAL and len(made) > len(rows))
    for row in made:
        assert isinstance(row, (RawSample, Rejected))
        row.source_id.encode()
        if isinstance(row, Rejected):
            assert row.reason
            (row.reason + row.detail).encode()


@pytest.mark.parametrize("name", ["llava_chat", "multiple_choice", "vqa_rows"])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_row_is_accounted_for_and_every_sample_is_sound(name: str, data: st.DataObject) -> None:
    form = Form(name, {}, {}, Source())
    rows = data.draw(hostile_rows(list(form.roles().values())))
    known = dict.fromkeys(form.roles().values(), "A")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        write_json(Path(folder) / "p" / "rows.json", [known, *rows])
        card = write_card(home, "x", format=name)
        raw = pull(home, offer_from_folder(card, Path(folder) / "p"))
        made = normalise(home, card, raw.folder, allow_rejected=True)
        assert made.record.rows_in == len(rows) + 1
        assert made.record.rows_out == len(rows_of(made.folder))
        assert sum(made.record.rejected.values()) == len(rows_of(made.folder, "rejected.parquet"))
        for row in rows_of(made.folder):
            assert check(row["messages"], len(row["images"])) is None
