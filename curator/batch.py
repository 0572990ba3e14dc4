"""A batch of samples as a filter sees it: flat text and offsets instead of nested Python objects."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from registry.errors import Refusal
from registry.image_decoder import FORMATS
from registry.images import ImageStore

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

    from curator.kernels.flat_text import FlatText

Ints = npt.NDArray[np.int64]


class Column(NamedTuple):
    """A measured column: its unit, and what it means in a few words."""

    unit: str
    meaning: str
    kind: str = "int32"
    """Arrow type of the column: int32, float32, bool or string."""


@dataclass(frozen=True)
class Texts:
    """All text parts of a batch of samples, flat."""

    texts: pa.Array
    """One string a text part."""
    sample: Ints
    """For each text part, the position of its sample in the batch."""
    answer: npt.NDArray[np.bool_]
    """For each text part, whether the assistant said it."""
    message: Ints
    """For each text part, the number of its message in the batch."""

    @cached_property
    def flat(self) -> FlatText:
        """The texts as compiled loops read them."""
        from curator.kernels.flat_text import flat_text

        return flat_text(self.texts)

    @cached_property
    def answers(self) -> Texts:
        """The assistant's parts alone."""
        kept = np.flatnonzero(self.answer)
        return Texts(self.texts.take(kept), self.sample[kept], self.answer[kept], self.message[kept])


@dataclass(frozen=True)
class Batch:
    """Some samples of one file, in order."""

    table: pa.Table
    images: ImageStore | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def texts(self) -> Texts:
        """The text parts of all messages."""
        messages = _combined(self.table, "messages")
        samples = _owners(messages)
        flat = messages.flatten()
        content = flat.field("content")
        owners = _owners(content)
        parts = content.flatten()
        import pyarrow.compute as pc

        kept = np.flatnonzero(np.asarray(pc.equal(parts.field("type"), "text")))
        said = np.asarray(pc.equal(flat.field("role"), "assistant"))
        texts = pc.fill_null(parts.field("text").take(kept), "")
        return Texts(texts, samples[owners[kept]], said[owners[kept]], owners[kept])

    def turns(self) -> Ints:
        """Questions of each sample."""
        import pyarrow.compute as pc

        messages = _combined(self.table, "messages")
        asked = np.asarray(pc.equal(messages.flatten().field("role"), "user"))
        return np.bincount(_owners(messages)[asked], minlength=len(self))

    def picture_sizes(self) -> tuple[Ints, Ints, Ints]:
        """``(sample, width, height)`` of every picture of the batch, flat."""
        images = _combined(self.table, "images")
        flat = images.flatten()
        width, height = (np.asarray(flat.field(name)).astype(np.int64) for name in ("width", "height"))
        return _owners(images), width, height

    def ratings(self) -> tuple[Ints, npt.NDArray[np.object_], npt.NDArray[np.float64]]:
        """``(sample, name, value)`` of every rating of the batch, flat."""
        ratings = _combined(self.table, "ratings")
        flat = ratings.flatten()
        names = np.asarray(flat.field("name").to_pylist(), np.object_)
        return _owners(ratings), names, np.asarray(flat.field("value")).astype(np.float64)

    def each_picture(self, measure: Callable[[Image], float]) -> tuple[Ints, npt.NDArray[np.float64]]:
        """``(sample, value)`` of every picture; a picture that occurs twice in the batch is decoded once."""
        images = _combined(self.table, "images")
        sha256s = images.flatten().field("sha256").to_pylist()
        known = {sha256: measure(self._decoded(sha256)) for sha256 in dict.fromkeys(sha256s)}
        return _owners(images), np.array([known[sha256] for sha256 in sha256s], dtype=np.float64)

    def _decoded(self, sha256: str) -> Image:
        import PIL.Image

        assert self.images is not None, "a filter that reads pictures declares NEEDS_PICTURES"
        try:
            return PIL.Image.open(io.BytesIO(self.images.read(sha256)), formats=FORMATS)
        except (OSError, ValueError) as error:
            raise Refusal(f"image {sha256[:12]}", f"cannot be decoded any more ({error})", "pull again") from None


def least(sample: Ints, values: npt.NDArray[Any], n_samples: int) -> npt.NDArray[np.float64]:
    """The smallest value of each sample; NaN where it has none."""
    found = np.full(n_samples, np.inf)
    np.minimum.at(found, sample, values)
    return np.where(np.isinf(found), np.nan, found)


def with_nulls(values: npt.NDArray[Any], kind: str, missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """An Arrow array; null where ``missing``, by default where ``values`` is NaN."""
    import pyarrow as pa

    mask = np.isnan(values) if missing is None else missing
    return pa.array(np.where(mask, 0, values), mask=mask).cast(kind)


def _combined(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies, of one chunk too


def _owners(lists: pa.Array) -> Ints:
    """For each element of a flattened list array, the position of the list that it comes from."""
    import pyarrow.compute as pc

    return np.asarray(pc.list_parent_indices(lists)).astype(np.int64)
