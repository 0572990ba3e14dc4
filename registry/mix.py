"""A built mix: ``mix.json`` and ordered reference rows. This is the reading side, used by trainers and curator alike.

A row refers to a sample by (samples folder, file, row) and to its pictures by sha256. Where a picture lies on this
machine is looked up in the image store when it is read, so the bytes of a mix depend on its recipe alone and not on
the order in which a machine happened to pull.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from registry.damage import table_of
from registry.errors import Refusal
from registry.sample import Message
from registry.store import Home, read_record

if TYPE_CHECKING:
    import pyarrow as pa

MIX_VERSION = 2
MIX_FILE = "mix.json"


class PartCount(BaseModel):
    """What one part of the recipe contributed."""

    model_config = ConfigDict(extra="forbid")

    dataset: str
    part: str | None = None
    category: str | None = None
    """Written only where the recipe names one."""
    samples_folder: str
    seed: int
    available: int
    dropped: dict[str, int] = Field(default_factory=dict)
    """Filter and column, ``decontaminate`` and benchmark, or ``dedup`` and the way of being the same -> rows."""
    contamination: dict[str, int] = Field(default_factory=dict)
    """Benchmark and verdict -> rows that hold something of it and that no filter dropped."""
    chosen: int
    """Samples in the mix, repeats counted."""

    @model_serializer(mode="wrap")
    def _without_absent_category(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = plain(self)
        return {name: value for name, value in fields.items() if name != "category" or value is not None}


class Composed(BaseModel):
    """Rows of a mix of one dataset, part and category, and the pictures that they show (copies counted)."""

    model_config = ConfigDict(extra="forbid")

    dataset: str
    part: str
    category: str
    rows: int
    pictures: int


class MixInfo(BaseModel):
    """``mix.json``: the resolved, pinned recipe and what came of it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: str
    version: int = MIX_VERSION
    recipe: dict[str, Any]
    """The resolved recipe: nested recipes written out, every samples folder and measure pinned."""
    recipe_digest: str
    content_digest: str
    """sha256 of the ordered ids, a line each: two mixes with the same are the same training data."""
    samples: int
    images: int
    datasets: dict[str, int]
    categories: dict[str, int]
    composition: list[Composed] = Field(default_factory=list)
    parts: list[PartCount]


def rows_schema() -> pa.Schema:
    """Columns of ``rows-*.parquet``."""
    import pyarrow as pa

    image = pa.struct([("sha256", pa.string()), ("width", pa.int32()), ("height", pa.int32())])
    return pa.schema(
        [
            ("id", pa.string()),
            ("copy", pa.int32()),
            ("dataset", pa.string()),
            ("part", pa.string()),
            ("category", pa.string()),
            ("folder", pa.string()),
            ("file", pa.string()),
            ("row", pa.int64()),
            ("images", pa.list_(image)),
        ]
    )


def composition(rows: pa.Table) -> list[Composed]:
    """The rows of a mix by dataset, part and category, sorted."""
    import pyarrow.compute as pc

    by = ["dataset", "part", "category"]
    shown = rows.select(by).append_column("pictures", pc.list_value_length(rows.column("images")))
    counted = shown.group_by(by).aggregate([([], "count_all"), ("pictures", "sum")])
    named = counted.rename_columns({"count_all": "rows", "pictures_sum": "pictures"}).select([*by, "rows", "pictures"])
    return [Composed(**row) for row in named.sort_by([(name, "ascending") for name in by]).to_pylist()]


class MixReader:
    """A finished mix: its rows, and the messages they refer to."""

    def __init__(self, home: Home, folder: Path | str) -> None:
        self.home = home
        self.folder = home.stage("mixes") / folder if isinstance(folder, str) else folder
        self.record = read_record(self.folder)
        try:
            self.info = MixInfo.model_validate_json((self.folder / MIX_FILE).read_bytes())
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise Refusal(
                str(self.folder / MIX_FILE), f"damaged ({reason})", "remove the mix and build it again"
            ) from None
        self._texts: dict[tuple[str, str], pa.ChunkedArray] = {}

    def __len__(self) -> int:
        return self.info.samples

    def rows(self) -> pa.Table:
        """All rows in the order of the mix."""
        import pyarrow as pa

        tables = [table_of(path) for path in sorted(self.folder.glob("rows-*.parquet"))]
        return pa.concat_tables(tables) if tables else rows_schema().empty_table()

    def messages(self, rows: pa.Table) -> list[list[Message]]:
        """The conversations that these rows refer to, in their order."""
        folders, files, numbers = (rows.column(name).to_pylist() for name in ("folder", "file", "row"))
        wanted: dict[tuple[str, str], list[int]] = {}
        for position, key in enumerate(zip(folders, files, strict=True)):
            wanted.setdefault(key, []).append(position)
        found: list[list[Message]] = [[] for _ in folders]
        for key, positions in wanted.items():
            taken = self._column(*key).take([numbers[p] for p in positions])
            for position, value in zip(positions, taken.to_pylist(), strict=True):
                found[position] = value
        return found

    def forget(self) -> None:
        """Give the memory of conversations back that were read."""
        self._texts.clear()

    def _column(self, folder: str, file: str) -> pa.ChunkedArray:
        """The ``messages`` column of one samples file, kept for the next batch of rows."""
        key = (folder, file)
        if key not in self._texts:
            path = self.home.stage("samples") / folder / file
            if not path.is_file():
                raise Refusal(
                    str(path),
                    "the mix refers to samples that are not here",
                    f"pull '{folder.split('@', maxsplit=1)[0]}' again",
                )
            self._texts[key] = table_of(path, ["messages"]).column("messages")
        return self._texts[key]
