"""Nested subsets against plain Python: exact, nested, and the same bytes however the metadata lies."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.extract import estimate, scan, tiers
from curator.extract.draws import balance
from curator.extract.order import Draw, keys_of
from curator.extract.sources import read_pool
from curator.extract.subsets import Extracted, Request, extract
from curator.extract.tiers import label, parse_sizes
from curator.extract.wanted import Wanted, parse_bounds
from registry.errors import Refusal
from registry.store import Home
from tests.conftest import Curator
from tests.curator.extract_reference import Row, drawn, key_of, murmur, rows, write

NOTHING = Wanted({})
ROWS = rows(6000)


def extracted(home: Path, folder: Path, sizes: str, wanted: Wanted = NOTHING, draw: Draw | None = None) -> Extracted:
    pool = read_pool(sorted(folder.glob("*.parquet")))
    return extract(Home(home), Request("t", parse_sizes(sizes), wanted, draw or Draw()), pool)


def pairs(files: list[Path]) -> list[tuple[str, str]]:
    return [pair for file in files for pair in pl.read_parquet(file).select("url", "caption").rows()]


def content(found: Extracted) -> dict[str, str]:
    told: dict[str, str] = found.account["content"]
    return told


@pytest.fixture(scope="module")
def pool_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("pool") / "files", ROWS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=30), st.integers(0, 5))
def test_the_key_is_murmur_hash_64a(texts: list[str], cut: int) -> None:
    column = pl.Series([text.encode("utf-8", "replace").decode() for text in texts], dtype=pl.String)[cut:]
    keys = keys_of(3, column, column.reverse())
    expected = [key_of(3, {"URL": a, "TEXT": b}) for a, b in zip(column, column.reverse(), strict=True)]
    assert keys.tolist() == expected


def test_the_reference_itself_gives_the_published_value() -> None:
    assert murmur(b"hello", 0) == 0x1E68D17C457BF117


def test_subsets_are_exact_nested_and_without_duplicates(tmp_path: Path, pool_folder: Path) -> None:
    found = extracted(tmp_path, pool_folder, "10,250,1k,3k")
    subsets = {name: pairs(files) for name, files in found.files().items()}
    assert {name: len(got) for name, got in subsets.items()} == {"10": 10, "250": 250, "1k": 1000, "3k": 3000}
    for name, got in subsets.items():
        assert got == drawn(ROWS, 0, parse_sizes(name)[name])
    assert subsets["3k"][:1000] == subsets["1k"]
    assert found.record.rows_in == len(ROWS)
    assert found.record.rows_in == found.record.rows_out + sum(found.record.rejected.values())


def test_another_seed_draws_other_rows(tmp_path: Path, pool_folder: Path) -> None:
    found = extracted(tmp_path, pool_folder, "500", draw=Draw(seed=7))
    assert pairs(found.files()["500"]) == drawn(ROWS, 7, 500)
    assert drawn(ROWS, 7, 500) != drawn(ROWS, 0, 500)


def test_the_bytes_depend_on_the_rows_alone(tmp_path: Path, pool_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = extracted(tmp_path / "a", pool_folder, "100,2k")
    shuffled = list(ROWS)
    random.Random(5).shuffle(shuffled)
    again = write(tmp_path / "again", shuffled, files=7, group=90)
    monkeypatch.setattr(scan, "ROWS_PER_TASK", 200)
    monkeypatch.setattr(estimate, "ROWS_PER_BIN", 150)
    monkeypatch.setattr(estimate, "SAMPLE_ROWS", 1000)
    assert content(extracted(tmp_path / "b", again, "100,2k")) == content(one)


def test_files_and_row_groups_end_by_rank(tmp_path: Path, pool_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(tiers, "ROWS_PER_GROUP", 100)
    monkeypatch.setattr(tiers, "ROWS_PER_FILE", 300)
    found = extracted(tmp_path, pool_folder, "50,1k")
    lengths = [pq.read_metadata(path).num_rows for path in found.files()["1k"]]
    assert lengths == [50, 300, 300, 300, 50]
    meta = pq.read_metadata(found.files()["1k"][1])
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [100, 100, 100]
    assert pairs(found.files()["1k"]) == drawn(ROWS, 0, 1000)


def test_an_estimate_that_was_too_low_costs_a_second_scan(
    tmp_path: Path, pool_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = extracted(tmp_path / "a", pool_folder, "2k")
    honest = estimate.Sample.last
    divisors = iter([3])
    monkeypatch.setattr(estimate.Sample, "last", lambda *given: honest(*given) // next(divisors, 1))
    short = extracted(tmp_path / "b", pool_folder, "2k")
    assert (plain.account["scans"], content(plain)) == (1, content(short))
    assert short.account["scans"] > 1


def test_filters_hold_for_every_row_and_no_row_is_missed(tmp_path: Path, pool_folder: Path) -> None:
    bounds = parse_bounds(["similarity=0.3:", "short_side=200:", "aspect=:3", "punsafe=:0.5", "characters=10:60"])
    wanted = Wanted(bounds, ("en",), "caption LIKE '%car%' OR width > 600")

    def is_wanted(row: Row) -> bool:
        short, long = sorted((row["WIDTH"], row["HEIGHT"]))
        fits = short >= 200 and long <= 3 * short and row["similarity"] >= 0.3 and row["LANGUAGE"] == "en"
        safe = row["punsafe"] is not None and row["punsafe"] <= 0.5
        return fits and safe and 10 <= len(row["TEXT"]) <= 60 and ("car" in row["TEXT"] or row["WIDTH"] > 600)

    kept = [row for row in ROWS if is_wanted(row)]
    there = len(drawn(kept, 0, len(kept)))
    assert 50 < there < 1000
    found = extracted(tmp_path, pool_folder, f"20,{there}", wanted)
    assert pairs(found.files()[label(there)]) == drawn(kept, 0, there)
    with pytest.raises(Refusal, match=f"{there:,} rows are wanted and can be drawn, and {there + 1:,} were asked for"):
        extracted(tmp_path, pool_folder, str(there + 1), wanted)


def test_noise_measures_are_those_of_the_filters(tmp_path: Path, pool_folder: Path) -> None:
    found = extracted(tmp_path, pool_folder, "30", Wanted(parse_bounds(["function_word_share=0.5:"])))
    function_words = {"of", "the", "a", "in", "on"}
    for _, caption in pairs(found.files()["30"]):
        words = caption.split()
        assert sum(word in function_words for word in words) >= len(words) / 2
    by_sql = extracted(tmp_path, pool_folder, "30", Wanted({}, (), "function_word_share >= 0.5"))
    assert content(by_sql) == content(found)


def test_of_twins_the_same_one_stays_whatever_comes_first(tmp_path: Path) -> None:
    twin = dict(ROWS[0])
    variants = [twin | {"hash": i, "similarity": 0.5 - i / 100} for i in range(5)]
    others = ROWS[1:50]
    contents = []
    for name, made in (("a", [*variants, *others]), ("b", [*others, *variants[::-1]])):
        found = extracted(tmp_path / name, write(tmp_path / f"{name}-files", made), "20")
        contents.append(content(found))
    assert contents[0] == contents[1]


def test_top_takes_the_largest_values_and_each_pair_once(tmp_path: Path, pool_folder: Path) -> None:
    found = extracted(tmp_path, pool_folder, "100,1k", draw=Draw("top", by="similarity"))
    best: dict[tuple[str, str], float] = {}
    for row in ROWS:
        pair = row["URL"], row["TEXT"]
        best[pair] = max(best.get(pair, 0.0), row["similarity"])
    keys = {(row["URL"], row["TEXT"]): key_of(0, row) for row in ROWS}
    expected = sorted(best, key=lambda pair: (-np.float32(best[pair]), keys[pair]))
    assert pairs(found.files()["1k"]) == expected[:1000]


def test_top_leaves_out_rows_without_a_value(tmp_path: Path, pool_folder: Path) -> None:
    with_value = {(row["URL"], row["TEXT"]) for row in ROWS if row["punsafe"] is not None}
    found = extracted(tmp_path, pool_folder, "1k", draw=Draw("top", by="punsafe"))
    assert set(pairs(found.files()["1k"])) <= with_value
    with pytest.raises(Refusal, match=f"{len(with_value):,} rows are wanted"):
        extracted(tmp_path, pool_folder, "5k", draw=Draw("top", by="punsafe"))


def test_balance_takes_turns_over_concepts(tmp_path: Path, pool_folder: Path) -> None:
    found = extracted(tmp_path, pool_folder, "100,500", draw=Draw("balance", cap=4))
    unique = drawn(ROWS, 0, len(ROWS))
    keys = {pair: key_of(0, {"URL": pair[0], "TEXT": pair[1]}) for pair in unique}
    concepts = balance.concept(pl.Series([caption for _, caption in unique])).to_list()
    turns: dict[str, int] = {}
    placed = []
    for pair, concept in zip(unique, concepts, strict=True):
        turn = turns.setdefault(concept, 0)
        turns[concept] += 1
        if turn < 4:
            placed.append((turn, keys[pair], pair))
    assert 500 < len(placed) < 3000
    assert pairs(found.files()["500"]) == [pair for _, _, pair in sorted(placed)][:500]


def test_balance_gives_the_same_bytes_in_small_pieces(
    tmp_path: Path, pool_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = extracted(tmp_path / "a", pool_folder, "500", draw=Draw("balance"))
    monkeypatch.setattr(balance, "_PAIRS_TOGETHER", 300)
    monkeypatch.setattr(scan, "ROWS_PER_TASK", 500)
    monkeypatch.setattr(estimate, "ROWS_PER_BIN", 70)
    assert content(extracted(tmp_path / "b", pool_folder, "500", draw=Draw("balance"))) == content(one)


@pytest.mark.parametrize(
    ("caption", "concept"),
    [
        ("A photo of a red sports car in Rome", "photo"),
        ("red sports car, Rome", "sports car"),
        ("The Dog", "dog"),
        ("of the", "of the"),
        ("", ""),
        ("Über-Haus | blau", "über-haus"),
    ],
)
def test_a_concept_is_the_first_phrase(caption: str, concept: str) -> None:
    assert balance.concept(pl.Series([caption])).to_list() == [concept]


def test_the_command_prints_the_files_of_each_subset(curator: Curator, pool_folder: Path) -> None:
    arguments = ["extract", "laion", "--source", str(pool_folder), "--sizes", "100,1k", "--bound", "similarity=0.3:"]
    answer = curator(*arguments, "--json")
    assert answer.exit_code == 0, answer.output
    told: dict[str, Any] = json.loads(answer.stdout)
    assert [(one["name"], one["size"]) for one in told["subsets"]] == [("laion-100", 100), ("laion-1k", 1000)]
    small, large = ([Path(name) for name in one["files"]] for one in told["subsets"])
    assert large[: len(small)] == small
    assert pairs(large) == drawn([row for row in ROWS if row["similarity"] >= 0.3], 0, 1000)
    again = curator(*arguments)
    assert "nothing to do" in again.stderr


def test_a_dry_run_estimates_and_writes_nothing(curator: Curator, pool_folder: Path, home_path: Path) -> None:
    arguments = ["--sizes", "1k,1M", "--bound", "similarity=0.3:", "--bound", "hash=-5:-1", "--dry-run", "--json"]
    told = json.loads(curator("extract", "x", "--source", str(pool_folder), *arguments).stdout)
    assert told["rows"] == len(ROWS)
    by_name = {row["filter"]: row for row in told["filters"]}
    assert by_name["similarity >= 0.3"]["rows"] == sum(row["similarity"] >= 0.3 for row in ROWS)
    assert by_name["hash <= -1"]["ruled_out"] == len(ROWS)
    assert [row["enough"] for row in told["subsets"]] == [False, False]
    assert not (home_path / "draws").exists()
