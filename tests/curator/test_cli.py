"""How the command line starts, refuses, and reports what a user can mend."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from curator import __version__, cli
from curator.cli_docs import top_context
from registry.errors import Refusal
from tests.conftest import Curator


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make ``curator list`` raise ``error``."""

    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr("curator.commands.list.command", command)


def test_the_version_is_the_distribution_s(curator: Curator) -> None:
    assert curator("--version").stdout == f"curator, version {__version__}\n"
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{__version__}"' in project


def test_help_lists_every_command_in_the_order_of_the_work(curator: Curator) -> None:
    lines = curator("--help").stdout.partition("Commands:")[2].splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert names == list(cli.COMMANDS)


def test_an_unknown_command_is_answered_with_the_nearest(curator: Curator) -> None:
    result = curator("qurey")
    assert result.exit_code == 2
    assert "Did you mean 'query'?" in result.stderr


def test_every_command_of_the_table_can_be_loaded() -> None:
    context = top_context()
    for name in cli.COMMANDS:
        command = cli.cli.get_command(context, name)
        assert command is not None
        assert command.name == name


def test_a_refusal_says_where_what_and_the_way_out(curator: Curator, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, Refusal("card 'x'", "has no parts", "add one"))
    result = curator("list")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "Refused: card 'x': has no parts\n  way out: add one\n"


def test_a_refusal_cannot_send_control_codes_to_the_terminal(curator: Curator, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, Refusal("row \x1b[2J", "is \u202ebad", "look"))
    assert curator("list").stderr.startswith("Refused: row \\x1b[2J: is \\u202ebad\n")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOSPC])
def test_a_file_that_cannot_be_used_is_a_refusal(
    curator: Curator, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    raising(monkeypatch, OSError(number, "It Failed", "/some/file"))
    result = curator("list")
    assert result.exit_code == 1
    assert result.stderr.startswith("Refused: /some/file: it failed\n  way out: check the path")


def test_a_mistake_of_ours_keeps_its_traceback(curator: Curator, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, ZeroDivisionError("ours"))
    assert isinstance(curator("list").exception, ZeroDivisionError)
    raising(monkeypatch, OSError("no file is named, so it is no file's fault"))
    assert isinstance(curator("list").exception, OSError)


def test_a_traceback_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, Refusal("a", "b", "c"))
    result = CliRunner().invoke(cli.cli, ["list"], env={cli.TRACEBACK_VARIABLE: "1"})
    assert isinstance(result.exception, Refusal)


def test_a_wrong_option_is_a_matter_of_usage(curator: Curator) -> None:
    assert curator("list", "--colour").exit_code == 2


def test_it_runs_as_a_module_too() -> None:
    child = subprocess.run([sys.executable, "-m", "curator", "--version"], capture_output=True, text=True, check=True)
    assert child.stdout == f"curator, version {__version__}\n"


def test_examples_keep_their_lines(curator: Curator) -> None:
    text = curator("list", "--help").stdout
    assert "\\b" not in text
    assert "\n    curator list\n    curator list --category captioning" in text
