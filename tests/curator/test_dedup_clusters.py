"""Clusters against all pairs, and what they must not depend on."""

from __future__ import annotations

import itertools
import operator
import random
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curator.duplicates import groups, near_text, spill
from curator.duplicates.clusters import clusters
from curator.duplicates.scope import Scope
from curator.runner import Place
from curator.samples import Samples
from registry.recipe import Dedup
from registry.store import Home, read_record
from tests.curator.data_home import file_bytes, rows_of
from tests.curator.duplicate_home import chat, make_pictures, make_texts, near, pictured, texts
from tests.curator.test_dedup_words import plain

Row = dict[str, Any]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def search(home: Home, wanted: Dedup, *samples: Samples, workers: int = 1) -> list[Row]:
    """Every row of the samples in the order of their folders, with its cluster."""
    scope = Scope.of(list(samples), wanted)
    found = clusters(home, scope, place=Place(workers))
    return [
        {**row, **cluster, "dataset": one.card.name}
        for one in scope.samples
        for row, cluster in zip(rows_of(one.folder), rows_of(found[one.folder.name].folder), strict=True)
    ]


def words_of(row: Row) -> tuple[str, ...]:
    return plain(["".join(part["text"] or "" for part in message["content"]) for message in row["messages"]])


def runs(row: Row, size: int = 5) -> set[tuple[str, ...]]:
    words = words_of(row)
    size = min(size, len(words))
    return {words[i : i + size] for i in range(len(words) - size + 1)}


def by_all_pairs(values: list[Any], same: Callable[[Any, Any], bool]) -> set[frozenset[int]]:
    """The components of all values under ``same``, as positions; those of one value left out."""
    label = list(range(len(values)))
    for a, b in itertools.combinations(range(len(values)), 2):
        if label[a] != label[b] and same(values[a], values[b]):
            old, new = label[a], label[b]
            label = [new if one == old else one for one in label]
    return grouped(label)


def grouped(labels: list[Any]) -> set[frozenset[int]]:
    found = defaultdict(set)
    for position, label in enumerate(labels):
        if label is not None:
            found[label].add(position)
    return {frozenset(one) for one in found.values() if len(one) > 1}


def jaccard(one: set[Any], other: set[Any]) -> float:
    return len(one & other) / len(one | other)


def found_in(rows: list[Row]) -> set[frozenset[int]]:
    return grouped([row["cluster"] for row in rows])


@pytest.mark.parametrize("seed", range(3))
def test_texts_are_grouped_as_all_pairs_say(home: Home, tmp_path: Path, seed: int) -> None:
    samples = make_texts(home, tmp_path, "chats", [chat(i, text) for i, text in enumerate(texts(seed))])
    exact = search(home, near("exact-text"), samples)
    assert found_in(exact) == by_all_pairs(list(map(words_of, exact)), operator.eq)
    nearly = search(home, near("near-text"), samples)
    expected = by_all_pairs(list(map(runs, nearly)), lambda a, b: jaccard(a, b) >= 0.7)
    assert found_in(nearly) == expected
    assert len(expected) > 10
    ways = {row["way"] for row in nearly}
    assert ways == {None, "exact-text", "near-text"}
    for row, other in zip(exact, nearly, strict=True):
        assert (row["way"] == "exact-text") == (other["way"] == "exact-text"), "the strictest way is named"


def test_a_cluster_is_named_by_its_smallest_id(home: Home, tmp_path: Path) -> None:
    samples = make_texts(home, tmp_path, "chats", [chat(i, text) for i, text in enumerate(texts(0))])
    members = defaultdict(list)
    for row in search(home, near("near-text"), samples):
        assert (row["cluster"] is None) == (row["way"] is None)
        if row["cluster"]:
            members[row["cluster"]].append(row["id"])
    assert all(name == min(ids) for name, ids in members.items())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Samples, Samples]:
    """Six scenes, each of them again with the same and with other words, and as another file; and texts alone."""
    folder = tmp_path_factory.mktemp("pictures")
    home = Home(folder / "home")
    rows: list[Row] = []
    for scene in range(6):
        words = f"a long caption of scene number {scene} with many words that say what is to be seen in it today, "
        words += "and more of them, so that one word that is another one changes little of all that is said here"
        rows += [pictured(len(rows), words, scene), pictured(len(rows), words.upper(), scene)]
        rows += [pictured(len(rows), "something else altogether", scene), pictured(len(rows), words, scene, quality=50)]
        rows += [pictured(len(rows), words.replace("many", "few"), scene, quality=40)]
    samples = make_pictures(home, folder, "pics", rows)
    alone = [chat(i, text) for i, text in enumerate([words, "something else altogether", words])]
    return home, samples, make_texts(home, folder, "chats", alone)


