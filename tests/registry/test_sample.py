"""The canonical sample: markers become parts, ids come from content alone, wrong conversations get a reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.sample import (
    IMAGE_MARKER,
    Message,
    arrow_schema,
    check,
    conversation,
    make_message,
    message_text,
    sample_id,
)

USER, BOT = "user", "assistant"
SHA = "ab" * 32


def shape(message: Message) -> list[str]:
    """The parts of a message, pictures as ``#``."""
    return ["#" if part["type"] == "image" else str(part["text"]) for part in message["content"]]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<image>\nWhat colour?", ["#", "What colour?"]),
        ("What colour?\n<image>", ["What colour?", "#"]),
        ("<image>\n<image>\nCompare.", ["#", "#", "Compare."]),
        ("Left <image> or right <image>?", ["Left ", "#", " or right ", "#", "?"]),
        ("<image>", ["#"]),
        ("", [""]),
        ("no picture", ["no picture"]),
        ("<image>\n\nA line end of its own stays.", ["#", "\nA line end of its own stays."]),
        ("<images> <Image> stay text", ["<images> <Image> stay text"]),
    ],
)
def test_markers_become_parts_and_take_their_line_end(text: str, parts: list[str]) -> None:
    [message] = conversation([(USER, text)])
    assert message["role"] == USER
    assert shape(message) == parts
    assert all(part["text"] is None for part in message["content"] if part["type"] == "image")


@settings(deadline=None)
@given(st.lists(st.text(alphabet="ab \n<>é", max_size=8), min_size=1, max_size=5))
def test_no_marker_and_no_letter_is_lost(pieces: list[str]) -> None:
    [message] = conversation([(USER, IMAGE_MARKER.join(pieces))])
    assert shape(message).count("#") == len(pieces) - 1
    assert message_text(message).replace("\n", "") == "".join(pieces).replace("\n", "")


def test_a_made_message_is_pictures_then_text() -> None:
    assert shape(make_message(USER, "What?", images=2)) == ["#", "#", "What?"]
    assert shape(make_message(USER, "", images=1)) == ["#"]
    assert shape(make_message(BOT, "")) == [""]
    assert conversation([(USER, "<image>\nWhat?")]) == [make_message(USER, "What?", images=1)]


def test_the_id_is_golden() -> None:
    messages = conversation([(USER, "<image>\nWhat colour?"), (BOT, "red")])
    assert sample_id(messages, [SHA]) == "9690e47bcaae585a4d44cfee12338bed"


def test_the_id_depends_on_every_part_of_the_content_and_on_nothing_else() -> None:
    turns = [(USER, "<image>\nWhat colour?"), (BOT, "red")]
    known = sample_id(conversation(turns), [SHA])
    assert sample_id(conversation(list(turns)), [SHA]) == known
    others = [
        sample_id(conversation([(USER, "<image>\nWhat color?"), (BOT, "red")]), [SHA]),
        sample_id(conversation([(USER, "What colour?\n<image>"), (BOT, "red")]), [SHA]),
        sample_id(conversation([(USER, "<image>\nWhat colour?"), (BOT, "red ")]), [SHA]),
        sample_id(conversation(turns), ["cd" * 32]),
        sample_id(conversation(turns), []),
        sample_id(conversation([*turns, *turns]), [SHA]),
    ]
    assert len({known, *others}) == len(others) + 1


@pytest.mark.parametrize(
    ("turns", "images"),
    [
        ([(USER, "<image>\nWhat?"), (BOT, "red")], 1),
        ([(USER, "What?"), (BOT, "red")], 0),
        ([("system", "Be brief."), (USER, "What?"), (BOT, "red")], 0),
        ([(USER, "<image>"), (BOT, "A red dot.")], 1),
        ([(USER, "<image>\nA?"), (BOT, "1"), (USER, "And <image>?"), (BOT, "2")], 2),
    ],
)
def test_a_sound_conversation_has_no_reason(turns: list[tuple[str, str]], images: int) -> None:
    assert check(conversation(turns), images) is None


@pytest.mark.parametrize(
    ("turns", "images", "reason"),
    [
        ([], 0, "no messages"),
        ([("system", "Be brief.")], 0, "no messages"),
        ([(BOT, "red")], 0, "roles do not alternate"),
        ([(USER, "a"), (USER, "b"), (BOT, "c")], 0, "roles do not alternate"),
        ([(USER, "a"), ("system", "b"), (BOT, "c")], 0, "roles do not alternate"),
        ([(USER, "a"), ("tool", "b")], 0, "roles do not alternate"),
        ([(USER, "a"), (BOT, "b"), (USER, "c")], 0, "last message is not the assistant's"),
        ([(USER, "a"), (BOT, "")], 0, "empty answer"),
        ([(USER, "a"), (BOT, " \n\t"), (USER, "c"), (BOT, "d")], 0, "empty answer"),
        ([(USER, "a"), (BOT, "<image>")], 1, "picture in an answer"),
        ([(USER, "<image>\n<image>\na"), (BOT, "b")], 1, "more image markers than images"),
        ([(USER, "<image>\na"), (BOT, "b")], 2, "fewer image markers than images"),
        ([(USER, "a"), (BOT, "b")], 1, "fewer image markers than images"),
    ],
)
def test_a_wrong_conversation_gets_a_countable_reason(turns: list[tuple[str, str]], images: int, reason: str) -> None:
    assert check(conversation(turns), images) == reason


def test_a_sample_survives_arrow_unchanged() -> None:
    import pyarrow as pa

    row = {
        "id": "0" * 32,
        "dataset": "demo",
        "part": "all",
        "source_id": "7",
        "category": "science",
        "images": [{"sha256": SHA, "width": 48, "height": 32}],
        "messages": conversation([(USER, "<image>\nWhat?"), (BOT, "red é")]),
        "ratings": [{"name": "relevance", "value": 4.0}],
    }
    assert pa.Table.from_pylist([row], schema=arrow_schema()).to_pylist() == [row]
    assert list(row) == arrow_schema().names
