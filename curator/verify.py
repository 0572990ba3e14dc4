"""Prove that a mix is what it says: its order, its samples, its pictures, and that its recipe gives it again.

Four questions, each answered by computing anew: do the rows give the content digest; does the content of every row
give its id; do the bytes of every picture give its name; does the recipe, resolved and drawn in this home, give the
same rows one by one. The first difference is named.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator.export import published_schema
from curator.mix import content_digest, draw_mix
from curator.published import PublishedFiles
from curator.published_recipe import RECIPE_FILE, recipe_files
from curator.resolve import Group, Resolver
from registry.damage import table_of
from registry.errors import Refusal
from registry.identity import field_diff, file_digest
from registry.images import ImageStore
from registry.mix import MixInfo, MixReader
from registry.recipe import Recipe
from registry.sample import sample_id
from registry.store import Home

if TYPE_CHECKING:
    import pyarrow as pa

Advance = Callable[[int], None]
_SHOWN = 5
"""Differences of a recipe that are told."""


class Verdict(StrEnum):
    """Answer to one question."""

    EQUAL = "equal"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    """It could not be answered here."""


@dataclass(frozen=True)
class Check:
    """One question and its answer."""

    name: str
    """``files``, ``order``, ``samples``, ``pictures`` or ``recipe``."""
    verdict: Verdict
    checked: int
    """Files, rows or pictures that were looked at."""
    detail: str = ""
    """The first difference, or why the question could not be answered."""


def worst(checks: Iterable[Check]) -> Verdict:
    """The answer to all questions together."""
    found = {one.verdict for one in checks}
    return next((one for one in (Verdict.DIFFERS, Verdict.UNKNOWN) if one in found), Verdict.EQUAL)


def check_mix(home: Home, reader: MixReader, *, recipe: bool, advance: Advance) -> Iterator[Check]:
    """The checks of a mix of this home; ``advance`` is told the rows that are done."""
    rows = reader.rows()
    yield _order(reader.info, rows)
    yield _samples(home, rows, advance)
    yield _pictures(home, rows)
    if recipe:
        yield _recipe(home, reader.info, rows)


def check_published(home: Home, published: PublishedFiles, *, recipe: bool, advance: Advance) -> Iterator[Check]:
    """The checks of a published mix: its pictures are in its rows, and looked at with them."""
    yield _files(published)
    rows = published.rows()
    positions = rows.column("position").to_pylist()
    if positions != list(range(len(positions))):
        at = next(n for n, position in enumerate(positions) if n != position)
        yield Check("order", Verdict.DIFFERS, len(positions), f"no row has position {at}, or two have")
    else:
        yield _order(published.info, rows)
    if published.whole:
        yield from _contents(published, advance)
    if recipe:
        yield _recipe(home, published.info, rows)


def _files(published: PublishedFiles) -> Check:
    """Whether every shard is the file that ``publication.json`` lists."""
    import pyarrow.parquet as pq

    for path, said in sorted(published.shards.items()):
        file = published.folder / path
        if not file.is_file():
            return Check("files", Verdict.DIFFERS, len(published.shards), f"{path} is not there")
        if file.stat().st_size != said.get("size") or file_digest(file) != said.get("sha256"):
            return Check("files", Verdict.DIFFERS, len(published.shards), f"{path} has another size or sha256")
        if published.whole and not pq.read_schema(file).equals(published_schema()):
            return Check("files", Verdict.DIFFERS, len(published.shards), f"{path} has other columns")
    listed = {(published.folder / path).resolve() for path in published.shards}
    strange = sorted(set(published.folder.resolve().glob("*/*.parquet")) - listed)
    if strange:
        return Check("files", Verdict.DIFFERS, len(published.shards), f"{strange[0].name} is not listed")
    return Check("files", Verdict.EQUAL, len(published.shards))


def _order(info: MixInfo, rows: pa.Table) -> Check:
    """Whether the ordered ids give the digest of the account, and the rows its counts."""
    for name, said in (("dataset", info.datasets), ("category", info.categories)):
        found = dict(Counter(rows.column(name).to_pylist()))
        if found != said:
            change = field_diff(said, found)[0]
            return Check("order", Verdict.DIFFERS, rows.num_rows, f"rows by {name}: mix.json -> rows: {change}")
    if rows.num_rows != info.samples:
        return Check("order", Verdict.DIFFERS, rows.num_rows, f"mix.json says {info.samples:,} samples")
    found_digest = content_digest(rows)
    if found_digest != info.content_digest:
        detail = f"the rows give {found_digest[:12]}, mix.json says {info.content_digest[:12]}"
        return Check("order", Verdict.DIFFERS, rows.num_rows, detail)
    return Check("order", Verdict.EQUAL, rows.num_rows)


def _samples(home: Home, rows: pa.Table, advance: Advance) -> Check:
    """Whether every row refers to a sample whose content gives its id and whose pictures are the row's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows.append_column("position", pa.array(range(rows.num_rows)))
    first: tuple[int, str] | None = None
    for folder, file in sorted(set(zip(*(rows.column(name).to_pylist() for name in ("folder", "file")), strict=True))):
        here = pc.and_(pc.equal(rows.column("folder"), folder), pc.equal(rows.column("file"), file))
        its = rows.filter(here)
        found = _first_other(home.stage("samples") / folder / file, its, advance)
        if found is not None and (first is None or found < first):
            first = found
    if first is None:
        return Check("samples", Verdict.EQUAL, rows.num_rows)
    return Check("samples", Verdict.DIFFERS, rows.num_rows, f"row {first[0]}: {first[1]}")


