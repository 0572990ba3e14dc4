"""``curator pull`` as it is typed: what it prints of several datasets, and what it takes for a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import chats, write_card
from tests.hub.server import Hub


@pytest.fixture
def home(home_path: Path) -> Home:
    return Home(home_path)


def on_hub(hub: Hub, home: Home, name: str, rows: list[object]) -> None:
    """A dataset of conversations with a card."""
    hub.seed(f"acme/{name}", {"rows.json": json.dumps(rows).encode()})
    write_card(home, name, format="llava_chat", source={"hub_repo": f"acme/{name}"})


def test_what_was_done_is_printed_when_a_later_dataset_is_refused(curator: Curator, home: Home, hub: Hub) -> None:
    on_hub(hub, home, "first", list(chats(3)))
    on_hub(hub, home, "second", [{"id": "1"}] * 9)
    on_hub(hub, home, "third", list(chats(4)))
    result = curator("pull", "first", "second", "third", "--endpoint", hub.url, "--json")
    assert result.exit_code == 1
    assert [(one["ledger"]["dataset"], one["rows_out"]) for one in json.loads(result.stdout)] == [("first", 3)]
    assert "Refused: second: " in result.stderr
    nothing = curator("pull", "second", "third", "--endpoint", hub.url, "--json")
    assert (nothing.exit_code, json.loads(nothing.stdout)) == (1, [])
    alone = curator("pull", "second", "--endpoint", hub.url, "--json")
    assert (alone.exit_code, alone.stdout) == (1, "")


def test_the_first_row_that_is_no_good_is_named_by_its_line(curator: Curator, home: Home, tmp_path: Path) -> None:
    write_card(home, "x", format="llava_chat")
    (tmp_path / "p").mkdir()
    lines = [json.dumps(row) for row in chats(3)] + ["", '{"id": 5']
    (tmp_path / "p" / "rows.jsonl").write_text("\n".join(lines))
    told = curator("pull", "x", "--from", str(tmp_path / "p")).stderr
    assert "first: rows.jsonl:5 (id rows.jsonl#3): line is not JSON" in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("pull", "x", "--from", ""),
        ("pull", "x", "--images", ""),
        ("pull", "x", "--home", ""),
        ("list", "--home", ""),
        ("query", "FROM samples", "--home", ""),
    ],
)
def test_an_empty_path_is_no_path(curator: Curator, home: Home, arguments: tuple[str, ...]) -> None:
    """As a shell gives it for a variable that is not set; it would mean the current folder."""
    result = curator(*arguments)
    assert result.exit_code == 2
    assert "is empty" in result.stderr


@pytest.mark.parametrize("arguments", [("check",), ("query", "FROM samples")])
def test_a_home_that_is_not_there_is_said(curator: Curator, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    absent = str(tmp_path / "absent")
    told = curator(*arguments, "--home", absent)
    assert told.exit_code == 0
    assert f"there is no data home at {absent} yet" in told.stderr
    assert not Path(absent).exists()


@pytest.mark.parametrize("arguments", [("check",), ("query", "FROM samples")])
def test_a_home_that_is_there_needs_no_word(curator: Curator, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert "no data home" not in curator(*arguments, "--home", str(tmp_path)).stderr


def test_asking_for_cards_alone_needs_no_home(curator: Curator, home_path: Path) -> None:
    assert curator("query", "SELECT count(*) FROM datasets").stderr == ""
