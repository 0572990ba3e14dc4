"""Loops that are compiled to machine code: numba with fixed types, kept on disk between processes.

The types are given, so everything is compiled once, when a module of kernels is imported, and never again for an
argument that looks a little different. numba keeps the result beside the source or, where that cannot be written, in
the user's cache folder; where neither can be written the code is compiled in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba import types

Function = TypeVar("Function", bound=Callable[..., Any])

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
INT32S = types.Array(types.int32, 1, "C", readonly=True)
INT64S = types.Array(types.int64, 1, "C", readonly=True)
UINT16S = types.Array(types.uint16, 1, "C", readonly=True)
UINT32S = types.Array(types.uint32, 1, "C", readonly=True)
UINT64S = types.Array(types.uint64, 1, "C", readonly=True)
UINT32_ROWS = types.Array(types.uint32, 2, "C", readonly=True)
UINT64_ROWS = types.Array(types.uint64, 2, "C", readonly=True)
OUT_BYTES = types.Array(types.uint8, 1, "C")
OUT_INT32S = types.Array(types.int32, 1, "C")
OUT_INT64S = types.Array(types.int64, 1, "C")
OUT_UINT16S = types.Array(types.uint16, 1, "C")
OUT_UINT32S = types.Array(types.uint32, 1, "C")
OUT_UINT64S = types.Array(types.uint64, 1, "C")
OUT_UINT32_ROWS = types.Array(types.uint32, 2, "C")
OUT_UINT64_ROWS = types.Array(types.uint64, 2, "C")

OUT_INT64_ROWS = types.Array(types.int64, 2, "C")
TWO_COLUMNS = types.containers.UniTuple(OUT_INT64S, 2)  # type: ignore[no-untyped-call]  # numba's own
TWO_INTS = types.containers.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]  # numba's own

Number = Any
"""In a kernel numpy's numbers and Python's are of one kind."""


def compiled(result: Any, *arguments: Any) -> Callable[[Function], Function]:
    """Compile a function for arguments of these types. Integers wrap around, as in the machine."""

    def compile_it(function: Function) -> Function:
        signature = result(*arguments)
        try:
            return cast("Function", numba.njit(signature, cache=True, nogil=True)(function))
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            return cast("Function", numba.njit(signature, nogil=True)(function))

    return compile_it


def inlined(function: Function) -> Function:
    """A small function that kernels call; it becomes part of each of them."""
    return cast("Function", numba.njit(inline="always")(function))