@pytest.mark.parametrize(
    ("way", "sizes"),
    [
        ("image", [3]),
        ("near-image", [5]),
        ("exact-text+image", [2]),
        ("exact-text+near-image", [3]),
        ("near-text+image", [2]),
        ("near-text+near-image", [4]),
    ],
)
def test_pictures_and_texts_count_as_asked(pictures: tuple[Home, Samples, Samples], way: str, sizes: list[int]) -> None:
    home, samples, _ = pictures
    rows = search(home, near(way), samples)
    assert sorted(len(one) for one in found_in(rows)) == sizes * 6
    assert {row["way"] for row in rows} - {None} <= set(map(str, Scope.of([samples], near(way)).ways()))


def test_texts_alone_are_compared_over_all_pictures(pictures: tuple[Home, Samples, Samples]) -> None:
    home, samples, _ = pictures
    rows = search(home, near("exact-text"), samples)
    assert sorted(len(one) for one in found_in(rows)) == [3] * 6 + [6], "the words that six pictures share"


def test_without_pictures_only_texts_can_be_the_same(pictures: tuple[Home, Samples, Samples]) -> None:
    home, _, chats = pictures
    assert found_in(search(home, near("near-image", "image"), chats)) == set()
    assert [len(one) for one in found_in(search(home, near("near-text+near-image"), chats))] == [2]


def test_a_text_without_pictures_is_not_one_with_them(pictures: tuple[Home, Samples, Samples]) -> None:
    rows = search(pictures[0], near("near-text+near-image"), *pictures[1:])
    clusters_of = {row["cluster"]: row["dataset"] for row in rows if row["cluster"]}
    assert all(clusters_of[row["cluster"]] == row["dataset"] for row in rows if row["cluster"])


def test_flat_pictures_are_the_same_only_as_files(home: Home, tmp_path: Path) -> None:
    from PIL import Image

    from tests.curator.test_dedup_looks import encoded

    def plain_page(grey: int) -> dict[str, Any]:
        data = encoded(Image.new("L", (80, 60), grey), kind="PNG")
        return {"image": {"bytes": data, "path": "x.png"}, "caption": f"page {grey}"}

    samples = make_pictures(home, tmp_path, "pages", [plain_page(grey) for grey in (255, 250, 0, 255)])
    rows = [row["cluster"] for row in search(home, near("near-image"), samples)]
    assert [cluster is not None for cluster in rows] == [True, False, False, True]


def test_a_damaged_picture_is_compared_by_its_bytes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = make_pictures(home, tmp_path, "pics", [pictured(i, f"scene {i}", seed=1) for i in range(2)])
    monkeypatch.setattr("curator.duplicates.looks.greys", lambda *_: (_ for _ in ()).throw(OSError("broken")))
    assert [len(one) for one in found_in(search(home, near("near-image"), samples))] == [2]


def by_source(rows: list[Row]) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {(row["dataset"], row["source_id"]): (row["id"], row["cluster"], row["way"]) for row in rows}


