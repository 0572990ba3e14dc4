"""The vectorised measures against plain definitions of the same thing, on random conversations."""

from __future__ import annotations

import itertools
import random
import string
import unicodedata
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.batch import Batch
from curator.filters import answer_format, image_size, repetition, text_length, text_noise, word_noise, word_repetition
from curator.kernels import counts, windows
from curator.kernels.characters import (
    BLANK,
    CODE_POINTS,
    DIGIT,
    KINDS,
    LETTER,
    MARK,
    PUNCTUATION,
    UPPER,
    kind_here,
    kinds,
)
from curator.kernels.flat_text import flat_text
from registry.sample import arrow_schema, make_message

TEXT = st.text(alphabet=st.sampled_from("ab \n\té漢字🙂"), max_size=30)
CONVERSATION = st.lists(TEXT, min_size=1, max_size=5)
SIZES = st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), max_size=3)


def batch(conversations: list[list[str]], sizes: list[list[tuple[int, int]]] | None = None) -> Batch:
    rows = []
    for number, texts in enumerate(conversations):
        images = sizes[number] if sizes else []
        messages = [
            make_message(("user", "assistant")[i % 2], text, len(images) if i == 0 else 0)
            for i, text in enumerate(texts)
        ]
        row: dict[str, Any] = dict.fromkeys(("id", "dataset", "part", "source_id", "category"), "x")
        row["images"] = [{"sha256": "0", "width": width, "height": height} for width, height in images]
        rows.append({**row, "messages": messages})
    return Batch(pa.Table.from_pylist(rows, schema=arrow_schema()))


def repeated_share(texts: list[str]) -> float | None:
    """By definition: windows of the answers seen before, by all windows."""
    seen: set[str] = set()
    windows = repeated = 0
    for answer in texts[1::2]:
        for start in range(len(answer) - repetition.WINDOW + 1):
            window = answer[start : start + repetition.WINDOW]
            windows += 1
            repeated += window in seen
            seen.add(window)
    return repeated / windows if windows else None


@settings(max_examples=60, deadline=None)
@given(conversations=st.lists(CONVERSATION, max_size=6))
def test_repetition(conversations: list[list[str]]) -> None:
    found = repetition.measure(batch(conversations))["repeated_share"].to_pylist()
    assert found == [
        None if share is None else pytest.approx(share, abs=1e-6) for share in map(repeated_share, conversations)
    ]


def repeated_word_share(texts: list[str]) -> float | None:
    """By definition: windows of five words of an answer seen before, by all windows."""
    seen: set[tuple[str, ...]] = set()
    windows = repeated = 0
    for answer in texts[1::2]:
        words = tuple(answer.replace("\t", " ").replace("\n", " ").split(" "))
        words = tuple(word for word in words if word)
        for start in range(len(words) - word_repetition.WINDOW + 1):
            window = words[start : start + word_repetition.WINDOW]
            windows += 1
            repeated += window in seen
            seen.add(window)
    return repeated / windows if windows else None


@settings(max_examples=60, deadline=None)
@given(conversations=st.lists(CONVERSATION, max_size=6))
def test_word_repetition(conversations: list[list[str]]) -> None:
    found = word_repetition.measure(batch(conversations))["repeated_word_share"].to_pylist()
    assert found == [
        None if share is None else pytest.approx(share, abs=1e-6) for share in map(repeated_word_share, conversations)
    ]


