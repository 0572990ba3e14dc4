"""The general classifier over real homes: what it finds, what it learns from, and how a mix uses it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curator import measure as measure_module
from curator import normalise as normalise_module
from curator.audit_page import write_audit
from curator.categories import profiles as profiles_module
from curator.categories.centroids import learn
from curator.categories.findings import WORDS
from curator.categories.general import AGREES, UNSURE, General, all_teachers, general, general_audit
from curator.categories.profiles import certain_parts, profile
from curator.mix import build_mix
from curator.published_recipe import recipe_files
from curator.resolve import Resolver, missing_measures
from curator.runner import Place
from curator.samples import Samples, find_samples
from registry.card import load_card
from registry.errors import Refusal
from registry.recipe import Labels, Recipe, load_recipe
from registry.store import Home, read_record
from tests.curator.data_home import file_bytes, make_chats, picture, pulled, rows_of, write_card, write_parquet

BOX = "Where is thing {}?", "[0.1, 0.2, 0.3, 0.{}]"
PLOT = "Which bar of the chart has the value {}?", "bar {}"
ODD = "zorp blick {}", "quux {}"
"""Words that no sign knows."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def make(
    home: Home, folder: Path, name: str, category: str, *said: tuple[str, str], n: int = 10, step: int = 1
) -> Samples:
    """A dataset of questions about pictures, ``n`` of each kind."""
    pairs = [(ask.format(i), answer.format(i)) for ask, answer in said for i in range(10, 10 + n)]
    rows: list[dict[str, Any]] = [
        {"image": {"bytes": picture(i), "path": "p.png"}, "question": ask, "answer": answer, "question_id": f"q{i}"}
        for i, (ask, answer) in enumerate(pairs)
    ]
    write_parquet(folder / name / "train.parquet", rows[::step])
    parts = [{"name": "all", "category": category}]
    options = {"answer_style": "none"}
    card = write_card(home, name, format="vqa_rows", parts=parts, columns={"id": "question_id"}, options=options)
    pulled(home, card, folder / name)
    return find_samples(home, name)


def wanted(home: Home, *names: str, confidence: float = 0.6) -> General:
    return General.of(home, Labels(by="general", confidence=confidence, learned_from=list(names)))


def test_every_sample_gets_a_category_a_confidence_and_a_reason(home: Home, tmp_path: Path) -> None:
    samples = make(home, tmp_path, "x", "general_qa", BOX, PLOT)
    before = file_bytes(samples.folder)
    made = general(home, samples, wanted(home))
    rows = rows_of(made.folder)
    assert [row["id"] for row in rows] == [row["id"] for row in rows_of(samples.folder)]
    assert [row["category"] for row in rows] == ["grounding"] * 10 + ["chart"] * 10
    assert {row["rule"] for row in rows} == {"boxes in answers", "words of charts"}
    assert all(0.6 < row["confidence"] <= 1 for row in rows)
    assert (made.record.rows_in, made.record.rows_out) == (20, 20)
    assert file_bytes(samples.folder) == before
    assert general(home, samples, wanted(home)).already_there


