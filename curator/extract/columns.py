"""Columns of published metadata under their canonical names, found in the files' own footers.

The names differ with the release: laion2B-en has them in capitals, Re-LAION in small letters, COYO has others. In the
original laion2B-en files WIDTH and HEIGHT are exchanged (LAION's own script for the joined files exchanges them back):
such a file is known by its capitals and by lacking every column that joining added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.errors import Refusal

if TYPE_CHECKING:
    import polars as pl

CANONICAL: dict[str, tuple[str, ...]] = {
    "url": ("url",),
    "caption": ("caption", "text"),
    "width": ("original_width", "width"),
    "height": ("original_height", "height"),
    "similarity": ("similarity", "clip_similarity_vitb32", "clip_b32_similarity_score"),
    "punsafe": ("punsafe", "nsfw_score_opennsfw2", "nsfw_score_opennsfw_v2"),
    "pwatermark": ("pwatermark", "watermark_score"),
    "language": ("language",),
    "aesthetic": ("aesthetic", "aesthetic_score", "aesthetic_score_laion_v2"),
}
"""Canonical name -> names in the published files, in any case, the first that is there."""
NEEDED = ("url", "caption")
KEY = "order_key"
ORDER = "order"
OURS = (*CANONICAL, KEY, ORDER)
_JOINED = {"punsafe", "pwatermark", "hash", "language"}
"""Columns by which joined files differ from the original ones."""


@dataclass(frozen=True)
class Layout:
    """How one table's columns are called here."""

    names: dict[str, str]
    """Our name -> name in the file, in the order that rows are written in."""
    exchanged: bool
    """Whether width and height were exchanged."""

    @classmethod
    def of(cls, where: str, columns: list[str], *, exchanged: bool | None = None) -> Layout:
        """The layout of a file with these columns.

        Args:
            where: the file, for people.
            columns: names in its footer.
            exchanged: whether its width and height are exchanged; None = told by the other columns.
        """
        found: dict[str, str] = {}
        for name, aliases in CANONICAL.items():
            for alias in aliases:
                same = [column for column in columns if column.lower() == alias]
                if len(same) > 1:
                    what = f"has the columns {' and '.join(same)}, which are both the {name}"
                    raise Refusal(where, what, "leave one of them out of the file")
                if same:
                    found[name] = same[0]
                    break
        for name in NEEDED:
            if name not in found:
                here = ", ".join(columns[:20])
                raise Refusal(where, f"has no column of the {name} (its columns: {here})", _names_known(name))
        if exchanged is None:
            exchanged = _is_original(columns)
        if exchanged and {"width", "height"} <= found.keys():
            found["width"], found["height"] = found["height"], found["width"]
        rest = sorted(set(columns) - set(found.values()))
        others = {f"source_{name}" if name.lower() in OURS else name: name for name in rest}
        return cls(found | others, exchanged)

    def selected(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """A frame of the file under our names."""
        import polars as pl

        return frame.select(pl.col(there).alias(here) for here, there in self.names.items())


def _is_original(columns: list[str]) -> bool:
    return {"URL", "TEXT", "WIDTH", "HEIGHT"} <= set(columns) and not _JOINED & {name.lower() for name in columns}


def _names_known(name: str) -> str:
    return f"it may be called {', '.join(CANONICAL[name])}, in any case"
