"""Words and shingles of texts against plain definitions of the same thing."""

from __future__ import annotations

import itertools
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.batch import Texts
from curator.duplicates.same_text import identical_digests, normal_digests
from curator.duplicates.shingles import bands_of, shingles_of
from curator.duplicates.words import SIGNS, Worded, digests_of, words_in_steps, words_of
from registry.recipe import Banding, Dedup

ALONE = "漢字かなไ→🙂"
GOLDEN_DIGESTS = ["01e8a2c5d3982900", "3efdd60c64889706", "d1a72b5e41df3c68", "b2ef1946a2c1d1c3"]
GOLDEN_BANDS = [[452075362, 1765600971], [2370681317, 2625861978]]
GOLDEN_IDENTICAL = ["f0fef8c9d097a61c", "2ef32407b34a1726", "f64657842278164b", "a306d8811e4c9443"]
GOLDEN_NORMAL = ["df91a716e2a0c7f0", "2a939209e37d57d1", "049e683254dbbce4", "703f61d8cd280073"]
BEYOND_SEPARATORS = "\u00a0“”—…、。"
TEXT = st.text(alphabet=st.sampled_from(f"abCZ09 \n\t.,-!?'()\0+=%_éÉß{ALONE}{BEYOND_SEPARATORS}ﬁ"), max_size=24)
CONVERSATION = st.lists(TEXT, min_size=1, max_size=4)