def in_files_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let samples folders have files of so many rows."""
    monkeypatch.setattr("curator.normalise.ROWS_PER_GROUP", rows // 2)
    monkeypatch.setattr("curator.normalise.ROWS_PER_FILE", rows)


def test_nothing_depends_on_files_rows_or_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = {name: [chat(i, text) for i, text in enumerate(texts(seed))] for name, seed in (("one", 5), ("two", 5))}
    published["two"] += [chat(1000 + i, text) for i, text in enumerate(texts(6))]
    wanted = near("near-text")
    found = []
    for layout, (files, rows_per_file, workers) in enumerate([(1, 1000, 1), (3, 40, 2), (2, 64, 1)]):
        in_files_of(rows_per_file, monkeypatch)
        home, folder = Home(tmp_path / f"home-{layout}"), tmp_path / f"published-{layout}"
        samples = []
        for name, rows in published.items():
            shuffled = random.Random(layout).sample(rows, len(rows))
            samples.append(make_texts(home, folder, name, shuffled, files))
        rows = search(home, wanted, *samples, workers=workers)
        assert (len(samples[0].files()) == 1) == (files == 1)
        found.append(by_source(rows))
    assert found[0] == found[1] == found[2]
    assert any(cluster for _, cluster, _ in found[0].values())


def test_workers_and_partitions_leave_no_trace_in_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    in_files_of(50, monkeypatch)
    for number, workers in enumerate((1, 2)):
        if number:  # every partition and group holds a handful, and the table of nodes has many parts
            monkeypatch.setattr(spill, "PARTITION", 16)
            monkeypatch.setattr(near_text, "PARTITION", 16)
            monkeypatch.setattr(near_text, "GROUP", 3)
            monkeypatch.setattr(groups, "ROWS_AT_ONCE", 7)
        home = Home(tmp_path / f"home-{number}")
        rows = [chat(i, text) for i, text in enumerate(texts(7, 150))]
        samples = make_texts(home, tmp_path, "chats", rows, files=3)
        clusters(home, Scope.of([samples], near("near-text")), place=Place(workers))
        written.append(file_bytes(home.stage("measures")))
    assert written[0] == written[1]
    assert len(written[0]) > 6


def test_a_phrase_that_thousands_share_costs_no_square(home: Home) -> None:
    """All nodes share every band but the last, in which near ones agree: they are found, with few candidates."""
    nodes, bands = 4000, 8
    keys = np.zeros((nodes, bands), np.uint32)
    keys[:, -1] = np.random.default_rng(0).permutation(nodes) // 2
    with home.workspace("test") as work, spill.Spill(work / "pairs", 1) as pairs:
        banded = near_text.Banded(np.arange(nodes, dtype=np.uint64), keys, np.zeros(nodes, np.uint64))
        near_text._find_candidates([banded], nodes, pairs, work)
        found = spill.distinct(pairs.read(0)[:, 0])
    partner: dict[int, list[int]] = {}
    for node, key in enumerate(keys[:, -1].tolist()):
        partner.setdefault(key, []).append(node)
    assert {(a << 32) | b for a, b in partner.values()} <= set(found.tolist())
    assert len(found) <= nodes * bands * near_text.BESIDE


def test_clusters_are_made_once_and_say_what_they_come_from(home: Home, tmp_path: Path) -> None:
    one = make_texts(home, tmp_path, "one", [chat(i, text) for i, text in enumerate(texts(1))])
    two = make_texts(home, tmp_path, "two", [chat(i, text) for i, text in enumerate(texts(1))])
    scope = Scope.of([two, one, two], near("near-text"))
    assert [samples.card.name for samples in scope.samples] == ["one", "two"]
    first = clusters(home, scope)
    assert not any(measured.already_there for measured in first.values())
    assert all(measured.already_there for measured in clusters(home, scope).values())
    record = read_record(first[one.folder.name].folder)
    assert record.rows_in == record.rows_out == one.record.rows_out
    assert len([name for name in record.inputs if name.startswith("measures/")]) == 2
    assert all(read_record(home.path / name).digest == value for name, value in record.inputs.items())


def test_identity_is_of_samples_and_of_what_matters(home: Home, tmp_path: Path) -> None:
    one = make_texts(home, tmp_path, "one", [chat(0, "some words")])
    two = make_texts(home, tmp_path, "two", [chat(1, "some other words")])
    text = Scope.of([one], near("near-text")).digest()
    assert Scope.of([one], near("near-text", distance=2)).digest() == text, "no picture is looked at"
    assert Scope.of([one, two], near("near-text")).digest() != text
    assert Scope.of([one], near("exact-text")).digest() != text
    assert Scope.of([one], Dedup(by=["near-text"], threshold=0.71, bands=128, rows=2)).digest() != text
    looks = Scope.of([one], near("near-image")).digest()
    assert Scope.of([one], Dedup(by=["near-image"], threshold=0.2, words=3)).digest() == looks
    assert Scope.of([one], near("near-image", distance=2)).digest() != looks


def test_a_search_that_was_killed_is_made_again_with_the_same_bytes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [chat(i, text) for i, text in enumerate(texts(2))]
    samples = [make_texts(home, tmp_path, name, rows) for name in ("one", "two")]
    scope = Scope.of(samples, near("near-text"))
    expected = {name: file_bytes(one.folder) for name, one in clusters(home, scope).items()}
    shutil.rmtree(scope.folder(home, samples[1]))
    kept = file_bytes(scope.folder(home, samples[0]))
    monkeypatch.setattr("curator.duplicates.search.near_rows", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        clusters(home, scope)
    assert [path.name for path in home.aside.iterdir()] == [".lock"], "what was spilled is gone"
    monkeypatch.undo()
    assert {name: file_bytes(one.folder) for name, one in clusters(home, scope).items()} == expected
    assert file_bytes(scope.folder(home, samples[0])) == kept


@pytest.mark.parametrize("held", [0, 3000, 1 << 20])
def test_spilled_numbers_come_back_in_their_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(spill, "_GATHERED", 50)
    monkeypatch.setattr(spill, "HELD", held)
    chance = np.random.default_rng(0)
    added: dict[int, list[list[int]]] = defaultdict(list)
    with spill.Spill(tmp_path / "numbers", 5, width=2) as kept:
        for size in (0, 10, 70, 1, 200):
            partition = chance.integers(0, 5, size)
            entries = chance.integers(0, 1 << 62, (size, 2)).astype(np.uint64)
            kept.add(partition, entries)
            for number, entry in zip(partition.tolist(), entries.tolist(), strict=True):
                added[number].append(entry)
        kept.add_block(spill.Block(np.array([[1, 2], [3, 4]], np.uint64), np.array([0, 1, 1, 1, 2, 2])))
        added[0].append([1, 2])
        added[3].append([3, 4])
        assert [part.tolist() for part in kept.each()] == [added[number] for number in range(5)]
        assert bool((tmp_path / "numbers").stat().st_size) == (held < 1 << 20), "what is few is not written"
        assert kept.read(3).tolist() == added[3], "again"
    assert list(tmp_path.iterdir()) == []
