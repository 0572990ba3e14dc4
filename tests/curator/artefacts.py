"""The artefacts of filters: samples, and what each column of the filter must say of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from curator.batch import Batch
from registry.images import ImageStore
from registry.sample import arrow_schema, make_message, sample_id
from registry.store import Home

ARTEFACTS = Path(__file__).parent / "filters"


def drawn(width: int, height: int, look: str = "grey") -> bytes:
    """A picture: one tone, half black and half white, or nothing but transparency."""
    from PIL import Image

    if look == "clear":
        image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    else:
        image = Image.new("RGB", (width, height), "white" if look == "half" else look)
        if look == "half":
            image.paste("black", (0, 0, width // 2, height))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def batch_of(home: Home, samples: list[dict[str, Any]]) -> Batch:
    """Samples of an artefact as a batch: pictures by size and look, turns by turns."""
    import pyarrow as pa

    rows = []
    with ImageStore(home).writer() as store:
        for sample in samples:
            refs = [store.add(drawn(*image)) for image in sample["images"]]
            messages = [
                make_message(("user", "assistant")[i % 2], text, len(refs) if i == 0 else 0)
                for i, text in enumerate(sample["turns"])
            ]
            shas = [ref.sha256 for ref in refs]
            images = [{"sha256": r.sha256, "width": r.width, "height": r.height} for r in refs]
            names = {"dataset": "x", "part": "all", "source_id": "1", "category": "captioning"}
            ratings = [{"name": name, "value": value} for name, value in sample.get("ratings", {}).items()]
            row = {"images": images, "messages": messages, "ratings": ratings, **names}
            rows.append({"id": sample_id(messages, shas), **row})
    return Batch(pa.Table.from_pylist(rows, schema=arrow_schema()), ImageStore(home))
