"""64 characters at once: which are letters, digits and so on, and all of them in lower case, by a few vector steps."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from curator.kernels.bits import BLOCK, Emit, block_at, step

_BYTES = ir.VectorType(ir.IntType(8), BLOCK)
_CLASSES = types.containers.UniTuple(types.uint64, 5)  # type: ignore[no-untyped-call]  # numba's own


def _all(value: int) -> Any:
    return ir.Constant(_BYTES, [value] * BLOCK)


@step
def classified(_typing: Any, data: Any, _at: Any, out: Any, _to: Any) -> tuple[Any, Emit]:
    """``(letters, digits, points, hyphens, others)`` among 64 bytes: a number each, the first byte lowest.

    Points are ``.`` and ``,``; others are signs that are words, and bytes beyond ASCII. Letters in lower case and
    digits are written to ``out``, and a 0 for whatever is neither. Bytes and room must be there.
    """

    def emit(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        def within(values: Any, first: int, last: int) -> Any:
            return builder.icmp_unsigned("<=", builder.sub(values, _all(first)), _all(last - first))

        source, _, target, _ = signature.args
        text = builder.load(block_at(context, builder, source, *given[:2]), align=1)
        low = builder.or_(text, _all(0x20))
        letters, digits = within(low, ord("a"), ord("z")), within(text, ord("0"), ord("9"))
        points = builder.icmp_unsigned("==", builder.or_(text, _all(2)), _all(ord(".")))
        hyphens = builder.icmp_unsigned("==", text, _all(ord("-")))
        others = builder.icmp_unsigned(">", text, _all(0x7F))
        for first, last in ("#&", "*+", "//", "<>", "@@", "\\\\", "^_", "||", "~~"):
            others = builder.or_(others, within(text, ord(first), ord(last)))
        plain = builder.select(builder.or_(letters, digits), low, _all(0))
        builder.store(plain, block_at(context, builder, target, *given[2:]), align=1)
        found = [builder.bitcast(one, ir.IntType(64)) for one in (letters, digits, points, hyphens, others)]
        return context.make_tuple(builder, signature.return_type, found)

    return _CLASSES(data, types.uint64, out, types.uint64), emit
