"""The published answer rules, case by case, and what must hold for any reply."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.answers import DEFAULT_RULES, RULES, check_rules, option_letter, yes_no
from registry.errors import Refusal

ANIMALS = {"A": "cat", "B": "hot dog", "C": "dog", "D": "bird"}
COLOURS = {"A": "red", "B": "green", "C": "blue"}
NUMBERS = {"A": "1", "B": "10", "C": "25"}
FEW = {"A": "yes it is", "B": "no it is not"}
ONE_LETTER = {"A": "a", "B": "b"}
LONG = "I looked at the picture for a long time and thought about it"

# reply, options, then what each profile takes it for: 2024-05, 2025-08, 2026-06
LETTERS: list[tuple[str, dict[str, str], str | None, str | None, str | None]] = [
    # a letter that stands alone
    ("B", ANIMALS, "B", "B", "B"),
    ("B.", ANIMALS, "B", "B", "B"),
    ("(B)", ANIMALS, "B", "B", "B"),
    ("[B]", ANIMALS, "B", "B", "B"),
    ("{B}", ANIMALS, "B", "B", "B"),
    ("**B**", ANIMALS, "B", "B", "B"),
    ("# B", ANIMALS, "B", "B", "B"),
    ("B:", ANIMALS, "B", "B", "B"),
    ("B;", ANIMALS, "B", "B", "B"),
    ("B!", ANIMALS, "B", "B", "B"),
    ("B,", ANIMALS, "B", "B", "B"),
    ("\nB\n", ANIMALS, "B", "B", "B"),
    ("B. hot dog", ANIMALS, "B", "B", "B"),
    ("red A", COLOURS, "A", "A", "A"),
    ("green B", COLOURS, "B", "B", "B"),
    ("A A A", COLOURS, "A", "A", "A"),
    # several different letters: the text decides, if it can
    ("A or B", COLOURS, None, None, None),
    ("A, B: red", COLOURS, "A", "A", "A"),
    # case and marks that are no separators
    ("b", COLOURS, None, None, None),
    ("b", ONE_LETTER, "B", "B", "B"),
    ("'B'", COLOURS, None, None, None),
    ('"B"', COLOURS, None, None, None),
    ("<B>", COLOURS, None, None, None),
    ("B-", COLOURS, None, None, None),
    ("A/B", COLOURS, None, None, None),
    ("答案是C。", COLOURS, None, None, None),
    ("（B）", COLOURS, None, None, None),  # full-width brackets
    ("AB", COLOURS, None, None, None),
    ("E", COLOURS, None, None, None),
    # "A" as an article is a letter too
    ("A man is riding", ANIMALS, "A", "A", "A"),
    ("A man is riding a wave", COLOURS, "A", None, None),
    # the last four tokens
    ("B one two three", NUMBERS, "B", "B", "B"),
    ("B one two three four", NUMBERS, "B", None, None),
    (f"{LONG} B", COLOURS, "B", "B", "B"),
    (f"B because {LONG}", COLOURS, "B", None, None),
    (f"B {LONG} B", COLOURS, "B", None, None),  # the first occurrence counts
    # refusals
    ("Cannot determine the answer", COLOURS, "Z", "Z", "Z"),
    ("I can't process this file. B", COLOURS, "Z", "Z", "Z"),
    ("Sorry, I can't help with images of people yet.", COLOURS, "Z", "Z", "Z"),
    ("I'm sorry, but without the image provided I would say B", COLOURS, "Z", "Z", "Z"),
    ("Z", COLOURS, "Z", "Z", "Z"),
    ("Z.", COLOURS, "Z", "Z", "Z"),
    ("Z or B", COLOURS, "B", "B", "B"),
    ("Z or A or B", COLOURS, None, None, None),
    ("cannot determine the answer", COLOURS, None, None, None),
    # a failed call skips the letters
    ("Failed to obtain answer via API", COLOURS, None, None, None),
    ("Failed to obtain answer via API. B", COLOURS, None, None, None),
    ("Failed to obtain answer via API: red", COLOURS, "A", None, None),
    # option text
    ("red", COLOURS, "A", "A", "A"),
    ("Red.", COLOURS, "A", "A", "A"),
    ("it is RED", COLOURS, "A", "A", "A"),
    ("red and blue", COLOURS, None, None, None),
    ("hot dog", ANIMALS, None, None, None),  # "dog" is in it too
    ("dog", ANIMALS, "C", "C", "C"),
    ("10", NUMBERS, None, None, None),  # "1" is in it too
    ("25", NUMBERS, "C", "C", "C"),
    ("predator", COLOURS, "A", "A", "A"),  # "red" within a word
    # option text in a long reply
    (f"{LONG}, red", COLOURS, "A", None, None),
    ("r" * 22 + " red", COLOURS, "A", None, None),  # 26 characters; the option texts have 12
    ("r" * 20 + " red", COLOURS, "A", "A", "A"),  # 24: exactly twice
    # "answer is X"
    ("The answer is C", COLOURS, "C", "C", "C"),
    (f"The answer is C. {LONG}", COLOURS, "C", None, "C"),
    (f"The correct answer is **C**. {LONG}", COLOURS, "C", None, "C"),
    (f"answer  is   c) {LONG}", COLOURS, None, None, "C"),
    (f"The answer is a bicycle. {LONG}", COLOURS, None, None, "A"),
    ("The answer is a bicycle", COLOURS, None, None, "A"),
    ("The answer is dark", COLOURS, None, None, None),  # D is no option here
    ("The answer is: C", COLOURS, "C", "C", "C"),
    (f"The answer is: C. {LONG}", COLOURS, "C", None, None),  # a colon is no blank
    (f"ANSWER IS **B {LONG}", COLOURS, "B", None, "B"),
    (f"A or B? The answer is B. {LONG}", COLOURS, None, None, "B"),
    (f"The answer is d, no, the answer is B. {LONG}", COLOURS, "B", None, None),  # only the first one is looked at
    # nothing
    ("", COLOURS, None, None, None),
    ("   ", COLOURS, None, None, None),
    ("I do not know", COLOURS, None, None, None),
    ("nan", COLOURS, None, None, None),
    # few options, no options, an empty option text
    ("C", FEW, None, None, None),
    ("A", FEW, "A", "A", "A"),
    ("A", {}, None, None, None),
    ("anything", {"A": ""}, "A", None, None),
    ("Z", {"Y": "one", "Z": "two"}, "Z", "Z", "Z"),
]


@pytest.mark.parametrize(("reply", "options", "first", "second", "third"), LETTERS)
def test_a_reply_is_taken_for_the_published_letter(
    reply: str, options: dict[str, str], first: str | None, second: str | None, third: str | None
) -> None:
    found = tuple(option_letter(reply, options, rules) for rules in RULES)
    assert found == (first, second, third)


YES_NO = [
    ("Yes", "Yes"),
    ("no", "No"),
    ("YES.", "Yes"),
    ("Yes, it is", "Yes"),
    ("No, there is not.", "No"),
    ("Yes.It is", "Unknown"),
    ("**Yes**", "Unknown"),
    ("Yes:", "Unknown"),
    ("'Yes'", "Unknown"),
    ("Yes。", "Unknown"),
    ("是", "Unknown"),
    ("no-one", "No"),
    ("no- one", "No"),
    ("so no-", "No"),
    ("a -no", "No"),
    ("yes/no", "Unknown"),
    ("yes or no", "Unknown"),
    ("not", "Unknown"),
    ("red yes", "Yes"),
    ("", "Unknown"),
    ("nan", "Unknown"),
    ("Yes!No", "Unknown"),
    ("Yes?", "Yes"),
    ("(Yes)", "Yes"),
    ('"yes"', "Yes"),
    ("yes,3", "Yes"),
    ("yes,it costs 1,000", "Unknown"),  # a comma between digits anywhere deletes every mark: "yesit"
    ("yes,it costs 1000", "Yes"),
    ("yes ,it", "Yes"),
    ("yes,it ,is", "Unknown"),  # one comma next to a blank deletes all of them: "yesit is"
    ("1.5 yes", "Yes"),
    ("yes.5", "Unknown"),
    ("." * 32 + "yes", "Yes"),
    ("." * 33 + "yes", "Unknown"),  # only 32 full stops are removed
]


@pytest.mark.parametrize(("reply", "expected"), YES_NO)
def test_a_reply_is_taken_for_yes_or_no(reply: str, expected: str) -> None:
    assert yes_no(reply) == expected


def test_the_default_profile_is_that_of_the_paper() -> None:
    assert DEFAULT_RULES == "2024-05"
    assert option_letter(f"B {LONG}", COLOURS) == "B"


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refusal, match="did you mean '2024-05'") as error:
        option_letter("A", COLOURS, "2024-5")
    assert "2026-06" in error.value.way_out
    assert check_rules("2025-08") == "2025-08"


LETTER_MAPS = st.dictionaries(st.sampled_from(string.ascii_uppercase), st.text(max_size=12), max_size=6)
FRAGMENTS = st.sampled_from(["A", "B", "Z", " ", ". ", "answer is ", "yes", "No", ",", "1,2", "dog", "\n", "*", "İ"])
REPLIES = st.one_of(st.text(max_size=60), st.lists(FRAGMENTS, max_size=20).map("".join))


@given(reply=REPLIES, options=LETTER_MAPS, rules=st.sampled_from(RULES))
def test_any_reply_gives_an_option_or_z_or_nothing(reply: str, options: dict[str, str], rules: str) -> None:
    before = dict(options)
    letter = option_letter(reply, options, rules)
    assert letter is None or letter == "Z" or letter in options
    assert options == before


@given(reply=REPLIES)
def test_any_reply_gives_yes_no_or_unknown(reply: str) -> None:
    assert yes_no(reply) in {"Yes", "No", "Unknown"}


@given(reply=REPLIES, options=LETTER_MAPS)
def test_the_profiles_only_grow_stricter_on_letters(reply: str, options: dict[str, str]) -> None:
    """What 2025-08 finds by rules that 2024-05 has too, 2026-06 finds the same way."""
    middle = option_letter(reply, options, "2025-08")
    if middle is not None and "answer" not in reply.lower():
        assert option_letter(reply, options, "2026-06") == middle


@given(letter=st.sampled_from("ABCD"), rules=st.sampled_from(RULES))
def test_a_bare_letter_is_always_understood(letter: str, rules: str) -> None:
    assert option_letter(letter, ANIMALS, rules) == letter
