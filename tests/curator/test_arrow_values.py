"""Views of Arrow's memory hold what ``to_pylist`` holds, for every nesting that datasets publish pictures in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curator.arrow_values import python_values

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {}
_text = st.none() | st.sampled_from(["", "a", "é", "long text"])
_binary = st.none() | st.binary(max_size=6)
_picture = st.none() | st.fixed_dictionaries({"bytes": _binary, "path": _text})
KINDS["binary"] = (pa.binary(), _binary)
KINDS["large_binary"] = (pa.large_binary(), _binary)
KINDS["picture"] = (PICTURE, _picture)
KINDS["pictures"] = (pa.list_(PICTURE), st.none() | st.lists(_picture, max_size=3))
KINDS["large list"] = (pa.large_list(pa.binary()), st.none() | st.lists(_binary, max_size=3))
KINDS["text"] = (pa.string(), _text)
KINDS["numbers"] = (pa.list_(pa.int64()), st.none() | st.lists(st.integers(-5, 5), max_size=3))


def plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return value.tobytes()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_values_are_those_of_arrow_also_in_a_slice(data: st.DataObject, kind: str) -> None:
    arrow_type, values = KINDS[kind]
    rows = data.draw(st.lists(values, max_size=8))
    start = data.draw(st.integers(0, len(rows)))
    array = pa.array(rows, arrow_type)[start:]
    assert plain(python_values(array)) == array.to_pylist() == rows[start:]


def test_a_view_copies_nothing() -> None:
    array = pa.array([b"first", b"second"])
    first, second = python_values(array)
    assert isinstance(first, memoryview)
    assert second.obj is first.obj
    assert second[0] == ord("s")
