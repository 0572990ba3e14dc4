"""Damaged files of the data home: said in words, with the folder to remove and what makes it again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import Refusal
from registry.store import read_record

if TYPE_CHECKING:
    import pyarrow as pa


@contextlib.contextmanager
def damage_refused(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises about a file of a finished folder into a Refusal with the way out."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is not None:  # no permission, not there: no damage
            raise
        problem = " ".join(str(error).split()) or type(error).__name__
        raise damaged(path, problem) from None


def damaged(path: Path, problem: str) -> Refusal:
    """The refusal of a file whose content is not what was written there."""
    return Refusal(str(path), f"damaged ({problem})", f"remove the folder {path.parent} and run {_maker(path.parent)}")


def table_of(path: Path, columns: list[str] | None = None) -> pa.Table:
    """One parquet file of a finished folder, or some of its columns; raises Refusal when it is damaged."""
    import pyarrow.parquet as pq

    with damage_refused(path), pq.ParquetFile(path) as file:
        return file.read(columns=columns)


def _maker(folder: Path) -> str:
    """The command that makes a folder, as its record has it."""
    with contextlib.suppress(Refusal):
        if command := read_record(folder).command:
            return f"'{command}' again, as it was run before"
    return "what made it again"
