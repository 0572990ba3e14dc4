"""The tables are read by the project's own benchmarks, so a table and its scorer cannot drift apart."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from curator.demo.benchmarks import CIRCULAR_STEP, MMBENCH, MME_TASKS, SCIENCEQA, SEED_TASKS, TABLES, table_bytes
from curator.demo.lessons import words
from curator.demo.questions import BASELINE_SKILLS
from curator.normalise import Normalised
from registry.benchmark import Index, Question, load_benchmark
from tests.curator.demo.conftest import SEED
from tests.curator.demo.test_datasets import rows_of

CHOICE_TABLES = ("mmbench_dev_en", "scienceqa_test", "seedbench_img")
PROMPTS = {"mme": 900, "mmbench_dev_en": 960, "scienceqa_test": 478, "seedbench_img": 957}
TAUGHT = {
    "demo-magnets": {"magnet"},
    "demo-polygons": {"sides", "fill"},
    "demo-flags": {"flag"},
    "demo-positions": {"position"},
    "demo-screens": {"control", "theme"},
}
SKILLS_OF = {
    "mme": dict.fromkeys(MME_TASKS.values(), 90),
    "mmbench_dev_en": {skill: 4 * count for skill, (_, count) in MMBENCH.items()},
    "scienceqa_test": SCIENCEQA,
    "seedbench_img": {skill: count for skill, (_, count) in SEED_TASKS.items()},
}
"""Table -> skill -> prompts."""


def read(world: Path, table: str) -> list[Question]:
    return list(load_benchmark(table).questions(world / "benchmarks" / f"{table}.tsv"))


def score(table: str, questions: list[Question], replies: dict[Index, str]) -> float:
    result = load_benchmark(table).score(questions, replies, "2024-05")
    return result.score


def best(question: Question) -> str:
    """The reply of a model that is always right, in the demo's way of answering."""
    return (
        f"{question.options[question.answer]} {question.answer}" if question.options else f"x {question.answer.lower()}"
    )


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_read_by_its_benchmark(table: str, world: Path) -> None:
    questions = read(world, table)
    assert len(questions) == PROMPTS[table] == sum(SKILLS_OF[table].values())
    assert all(question.image_base64 for question in questions)
    assert not any(question.altered for question in questions), "a cell reads as a missing value"


@pytest.mark.parametrize("table", TABLES)
def test_the_right_replies_score_a_hundred(table: str, world: Path) -> None:
    questions = read(world, table)
    assert score(table, questions, {q.index: best(q) for q in questions}) == pytest.approx(100)


@pytest.mark.parametrize("table", TABLES)
def test_replies_in_a_wrong_format_score_nothing(table: str, world: Path) -> None:
    questions = read(world, table)
    assert score(table, questions, {q.index: "2" if q.options else "true" for q in questions}) == 0


@pytest.mark.parametrize("table", CHOICE_TABLES)
def test_no_letter_is_worth_guessing(table: str, world: Path) -> None:
    questions = read(world, table)
    letters = Counter(question.answer for question in questions)
    even = len(questions) / 4
    assert set(letters) == set("ABCD")
    assert all(abs(count - even) < 4 * even**0.5 for count in letters.values()), letters
    guessed = score(table, questions, {q.index: "A" for q in questions})
    assert guessed == 0 if table == "mmbench_dev_en" else guessed < 40


def test_always_yes_is_worth_half_of_the_first_half_of_mme(world: Path) -> None:
    """Every picture has one true and one false claim: accuracy 50, both right 0, so 50 of 200."""
    questions = read(world, "mme")
    assert score("mme", questions, {q.index: "red yes" for q in questions}) == pytest.approx(25)


def test_a_picture_of_mme_has_a_true_and_a_false_claim(world: Path) -> None:
    groups = defaultdict(list)
    for question in read(world, "mme"):
        assert question.text.endswith("Please answer yes or no.")
        groups[question.group].append(question)
    assert len(groups) == 450
    for pair in groups.values():
        assert sorted(question.answer for question in pair) == ["No", "Yes"]
        assert pair[0].image_base64 == pair[1].image_base64
        assert pair[0].text != pair[1].text


def test_mmbench_turns_the_options_through_all_letters(world: Path) -> None:
    groups: dict[str, list[Question]] = defaultdict(list)
    for question in read(world, "mmbench_dev_en"):
        groups[question.group].append(question)
    assert len(groups) == 240
    for members in groups.values():
        assert sorted(int(q.index) // CIRCULAR_STEP for q in members) == [0, 1, 2, 3]
        assert {q.answer for q in members} == set("ABCD")
        assert len({q.options[q.answer] for q in members}) == 1
        assert len({q.image_key for q in members}) == 1
        assert all(set(q.options.values()) == set(members[0].options.values()) for q in members)


def test_one_wrong_rotation_costs_the_group(world: Path) -> None:
    questions = read(world, "mmbench_dev_en")
    replies = {q.index: best(q) for q in questions}
    last = questions[-1]
    wrong = next(letter for letter in last.options if letter != last.answer)
    replies[last.index] = f"{last.options[wrong]} {wrong}"
    assert score("mmbench_dev_en", questions, replies) == pytest.approx(100 * 239 / 240)


def test_every_good_candidate_moves_at_least_two_tables() -> None:
    for name, skills in TAUGHT.items():
        touched = [table for table, counts in SKILLS_OF.items() if any(counts.get(skill, 0) for skill in skills)]
        assert len(touched) >= 2, name
        share = sum(sum(SKILLS_OF[t].get(s, 0) for s in skills) / PROMPTS[t] for t in SKILLS_OF) / len(SKILLS_OF)
        assert share > 0.08, f"{name} can hardly show in the average"


def test_there_is_something_to_lose_and_more_to_gain() -> None:
    shares = {t: sum(counts.get(s, 0) for s in BASELINE_SKILLS) / PROMPTS[t] for t, counts in SKILLS_OF.items()}
    mean = sum(shares.values()) / len(shares)
    assert 0.3 < mean < 0.55
    assert min(shares.values()) > 0.1, "a bad candidate must be able to show in every table"


def test_pictures_are_fresh(world: Path, samples: dict[str, Normalised]) -> None:
    trained = {image["sha256"] for made in samples.values() for row in rows_of(made) for image in row["images"]}
    seen: dict[str, str] = {}
    for table in TABLES:
        for question in read(world, table):
            sha = hashlib.sha256(base64.b64decode(question.image_base64 or "")).hexdigest()
            assert sha not in trained
            assert seen.setdefault(sha, table) == table


def test_another_seed_asks_about_other_pictures(world: Path) -> None:
    for table in TABLES:
        assert (world / "benchmarks" / f"{table}.tsv").read_bytes() == table_bytes(table, SEED)
        assert table_bytes(table, SEED) != table_bytes(table, SEED + 1)


def test_tables_use_no_word_that_the_tokenizer_lacks(world: Path) -> None:
    known = set(words())
    for table in TABLES:
        for question in read(world, table):
            bare = question.text.replace("Please answer yes or no.", "").replace("?", " ?")
            assert set(bare.split()) <= known
            assert set(question.options.values()) <= known
