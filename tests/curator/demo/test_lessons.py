"""What the base may know, and above all what it may not: the skills that the candidates are there to teach."""

from __future__ import annotations

from collections import Counter

import pytest

from curator.demo.base_checkpoint import RECIPE, BaseRecipe
from curator.demo.captions import CAPTION_REQUESTS
from curator.demo.draws import Draws
from curator.demo.lessons import LESSONS, VALUES, Lesson, lessons, words
from curator.demo.questions import BASELINE_SKILLS, CHOICE, INSTRUCTIONS, OPEN, SKILLS, YES_NO, ask, fact_of
from registry.yaml_file import load


def many(name: str, n: int = 300) -> list[Lesson]:
    draws = Draws("lessons of", name)
    return [LESSONS[name](draws) for _ in range(n)]


def question_starts(skill: str) -> set[str]:
    """The first two words of each wording of a skill."""
    draws = Draws("starts", skill)
    asked = [ask(skill, draws, style)[1] for style in ("open", "yes_no") for _ in range(60)]
    return {" ".join(each.question.split()[:2]) for each in asked}


def test_the_stages_name_lessons_that_there_are() -> None:
    recipe = load(RECIPE, BaseRecipe)
    assert len({stage.name for stage in recipe.stages}) == len(recipe.stages)
    for stage in recipe.stages:
        assert set(stage.lessons) <= set(LESSONS)
        assert all(count > 0 for count in stage.lessons.values())


def test_a_plan_is_drawn_in_full_shuffled_and_again_the_same() -> None:
    plan = {"match_words": 60, "describe": 20, "answer_shapes": 20}
    first = list(lessons(plan, 1, "stage"))
    assert len(first) == 100
    assert sum(lesson.picture is not None for lesson in first) == 40
    assert 5 < sum(lesson.picture is not None for lesson in first[:50]) < 35
    assert first == list(lessons(plan, 1, "stage"))
    assert first != list(lessons(plan, 2, "stage"))


def test_questions_about_pictures_are_about_shapes_only() -> None:
    """Everything the good candidates teach must be news to the base."""
    taught = {skill for skill in SKILLS if skill not in BASELINE_SKILLS}
    openings = set().union(*(question_starts(skill) for skill in taught))
    openings -= set().union(*(question_starts(skill) for skill in BASELINE_SKILLS))
    assert {"What will", "Where is", "Which country"} <= openings
    # matching's "Is it hollow?" has the words of a claim about fills, but the word to compare with and no picture
    for name in ("read_captions", "describe", "answer_shapes"):
        for line in (line for lesson in many(name, 600) for line in lesson.request.split("\n")):
            assert " ".join(line.split()[:2]) not in openings, f"{name}: {line}"
            assert "sides" not in line


def test_pictures_are_described_or_asked_about_with_the_marker_first() -> None:
    for name in ("describe", "answer_shapes"):
        for lesson in many(name, 100):
            assert lesson.picture is not None
            assert lesson.request.startswith("<image>\n")
            assert lesson.request.count("<image>") == 1
    assert {lesson.request.partition("\n")[2] for lesson in many("describe")} == set(CAPTION_REQUESTS)


def test_every_type_of_scene_is_described() -> None:
    answers = " ".join(lesson.answer for lesson in many("describe", 600)).split()
    assert {"magnets", "compass", "wood", "flag", "screen", "pentagon", "hexagon", "dotted", "star"} <= set(answers)


def test_text_lessons_have_no_picture() -> None:
    for name in ("match_words", "read_captions"):
        assert all(lesson.picture is None and "<image>" not in lesson.request for lesson in many(name))


def test_matching_is_right() -> None:
    marks: Counter[str] = Counter()
    for lesson in many("match_words", 900):
        word, *lines, instruction = lesson.request.split("\n")
        value, mark = lesson.answer.split()
        assert value == word
        marks[mark] += 1
        if instruction == YES_NO:
            shown = lines[0].removeprefix("Is it ").rstrip("?")
            assert mark == ("yes" if shown == word else "no")
        else:
            assert instruction == CHOICE
            options = dict(line.split(". ") for line in lines)
            assert options[mark] == word
            assert len(set(options.values())) == len(options)
    assert set(marks) == {"A", "B", "C", "D", "yes", "no"}
    assert abs(marks["yes"] - marks["no"]) < 90


def test_reading_comes_in_all_three_styles() -> None:
    styles = Counter(lesson.request.split("\n")[-1] for lesson in many("read_captions", 400))
    assert set(styles) == set(INSTRUCTIONS)
    assert styles[OPEN] > max(styles[CHOICE], styles[YES_NO])


def test_every_value_of_every_skill_can_be_matched() -> None:
    for skill in SKILLS:
        assert set(fact_of(skill, Draws("pool", skill))[1].pool) <= set(VALUES)


def test_the_vocabulary_is_a_sorted_set_that_every_lesson_keeps_to() -> None:
    known = words()
    assert known == sorted(set(known)) == words()
    assert set(VALUES) <= set(known)
    for name in LESSONS:
        for lesson in many(name):
            text = lesson.request.replace("<image>", "")
            for instruction in INSTRUCTIONS:
                text = text.replace(instruction, "")
            said = f"{text} {lesson.answer}".replace("?", " ?").replace(".", " .").split()
            assert set(said) <= set(known)


@pytest.mark.parametrize("name", LESSONS)
def test_drawing_is_no_bottleneck(name: str) -> None:
    """At least 1,000 lessons a CPU second, a quarter of what an idle core does: 80,000 with pictures in 80 s."""
    import time

    many(name, 200)
    start = time.process_time()
    many(name, 500)
    assert 500 / (time.process_time() - start) > 1000
