"""Build a mix: what a recipe names, filtered, without duplicates, drawn and ordered. The same recipe: the same bytes.

Every draw and every place in the order is a key of the seed, the sample's id and its copy number
(``registry.order``), so nothing depends on the order of files, the layout of their row groups, or the machine. Each
draw has keys of its own: a draw from what another one left is as fair as the first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.bounds import keeps
from curator.categories.general import general, general_categories
from curator.contamination.mixing import drop_contaminated
from curator.duplicates.mixing import drop_duplicates
from curator.measure import measure
from curator.quotas import wanted_rows
from curator.reclassify import labels
from curator.remaining import POSITION, Remaining
from curator.resolve import Draw, Group, Leaf, Resolver, check_part
from registry.damage import table_of
from registry.errors import Refusal
from registry.identity import short
from registry.mix import MIX_FILE, MIX_VERSION, MixInfo, PartCount, composition, rows_schema
from registry.order import ID_LENGTH, Keys, copy_numbers, id_words, order_keys
from registry.recipe import Recipe
from registry.store import Home, Record, dump_json

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_FILE = 1_000_000
ROWS_PER_GROUP = 65_536
_LEAF = "leaf"
"""Extra column while a mix is built, beside its position: which part of the recipe a row comes from."""
NOT_DRAWN = "not drawn"
DrawKey = tuple[str | int, ...]


def build_mix(home: Home, recipe: Recipe, nested: Mapping[str, Recipe] | None = None) -> tuple[Path, MixInfo]:
    """Make (or find) the mix of a recipe; measures that it needs and nobody has made yet are made here.

    Args:
        home: where samples, measures and mixes lie.
        recipe: what to mix.
        nested: recipes that ``recipe`` names and that are in no file.
    """
    group = Resolver(home, nested).resolve(recipe)
    identity = group.digest()
    folder = home.find("mixes", identity)
    if folder is not None:
        return folder, read_info(folder)
    folder = home.folder("mixes", recipe.name, identity)
    info, rows = draw_mix(home, group, identity)
    record = _record(group, info, rows)
    with home.making(folder, record) as out:
        _write_rows(out, rows)
        (out / MIX_FILE).write_bytes(dump_json(info.model_dump(mode="json")))
    return folder, info


def draw_mix(home: Home, group: Group, identity: str) -> tuple[MixInfo, pa.Table]:
    """The mix of a resolved recipe, in memory: its account and its ordered rows."""
    leaves = list(group.leaves())
    remaining = [_filtered(home, leaf, _leaf_rows(home, leaf, number)) for number, leaf in enumerate(leaves)]
    drop_contaminated(home, group, remaining)
    drop_duplicates(home, group, remaining)
    rows = _ordered(_drawn_group(group, iter(remaining)), group.seed)
    chosen = np.bincount(np.asarray(rows.column(_LEAF)), minlength=len(leaves))
    parts = [
        PartCount(
            dataset=leaf.samples.card.name,
            part=leaf.part,
            category=leaf.category,
            samples_folder=leaf.samples.folder.name,
            seed=leaf.seed,
            available=part.available,
            dropped=part.dropped,
            contamination=part.contamination,
            chosen=int(taken),
        )
        for leaf, part, taken in zip(leaves, remaining, chosen, strict=True)
    ]
    return _info(group, identity, rows, parts), rows


def part_size(home: Home, dataset: str, part: str | None = None) -> int:
    """Samples that a dataset (or one part of it) has in this home."""
    samples = Resolver(home).samples(dataset)
    check_part(samples, part)
    if part is None:
        return samples.record.rows_out
    return int(_leaf_rows(home, Leaf(samples, part, [], Draw(), 0), 0).num_rows)


def read_info(folder: Path) -> MixInfo:
    """``mix.json`` of a finished mix."""
    return MixInfo.model_validate_json((folder / MIX_FILE).read_bytes())


def _drawn_group(group: Group, remaining: Iterator[Remaining]) -> pa.Table:
    """The rows of all members one after the other, copies renumbered, within the group's quotas."""
    import pyarrow as pa

    drawn = [_drawn(member, remaining, key) for member, key in zip(group.members, _draw_keys(group), strict=True)]
    rows = _renumbered(pa.concat_tables(drawn))
    return _within_quotas(rows, group) if group.categories else rows


def _draw_keys(group: Group) -> Iterator[DrawKey]:
    """What the draw of each member is seeded with: the recipe's seed, what it draws from, how often it did before."""
    seen: Counter[tuple[str, ...]] = Counter()
    for member in group.members:
        what = ("recipe",) if isinstance(member, Group) else (member.samples.card.name, member.part or "")
        yield (group.seed, "draw", *what, seen[what])
        seen[what] += 1


