"""Arrow columns as Python values, with pictures as views of Arrow's own memory instead of copies of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def python_values(array: pa.Array) -> list[Any]:
    """What ``to_pylist`` gives, but a ``memoryview`` for every binary value, also inside structs and lists."""
    import pyarrow as pa

    kind = array.type
    if not _holds_binary(kind):
        values: list[Any] = array.to_pylist()
    elif pa.types.is_struct(kind):
        names = [field.name for field in kind]
        fields = [python_values(array.field(number)) for number in range(kind.num_fields)]
        values = [dict(zip(names, row, strict=True)) for row in zip(*fields, strict=True)]
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        flat = python_values(array.values)
        bounds = array.offsets.to_pylist()
        values = [flat[start:end] for start, end in itertools.pairwise(bounds)]
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        values = _views(array)
    else:
        values = array.to_pylist()
    if array.null_count:
        return [value if there else None for value, there in zip(values, array.is_valid().to_pylist(), strict=True)]
    return values


def _views(array: pa.Array) -> list[Any]:
    """A view of each value of a binary array; an empty one for a null."""
    import numpy as np
    import pyarrow as pa

    _, offsets, data = array.buffers()
    width = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    bounds = np.frombuffer(offsets, width)[array.offset : array.offset + len(array) + 1].tolist()
    view = memoryview(data if data is not None else b"").cast("B")
    return [view[start:end] for start, end in itertools.pairwise(bounds)]


def _holds_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return True
    if pa.types.is_struct(kind):
        return any(_holds_binary(field.type) for field in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_binary(kind.value_type)
    return False
