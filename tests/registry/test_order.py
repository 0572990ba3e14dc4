from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from registry.errors import Refusal
from registry.identity import order_key
from registry.order import copy_numbers, id_words, order_keys
from tests.curator.extract_reference import murmur


def made(n: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(n)]


def test_keys_are_murmur_hashes_of_the_ids_and_their_copies() -> None:
    ids, copies = [*made(50), *made(10)], [0] * 50 + [1] * 5 + [7] * 5
    found = order_keys(id_words(pa.chunked_array([ids[:7], ids[7:]])), np.array(copies, np.int32), 3, "order")
    once = [murmur(one.encode(), order_key(3, "order")) for one in ids]
    wanted = [murmur(c.to_bytes(8, "little"), key) if c else key for key, c in zip(once, copies, strict=True)]
    assert found.tolist() == wanted


def test_golden_keys() -> None:
    found = order_keys(id_words(pa.chunked_array([made(2)])), np.array([0, 1], np.int32), 0)
    assert found.tolist() == [12553980286838994947, 15537723551301034603]


def test_a_slice_of_a_column_gives_its_own_words() -> None:
    column = pa.chunked_array([made(20)])
    assert (id_words(column.slice(5, 4)) == id_words(column)[5:9]).all()
    assert id_words(pa.chunked_array([], pa.string())).shape == (0, 4)


def test_copies_are_counted_in_the_order_of_the_rows() -> None:
    a, b, c = made(3)
    assert copy_numbers(id_words(pa.chunked_array([[a, b, a, a, c, b]]))).tolist() == [0, 0, 1, 2, 0, 1]
    assert copy_numbers(id_words(pa.chunked_array([made(1000)]))).tolist() == [0] * 1000


def test_ids_with_one_key_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.order._murmur", lambda _words, keys: keys)
    a, b, c = made(3)
    assert copy_numbers(id_words(pa.chunked_array([[a, b, a, c, b, b]]))).tolist() == [0, 0, 1, 0, 1, 2]


@pytest.mark.parametrize("ids", [["short"], [*made(2), "x" * 33], [None]])
def test_what_is_no_id_is_refused(ids: list[str | None]) -> None:
    with pytest.raises(Refusal, match="32 characters"):
        id_words(pa.chunked_array([pa.array(ids, pa.string())]))
