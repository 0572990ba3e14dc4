"""What a template expects of a tokenizer, tried on a conversation before anything is trained with the two.

A tokenizer that breaks one of these would train on something else than what is shown, silently: an end mark in pieces
is never learned as one, a second mark for the beginning is read as text, offsets that are off move the label mask.
"""

from __future__ import annotations

from itertools import pairwise

from registry.errors import Refusal
from registry.sample import make_message
from trainers.chat import Rendered, Template
from trainers.tokens import Encoded, Tokens

_TALK = [
    make_message("user", "What is this?", 1),
    make_message("assistant", "A red Cat, 42 cm: naïve 漢字!"),
    make_message("user", "Sure?"),
    make_message("assistant", "Yes, I am.\nQuite."),
]
_WAY = "use the template that this model was made for, or a copy of the model with its publisher's tokenizer"


def check_tokenizer(tokens: Tokens, form: Template) -> None:
    """Raises Refusal naming the first expectation of the template that the tokenizer does not meet."""
    _check_marks(tokens, form)
    rendered = form.render(_TALK)
    offsets = tokens.offsets(rendered.text)
    _check_beginning(tokens, form, offsets)
    _check_offsets(tokens, form, rendered, offsets)
    (encoded,) = tokens.encode([rendered], 1)
    if encoded.pictures != 1:
        raise _broken(tokens, form, "pictures", f"a conversation with one picture has {encoded.pictures} places for it")
    _check_answers(tokens, form, rendered, encoded)


def _check_marks(tokens: Tokens, form: Template) -> None:
    for mark in form.marks:
        count = tokens.count(mark)
        if count != 1:
            raise _broken(tokens, form, "marks", f"{mark!r} is {count} tokens, the template needs one")


def _check_beginning(tokens: Tokens, form: Template, offsets: list[tuple[int, int]]) -> None:
    """Tokens without characters: one at the beginning where the model has such a mark, none anywhere else."""
    empty = [number for number, (start, end) in enumerate(offsets) if start == end]
    if [number for number in empty if number > 0]:
        what = f"{len(empty)} tokens are added to a text (at {', '.join(map(str, empty))} of {len(offsets)})"
        raise _broken(tokens, form, "beginning", f"{what}; only one, at its beginning, may be")
    if tokens.begins is not None and bool(empty) != tokens.begins:
        said, found = ("asks for", "none") if tokens.begins else ("rules out", "one")
        what = f"tokenizer_config.json {said} a mark for the beginning, tokenizer.json writes {found}"
        raise _broken(tokens, form, "beginning", what)


def _check_offsets(tokens: Tokens, form: Template, rendered: Rendered, offsets: list[tuple[int, int]]) -> None:
    """Offsets must grow, lie within the text, and leave out nothing but blanks."""
    places = [place for place in offsets if place[0] < place[1]]
    covered = {number for start, end in places for number in range(start, min(end, len(rendered.text)))}
    lost = [letter for number, letter in enumerate(rendered.text) if number not in covered and not letter.isspace()]
    grow = all(here[0] <= after[0] and here[1] <= after[1] for here, after in pairwise(places))
    if not places or not grow or places[-1][1] > len(rendered.text) or lost:
        what = "its offsets do not follow the text" if not lost else f"its offsets leave out {''.join(lost[:8])!r}"
        raise _broken(tokens, form, "offsets", what)


def _check_answers(tokens: Tokens, form: Template, rendered: Rendered, encoded: Encoded) -> None:
    """What is learned must read as the answers with their end marks, blanks aside."""
    wanted = _letters("".join(rendered.text[start:end] for start, end in rendered.spans))
    found = _letters(tokens.decode([int(token) for token in encoded.ids[encoded.learned]], special=True))
    if found != wanted:
        raise _broken(tokens, form, "answers", f"the learned tokens read {found!r} where {wanted!r} was to be learned")


def _letters(text: str) -> str:
    return "".join(text.split())


def _broken(tokens: Tokens, form: Template, expectation: str, what: str) -> Refusal:
    return Refusal(tokens.where, f"fails template '{form.name}', expectation '{expectation}': {what}", _WAY)
