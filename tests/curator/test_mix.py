from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from curator.mix import NOT_DRAWN, build_mix, part_size
from curator.resolve import Resolver, missing_measures
from curator.samples import Samples
from registry.errors import Refusal
from registry.identity import order_key
from registry.mix import MixReader
from registry.recipe import Recipe, load_recipe
from registry.store import Home, read_record
from tests.curator.data_home import file_bytes, make_captions, make_chats, rows_of, write_card
from tests.curator.extract_reference import murmur


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with 40 captions, and 60 chats in two parts."""
    folder = tmp_path_factory.mktemp("mix")
    home = Home(folder / "home")
    make_captions(home, folder, "pics", 40)
    parts = [
        {"name": "odd", "category": "mathematics", "rule": {"request": r"[13579] and"}},
        {"name": "rest", "category": "text_only"},
    ]
    make_chats(home, folder, "chats", 60, parts=parts)
    return home


@pytest.fixture
def home(filled: Home, tmp_path: Path) -> Home:
    """A copy of the filled home for a test of its own."""
    shutil.copytree(filled.path, tmp_path / "home")
    return Home(tmp_path / "home")


def recipe(*parts: dict[str, Any], name: str = "m", **more: Any) -> Recipe:
    return Recipe.model_validate({"name": name, "parts": list(parts), **more})


def ids(home: Home, wanted: Recipe, nested: dict[str, Recipe] | None = None) -> list[tuple[str, int]]:
    """``(id, copy)`` of the rows of a mix, in its order."""
    rows = MixReader(home, build_mix(home, wanted, nested)[0]).rows()
    return list(zip(rows.column("id").to_pylist(), rows.column("copy").to_pylist(), strict=True))


def test_a_mix_refers_to_every_sample_once(home: Home) -> None:
    folder, info = build_mix(home, recipe({"dataset": "pics"}, {"dataset": "chats"}))
    assert (info.samples, info.images) == (100, 40)
    assert info.datasets == {"chats": 60, "pics": 40}
    assert info.categories == {"captioning": 40, "mathematics": 30, "text_only": 30}
    reader = MixReader(home, folder)
    rows = reader.rows()
    messages = reader.messages(rows)
    stored = {row["id"]: row for f in home.finished("samples") for row in rows_of(f)}
    for row, message in zip(rows.to_pylist(), messages, strict=True):
        sample = stored[row["id"]]
        assert message == sample["messages"]
        assert (row["images"], row["category"], row["copy"]) == (sample["images"], sample["category"], 0)
    record = read_record(folder)
    record.check_rows()
    assert (record.rows_in, record.rows_out, record.rejected) == (100, 100, {})


def key_of(*start: str | int) -> int:
    """The order key of what a seed, an id and a copy number are given for."""
    *about, identity, copy = start
    key = murmur(str(identity).encode(), order_key(*about))
    return murmur(int(copy).to_bytes(8, "little"), key) if copy else key


def test_the_order_is_the_order_key_and_the_digest_is_of_the_ordered_ids(home: Home) -> None:
    wanted = recipe({"dataset": "pics"}, {"dataset": "chats"}, seed=5)
    found = ids(home, wanted)
    assert found == sorted(found, key=lambda pair: key_of(5, "order", *pair))
    text = "".join(f"{i}\n" for i, _ in found)
    assert build_mix(home, wanted)[1].content_digest == hashlib.sha256(text.encode()).hexdigest()
    assert ids(home, recipe({"dataset": "pics"}, {"dataset": "chats"}, seed=6)) != found


def test_the_same_recipe_gives_the_same_bytes_with_any_row_groups(home: Home, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    wanted = recipe({"dataset": "chats", "choose": 25}, {"dataset": "pics", "proportion": "0.5"}, seed=3)
    first = build_mix(home, wanted)[0]
    kept = file_bytes(first)
    shutil.rmtree(first)
    for folder in home.finished("samples"):
        for path in folder.glob("part-*.parquet"):
            pq.write_table(pq.read_table(path), path, row_group_size=7)
    again = build_mix(home, wanted)[0]
    assert again == first
    assert file_bytes(again) == kept


def test_a_mix_is_built_once(home: Home) -> None:
    wanted = recipe({"dataset": "pics"})
    folder, info = build_mix(home, wanted)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert build_mix(home, wanted) == (folder, info)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_the_name_is_no_part_of_the_identity(home: Home) -> None:
    one, two = (build_mix(home, recipe({"dataset": "pics"}, name=name, note=name)) for name in ("one", "two"))
    assert one == two
    assert one[0].name.startswith("one-")


@pytest.mark.parametrize("seed", [0, 1])
def test_draws_are_nested_and_depend_on_ids_alone(home: Home, seed: int) -> None:
    drawn = [set(ids(home, recipe({"dataset": "chats", "choose": n}, seed=seed))) for n in (5, 20, 60)]
    assert [len(one) for one in drawn] == [5, 20, 60]
    assert drawn[0] < drawn[1] < drawn[2]
    assert drawn[0] == set(sorted(drawn[2], key=lambda pair: key_of(seed, "draw", "chats", "", 0, *pair))[:5])


@pytest.mark.parametrize(("share", "rows"), [("0.5", 30), ("0.29", 17), ("1", 60), ("0.001", 0)])
def test_a_proportion_is_rounded_to_the_nearest_row(home: Home, share: str, rows: int) -> None:
    assert len(ids(home, recipe({"dataset": "chats", "proportion": share}))) == rows


def test_repeated_rows_are_numbered_copies(home: Home) -> None:
    found = ids(home, recipe({"dataset": "pics", "repeat": 3}))
    assert len(found) == len(set(found)) == 120
    assert {copy for _, copy in found} == {0, 1, 2}
    record = read_record(build_mix(home, recipe({"dataset": "pics", "repeat": 3}))[0])
    assert (record.rows_in, record.rows_out) == (40, 40), "an account of samples, not of copies"


def test_the_same_samples_by_two_ways_are_copies_of_each_other(home: Home) -> None:
    once = ids(home, recipe({"dataset": "pics"}))
    twice = ids(home, recipe({"dataset": "pics"}, {"dataset": "pics", "choose": 10}))
    assert len(set(twice)) == 50
    assert set(once) < set(twice)
    assert [pair for pair in twice if pair[1] == 0] == once, "the others keep their places among themselves"


def test_a_candidate_only_interleaves_into_the_baseline(home: Home) -> None:
    baseline = ids(home, recipe({"dataset": "chats"}, seed=2))
    joined = ids(home, recipe({"dataset": "chats"}, {"dataset": "pics"}, seed=2))
    assert [pair for pair in joined if pair in set(baseline)] == baseline


def test_choosing_more_than_there_is_is_refused(home: Home) -> None:
    with pytest.raises(Refusal, match=r"61 rows are asked for and 60 are there.*\n.*use repeat"):
        build_mix(home, recipe({"dataset": "chats", "choose": 61}))
    assert home.finished("mixes") == []


def test_a_part_is_taken_alone(home: Home) -> None:
    _, info = build_mix(home, recipe({"dataset": "chats", "part": "odd"}))
    assert info.categories == {"mathematics": 30}
    assert info.parts[0].available == 30
    assert part_size(home, "chats", "odd") == 30
    assert part_size(home, "chats") == 60
    with pytest.raises(Refusal, match="no part 'od'; did you mean 'odd'"):
        build_mix(home, recipe({"dataset": "chats", "part": "od"}))


def test_filters_drop_by_bound_and_are_counted(home: Home) -> None:
    words = {"text_length": {"chars": {"min": "28"}, "turns": {"max": "1"}}}
    wanted = recipe({"dataset": "chats", "choose": 5, "filters": words}, {"dataset": "pics"})
    group = Resolver(home).resolve(wanted)
    assert [(one.samples.card.name, one.name) for one in missing_measures(home, group)] == [("chats", "text_length")]
    folder, info = build_mix(home, wanted)
    long = sum(len(f"What is {i} and one?It is {i + 1}.") >= 28 for i in range(60))
    assert info.parts[0].dropped == {"text_length.chars": 60 - long, "text_length.turns": 0}
    assert info.parts[0].chosen == 5
    record = read_record(folder)
    assert record.rejected == {"text_length.chars": 60 - long, NOT_DRAWN: long - 5}
    assert any(name.startswith("measures/chats@") for name in record.inputs)
    assert missing_measures(home, group) == []


def test_filters_of_the_recipe_hold_for_every_part_and_inside(home: Home) -> None:
    inner = recipe({"dataset": "pics"}, name="inner")
    strict = {"image_size": {"pixels": {"min": "1000"}}}
    _, info = build_mix(home, recipe({"recipe": "inner"}, {"dataset": "chats"}, filters=strict), {"inner": inner})
    assert info.datasets == {"chats": 60}, "every picture is too small, and text has no size"
    assert info.parts[0].dropped == {"image_size.pixels": 40}


def test_a_changed_threshold_measures_nothing_again(home: Home) -> None:
    def mixed(least: int) -> int:
        bounds = {"text_length": {"chars": {"min": str(least)}}}
        return build_mix(home, recipe({"dataset": "chats", "filters": bounds}))[1].samples

    assert mixed(28) < mixed(1) == 60
    measures = list(home.stage("measures").glob("*/*"))
    assert len(measures) == 1


def test_an_unknown_filter_or_column_is_refused_before_anything_is_measured(home: Home) -> None:
    for bounds, what in (
        ({"text_lenght": {"chars": {"min": "1"}}}, "did you mean 'text_length'"),
        ({"text_length": {"char": {"min": "1"}}}, "did you mean 'chars'"),
    ):
        with pytest.raises(Refusal, match=what):
            build_mix(home, recipe({"dataset": "chats", "filters": bounds}))
    assert not home.stage("measures").exists()


def test_a_nested_recipe_is_drawn_from_as_a_whole(home: Home) -> None:
    inner = recipe({"dataset": "pics"}, {"dataset": "chats", "choose": 20}, name="inner", seed=9)
    nested = {"inner": inner}
    inside = set(ids(home, inner))
    half = ids(home, recipe({"recipe": "inner", "proportion": "0.5"}), nested)
    assert len(half) == 30
    assert set(half) < inside
    _, info = build_mix(home, recipe({"recipe": "inner", "repeat": 2}, {"dataset": "pics"}), nested)
    assert [part.chosen for part in info.parts] == [80, 40, 40]
    assert info.parts[1].seed == 9


def test_a_nested_recipe_may_lie_in_the_home(home: Home) -> None:
    (home.path / "recipes").mkdir()
    (home.path / "recipes" / "base.yaml").write_text("name: base\nparts:\n  - dataset: pics\n")
    assert build_mix(home, recipe({"recipe": "base"}))[1].samples == 40
    with pytest.raises(Refusal, match="did you mean 'base'"):
        build_mix(home, recipe({"recipe": "bass"}))


def test_a_recipe_that_contains_itself_is_refused(home: Home) -> None:
    nested = {"a": recipe({"recipe": "b"}, name="a"), "b": recipe({"recipe": "a"}, name="b")}
    with pytest.raises(Refusal, match="contains itself: a -> b -> a"):
        build_mix(home, nested["a"], nested)


def test_changed_labels_are_read_without_normalising_again(home: Home) -> None:
    before = build_mix(home, recipe({"dataset": "chats"}))
    parts = [
        {"name": "odd", "category": "science", "rule": {"request": r"[13579] and"}},
        {"name": "rest", "category": "text_only"},
    ]
    write_card(home, "chats", format="llava_chat", parts=parts)
    after = build_mix(home, recipe({"dataset": "chats"}))
    assert after[1].categories == {"science": 30, "text_only": 30}
    assert after[0] != before[0]
    assert after[1].content_digest == before[1].content_digest, "the training data is the same"
    assert part_size(home, "chats", "odd") == 30


def test_a_dataset_that_was_not_pulled_is_refused(home: Home) -> None:
    with pytest.raises(Refusal, match="did you mean 'chats'"):
        build_mix(home, recipe({"dataset": "chat"}))
    write_card(home, "later", format="llava_chat")
    with pytest.raises(Refusal, match="run 'curator pull later'"):
        build_mix(home, recipe({"dataset": "later"}))


def test_everything_is_pinned_in_the_resolved_recipe(home: Home) -> None:
    bounds = {"text_length": {"chars": {"min": "1"}}}
    _, info = build_mix(home, recipe({"dataset": "chats", "choose": 3, "filters": bounds}, seed=4))
    [part] = info.recipe["parts"]
    samples: Samples = Resolver(home).samples("chats")
    assert (part["samples"], part["samples_digest"]) == (samples.folder.name, samples.record.digest)
    assert part["choose"] == 3
    assert part["filters"][0]["bounds"] == {"chars": {"min": 1.0}}
    assert info.recipe["seed"] == 4


def test_an_empty_mix_is_a_mix(home: Home) -> None:
    impossible = {"text_length": {"chars": {"min": "100000"}}}
    folder, info = build_mix(home, recipe({"dataset": "chats", "filters": impossible}))
    assert (info.samples, info.images, info.datasets) == (0, 0, {})
    assert len(MixReader(home, folder).rows()) == 0


def test_a_cap_holds_after_the_draw_and_takes_the_same_rows_as_a_draw(home: Home) -> None:
    capped = ids(home, recipe({"dataset": "chats", "at_most": 20}))
    assert set(capped) == set(ids(home, recipe({"dataset": "chats", "choose": 20})))
    assert len(ids(home, recipe({"dataset": "chats", "at_most": 1000}))) == 60
    assert len(ids(home, recipe({"dataset": "pics", "repeat": 3, "at_most": 100}))) == 100
    assert len(ids(home, recipe({"dataset": "chats", "proportion": 0.5, "at_most": 7}))) == 7


def test_quotas_count_the_rows_of_all_parts(home: Home) -> None:
    parts = [{"dataset": "pics"}, {"dataset": "chats"}]
    shares = {"mathematics": {"share": 0.25}, "captioning": {"at_most": 30}}
    _, info = build_mix(home, recipe(*parts, categories=shares))
    assert info.categories == {"captioning": 30, "mathematics": 20, "text_only": 30}
    assert info.recipe["categories"] == {"mathematics": {"share": 0.25}, "captioning": {"at_most": 30}}
    few, more = (
        set(ids(home, recipe(*parts, categories={"captioning": {"choose": n}, "mathematics": {"at_most": n}})))
        for n in (5, 9)
    )
    assert (len(few), len(more)) == (40, 48)
    assert few < more, "quotas are nested draws"
    outer = recipe({"recipe": "inner", "choose": 10})
    _, info = build_mix(home, outer, {"inner": recipe(*parts, categories={"captioning": {"at_most": 0}}, name="inner")})
    assert "captioning" not in info.categories


def test_a_draw_from_what_another_draw_left_is_fair(home: Home) -> None:
    inner = recipe({"dataset": "pics", "choose": 20}, {"dataset": "chats"}, name="inner")
    _, info = build_mix(home, recipe({"recipe": "inner", "choose": 40}), {"inner": inner})
    assert abs(info.datasets["pics"] - 10) <= 5, "as many as chance gives, not all that the inner draw had taken"
    twice = recipe({"dataset": "chats", "choose": 20}, {"dataset": "chats", "choose": 20})
    assert len({identity for identity, _ in ids(home, twice)}) > 20, "a second draw of a dataset is another one"
    seeds = [
        {i for i, _ in ids(home, recipe({"recipe": "inner", "choose": 9}, seed=s), {"inner": inner})} for s in (1, 2)
    ]
    assert seeds[0] != seeds[1], "the draw belongs to the recipe that asks for it"


def test_the_order_of_filters_is_no_part_of_a_recipe_and_two_bounds_are_one(home: Home) -> None:
    def bounded(own: dict[str, Any], outer: dict[str, Any]) -> Recipe:
        return recipe({"dataset": "chats", "filters": own}, filters=outer)

    lengths = {"words": {"max": 50}, "chars": {"min": 2}}
    filters: dict[str, Any] = {"text_length": lengths, "repetition": {"repeated_share": {"max": 0.5}}}
    turned = {"repetition": filters["repetition"], "text_length": dict(reversed(lengths.items()))}
    assert build_mix(home, bounded(filters, {}))[0] == build_mix(home, bounded(turned, {}))[0]
    one, other = {"text_length": {"words": {"max": 50}}}, {"text_length": {"words": {"max": 60, "min": 1}}}
    tighter = {"text_length": {"words": {"max": 50, "min": 1}}}
    assert build_mix(home, bounded(one, other))[0] == build_mix(home, bounded(tighter, {}))[0]
    with pytest.raises(Refusal, match=r"text_length\.words.*leave nothing"):
        build_mix(home, bounded(one, {"text_length": {"words": {"min": 90}}}))


def test_inner_recipes_are_found_beside_the_outer_one(home: Home, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "outer.yaml").write_text("name: outer\nparts: [{recipe: deep/inner.yaml}]\n")
    (tmp_path / "deep" / "inner.yaml").write_text("name: inner\nparts: [{recipe: ./innermost.yaml}]\n")
    (tmp_path / "deep" / "innermost.yaml").write_text("name: innermost\nparts: [{dataset: pics}]\n")
    assert build_mix(home, load_recipe(str(tmp_path / "outer.yaml"), home))[1].samples == 40


def test_a_quota_that_cannot_be_met_names_the_recipe(home: Home) -> None:
    with pytest.raises(Refusal, match=r"recipe 'm'.*41 rows of category 'captioning' are asked for and 40 are there"):
        build_mix(home, recipe({"dataset": "pics"}, categories={"captioning": {"choose": 41}}))


@pytest.mark.parametrize(
    ("licence", "wanted", "told"),
    [
        ({}, "known", "those of 'pics' are not (not established, not established)"),
        ({"annotations": "mit"}, "known", "those of 'pics' are not (mit, not established)"),
        ({"annotations": "mit", "images": "cc-by-nc-4.0"}, "known", None),
        ({"annotations": "mit", "images": "cc-by-nc-4.0"}, "commercial", "free for commercial use"),
        ({"annotations": "mit", "images": "CC BY 4.0"}, "commercial", None),
    ],
)
def test_a_mix_asks_for_terms(home: Home, licence: dict[str, str], wanted: str, told: str | None) -> None:
    write_card(home, "pics", format="caption_pairs", licence=licence)
    asked = recipe({"dataset": "pics"}, licences=wanted)
    if told is None:
        assert build_mix(home, asked)[1].recipe["licences"] == wanted
        return
    with pytest.raises(Refusal) as refusal:
        build_mix(home, asked)
    assert told in str(refusal.value)
