"""Duplicates in recipes: which row stays, what is counted, and what a recipe without them keeps."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curator.duplicates.clusters import clusters
from curator.mix import NOT_DRAWN, build_mix, draw_mix
from curator.published_recipe import recipe_files
from curator.resolve import Resolver, missing_clusters
from curator.samples import Samples, find_samples
from registry.errors import Refusal
from registry.identity import order_key
from registry.mix import MixInfo, MixReader
from registry.recipe import Recipe
from registry.store import Home, read_record
from registry.yaml_file import load
from tests.curator.data_home import rows_of
from tests.curator.duplicate_home import chat, contents, make_texts

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen of text"
DEDUP = {"by": ["near-text"], "threshold": "0.6", "bands": "128", "rows": "2"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two datasets: ``first`` and ``second`` share texts, exactly and nearly; a third one to compare against."""
    folder = tmp_path_factory.mktemp("dedup")
    home = Home(folder / "home")
    shared = [f"{LONG} {i} {i} {i}" for i in range(10)]
    # told apart by many words that are theirs alone
    rows = [" ".join([f"{word}{i}" for word in text.split()]) for i, text in enumerate(shared)]
    make_texts(home, folder, "first", [chat(i, text) for i, text in enumerate(rows)])
    copies = [text.upper() for text in rows[:4]] + [text.replace("one", "none") for text in rows[4:7]]
    own = [f"second says {i} of its own and no other" for i in range(5)]
    make_texts(home, folder, "second", [chat(100 + i, text) for i, text in enumerate([*copies, *own, own[0] + "."])])
    make_texts(home, folder, "test", [chat(200, rows[0]), chat(201, own[1].upper()), chat(202, "of no other")])
    return home


@pytest.fixture
def home(filled: Home, tmp_path: Path) -> Home:
    """A copy for a test of its own."""
    shutil.copytree(filled.path, tmp_path / "home")
    return Home(tmp_path / "home")


def recipe(*parts: Any, name: str = "mine", **more: Any) -> Recipe:
    given = [{"dataset": part} if isinstance(part, str) else part for part in parts]
    return Recipe.model_validate({"name": name, "parts": given, **more})


def mixed(home: Home, wanted: Recipe, nested: dict[str, Recipe] | None = None) -> tuple[MixInfo, Counter[str]]:
    """The mix, and how often each request is in it."""
    folder, info = build_mix(home, wanted, nested)
    reader = MixReader(home, folder)
    texts = [one[0]["content"][-1]["text"] or "" for one in reader.messages(reader.rows())]
    return info, Counter(texts)


def test_the_row_of_the_earliest_dataset_stays_and_all_is_counted(home: Home) -> None:
    folder, info = build_mix(home, recipe("first", "second", dedup=DEDUP))
    assert info.datasets == {"first": 10, "second": 5}
    assert [part.dropped for part in info.parts] == [{}, {"dedup.exact-text": 5, "dedup.near-text": 3}]
    record = read_record(folder)
    assert record.rejected == {"dedup.exact-text": 5, "dedup.near-text": 3}
    assert record.rows_in == 23 == record.rows_out + 8
    assert sum("/duplicates-" in name for name in record.inputs) == 2
    assert all(read_record(home.path / name).digest == value for name, value in record.inputs.items())
    _, info = build_mix(home, recipe("second", "first", dedup=DEDUP))
    assert info.datasets == {"first": 3, "second": 12}


def test_within_a_dataset_the_smallest_order_key_stays(home: Home) -> None:
    _, texts = mixed(home, recipe("second", dedup=DEDUP))
    own = [(i, text) for i, text in contents(find_samples(home, "second")).items() if text.startswith("second says 0")]
    assert len(own) == 2
    kept = min(own, key=lambda one: order_key("dedup", one[0]))[1]
    assert [text for _, text in own if texts[text]] == [kept]


