"""What processors do in one step and Python has no word for; LLVM finds it on every kind of processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from registry.compiled import inlined

_WORD = ir.IntType(64)
BLOCK = 64

_1, _2, _3, _4, _5, _6, _7, _8, _16, _24, _32 = (np.uint64(n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 16, 24, 32))

Emit = Callable[[Any, Any, Any, Any], Any]


def step(function: Callable[..., tuple[Any, Emit]]) -> Callable[..., Any]:
    """A step that kernels take, given as what it is in LLVM's own words."""
    return cast("Callable[..., Any]", intrinsic(function))


@step
def ones(_typing: Any, _number: Any) -> tuple[Any, Emit]:
    """How many bits of a number are set."""

    def emit(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.ctpop(given[0])

    return types.uint64(types.uint64), emit


@step
def lowest(_typing: Any, _number: Any) -> tuple[Any, Emit]:
    """The place of the lowest bit that is set; 64 where none is."""

    def emit(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.cttz(given[0], ir.IntType(1)(0))

    return types.uint64(types.uint64), emit


@step
def folded(_typing: Any, _one: Any, _other: Any) -> tuple[Any, Emit]:
    """The product of two numbers, 128 bits, its halves laid over each other."""

    def emit(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(number, wide) for number in given))
        high = builder.trunc(builder.lshr(product, wide(64)), _WORD)
        return builder.xor(builder.trunc(product, _WORD), high)

    return types.uint64(types.uint64, types.uint64), emit


def block_at(context: Any, builder: Any, array: Any, data: Any, at: Any) -> Any:
    """A pointer to 64 bytes of an array."""
    start = builder.gep(context.make_array(array)(context, builder, data).data, [at])
    return builder.bitcast(start, ir.VectorType(ir.IntType(8), BLOCK).as_pointer())


@step
def zeros(_typing: Any, data: Any, _at: Any) -> tuple[Any, Emit]:
    """Which of the 64 bytes of an array from a place on are 0, the first one lowest; they must all be there."""

    def emit(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        found = builder.load(block_at(context, builder, signature.args[0], *given), align=1)
        return builder.bitcast(builder.icmp_unsigned("==", found, found.type(None)), _WORD)

    return types.uint64(data, types.uint64), emit


@step
def copy_block(_typing: Any, data: Any, _at: Any, out: Any, _to: Any) -> tuple[Any, Emit]:
    """Write 64 bytes of one array into another one; they must be there, and the room for them."""

    def emit(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        source, _, target, _ = signature.args
        block = builder.load(block_at(context, builder, source, *given[:2]), align=1)
        builder.store(block, block_at(context, builder, target, *given[2:]), align=1)
        return context.get_dummy_value()

    return types.void(data, types.uint64, out, types.uint64), emit


@inlined
def eight(data: npt.NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Eight bytes as one number, the first one lowest; compiled to a single load."""
    low = np.uint64(data[at]) | (np.uint64(data[at + _1]) << _8)
    low |= (np.uint64(data[at + _2]) << _16) | (np.uint64(data[at + _3]) << _24)
    high = np.uint64(data[at + _4]) | (np.uint64(data[at + _5]) << _8)
    high |= (np.uint64(data[at + _6]) << _16) | (np.uint64(data[at + _7]) << _24)
    return low | (high << _32)
