"""Identity: one form, one digest, one order, on every machine and in every version of Python."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.identity import SHORT, FieldChange, canonical, digest, field_diff, order_key, short

MIXED = {"name": "llava", "lr": {"llm": 2e-5, "adapter": 1.0}, "parts": [1, True, None, "é—\u2028"], "n": -3}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    scalars.filter(lambda value: not isinstance(value, str) or _encodes(value)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc.é", max_size=3), inner, max_size=4),
    max_leaves=12,
)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def test_canonical_form_is_sorted_compact_utf8() -> None:
    expected = '{"lr":{"adapter":1.0,"llm":2e-05},"n":-3,"name":"llava","parts":[1,true,null,"é—\u2028"]}'
    assert canonical(MIXED) == expected.encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        ([], "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
        (1, "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"),
        (1.0, "d0ff5974b6aa52cf562bea5921840c032a860a91a3512f7fe8f768f6bbe005f6"),
        (True, "b5bea41b6c623f7c09f1bf24dcae58ebab3c0cdd90ad966bc43a45b44867e12b"),
        (MIXED, "b864d921b568e8f18753ef4d34a81419aa967fe42129d82abf49eaff2038fdaa"),
    ],
)
def test_golden_digests(value: Any, expected: str) -> None:
    assert digest(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"bytes",
        math.nan,
        math.inf,
        -math.inf,
        object(),
        Path("x"),
        {1: "a key that is no text"},
        {"deep": [{"er": {"set"}}]},
        {"deep": [1.0, math.nan]},
        "half a pair \ud800",
    ],
    ids=["set", "bytes", "nan", "inf", "-inf", "object", "path", "key", "deep-set", "deep-nan", "surrogate"],
)
def test_values_without_a_stable_form_are_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        digest(value)


def test_refusal_names_the_place() -> None:
    with pytest.raises(TypeError, match=r"value\.parts\[1\]\.filters: set has no stable form"):
        canonical({"parts": [{}, {"filters": {"x"}}]})


def test_short_is_what_stands_in_folder_names() -> None:
    assert short(digest({})) == "44136fa355b3"
    assert len(short("f" * 64)) == SHORT == 12


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("order", "a", 0), 8519592623570879201),
        ((0, "order", "x", 1), 6925428200272585683),
        (("a",), 14598278634844962250),
        ((), 16406829232824261652),
    ],
)
def test_golden_order_keys(parts: tuple[str | int, ...], expected: int) -> None:
    assert order_key(*parts) == expected


def test_order_key_depends_on_where_a_part_ends() -> None:
    assert order_key("ab", "c") != order_key("a", "bc") != order_key("abc")


def test_order_keys_spread_over_64_bits() -> None:
    keys = [order_key("spread", number) for number in range(2000)]
    assert len(set(keys)) == len(keys)
    below = sum(key < 2**63 for key in keys)
    assert abs(below - 1000) < 5 * math.sqrt(500)


def test_another_process_with_another_hash_seed_agrees() -> None:
    code = "from registry.identity import digest, order_key; print(digest({'b': 1, 'a': [2.5]}), order_key(7, 'x'))"
    runs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]
    here = f"{digest({'a': [2.5], 'b': 1})} {order_key(7, 'x')}\n"
    assert [run.stdout.decode() for run in runs] == [here, here]


@settings(deadline=None)
@given(json_values)
def test_what_json_brings_back_is_the_same_thing(value: Any) -> None:
    assert digest(json.loads(json.dumps(value))) == digest(value)


@settings(deadline=None)
@given(json_values, json_values)
def test_equal_digests_exactly_when_nothing_differs(old: Any, new: Any) -> None:
    assert (canonical(old) == canonical(new)) == (digest(old) == digest(new))
    assert field_diff(old, old) == []
    if field_diff(old, new):
        assert digest(old) != digest(new)


def test_field_diff_names_every_leaf_that_changed() -> None:
    old = {"stage": {"lr": {"llm": 1.0}, "trains": ["llm"]}, "seed": 0, "gone": "x", "parts": [{"n": 1}, {"n": 2}]}
    new = {"stage": {"lr": {"llm": 2.0}, "trains": ["adapter", "llm"]}, "seed": 0, "parts": [{"n": 1}, {"n": 3}]}
    assert field_diff(old, new) == [
        FieldChange("gone", "x", None),
        FieldChange("parts[1].n", 2, 3),
        FieldChange("stage.lr.llm", 1.0, 2.0),
        FieldChange("stage.trains", ["llm"], ["adapter", "llm"]),
    ]


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), ("1", 1), (None, 0), ([], {})])
def test_field_diff_tells_types_apart_as_digests_do(old: Any, new: Any) -> None:
    assert digest(old) != digest(new)
    assert field_diff({"field": old}, {"field": new}) == [FieldChange("field", old, new)]


def test_a_change_reads_as_one_line() -> None:
    assert str(FieldChange("stage.epochs", 1, 2)) == "stage.epochs: 1 -> 2"