def test_what_a_filter_drops_does_not_keep_its_copies_out(home: Home) -> None:
    shout = {"text_length": {"chars": {"max": "1"}}}
    wanted = recipe({"dataset": "first", "filters": shout}, "second", dedup=DEDUP)
    info, texts = mixed(home, wanted)
    assert info.datasets == {"second": 12}, "nothing of first is left to be preferred"
    assert info.parts[0].dropped == {"text_length.chars": 10}
    assert sum(text.isupper() for text in texts) == 4


def test_draws_are_from_what_is_left(home: Home) -> None:
    folder, info = build_mix(home, recipe("first", {"dataset": "second", "choose": 5}, dedup=DEDUP))
    assert info.parts[1].chosen == 5
    with pytest.raises(Refusal, match="6 rows are asked for and 5 are there"):
        build_mix(home, recipe("first", {"dataset": "second", "choose": 6}, dedup=DEDUP))
    _, info = build_mix(home, recipe("first", {"dataset": "second", "choose": 2}, dedup=DEDUP))
    assert read_record(folder).rejected.get(NOT_DRAWN) is None
    assert info.parts[1].chosen == 2


def test_repeats_and_second_mentions_are_no_duplicates(home: Home) -> None:
    _, texts = mixed(home, recipe({"dataset": "first", "repeat": 2}, {"dataset": "first", "choose": 3}, dedup=DEDUP))
    assert sum(texts.values()) == 23
    assert len(texts) == 10


def test_scope_dataset_leaves_what_another_dataset_has(home: Home) -> None:
    _, info = build_mix(home, recipe("first", "second", dedup={**DEDUP, "scope": "dataset"}))
    assert info.datasets == {"first": 10, "second": 12}


def test_whatever_matches_a_dataset_to_compare_against_goes(home: Home) -> None:
    wanted = recipe("first", "second", dedup={**DEDUP, "against": ["test"]})
    folder, info = build_mix(home, wanted)
    assert info.parts[0].dropped == {"dedup.against": 1}
    assert info.parts[1].dropped == {"dedup.against": 2, "dedup.exact-text": 4, "dedup.near-text": 3}
    assert any(name.startswith("samples/test@") for name in read_record(folder).inputs)
    with pytest.raises(Refusal, match="compares against 'first', which is in the mix"):
        build_mix(home, recipe("first", dedup={**DEDUP, "against": ["first"]}))


def test_inner_recipes_drop_their_own_duplicates_first(home: Home) -> None:
    inner = recipe("second", name="inner", dedup=DEDUP)
    info, texts = mixed(home, recipe("first", {"recipe": "inner"}), {"inner": inner})
    assert info.datasets == {"first": 10, "second": 12}
    assert sum(text.isupper() for text in texts) == 4, "the outer recipe has no such wish"
    _, both = build_mix(home, recipe("first", {"recipe": "inner"}, dedup=DEDUP), {"inner": inner})
    assert both.datasets == {"first": 10, "second": 5}
    assert both.parts[1].dropped == {"dedup.exact-text": 5, "dedup.near-text": 3}


def test_the_kept_rows_do_not_depend_on_the_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text for i in range(12) for text in (f"{LONG} {i}", f"{LONG} {i}!", f"{LONG} {i} {i}")]
    rows = [chat(i, text) for i, text in enumerate(texts)]
    digests = set()
    for layout, ordered in enumerate([rows, rows[::-1], rows[1::2] + rows[::2]]):
        monkeypatch.setattr("curator.normalise.ROWS_PER_GROUP", 4 + layout)
        monkeypatch.setattr("curator.normalise.ROWS_PER_FILE", 4 + layout)
        home = Home(tmp_path / f"home-{layout}")
        make_texts(home, tmp_path, "data", ordered, files=layout + 1)
        _, info = build_mix(home, recipe("data", dedup=DEDUP))
        digests.add((info.content_digest, info.samples, json.dumps(info.parts[0].dropped)))
    assert len(digests) == 1