def plain_words(text: str) -> list[str]:
    """By definition, character by character."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.lower()
    found = [""]
    for before, c, after in zip(" " + text, text, text[1:] + " ", strict=False):
        digits = before.isascii() and before.isdigit() and after.isascii() and after.isdigit()
        letters = all(x.isascii() and x.isalpha() for x in (before, after))
        sign = c.encode() in [bytes([s]) for s in SIGNS] or (c == "-" and not letters) or c in ALONE
        if sign:
            found += [c, ""]
        elif (c in ".," and digits) or (c.isascii() and c.isalnum()) or (ord(c) > 127 and c not in BEYOND_SEPARATORS):
            found[-1] += c
        else:
            found.append("")
    return [word for word in found if word]


def plain(conversation: list[str]) -> tuple[str, ...]:
    """The words of a conversation, each message begun by its role."""
    return tuple(w for i, text in enumerate(conversation) for w in (("ASKS", "ANSWERS")[i % 2], *plain_words(text)))


def flat(conversations: list[list[str]]) -> Texts:
    texts = [text for conversation in conversations for text in conversation]
    sample = np.repeat(np.arange(len(conversations)), [len(one) for one in conversations])
    answer = np.array([i % 2 == 1 for one in conversations for i in range(len(one))], np.bool_)
    return Texts(pa.array(texts, pa.string()), sample, answer, np.arange(len(texts)))


def words(conversations: list[list[str]]) -> Worded:
    return words_of(flat(conversations), len(conversations))


def split(worded: Worded) -> list[list[int]]:
    return [worded.words[a:b].tolist() for a, b in itertools.pairwise(worded.starts)]


@settings(max_examples=300, deadline=None)
@given(conversations=st.lists(CONVERSATION, max_size=5))
def test_words_are_those_of_the_definition(conversations: list[list[str]]) -> None:
    expected = [plain(one) for one in conversations]
    found = split(words(conversations))
    assert [len(one) for one in found] == [len(one) for one in expected]
    pairs = {(e, f) for ones, others in zip(expected, found, strict=True) for e, f in zip(ones, others, strict=True)}
    assert len({e for e, _ in pairs}) == len({f for _, f in pairs}) == len(pairs), "a number a word, and no other"


@settings(max_examples=60, deadline=None)
@given(conversations=st.lists(CONVERSATION, min_size=2, max_size=6))
def test_digests_are_equal_where_the_words_are(conversations: list[list[str]]) -> None:
    digests = [tuple(one) for one in digests_of(words(conversations)).tolist()]
    normal = [tuple(one) for one in normal_digests(flat(conversations), len(conversations)).tolist()]
    for found in (digests, normal):
        for (a, first), (b, second) in itertools.combinations(zip(map(plain, conversations), found, strict=True), 2):
            assert (a == b) == (first == second)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=4), padding=st.integers(0, 70))
def test_the_fast_path_reads_what_the_slow_one_reads(texts: list[str], padding: int) -> None:
    """Only the last text of an array is read slowly: nothing is behind it."""
    long = [("plain words, " * 6)[:padding] + text for text in texts]
    behind = "much text behind it " * 10
    found = split(words([[text] for text in (*long, behind)]))[:-1]
    assert found == [split(words([[text]]))[0] for text in long]
    normal = normal_digests(flat([[text] for text in (*long, behind)]), len(long) + 1)[:-1]
    assert normal.tolist() == [normal_digests(flat([[text]]), 1)[0].tolist() for text in long]


@settings(max_examples=60, deadline=None)
@given(conversations=st.lists(CONVERSATION, min_size=2, max_size=6))
def test_identical_texts_are_the_same_byte_for_byte(conversations: list[list[str]]) -> None:
    digests = identical_digests(flat(conversations), len(conversations)).tolist()
    for (a, first), (b, second) in itertools.combinations(zip(conversations, digests, strict=True), 2):
        assert (a == b) == (first == second)


def test_who_speaks_and_how_a_message_is_cut_is_part_of_an_identical_text() -> None:
    texts = pa.array(["one", "two", "one", "two", "onetwo", "one", "two"])
    sample, message = np.array([0, 0, 1, 1, 2, 3, 3]), np.array([0, 1, 2, 2, 3, 4, 5])
    answer = np.array([0, 1, 0, 0, 0, 1, 0], np.bool_)
    digests = identical_digests(Texts(texts, sample, answer, message), 4)
    assert len({tuple(one) for one in digests.tolist()}) == 4


def test_samples_without_text_have_the_digests_of_nothing() -> None:
    texts = Texts(pa.array(["a word"]), np.array([1]), np.zeros(1, np.bool_), np.array([0]))
    for digests in (identical_digests(texts, 3), normal_digests(texts, 3)):
        assert digests[[0, 2]].tolist() == [[0, 0], [0, 0]] != digests[1].tolist()


@settings(max_examples=20, deadline=None)
@given(conversations=st.lists(CONVERSATION, min_size=1, max_size=9), step=st.integers(1, 4))
def test_words_in_steps_are_those_of_all_at_once(conversations: list[list[str]], step: int) -> None:
    whole = split(words(conversations))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curator.duplicates.words.STEP", step)
        found = list(words_in_steps(flat(conversations), len(conversations)))
    assert [first for first, _ in found] == list(range(0, len(conversations), step))
    assert [one for _, worded in found for one in split(worded)] == whole


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("What  is THIS?", "what is this", True),
        ("It costs 3.50, or 1,000.", "it costs 3.50 or 1,000", True),
        ("3.5", "3 5", False),
        ("2+2", "2-2", False),
        ("well-known", "well known", True),
        ("-3", "3", False),
        ("ÉCOLE", "école", True),
        ("ﬁne", "fine", True),
        ("“so” — he said…", "so he said", True),
        ("the cat", "thecat", False),
        ("漢字", "漢 字", True),
        ("ABCDEFGHIJKLMNOP qrs", "abcdefghijklmnop QRS", True),
        ("abcdefgh ijklmnop", "abcdefghijklmnop", False),
        ("abcdefghi", "abcdefghj", False),
    ],
)
def test_what_counts_as_the_same_text(one: str, other: str, same: bool) -> None:
    padding = "filler words around, more than are looked at together, so that the fast path is taken"
    for texts in ([one, other], [padding, one, padding, other, padding]):
        digests = digests_of(words([[text] for text in texts])).tolist()
        assert (digests[texts.index(one)] == digests[texts.index(other)]) == same
        normal = normal_digests(flat([[text] for text in texts]), len(texts)).tolist()
        assert (normal[texts.index(one)] == normal[texts.index(other)]) == same


@settings(max_examples=60, deadline=None)
@given(first=TEXT, second=TEXT, third=TEXT)
def test_a_text_does_not_depend_on_its_neighbours(first: str, second: str, third: str) -> None:
    alone = split(words([[second]]))[0]
    assert split(words([[first], [second], [third]]))[1] == alone
    assert split(words([["x" + first], [second], ["9"]]))[1] == alone


def test_a_text_of_two_parts_is_one_message() -> None:
    texts = Texts(pa.array(["one", "two"]), np.array([0, 0]), np.zeros(2, np.bool_), np.array([0, 0]))
    assert words_of(texts, 1).words.tolist() == words([["one two"]]).words.tolist()


def test_a_slice_of_an_array_is_read_from_its_place() -> None:
    texts = pa.array(["skip me", "The cat", "sat", "and more"])[1:3]
    sliced = words_of(Texts(texts, np.array([0, 1]), np.zeros(2, np.bool_), np.array([0, 1])), 3)
    assert split(sliced) == [*split(words([["the cat"], ["sat"]])), []]


@settings(max_examples=40, deadline=None)
@given(conversations=st.lists(CONVERSATION, min_size=1, max_size=4), size=st.integers(1, 6))
def test_shingles_are_runs_of_words(conversations: list[list[str]], size: int) -> None:
    owners, shingles = shingles_of(words(conversations), size)
    for number, conversation in enumerate(conversations):
        text = plain(conversation)
        short = min(size, len(text))
        runs = {text[i : i + short] for i in range(len(text) - short + 1)}
        found = shingles[owners == number].tolist()
        assert found == sorted(set(found))
        assert len(found) == len(runs)
        for run in runs:
            alone = plain_shingle(conversations, run, size)
            assert alone is None or alone in found


def plain_shingle(conversations: list[list[str]], run: tuple[str, ...], size: int) -> int | None:
    """The shingle of a run that is a whole question, where there is such a one."""
    for conversation in conversations:
        if plain(conversation[:1]) == run and len(run) <= size:
            return int(shingles_of(words([conversation[:1]]), size)[1][0])
    return None


def test_bands_agree_as_often_as_the_formula_says() -> None:
    """Pairs of known Jaccard similarity: 60 of 100 words of one shingle each are shared, so 60 / 140."""
    chance, banding = np.random.default_rng(0), Banding(words=1, bands=64, rows=2)
    agreed = []
    for _ in range(200):
        drawn = chance.integers(1 << 60, size=139).astype(np.uint64)
        both = np.concatenate([drawn[:99], drawn[40:]])  # and the role that all texts begin with is left out
        keys = bands_of(Worded(both, np.array([0, 99, 198])), banding)
        agreed.append((keys[0] == keys[1]).mean())
    similarity = 59 / 139
    assert np.mean(agreed) == pytest.approx(similarity**2, abs=0.02)
    assert 1 - (1 - np.mean(agreed)) ** 64 == pytest.approx(banding.recall(similarity), abs=0.01)


def test_the_default_banding_finds_what_it_must() -> None:
    assert Dedup().banding() == Banding(5, 32, 8) == Dedup(threshold=0.95).banding()
    for threshold in (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9):
        assert Dedup(threshold=threshold).banding().recall(threshold) >= 0.99
    assert Dedup(bands=25, rows=10).banding() == Banding(5, 25, 10)
    assert Banding(5, 25, 10).recall(0.8) == pytest.approx(0.941, abs=0.001)


def test_fingerprints_are_the_same_for_ever() -> None:
    """Golden values: another machine, Python or batch gives these; a change of them raises the versions."""
    worded = words([["What is 3.5 + 4? “Nothing”", "It is 7.5, of course."], ["漢字 école"]])
    assert [f"{number:016x}" for number in digests_of(worded).reshape(-1).tolist()] == GOLDEN_DIGESTS
    assert bands_of(worded, Banding(5, 2, 3)).tolist() == GOLDEN_BANDS
    conversations = flat([["What is 3.5 + 4? “Nothing”", "It is 7.5, of course."], ["漢字 école"]])
    for digests, golden in ((identical_digests, GOLDEN_IDENTICAL), (normal_digests, GOLDEN_NORMAL)):
        assert [f"{number:016x}" for number in digests(conversations, 2).reshape(-1).tolist()] == golden


def test_a_short_answer_must_be_the_same_and_a_long_one_nearly() -> None:
    asked = " ".join(f"word{i}" for i in range(60))
    said = " ".join(f"thing{i}" for i in range(40))
    banding = Banding(5, 64, 2)

    def share_a_band(first: list[str], second: list[str]) -> bool:
        bands = bands_of(words([first, second]), banding)
        return bool((bands[0] == bands[1]).any())

    assert share_a_band([asked, "It is 9."], [f"{asked} indeed", "it is 9"])
    assert not share_a_band([asked, "It is 9."], [asked, "It is 8."])
    assert not share_a_band([asked, "It is 9.", "And?", "No."], [asked, "It is 9.", "And?", "Yes."])
    assert not share_a_band([asked, "9", "And?", "8"], [asked, "8", "And?", "9"])
    assert share_a_band([asked, said], [asked, f"{said} too"])
