from __future__ import annotations

from collections import Counter

import pytest

from curator.demo.draws import Draws
from curator.demo.questions import (
    BASELINE_SKILLS,
    INSTRUCTIONS,
    LETTERS,
    SKILLS,
    STYLES,
    Asked,
    ask,
    fact_of,
    pose,
)
from curator.demo.scenes import Scene
from registry.answers import option_letter, yes_no
from tests.curator.demo import oracle


def many(skill: str, style: str | None, n: int = 300) -> list[tuple[Scene, Asked]]:
    draws = Draws("many", skill, style or "any")
    return [ask(skill, draws, style) for _ in range(n)]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("skill", SKILLS)
def test_every_answer_is_true(skill: str, style: str) -> None:
    for scene, asked in many(skill, style):
        right = oracle.truth(scene, skill, asked.question)
        assert asked.value == right
        if style == "open":
            assert asked.answer == right
        elif style == "choice":
            assert asked.answer == f"{right} {LETTERS[asked.options.index(right)]}"
        else:
            assert asked.answer == f"{right} {'yes' if oracle.claimed(asked.question) == right else 'no'}"


@pytest.mark.parametrize("skill", SKILLS)
def test_no_value_is_commoner_than_another(skill: str) -> None:
    rows = many(skill, None, 2000)
    counts = Counter(asked.value for _, asked in rows)
    pool = rows[0][1].pool
    assert set(counts) == set(pool)
    even = 2000 / len(pool)
    assert all(abs(count - even) < 5 * even**0.5 for count in counts.values()), counts


@pytest.mark.parametrize("skill", SKILLS)
def test_options_are_of_one_kind_and_letters_are_even(skill: str) -> None:
    letters: Counter[str] = Counter()
    for _, asked in many(skill, "choice", 1200):
        assert len(set(asked.options)) == len(asked.options) == min(4, len(asked.pool))
        assert set(asked.options) <= set(asked.pool)
        letters[asked.mark] += 1
    even = 1200 / min(4, len(asked.pool))
    assert all(abs(count - even) < 5 * even**0.5 for count in letters.values()), letters


@pytest.mark.parametrize("skill", SKILLS)
def test_half_of_the_claims_are_true_and_the_truth_can_be_fixed(skill: str) -> None:
    marks = Counter(asked.mark for _, asked in many(skill, "yes_no", 1000))
    assert set(marks) == {"yes", "no"}
    assert 420 < marks["yes"] < 580
    draws = Draws("fixed", skill)
    scene, fact = fact_of(skill, draws)
    for truth in (True, False):
        asked = pose(fact, skill, "yes_no", draws, truth=truth)
        assert (oracle.claimed(asked.question) == oracle.truth(scene, skill, asked.question)) is truth
        assert asked.mark == ("yes" if truth else "no")


@pytest.mark.parametrize("skill", SKILLS)
def test_the_published_scorers_read_every_true_answer(skill: str) -> None:
    """Also the value beside the letter: no value is taken for another option or for a yes."""
    for _, asked in many(skill, "choice"):
        options = dict(zip(LETTERS, asked.options, strict=False))
        assert option_letter(asked.answer, options, "2024-05") == asked.mark
    for _, asked in many(skill, "yes_no"):
        assert yes_no(asked.answer).lower() == asked.mark


def test_styles_come_two_to_one_to_one() -> None:
    styles = Counter(asked.style for skill in SKILLS for _, asked in many(skill, None, 400))
    total = sum(styles.values())
    assert abs(styles["open"] / total - 0.5) < 0.04
    assert abs(styles["choice"] / total - 0.25) < 0.04


def test_prompts_are_those_of_llava_and_mme() -> None:
    draws = Draws("prompt")
    _, fact = fact_of("flag", draws)
    lines = pose(fact, "flag", "choice", draws).prompt.split("\n")
    assert lines[0] == "Which country has this flag?"
    assert [line[:3] for line in lines[1:5]] == ["A. ", "B. ", "C. ", "D. "]
    assert lines[5] == "Answer with the option's letter from the given choices directly."
    assert pose(fact, "flag", "open", draws).prompt.endswith("\nAnswer the question using a single word or phrase.")
    assert pose(fact, "flag", "yes_no", draws).prompt.endswith("?\nPlease answer yes or no.")


def test_the_instructions_are_those_that_formats_append() -> None:
    from curator.prompts import CHOICE, SHORT_ANSWER, YES_NO

    assert INSTRUCTIONS == (SHORT_ANSWER, CHOICE, YES_NO)


def test_values_are_single_lowercase_words_and_no_option_holds_another() -> None:
    """The scorers look for an option's text inside the reply, so ``one`` must not be part of another value."""
    for skill in SKILLS:
        pool = fact_of(skill, Draws("pool", skill))[1].pool
        assert all(value.isalpha() and value.islower() for value in pool)
        assert not [(a, b) for a in pool for b in pool if a != b and a in b]


def test_the_baseline_knows_less_than_half_of_the_skills() -> None:
    assert set(BASELINE_SKILLS) == {"count", "color", "shape"}
    assert len(SKILLS) - len(BASELINE_SKILLS) == 7