def _first_other(path: Path, rows: pa.Table, advance: Advance) -> tuple[int, str] | None:
    """Position and kind of the first row that is another than the sample it refers to."""
    if not path.is_file():
        return rows.column("position")[0].as_py(), f"{path.parent.name}/{path.name} is not here"
    samples = table_of(path, ["id", "images", "messages"])
    for batch in rows.select(["position", "row", "id", "images"]).to_batches(8192):
        wanted = batch.to_pylist()
        if any(one["row"] >= samples.num_rows for one in wanted):
            return wanted[0]["position"], f"{path.name} has {samples.num_rows:,} rows only"
        stored = samples.take([one["row"] for one in wanted]).to_pylist()
        for one, sample in zip(wanted, stored, strict=True):
            content = sample_id(sample["messages"], [image["sha256"] for image in sample["images"]])
            if content != one["id"]:
                where = f"{path.parent.name}/{path.name}#{one['row']}"
                return one["position"], f"the content of {where} gives {content}"
            if sample["images"] != one["images"]:
                return one["position"], "its pictures are not those of its sample"
        advance(len(wanted))
    return None


def _pictures(home: Home, rows: pa.Table) -> Check:
    """Whether every picture is in the store and its bytes give its name."""
    import pyarrow.compute as pc

    shown = pc.struct_field(pc.list_flatten(rows.column("images")), "sha256")
    names = sorted(pc.unique(shown).to_pylist())
    store = ImageStore(home)
    try:
        for name in sorted(names, key=lambda one: (store.locate(one).shard, store.locate(one).offset)):
            if hashlib.sha256(store.read(name)).hexdigest() != name:
                return Check("pictures", Verdict.DIFFERS, len(names), f"the bytes of picture {name[:12]} are others")
    except Refusal as refusal:
        return Check("pictures", Verdict.DIFFERS, len(names), f"{refusal.where} {refusal.what}")
    finally:
        store.close()
    return Check("pictures", Verdict.EQUAL, len(names))


def _contents(published: PublishedFiles, advance: Advance) -> Iterator[Check]:
    """Whether the content of each published row gives its id, and the bytes of each picture its name."""
    first: dict[str, str] = {}
    rows = pictures = 0
    for path in sorted(published.shards):
        for samples in published.samples(path):
            for one in samples:
                images = [image or {"bytes": None, "path": None} for image in one["images"] or []]
                shas = [hashlib.sha256(image["bytes"] or b"").hexdigest() for image in images]
                names = [str(image["path"]).partition(".")[0] for image in images]
                if names != shas:
                    first.setdefault("pictures", f"row {one['position']}: the bytes of a picture are others")
                if sample_id(one["messages"], shas) != one["id"]:
                    first.setdefault("samples", f"row {one['position']}: its content gives another id")
                pictures += len(shas)
            rows += len(samples)
            advance(len(samples))
    yield Check("samples", Verdict.DIFFERS if "samples" in first else Verdict.EQUAL, rows, first.get("samples", ""))
    yield Check(
        "pictures", Verdict.DIFFERS if "pictures" in first else Verdict.EQUAL, pictures, first.get("pictures", "")
    )


def _recipe(home: Home, info: MixInfo, rows: pa.Table) -> Check:
    """Whether the recipe, resolved here and drawn anew, gives these rows."""
    try:
        group = resolve_again(home, info)
    except Refusal as refusal:
        return Check("recipe", Verdict.UNKNOWN, 0, f"{refusal.where}: {refusal.what}; {refusal.way_out}")
    changes = field_diff(info.recipe, group.plain())
    if changes:
        told = "; ".join(map(str, changes[:_SHOWN]))
        return Check("recipe", Verdict.UNKNOWN, 0, f"what is here is not what the mix was built from: {told}")
    _, again = draw_mix(home, group, group.digest())
    wanted, found = rows.column("id").to_pylist(), again.column("id").to_pylist()
    for at, (one, other) in enumerate(zip(wanted, found, strict=False)):
        if one != other:
            return Check("recipe", Verdict.DIFFERS, at, f"row {at}: the mix has {one}, its recipe gives {other}")
    if len(wanted) != len(found):
        return Check(
            "recipe", Verdict.DIFFERS, len(found), f"the mix has {len(wanted):,} rows, its recipe gives {len(found):,}"
        )
    return Check("recipe", Verdict.EQUAL, len(found))


def resolve_again(home: Home, info: MixInfo) -> Group:
    """The recipe of a built mix, resolved with what is in this home; raises Refusal for what is not."""
    nested: dict[str, Any] = {f"./{name}": json.loads(data) for name, data in recipe_files(info).items()}
    recipes = {name: Recipe.model_validate(said) for name, said in nested.items()}
    return Resolver(home, recipes, fetch=False).resolve(recipes[f"./{RECIPE_FILE}"])
