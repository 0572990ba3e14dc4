"""The built tokenizer, and masks that follow its offsets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import Refusal
from registry.sample import make_message
from trainers.chat import Rendered, template
from trainers.tokenizer_build import INSTRUCTIONS, OPTION_LETTERS, build_tokenizer, tokenizer_files
from trainers.tokens import IMAGE_TOKEN, Tokens

WORDS = ["red", "blue", "What", "top-left", "don't", "17", "Côte", "flag", "flagpole", "is", "the", "Is"]


def tokens(words: list[str] = WORDS) -> Tokens:
    tokenizer = build_tokenizer(words)
    found = tokenizer.token_to_id(IMAGE_TOKEN)
    assert found is not None
    return Tokens(tokenizer, found, "test")


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_one_token_with_its_blank(word: str) -> None:
    tokenizer = build_tokenizer(WORDS)
    encoded = tokenizer.encode(f"x {word} {word}, {word}s")
    offsets = [offset for offset in encoded.offsets if offset == (1, 2 + len(word))]
    assert len(offsets) == 1
    assert [(2 + len(word), 3 + 2 * len(word))] == [o for o in encoded.offsets if o[0] == 2 + len(word)]


def test_capitalised_words_are_one_token_at_the_beginning_of_a_line_and_of_a_text() -> None:
    tokenizer = build_tokenizer(WORDS)
    assert len(tokenizer.encode("What is\nIs the").ids) == 4


def test_option_marks_instructions_and_role_marks_are_one_token() -> None:
    tokenizer = build_tokenizer(WORDS)
    for letter in OPTION_LETTERS:
        assert len(tokenizer.encode(f"\n{letter}. red").ids) == 2
    for sentence in INSTRUCTIONS:
        assert len(tokenizer.encode(f" red\n{sentence} ASSISTANT: red").ids) == 4
    assert len(tokenizer.encode("USER: <image>\nWhat").ids) == 3


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_can_be_written_and_read_back(text: str) -> None:
    for mark in ("<image>", "</s>", "<pad>", *INSTRUCTIONS):
        text = text.replace(mark, "")
    tokenizer = BUILT
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


BUILT = build_tokenizer(WORDS)


def test_the_files_depend_on_the_set_of_words_alone() -> None:
    other = [*reversed(WORDS), "red", " red "]
    assert tokenizer_files(build_tokenizer(WORDS)) == tokenizer_files(build_tokenizer(other))
    assert tokenizer_files(build_tokenizer(WORDS)) != tokenizer_files(build_tokenizer(WORDS[1:]))


@pytest.mark.parametrize("name", ["demo", "vicuna_v1", "chatml", "plain"])
@pytest.mark.parametrize("answer", ["red 17", "漢字 é red", "unknownword!", "top-left, don't"])
def test_learned_tokens_are_exactly_the_answers(name: str, answer: str) -> None:
    messages = [make_message("user", "What is red?", 1), make_message("assistant", answer)]
    messages += [make_message("user", "the red?"), make_message("assistant", "blue")]
    form = template(name)
    rendered = form.render(messages)
    (encoded,) = tokens().encode([rendered], 5)
    learned = [int(token) for token in encoded.ids[encoded.learned]]
    expected = "".join(rendered.text[start:end] for start, end in rendered.spans).replace("</s>", "")
    assert tokens().decode(learned) == expected
    assert encoded.pictures == 1
    assert (encoded.ids == tokens().image_id).sum() == 5


def test_a_token_that_reaches_out_of_a_span_is_not_learned() -> None:
    (encoded,) = tokens().encode([Rendered("the red blue", ((5, 12),))], 1)  # the span begins within " red"
    assert encoded.learned.tolist() == [False, False, False, True] or encoded.learned.tolist()[-2:] == [False, True]


def test_nothing_is_learned_without_something_before_it() -> None:
    (encoded,) = tokens().encode([Rendered("What is", ((0, 7),))], 1)
    assert encoded.learned.tolist() == [False, True]


def test_a_mark_that_is_not_one_token_is_refused() -> None:
    assert tokens().single("</s>") == 1
    with pytest.raises(Refusal, match="the template needs one"):
        tokens().single("<|im_end|>")


def test_a_damaged_or_foreign_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(Refusal, match="cannot be read"):
        Tokens.read(tmp_path, 2)
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files(build_tokenizer(WORDS))["tokenizer.json"])
    with pytest.raises(Refusal, match="but config"):
        Tokens.read(tmp_path, 7)
