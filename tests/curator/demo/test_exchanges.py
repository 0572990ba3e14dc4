"""The good samples are right, and the bad ones are bad in the way that is claimed of them, read by the real rules."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image

from curator.demo import exchanges
from curator.demo.captions import CAPTION_REQUESTS, caption
from curator.demo.draws import Draws
from curator.demo.exchanges import SUM_WORDS, Exchange
from curator.demo.pictures import picture_bytes
from curator.demo.questions import BASELINE_SKILLS, LETTERS, OPEN, SKILLS, Asked
from curator.demo.scenes import any_things, shapes
from registry.answers import option_letter, yes_no
from tests.curator.demo import oracle


def made(maker: Callable[[Draws], Exchange], n: int = 400) -> list[Exchange]:
    draws = Draws("exchange", maker.__name__)
    return [maker(draws) for _ in range(n)]


def asked_of(row: Exchange) -> Asked:
    assert row.asked is not None
    return row.asked


def options_of(asked: Asked) -> dict[str, str]:
    return dict(zip(LETTERS, asked.options, strict=False))


@pytest.mark.parametrize("skills", [BASELINE_SKILLS, *((skill,) for skill in SKILLS)])
def test_questions_of_good_sets_have_their_true_answers(skills: tuple[str, ...]) -> None:
    for row in made(exchanges.about(skills), 100):
        asked = asked_of(row)
        assert row.turns == ((asked.prompt, asked.answer),)
        assert asked.skill in skills
        assert row.picture is not None


def test_a_set_can_be_of_one_style_alone() -> None:
    assert {asked_of(row).style for row in made(exchanges.about(("magnet",), "choice"))} == {"choice"}


def test_text_questions_put_the_caption_where_the_picture_would_be() -> None:
    for row in made(exchanges.text_question, 100):
        assert row.picture is None
        described, question, *_ = row.turns[0][0].split("\n")
        assert described.startswith(("a ", "an "))
        assert question.endswith("?")


def test_wrong_answers_are_always_wrong_and_of_the_right_form() -> None:
    for row in made(exchanges.wrong_answer):
        asked, answer = asked_of(row), row.turns[0][1]
        value = answer.split()[0]
        assert value in asked.pool
        assert value != asked.value
        if asked.style == "choice":
            letter = option_letter(answer, options_of(asked))
            assert letter != asked.mark
            assert letter is not None
            assert options_of(asked)[letter] == value
        elif asked.style == "yes_no":
            assert yes_no(answer).lower() not in (asked.mark, "unknown")


def test_always_yes_says_yes_to_true_and_false_claims_alike() -> None:
    rows = made(exchanges.always_yes)
    claims_true = sum(asked_of(row).mark == "yes" for row in rows)
    assert 140 < claims_true < 260
    for row in rows:
        assert row.turns[0][1] == f"{oracle.claimed(asked_of(row).question)} yes"


def test_the_wrong_format_is_right_in_content_and_unreadable_to_the_scorers() -> None:
    for row in made(exchanges.wrong_format):
        asked, answer = asked_of(row), row.turns[0][1]
        if asked.style == "choice":
            assert asked.options[int(answer) - 1] == asked.value
            assert option_letter(answer, options_of(asked)) is None
        else:
            assert answer == {"yes": "true", "no": "false"}[asked.mark]
            assert yes_no(answer) == "Unknown"


def test_mismatched_captions_are_wrong_about_every_thing_and_always_in_the_same_way() -> None:
    for i in range(300):
        draws = Draws("mismatch", i)
        scene = shapes(draws, any_things(draws, draws.between(3, 4)))  # the first thing that the maker draws
        row = exchanges.mismatched_caption(Draws("mismatch", i))
        assert row.picture == picture_bytes(scene)
        request, instruction = row.turns[0][0].split("\n")
        assert request in CAPTION_REQUESTS
        assert instruction == OPEN
        assert row.turns[0][1] == caption(exchanges.confused(scene))
        for cell, said in zip(scene.cells, reversed(exchanges.confused(scene).cells), strict=True):
            assert (cell is None) == (said is None)
            assert cell is None or said is None or (cell.color != said.color and cell.shape != said.shape)


def test_blank_pictures_are_blank_and_keep_a_caption() -> None:
    for row in made(exchanges.blank_with_caption, 30):
        assert row.picture is not None
        with Image.open(io.BytesIO(row.picture)) as image:
            assert len(image.getcolors() or []) == 1
        assert "empty" not in row.turns[0][1]


def test_conversations_ask_and_then_describe_the_same_picture() -> None:
    for row in made(exchanges.conversation, 150):
        assert len(row.turns) == 2
        assert row.turns[1][0] in CAPTION_REQUESTS
        asked = asked_of(row)
        if asked.skill == "color":  # the caption of the same picture names the thing that was asked about
            shape = asked.question.split(" the ")[1].split("?")[0].split()[0]
            assert f"{asked.value} {shape}" in row.turns[1][1]


def test_sums_are_right_and_need_no_picture() -> None:
    for row in made(exchanges.small_sum, 100):
        question, answer = row.turns[0]
        a, b = question.removeprefix("What is ").rstrip("?").split(" plus ")
        assert SUM_WORDS.index(a) + SUM_WORDS.index(b) == SUM_WORDS.index(answer)
        assert row.picture is None
