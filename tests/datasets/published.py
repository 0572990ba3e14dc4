"""Builds the files of a golden fixture as their publisher would have made them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Json = Any


@cache
def picture(spec: str) -> bytes:
    """``"40x30 red"`` as a PNG."""
    size, _, color = spec.partition(" ")
    width, _, height = size.partition("x")
    out = io.BytesIO()
    Image.new("RGB", (int(width), int(height)), color).save(out, "PNG")
    return out.getvalue()


def file_bytes(name: str, content: Json) -> bytes:
    """One published file."""
    if name.endswith(".jsonl"):
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content).encode()
    if name.endswith(".json"):
        return json.dumps(content, ensure_ascii=False).encode()
    if name.endswith(".parquet"):
        return _parquet(content)
    if name.endswith(".zip"):
        return _zip(content)
    if name.endswith((".tar", ".tar.gz")):
        plain = _tar(content)
        return gzip.compress(plain, mtime=0) if name.endswith(".gz") else plain
    return picture(content)


def _parquet(rows: list[dict[str, Json]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([_embedded(row) for row in rows]), out)
    return out.getvalue()


def _embedded(value: Json) -> Json:
    """The value with its pictures as the Hub stores them: bytes and a file name."""
    if isinstance(value, dict) and set(value) == {"picture"}:
        return {"bytes": picture(value["picture"]), "path": "picture.png"}
    if isinstance(value, dict):
        return {key: _embedded(inner) for key, inner in value.items()}
    return [_embedded(inner) for inner in value] if isinstance(value, list) else value


def _zip(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, spec in members.items():
            archive.writestr(zipfile.ZipInfo(name), picture(spec))
    return out.getvalue()


def _tar(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, spec in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(picture(spec))
            archive.addfile(member, io.BytesIO(picture(spec)))
    return out.getvalue()