def _within_quotas(rows: pa.Table, group: Group) -> pa.Table:
    """As many rows of each category as the quotas say: those with the smallest keys, in the order of ``rows``."""
    import pyarrow as pa

    categories = np.asarray(rows.column("category").to_pylist(), object)
    counted = _counted(rows, "category")
    wanted = wanted_rows(counted, group.categories, f"recipe '{group.name}'")
    by_key = np.argsort(_keys(rows, group.seed, "categories"), kind="stable")
    kept = [by_key[categories[by_key] == slug][: wanted[slug]] for slug in counted]
    return rows.take(pa.array(np.sort(np.concatenate(kept)))) if kept else rows


def _drawn(member: Leaf | Group, remaining: Iterator[Remaining], key: DrawKey) -> pa.Table:
    """The rows of a leaf or a group after its draw: columns of a mix, and the number of the leaf."""
    if isinstance(member, Group):
        return _draw(_drawn_group(member, remaining), member.draw, key, f"recipe '{member.name}'")
    return _draw(next(remaining).rows, member.draw, key, f"dataset '{member.samples.card.name}'")


def _leaf_rows(home: Home, leaf: Leaf, number: int) -> pa.Table:
    """References to all samples of a leaf (its part and category alone), and their position among all samples."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = []
    for path in leaf.samples.files():
        table = table_of(path, ["id", "dataset", "part", "category", "images"])
        n = table.num_rows
        table = table.append_column("file", pa.repeat(path.name, n)).append_column("row", pa.array(np.arange(n)))
        tables.append(table)
    rows = _with_labels(home, leaf, pa.concat_tables(tables))
    n = rows.num_rows
    rows = rows.append_column("folder", pa.repeat(leaf.samples.folder.name, n))
    rows = rows.append_column("copy", pa.repeat(pa.scalar(0, pa.int32()), n))
    rows = rows.select(rows_schema().names).cast(rows_schema())
    rows = rows.append_column(_LEAF, pa.repeat(pa.scalar(number, pa.int32()), n))
    rows = rows.append_column(POSITION, pa.array(np.arange(n)))
    for name, wanted in (("part", leaf.part), ("category", leaf.category)):
        rows = rows if wanted is None else rows.filter(pc.equal(rows.column(name), wanted))
    return rows


def _with_labels(home: Home, leaf: Leaf, rows: pa.Table) -> pa.Table:
    """Part and category as the card gives them now; the category as the general classifier finds it, if asked for."""
    samples = leaf.samples
    if samples.relabelled:
        current = labels(home, samples).columns(["part", "category"])
        for name in ("part", "category"):
            rows = rows.set_column(rows.schema.get_field_index(name), name, current.column(name))
    if leaf.general is None:
        return rows
    found = general(home, samples, leaf.general).columns(["id", "category", "confidence"])
    assert found.column("id").equals(rows.column("id")), "what was found is of other samples"
    categories = general_categories(found, rows.column("category"), leaf.general.confidence)
    return rows.set_column(rows.schema.get_field_index("category"), "category", categories)


def _filtered(home: Home, leaf: Leaf, rows: pa.Table) -> Remaining:
    """The rows within all bounds, and how many each bound dropped (a row counts for the first that drops it)."""
    import pyarrow as pa

    dropped: dict[str, int] = {}
    available = rows.num_rows
    left = np.ones(available, np.bool_)
    for name, bounds, model in leaf.filters:
        measured = measure(home, leaf.samples, name, model=model)
        values = measured.columns(["id", *bounds]).take(rows.column(POSITION))
        assert values.column("id").equals(rows.column("id")), f"{name}: the measure is of other samples"
        for column, bound in bounds.items():
            kept = left & np.asarray(keeps(values, column, bound))
            reason = f"{name}.{column}"
            dropped[reason] = dropped.get(reason, 0) + int(left.sum() - kept.sum())
            left = kept
    return Remaining(leaf, rows if left.all() else rows.filter(pa.array(left)), available, dropped)


def _draw(rows: pa.Table, draw: Draw, key: DrawKey, where: str) -> pa.Table:
    """What a draw takes, in the order of ``rows``: the rows with the smallest keys, so that draws are nested."""
    import pyarrow as pa

    if draw.repeat is not None:
        rows = _renumbered(pa.concat_tables([rows] * draw.repeat))
    n = rows.num_rows
    if draw.choose is not None and draw.choose > n:
        what = f"{draw.choose:,} rows are asked for and {n:,} are there after filtering"
        raise Refusal(where, what, "choose fewer, loosen a filter, or use repeat")
    wanted = draw.rows_of(n)
    if wanted >= n:
        return rows
    taken = np.sort(np.argsort(_keys(rows, *key), kind="stable")[:wanted])
    return rows.take(pa.array(taken))


def _keys(rows: pa.Table, *start: str | int) -> Keys:
    """The order key of every row."""
    return order_keys(id_words(rows.column("id")), np.asarray(rows.column("copy")), *start)


def _ordered(rows: pa.Table, seed: int) -> pa.Table:
    """The rows in the order of the mix. The key is another than that of the draws: a mix is no sorted sample."""
    import pyarrow as pa

    order = np.argsort(_keys(rows, seed, "order"), kind="stable")
    return rows.take(pa.array(order)).combine_chunks()


def _renumbered(rows: pa.Table) -> pa.Table:
    """``copy`` counts the rows with the same id from 0, so that ``(id, copy)`` names a row of the mix."""
    import pyarrow as pa

    copies = copy_numbers(id_words(rows.column("id")))
    return rows.set_column(rows.schema.get_field_index("copy"), "copy", pa.array(copies))


def _info(group: Group, identity: str, rows: pa.Table, parts: list[PartCount]) -> MixInfo:
    return MixInfo(
        name=group.name,
        version=MIX_VERSION,
        recipe=group.plain(),
        recipe_digest=identity,
        content_digest=content_digest(rows),
        samples=rows.num_rows,
        images=_distinct_images(rows),
        datasets=_counted(rows, "dataset"),
        categories=_counted(rows, "category"),
        composition=composition(rows),
        parts=parts,
    )


def content_digest(rows: pa.Table) -> str:
    """sha256 of the ordered ids, a line each."""
    words = id_words(rows.column("id"))
    lines = np.full((len(words), ID_LENGTH + 1), ord("\n"), np.uint8)
    lines[:, :ID_LENGTH] = words.view(np.uint8)
    return hashlib.sha256(lines.tobytes()).hexdigest()


def _distinct_samples(rows: pa.Table) -> int:
    """Samples in the mix, whatever their copies; a sample that two parts name counts for each."""
    leaf, position = (np.asarray(rows.column(name)).astype(np.int64) for name in (_LEAF, POSITION))
    ordered = np.sort((leaf << 40) | position)
    return len(ordered) - int((ordered[1:] == ordered[:-1]).sum())


def _distinct_images(rows: pa.Table) -> int:
    import pyarrow.compute as pc

    flat = pc.list_flatten(rows.column("images"))
    return int(pc.count_distinct(pc.struct_field(flat, "sha256")).as_py()) if len(flat) else 0


def _counted(rows: pa.Table, name: str) -> dict[str, int]:
    import pyarrow.compute as pc

    counts = pc.value_counts(rows.column(name).combine_chunks()).to_pylist()
    return dict(sorted((str(one["values"]), int(one["counts"])) for one in counts))


def _record(group: Group, info: MixInfo, rows: pa.Table) -> Record:
    """The account: every available sample is in the mix, dropped by a filter or as a duplicate, or was not drawn."""
    available = sum(part.available for part in info.parts)
    dropped: Counter[str] = Counter()
    for part in info.parts:
        dropped.update(part.dropped)
    distinct = _distinct_samples(rows)
    not_drawn = available - dropped.total() - distinct
    rejected = {reason: count for reason, count in sorted(dropped.items()) if count}
    record = Record(
        kind="mix",
        name=info.name,
        digest=info.recipe_digest,
        inputs=dict(_inputs(group)),
        rows_in=available,
        rows_out=distinct,
        rejected=rejected | ({NOT_DRAWN: not_drawn} if not_drawn else {}),
        settings={"recipe": info.recipe, "content_digest": info.content_digest},
        versions={"mix": str(MIX_VERSION)},
        command=f"curator build-mix {info.name}",
    )
    record.check_rows()
    return record


def _inputs(group: Group) -> Iterator[tuple[str, str]]:
    for leaf in group.leaves():
        folder = leaf.samples.folder.name
        yield f"samples/{folder}", leaf.samples.record.digest
        for name, identity in leaf.measures().items():
            yield f"measures/{folder}/{name}-{short(identity)}", identity
    for decontamination in group.decontaminations():
        yield from decontamination.inputs()
    for dedup in group.dedups():
        yield from dedup.inputs()


def _write_rows(out: Path, rows: pa.Table) -> None:
    import pyarrow.parquet as pq

    rows = rows.select(rows_schema().names)
    for number, start in enumerate(range(0, max(1, rows.num_rows), ROWS_PER_FILE)):
        part = rows.slice(start, ROWS_PER_FILE)
        pq.write_table(part, out / f"rows-{number:05d}.parquet", row_group_size=ROWS_PER_GROUP, compression="zstd")
