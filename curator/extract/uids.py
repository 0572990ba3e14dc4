"""Subsets as DataComp's lists of uids: ``<label>.npy``, 128-bit numbers as two 64-bit ones, sorted.

A source that has a column ``uid`` (32 hexadecimal digits, as in DataComp's own metadata) keeps its uids; elsewhere a
uid is the order key of the draw and the key of a second seed.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curator.extract.order import keys_of
from curator.extract.subsets import Extracted
from registry.errors import Refusal
from registry.store import Home, write_aside

if TYPE_CHECKING:
    import polars as pl

UIDS = "uids"
KIND = np.dtype("u8,u8")
_SECOND = 0xD47A
"""Seed of the second half of a uid that we give."""


def write_uids(home: Home, found: Extracted) -> dict[str, Path]:
    """Write the list of each subset beside the draws; what is there already is left."""
    written = {}
    for label, files in found.files().items():
        path = home.path / UIDS / f"{found.folder.name}-{label}.npy"
        if not path.is_file():
            uids = np.sort(np.concatenate([_uids(file) for file in files]))
            buffer = io.BytesIO()
            np.save(buffer, uids, allow_pickle=False)
            write_aside(path, buffer.getvalue())
        written[label] = path
    return written


def has_uids(found: Extracted) -> bool:
    """Whether the source brought uids of its own, so that its publisher's other lists agree with these."""
    import polars as pl

    files = [file for subset in found.files().values() for file in subset]
    return all("uid" in pl.read_parquet_schema(file) for file in files)


def _uids(file: Path) -> npt.NDArray[np.void]:
    import polars as pl

    names = pl.read_parquet_schema(file)
    if "uid" in names:
        return _published(file, pl.read_parquet(file, columns=["uid"])["uid"])
    rows = pl.read_parquet(file, columns=["url", "caption", "order_key"])
    found = np.empty(len(rows), KIND)
    found["f0"] = rows["order_key"].to_numpy()
    found["f1"] = keys_of(_SECOND, rows["url"], rows["caption"])
    return found


def _published(file: Path, uids: pl.Series) -> npt.NDArray[np.void]:
    try:
        halves = [(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids.to_list()]
    except (TypeError, ValueError):
        raise Refusal(str(file), "its column 'uid' is not 32 hexadecimal digits", "leave --uids out") from None
    return np.array(halves, KIND)