def test_no_layout_order_or_worker_changes_what_is_found(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(home, tmp_path, "teacher", "science", ODD, PLOT)
    samples = make(home, tmp_path, "x", "general_qa", BOX, PLOT, ODD)
    rows = {row["id"]: row for row in rows_of(general(home, samples, wanted(home, "teacher")).folder)}
    monkeypatch.setattr(normalise_module, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(normalise_module, "ROWS_PER_FILE", 8)
    monkeypatch.setattr(measure_module, "BATCH_ROWS", 3)
    other = Home(tmp_path / "other")
    make(other, tmp_path, "teacher", "science", ODD, PLOT, step=-1)
    split = make(other, tmp_path, "x", "general_qa", BOX, PLOT, ODD, step=-1)
    assert len(split.files()) > len(samples.files())
    made = general(other, split, wanted(other, "teacher"), place=Place(workers=2))
    assert {row["id"]: row for row in rows_of(made.folder)} == rows
    assert [row["id"] for row in rows_of(made.folder)] == [row["id"] for row in rows_of(split.folder)]


def test_words_that_no_sign_knows_are_learned_from_other_datasets(home: Home, tmp_path: Path) -> None:
    make(home, tmp_path, "teacher", "science", ODD)
    make(home, tmp_path, "another", "chart", ("flarn wibble {}", "dop {}"))
    samples = make(home, tmp_path, "x", "general_qa", ODD)
    untaught = rows_of(general(home, samples, wanted(home)).folder)
    taught = rows_of(general(home, samples, wanted(home, "teacher", "another")).folder)
    assert {row["category"] for row in untaught} == {"general_qa"}
    assert {(row["category"], row["rule"]) for row in taught} == {("science", WORDS)}


def test_a_dataset_does_not_learn_from_itself_and_the_order_of_names_is_nothing(home: Home, tmp_path: Path) -> None:
    samples = make(home, tmp_path, "x", "general_qa", ODD)
    for name, category in (("a", "science"), ("b", "chart")):
        make(home, tmp_path, name, category, ODD, PLOT)
    assert all_teachers(home, samples) == ["a", "b"]
    one = wanted(home, "a", "b").digest(samples)
    assert one == wanted(home, "b", "x", "a", "b").digest(samples)
    assert one != wanted(home, "a").digest(samples)
    tables = [profile(home, find_samples(home, name)).columns() for name in ("a", "b")]
    for here, there in zip(learn(tables), learn(tables[::-1]), strict=True):
        assert np.array_equal(here, there)
    with pytest.raises(Refusal, match="no card of that name"):
        wanted(home, "absent")


def test_a_profile_counts_samples_chosen_by_id_up_to_a_limit(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = make(home, tmp_path, "x", "chart", PLOT, n=60)
    whole = profile(home, samples)
    counts = {row["bucket"]: row["samples"] for row in rows_of(whole.folder)}
    assert counts[profiles_module.ALL] == 60
    assert max(counts.values()) == 60
    assert whole.record.rows_out == 60
    monkeypatch.setattr(profiles_module, "MOST_ROWS", 20)
    fewer = profile(home, samples)
    assert fewer.folder != whole.folder
    (counted,) = [row["samples"] for row in rows_of(fewer.folder) if row["bucket"] == profiles_module.ALL]
    chosen = [row for row in rows_of(samples.folder) if int(row["id"][:8], 16) < 2**32 // 3]
    assert counted == len(chosen)
    assert 0 < counted < 60
    assert fewer.record.rows_out == 60


def test_a_profile_goes_on_where_it_stopped_and_counts_every_sample(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalise_module, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(normalise_module, "ROWS_PER_FILE", 8)
    samples = make(home, tmp_path, "x", "chart", PLOT, n=30)
    whole, begun = profiles_module.profile_file, list[str]()

    def stops_at_the_third(task: profiles_module.ProfileFile) -> Iterator[int]:
        begun.append(task.source.name)
        if len(begun) == 3:
            raise KeyboardInterrupt
        yield from whole(task)

    monkeypatch.setattr(profiles_module, "profile_file", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        profile(home, samples)
    told: list[int] = []
    made = profile(home, samples, told.append)
    assert sum(told) == made.record.rows_out == 30
    assert [begun.count(path.name) for path in samples.files()][:3] == [1, 1, 2], "the finished ones stay"
    went_on = file_bytes(made.folder)
    shutil.rmtree(made.folder)
    assert file_bytes(profile(home, samples).folder) == went_on


def test_only_parts_that_no_text_decides_are_learned_from(home: Home, tmp_path: Path) -> None:
    assert certain_parts(load_card("lvis-instruct4v")) == []
    assert certain_parts(load_card("allava")) == [part.name for part in load_card("allava").parts]
    parts = [
        {"name": "long", "category": "conversation", "rule": {"turns_min": 2}},
        {"name": "asked", "category": "captioning", "rule": {"request": "describe"}},
        {"name": "rest", "category": "text_only"},
    ]
    make_chats(home, tmp_path, "x", 10, parts=parts)
    samples = find_samples(home, "x")
    assert certain_parts(samples.card) == ["long"]
    assert rows_of(profile(home, samples).folder) == []
    write_card(home, "x", format="llava_chat", parts=parts[2:])
    relabelled = find_samples(home, "x")
    assert relabelled.relabelled
    assert {row["category"] for row in rows_of(profile(home, relabelled).folder)} == {"text_only"}


def test_the_threshold_is_applied_when_it_is_read(home: Home, tmp_path: Path) -> None:
    samples = make(home, tmp_path, "x", "chart", BOX, PLOT, ODD)
    low, high = wanted(home, confidence=0.0), wanted(home, confidence=0.9)
    found = general_audit(home, samples, low)
    assert {(m.before, m.after, m.rule): m.count for m in found.moves} == {
        (("all", "chart"), ("all", "grounding"), "boxes in answers"): 10,
        (("all", "chart"), ("all", "general_qa"), "answers of a word or two"): 10,
        (("all", "chart"), ("all", "chart"), AGREES): 10,
    }
    assert found.samples == samples.record.rows_out
    assert low.folder(home, samples) == high.folder(home, samples)
    kept = {(m.after[1], m.rule): m.count for m in general_audit(home, samples, high).moves}
    assert kept[("chart", UNSURE)] == 10
    assert sum(kept.values()) == 30


def test_the_page_tells_who_decided_and_why(home: Home, tmp_path: Path) -> None:
    make(home, tmp_path, "teacher", "science", ODD)
    samples, page = make(home, tmp_path, "x", "general_qa", BOX), tmp_path / "moves.html"
    write_audit(home, general_audit(home, samples, wanted(home, "teacher")), page)
    text = page.read_text(encoding="utf-8")
    assert "10 of 10 samples change their label, by the general classifier (version 1)" in text
    assert "learned from teacher" in text
    assert "all (general_qa) → all (grounding)" in text
    assert "boxes in answers" in text
    assert text.count("data:image/") == 3


def recipe(*parts: dict[str, Any], name: str = "m", **more: Any) -> Recipe:
    return Recipe.model_validate({"name": name, "parts": list(parts), **more})


GENERAL = {"by": "general", "confidence": 0.6, "learned_from": ["teacher"]}


def test_a_mix_has_these_labels_only_where_its_recipe_says_so(home: Home, tmp_path: Path) -> None:
    make(home, tmp_path, "teacher", "science", ODD)
    samples = make(home, tmp_path, "x", "general_qa", BOX, PLOT)
    _, plain = build_mix(home, recipe({"dataset": "x"}))
    general(home, samples, wanted(home, "teacher"))
    folder, again = build_mix(home, recipe({"dataset": "x"}))
    assert (again, plain.categories) == (plain, {"general_qa": 20})
    assert "general" not in str(again.recipe["parts"][0].keys())
    labelled, info = build_mix(home, recipe({"dataset": "x"}, labels=GENERAL))
    assert info.categories == {"chart": 10, "grounding": 10}
    assert (info.content_digest, info.samples) == (plain.content_digest, plain.samples)
    assert labelled != folder
    assert any("/general-" in name for name in read_record(labelled).inputs)
    assert not any("/general-" in name for name in read_record(folder).inputs)


def test_the_nearest_word_on_labels_counts(home: Home, tmp_path: Path) -> None:
    make(home, tmp_path, "teacher", "science", ODD)
    make(home, tmp_path, "x", "general_qa", BOX)
    make(home, tmp_path, "y", "general_qa", PLOT)
    inner = recipe({"dataset": "y"}, name="inner")
    outer = recipe({"dataset": "x", "labels": {"by": "rules"}}, {"recipe": "inner"}, labels=GENERAL)
    group = Resolver(home, {"inner": inner}).resolve(outer)
    assert [(one.samples.card.name, one.name) for one in missing_measures(home, group)] == [("y", "general")]
    _, info = build_mix(home, outer, {"inner": inner})
    assert info.categories == {"chart": 10, "general_qa": 10}
    assert missing_measures(home, group) == []
    own = recipe({"dataset": "y"}, name="inner", labels={"by": "rules"})
    assert build_mix(home, outer, {"inner": own})[1].categories == {"general_qa": 20}


def test_a_recipe_takes_one_category_of_a_dataset(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(home, tmp_path, "teacher", "science", ODD)
    make(home, tmp_path, "x", "general_qa", BOX, PLOT)
    _, info = build_mix(home, recipe({"dataset": "x", "category": "chart"}, labels=GENERAL))
    assert (info.categories, info.parts[0].available, info.parts[0].category) == ({"chart": 10}, 10, "chart")
    assert build_mix(home, recipe({"dataset": "x", "category": "chart"}))[1].samples == 0, "by the card there is none"
    assert "category" not in build_mix(home, recipe({"dataset": "x"}))[1].model_dump()["parts"][0]
    with pytest.raises(ValueError, match="did you mean 'chart'"):
        recipe({"dataset": "x", "category": "charts"})
    with pytest.raises(ValueError, match="category goes with dataset"):
        recipe({"recipe": "x", "category": "chart"})
    monkeypatch.chdir(tmp_path)
    for name, data in recipe_files(info).items():
        (tmp_path / name).write_bytes(data)
    assert build_mix(home, load_recipe("./recipe.json"))[1].recipe_digest == info.recipe_digest


def test_it_goes_on_top_of_rules_that_changed(home: Home, tmp_path: Path) -> None:
    samples = make(home, tmp_path, "x", "general_qa", BOX, ODD)
    parts = [{"name": "new", "category": "knowledge"}]
    write_card(
        home, "x", format="vqa_rows", parts=parts, columns={"id": "question_id"}, options={"answer_style": "none"}
    )
    relabelled = find_samples(home, "x")
    assert (relabelled.folder, relabelled.relabelled) == (samples.folder, True)
    _, info = build_mix(home, recipe({"dataset": "x"}, labels={"by": "general", "confidence": 0.9}))
    assert info.categories == {"grounding": 10, "knowledge": 10}
    moves = general_audit(home, relabelled, wanted(home, confidence=0.9)).moves
    assert {(m.before, m.after): m.count for m in moves} == {
        (("new", "knowledge"), ("new", "grounding")): 10,
        (("new", "knowledge"), ("new", "knowledge")): 10,
    }


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"by": "rules", "confidence": 0.5}, "go with 'by: general'"),
        ({"by": "guess"}, "'rules' or 'general'"),
        ({"by": "general", "confidence": 1.5}, "less than or equal to 1"),
        ({"by": "general", "learn": []}, "learn"),
    ],
)
def test_labels_of_a_recipe_are_checked(labels: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        recipe({"dataset": "x"}, labels=labels)
