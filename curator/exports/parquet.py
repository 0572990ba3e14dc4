"""Parquet with embedded pictures: datasets, TRL, polars, duckdb."""

from __future__ import annotations

from pathlib import Path

from curator.export import Exporter
from curator.exporting.source import Source, Told

VERSION = 1
SHARDED = True
LOADING = """```python
from datasets import load_dataset

mix = load_dataset("FOLDER", split="train")
```

Rows lie grouped by dataset; `position` is the place of a row in the mix: sort by it, or shuffle."""


def look(source: Source) -> Told:
    """Every row can be expressed."""
    import pyarrow.compute as pc

    shown = pc.sum(pc.list_value_length(source.reader.rows().column("images"))).as_py()
    return Told(source.reader.info.samples, shown or 0)


def write(source: Source, folder: Path) -> Told:
    """Shards in ``data/``, where `datasets` looks for them."""
    exporter = Exporter(source.home, source.reader, source.shard_bytes, publishing=False)
    data = folder / "data"
    data.mkdir(exist_ok=True)
    try:
        slices = exporter.slices()
        for number, part in enumerate(slices):
            target = data / f"train-{number:05d}-of-{len(slices):05d}.parquet"
            if not target.is_file():
                with source.whole(target) as aside:
                    exporter.write_rows(aside, part)
            source.advance(part.stop - part.start)
    finally:
        exporter.close()
    return look(source)
