"""Order keys: MurmurHash64A of texts, chained over columns, so that any language or engine can compute them again.

The key of ``(url, caption)`` is ``murmur(caption, murmur(url, seed))`` over the UTF-8 bytes, with Austin Appleby's
constants; a seed goes through ``registry.identity.order_key`` first. The hash functions of polars and duckdb are
faster to write down and may change with their versions.

This loop is written in LLVM's own language and not for numba: numba takes longer to load (0.7 CPU seconds) than the
loop takes for ten million rows, and every ``curator extract`` would wait for it.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

Keys = npt.NDArray[np.uint64]

_CODE = """
define void @chain(ptr %views, ptr %buffers, ptr %keys, i64 %count) {
entry:
  %some_rows = icmp sgt i64 %count, 0
  br i1 %some_rows, label %row, label %end

row:                          ; a view: length, then either the text or its first bytes, buffer and offset
  %i = phi i64 [0, %entry], [%next, %finish]
  %view = getelementptr [16 x i8], ptr %views, i64 %i
  %length_32 = load i32, ptr %view, align 1
  %length = zext i32 %length_32 to i64
  %inside = getelementptr i8, ptr %view, i64 4
  %is_long = icmp ugt i64 %length, 12
  br i1 %is_long, label %outside, label %begin

outside:
  %number_at = getelementptr i8, ptr %view, i64 8
  %number_32 = load i32, ptr %number_at, align 1
  %number = zext i32 %number_32 to i64
  %buffer_at = getelementptr ptr, ptr %buffers, i64 %number
  %buffer = load ptr, ptr %buffer_at, align 8
  %offset_at = getelementptr i8, ptr %view, i64 12
  %offset_32 = load i32, ptr %offset_at, align 1
  %offset = zext i32 %offset_32 to i64
  %elsewhere = getelementptr i8, ptr %buffer, i64 %offset
  br label %begin

begin:
  %text = phi ptr [%inside, %row], [%elsewhere, %outside]
  %key_at = getelementptr i64, ptr %keys, i64 %i
  %seed = load i64, ptr %key_at, align 8
  %spread = mul i64 %length, FACTOR
  %key_0 = xor i64 %seed, %spread
  %whole = and i64 %length, -8
  %last = getelementptr i8, ptr %text, i64 %whole
  %has_words = icmp ugt i64 %length, 7
  br i1 %has_words, label %word, label %tail

word:
  %at = phi ptr [%text, %begin], [%at_next, %word]
  %key = phi i64 [%key_0, %begin], [%key_next, %word]
  %word_0 = load i64, ptr %at, align 1
  %word_1 = mul i64 %word_0, FACTOR
  %word_2 = lshr i64 %word_1, 47
  %word_3 = xor i64 %word_1, %word_2
  %word_4 = mul i64 %word_3, FACTOR
  %mixed = xor i64 %key, %word_4
  %key_next = mul i64 %mixed, FACTOR
  %at_next = getelementptr i8, ptr %at, i64 8
  %more_words = icmp ne ptr %at_next, %last
  br i1 %more_words, label %word, label %tail

tail:
  %key_1 = phi i64 [%key_0, %begin], [%key_next, %word]
  %over = and i64 %length, 7
  %has_rest = icmp ne i64 %over, 0
  br i1 %has_rest, label %rest, label %finish

rest:                         ; the last bytes, read with what stands before them, or after them inside the view
  %bits = shl i64 %over, 3
  %foreign = sub i64 64, %bits
  %back = sub i64 %over, 8
  %before = getelementptr i8, ptr %last, i64 %back
  %from = select i1 %has_words, ptr %before, ptr %inside
  %loaded = load i64, ptr %from, align 1
  %ends_here = lshr i64 %loaded, %foreign
  %cleared = shl i64 %loaded, %foreign
  %begins_here = lshr i64 %cleared, %foreign
  %rest_word = select i1 %has_words, i64 %ends_here, i64 %begins_here
  %joined = xor i64 %key_1, %rest_word
  %key_2 = mul i64 %joined, FACTOR
  br label %finish

finish:
  %key_3 = phi i64 [%key_1, %tail], [%key_2, %rest]
  %shifted_3 = lshr i64 %key_3, 47
  %key_4 = xor i64 %key_3, %shifted_3
  %key_5 = mul i64 %key_4, FACTOR
  %shifted_5 = lshr i64 %key_5, 47
  %key_6 = xor i64 %key_5, %shifted_5
  store i64 %key_6, ptr %key_at, align 8
  %next = add i64 %i, 1
  %more_rows = icmp ne i64 %next, %count
  br i1 %more_rows, label %row, label %end

end:
  ret void
}
""".replace("FACTOR", str(0xC6A4A7935BD1E995 - (1 << 64)))


def chain(texts: pa.Array, keys: Keys) -> None:
    """Replace each key by the hash of the text beside it, seeded with that key.

    Args:
        texts: an array of ``string_view`` without nulls.
        keys: one a text; written to.
    """
    _, views, *buffers = texts.buffers()
    if len(texts):
        addresses = np.array([buffer.address for buffer in buffers], np.uint64)
        run, _ = _compiled()
        run(views.address + 16 * texts.offset, addresses.ctypes.data, keys.ctypes.data, len(texts))


@cache
def _compiled() -> tuple[Any, Any]:
    """The loop, which other threads need not wait for, and what it lives in."""
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=3)
    living = llvm.create_mcjit_compiler(llvm.parse_assembly(_CODE), machine)
    living.finalize_object()
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    return kind(living.get_function_address("chain")), living