def test_a_recipe_without_the_section_keeps_its_digest(home: Home) -> None:
    group = Resolver(home).resolve(recipe("first", "second"))
    assert "dedup" not in group.plain()
    asked = Resolver(home).resolve(recipe("first", "second", dedup=DEDUP))
    assert asked.plain()["parts"] == group.plain()["parts"]
    assert asked.digest() != group.digest()
    looser = Resolver(home).resolve(recipe("first", "second", dedup={**DEDUP, "threshold": "0.5"}))
    assert looser.digest() != asked.digest()


def test_what_is_missing_is_searched_once(home: Home) -> None:
    group = Resolver(home).resolve(recipe("first", "second", dedup=DEDUP))
    missing = missing_clusters(home, group)
    assert [str(scope) for scope in missing] == ["first + second"]
    assert missing[0].to_fingerprint(home) == missing[0].rows == 23
    draw_mix(home, group, group.digest())
    assert missing_clusters(home, group) == []
    assert missing[0].to_fingerprint(home) == 0


def test_a_published_recipe_builds_the_same_mix(home: Home, tmp_path: Path) -> None:
    wanted = recipe("first", "second", dedup={**DEDUP, "against": ["test"]})
    _, info = build_mix(home, wanted)
    (tmp_path / "recipe.yaml").write_bytes(recipe_files(info)["recipe.json"])
    again = load(tmp_path / "recipe.yaml", Recipe)
    assert again.dedup is not None
    assert again.dedup.against[0].startswith("test@")
    assert build_mix(home, again)[1].recipe_digest == info.recipe_digest


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"by": ["near-txt"]}, "'near-txt' is none of identical-text, exact-text, near-text, image, near-image"),
        ({"by": ["exact-text+near-text"]}, "nor one of text and one of image"),
        ({"by": []}, "at least 1 item"),
        ({"threshold": "0"}, "greater than 0"),
        ({"threshold": "1.1"}, "less than or equal to 1"),
        ({"distance": "13"}, "less than or equal to 12"),
        ({"bands": "4"}, "both of bands and rows"),
        ({"scope": "recipe"}, "'mix' or 'dataset'"),
        ({"treshold": "0.5"}, "Extra inputs"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(section: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        recipe("first", dedup=section)


def test_a_faulty_section_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nparts:\n  - dataset: a\ndedup:\n  by:\n    - near-txt\n")
    with pytest.raises(Refusal, match=r"mine.yaml:5: dedup.by: .*near-txt"):
        load(path, Recipe)


def test_ways_are_written_in_one_form() -> None:
    wanted = recipe("a", dedup={"by": ["near-image+near-text", "image", "near-text+near-image"]}).dedup
    assert wanted is not None
    assert wanted.by == ["near-text+near-image", "image"]


def survivors(home: Home, samples: Samples, wanted: Recipe) -> dict[str, list[str]]:
    """Cluster -> the ids of its members that are in the mix."""
    group = Resolver(home).resolve(wanted)
    assert group.dedup is not None
    scope = group.dedup.scopes()[0][1]
    inside = set(MixReader(home, build_mix(home, wanted)[0]).rows().column("id").to_pylist())
    found = defaultdict(list)
    for row in rows_of(clusters(home, scope)[samples.folder.name].folder):
        if row["cluster"] and row["id"] in inside:
            found[row["cluster"]].append(row["id"])
    return found


def test_one_of_every_cluster_stays(home: Home) -> None:
    wanted = recipe("second", dedup=DEDUP)
    found = survivors(home, find_samples(home, "second"), wanted)
    assert found
    assert all(len(ids) == 1 for ids in found.values())


def test_equal_rows_are_one(home: Home, tmp_path: Path) -> None:
    """The same conversation published twice has one id: one of the two rows stays."""
    make_texts(home, tmp_path, "twins", [chat(1, "the very same"), chat(2, "the very same"), chat(3, "another one")])
    info, texts = mixed(home, recipe("twins", dedup=DEDUP))
    assert info.samples == 2
    assert info.parts[0].dropped == {"dedup.exact-text": 1}
    assert set(texts.values()) == {1}
