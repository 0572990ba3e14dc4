"""The digest of bytes against its definition in plain numbers, and bits against Python's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import types

from curator.kernels.bits import BLOCK, copy_block, lowest, ones, zeros
from curator.kernels.digest import digest_of
from registry.compiled import BYTES, OUT_BYTES, OUT_UINT64S, compiled

WORD = 1 << 64
NO_SEED = np.uint64(0)
SECRETS = [0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3]
GOLDEN = {
    b"": "0e854195d9a7117d4b11d49979575c47",
    b"a": "09d80c2587ad4444fe0db8b45274f4c7",
    b"The cat sat on the mat.": "f49966ec3dac8fc0c604b35cb36e9a63",
    bytes(range(256)): "c7c726983142f725c90ebc7ada1e6712",
}

Bytes = npt.NDArray[np.uint8]


def folded(one: int, other: int) -> int:
    product = one * other
    return product % WORD ^ product // WORD


def number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def by_definition(data: bytes, seed: int) -> tuple[int, int]:
    s0, s1, s2, s3 = SECRETS
    lanes, rest = [seed ^ secret for secret in SECRETS], data
    while len(rest) >= 64:
        for lane, secret in enumerate((s1, s2, s3, s0)):
            low, high = rest[16 * lane : 16 * lane + 8], rest[16 * lane + 8 : 16 * lane + 16]
            lanes[lane] = folded(number(low) ^ lanes[lane], number(high) ^ secret)
        rest = rest[64:]
    while len(rest) >= 16:
        lanes = [*lanes[1:], folded(number(rest[:8]) ^ lanes[0], number(rest[8:16]) ^ s1)]
        rest = rest[16:]
    if rest:
        lanes[1] = folded(number(rest[:8]) ^ lanes[1], number(rest[8:]) ^ s2)
    a, b, c, d = lanes
    first, second = folded(a ^ len(data), b ^ s3), folded(c ^ s0, d ^ len(data))
    return folded(first ^ s1, second ^ s2) ^ first, folded(first ^ s3, second ^ s0) ^ second


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=200),
    before=st.integers(0, 9),
    behind=st.integers(0, 9),
    seed=st.integers(0, WORD - 1),
)
def test_digests_are_those_of_the_definition_wherever_the_bytes_lie(
    data: bytes, before: int, behind: int, seed: int
) -> None:
    around = np.frombuffer(b"x" * before + data + b"y" * behind, np.uint8)
    found = digest_of(around, before, before + len(data), np.uint64(seed))
    assert tuple(map(int, found)) == by_definition(data, seed)


@pytest.mark.parametrize("data", GOLDEN)
def test_digests_are_the_same_for_ever(data: bytes) -> None:
    found = digest_of(np.frombuffer(data, np.uint8), 0, len(data), np.uint64(7))
    assert "".join(f"{half:016x}" for half in found) == GOLDEN[data]


def test_a_byte_anywhere_and_the_order_of_blocks_make_another_digest() -> None:
    chance = np.random.default_rng(0)
    data = chance.integers(0, 256, 300).astype(np.uint8)
    seen = {digest_of(data, 0, end, NO_SEED) for end in range(301)}
    for at in range(300):
        other = data.copy()
        other[at] ^= 1
        seen.add(digest_of(other, 0, 300, NO_SEED))
    swapped = np.concatenate([data[64:128], data[:64], data[128:]])
    zeroed = np.zeros(300, np.uint8)
    seen |= {digest_of(swapped, 0, 300, NO_SEED)} | {digest_of(zeroed, 0, end, NO_SEED) for end in range(1, 301)}
    assert len(seen) == 301 + 300 + 1 + 300
    assert len({first for first, _ in seen}) == len({second for _, second in seen}) == len(seen)


@compiled(types.void, BYTES, types.int64, OUT_BYTES, OUT_UINT64S)
def look(data: Bytes, at: int, out: Bytes, found: npt.NDArray[np.uint64]) -> None:
    copy_block(data, at, out, 3)
    found[0] = zeros(data, at)
    found[1] = ones(found[0])
    found[2] = lowest(found[0])


@settings(max_examples=50, deadline=None)
@given(data=st.lists(st.integers(0, 3), min_size=BLOCK, max_size=BLOCK), at=st.integers(0, 5))
def test_blocks_are_looked_at_and_copied_whole(data: list[int], at: int) -> None:
    block = np.array([9] * at + data + [9], np.uint8)
    out, found = np.full(BLOCK + 6, 7, np.uint8), np.empty(3, np.uint64)
    look(block, at, out, found)
    empty = [i for i, byte in enumerate(data) if byte == 0]
    assert found.tolist() == [sum(1 << i for i in empty), len(empty), min(empty, default=64)]
    assert out.tolist() == [7] * 3 + data + [7] * 3