def long_texts(alphabet: str, sizes: list[int], seed: int = 0) -> list[str]:
    """Drawn characters in which a part of what was said comes again."""
    chance = random.Random(seed)
    texts = []
    for size in sizes:
        text = "".join(chance.choices(alphabet, k=size))
        for _ in range(size // 100):
            start, again = chance.randrange(size), chance.randrange(size)
            text = text[:again] + text[start : start + 40] + text[again:]
        texts.append(text)
    return texts


@pytest.mark.parametrize("alphabet", ["ab ", string.ascii_letters + " .", "abcdefgh \n漢字é🙂"])
def test_repetition_of_long_conversations(alphabet: str) -> None:
    """Many windows meet others of the same hash here, and numbers of one sample come after those of another."""
    texts = long_texts(alphabet, [5, 9, 10, 11, 200, 1000, 3000, 40_000, 700, 0, 850, 2000])
    conversations = [["q", text] for text in texts] + [["q", texts[5], "q", texts[4], "q", texts[5]], ["q"], ["q", ""]]
    shares = repetition.measure(batch(conversations))["repeated_share"].to_pylist()
    words = word_repetition.measure(batch(conversations))["repeated_word_share"].to_pylist()
    assert shares == [None if x is None else pytest.approx(x, abs=1e-6) for x in map(repeated_share, conversations)]
    assert words == [None if x is None else pytest.approx(x, abs=1e-6) for x in map(repeated_word_share, conversations)]
    assert any(0.01 < share < 0.99 for share in shares if share is not None)


def test_a_repeated_window_is_counted_whatever_else_has_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 16 heads every window meets others that only share their head."""
    monkeypatch.setattr(windows, "_FEWEST_BITS", 4)
    monkeypatch.setattr(windows, "_MOST_BITS", 4)
    conversations = [["q", text] for text in long_texts("abcd 漢", [2000, 300])]
    shares = repetition.measure(batch(conversations))["repeated_share"].to_pylist()
    assert shares == [pytest.approx(repeated_share(texts), abs=1e-6) for texts in conversations]


NOISY = st.text(alphabet=st.sampled_from("aB1 \n.#-'é²漢🙂\u0301\u00a0\x07"), max_size=40)


def odd(word: str) -> bool:
    """By definition: letters beside digits, or beside a symbol inside that is no joiner; no number is odd."""
    core = [kind_here(ord(c)) for c in word]
    plain = [kind < PUNCTUATION for kind in core]
    digits = [kind == DIGIT for kind in core if kind < PUNCTUATION]
    first, last = plain.index(True), len(plain) - 1 - plain[::-1].index(True)
    inner = any(not plain[i] and word[i] not in "'-" for i in range(first, last))
    return not all(digits) and (inner or any(digits))


@pytest.mark.parametrize("alphabet", ["abX019 \t\n" + string.punctuation, "abc. ", "ab, 漢é"])
def test_noise_of_long_answers(alphabet: str) -> None:
    """Longer than the blocks that are counted at a time, with special characters on both sides of their ends."""
    for answer in [*long_texts(alphabet, [127, 128, 129, 255, 256, 257, 1000]), "a" * 126 + "...." + "b" * 300]:
        test_noise_of_characters_and_words.hypothesis.inner_test(answer)  # type: ignore[attr-defined]  # hypothesis's
        test_text_length.hypothesis.inner_test([["q", answer, answer]])  # type: ignore[attr-defined]  # hypothesis's


def test_the_kind_of_every_ascii_character_is_that_of_the_table() -> None:
    made = counts.makeup(flat_text(pa.array([chr(point) for point in range(0x80)])))
    table = kinds()[:0x80]
    assert made.letters.tolist() == [kind in (LETTER, UPPER) for kind in table]
    assert made.capitals.tolist() == [kind == UPPER for kind in table]
    assert made.digits.tolist() == [kind == DIGIT for kind in table]
    assert made.special.tolist() == made.longest_run.tolist() == [kind >= PUNCTUATION for kind in table]


@settings(max_examples=200, deadline=None)
@given(answer=NOISY)
def test_noise_of_characters_and_words(answer: str) -> None:
    measured = [module.measure(batch([["", answer]])) for module in (text_noise, word_noise)]
    found = {name: values[0].as_py() for columns in measured for name, values in columns.items()}
    counts = [kind_here(ord(c)) for c in answer]
    shown = [kind for kind in counts if kind != BLANK]
    words = [
        "".join(word) for blank, word in itertools.groupby(answer, lambda c: kind_here(ord(c)) == BLANK) if not blank
    ]
    words = [word for word in words if any(kind_here(ord(c)) < PUNCTUATION for c in word)]
    runs = [len(list(run)) for special, run in itertools.groupby(counts, lambda k: k >= PUNCTUATION) if special]
    letters = [kind for kind in counts if kind in (LETTER, UPPER, MARK)]
    expected = {
        "special_share": share(kind >= PUNCTUATION for kind in shown),
        "digit_share": share(kind == DIGIT for kind in shown),
        "capital_share": share(kind == UPPER for kind in letters),
        "longest_special_run": max(runs, default=0),
        "odd_word_share": share(odd(word) for word in words),
        "function_word_share": share(plain(word) in ("a", "A") for word in words),
    }
    assert found == {
        name: None if value is None else pytest.approx(value, abs=1e-6) for name, value in expected.items()
    }


def plain(word: str) -> str:
    """A word without its special characters."""
    return "".join(c for c in word if kind_here(ord(c)) < PUNCTUATION)


def share(values: Iterable[bool]) -> float | None:
    held = list(values)
    return sum(held) / len(held) if held else None


def test_the_table_of_characters_is_that_of_unicode_14() -> None:
    table = kinds()
    assert len(table) == CODE_POINTS
    if unicodedata.unidata_version == "14.0.0":
        assert all(table[point] == kind_here(point) for point in range(CODE_POINTS))
    assert [KINDS[table[ord(c)]] for c in "aA1 .+\u0301\x07"] == [
        "letter", "upper", "digit", "blank", "punctuation", "symbol", "mark", "other"
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(conversations=st.lists(CONVERSATION, max_size=6))
def test_text_length(conversations: list[list[str]]) -> None:
    found = {name: values.to_pylist() for name, values in text_length.measure(batch(conversations)).items()}
    assert found["chars"] == [sum(map(len, texts)) for texts in conversations]
    words = [[len(text.split()) for text in texts] for texts in conversations]
    assert found["words"] == [sum(counts) for counts in words]
    assert found["answer_words"] == [sum(counts[1::2]) for counts in words]
    assert found["turns"] == [(len(texts) + 1) // 2 for texts in conversations]


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(SIZES, max_size=5))
def test_image_size(sizes: list[list[tuple[int, int]]]) -> None:
    found = {name: v.to_pylist() for name, v in image_size.measure(batch([["q", "a"]] * len(sizes), sizes)).items()}
    assert found["short_side_px"] == [min((min(s) for s in one), default=None) for one in sizes]
    assert found["pixels"] == [min((w * h for w, h in one), default=None) for one in sizes]
    longest = [max((max(s) / min(s) for s in one), default=None) for one in sizes]
    assert found["aspect"] == [None if x is None else pytest.approx(x, rel=1e-6) for x in longest]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        (" (C) ", "C"),
        ("B.", "B"),
        ("D. none of\nthese", "D"),
        ("A: red", "A"),
        ("red B", "B"),
        ("dark red\n(B)", "B"),
        ("the answer is B.", "B"),
        ("b", None),
        ("red", None),
        ("", None),
        ("Apple", None),
        ("plan AB", None),
        ("yes", None),
    ],
)
def test_the_letter_that_an_answer_names(answer: str, letter: str | None) -> None:
    assert answer_format.named_letter(answer) == letter


@pytest.mark.parametrize(
    ("question", "letters"),
    [
        ("Q\nA. x\nB. y\nC. z", "ABC"),
        ("Q\n(A) x\n(B) y", "AB"),
        ("Q\nA) x\nB) y", "AB"),
        ("Q\nA: x\nB: y", "AB"),
        ("Q\nA. x\nC. y", "A"),
        ("Who is A. Smith?\nB. Jones?", ""),
        ("Q\nA.x\nB.y", ""),
        ("\n".join(f"{letter}. x" for letter in string.ascii_uppercase), string.ascii_uppercase),
    ],
)
def test_the_letters_that_a_question_offers(question: str, letters: str) -> None:
    assert answer_format.offered(question) == letters


@settings(max_examples=20, deadline=None)
@given(conversations=st.lists(CONVERSATION, min_size=1, max_size=6), data=st.data())
def test_a_measure_of_a_sample_does_not_depend_on_its_neighbours(
    conversations: list[list[str]], data: st.DataObject
) -> None:
    chosen = data.draw(st.integers(0, len(conversations) - 1))
    for module in (repetition, word_repetition, text_length, text_noise, word_noise, answer_format):
        together = module.measure(batch(conversations))
        alone = module.measure(batch([conversations[chosen]]))
        for name, values in together.items():
            assert values[chosen].as_py() == alone[name][0].as_py()
