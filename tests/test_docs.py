"""Documents cannot go stale: what they say of commands is compared with the commands."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from curator.cli import COMMANDS, cli
from curator.cli_docs import main, page, top_context

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def command(name: str) -> click.Command:
    """A command as click sees it."""
    found = cli.get_command(top_context(), name)
    assert found is not None
    return found


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == page(), "run 'make docs-write'"


def test_a_stale_page_is_found_and_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = tmp_path / "cli.md"
    stale.write_text("old", encoding="utf-8")
    assert main(["--check", str(stale)]) == 1
    assert "make docs-write" in capsys.readouterr().err
    assert main([str(stale)]) == 0
    assert main(["--check", str(stale)]) == 0
    assert main([]) == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_of_itself(name: str) -> None:
    text = command(name).help or ""
    _, found, examples = text.partition("Example")
    assert found, f"{name} has no example"
    assert f"curator {name}" in examples


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_command_is_described(name: str) -> None:
    found = command(name)
    assert found.help
    silent = [option.name for option in found.params if isinstance(option, click.Option) and not option.help]
    assert silent == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_command_line_that_parses(name: str) -> None:
    """Options of examples exist: an example is parsed, not run."""
    known = {form for option in command(name).params for form in (*option.opts, *option.secondary_opts)}
    _, _, examples = (command(name).help or "").partition("Example")
    lines = [
        line for line in re.sub(r"\\\n\s*", "", examples).splitlines() if line.strip().startswith(f"curator {name}")
    ]
    assert lines
    used = {word.partition("=")[0] for line in lines for word in re.findall(r"(?<=\s)--?[a-z][\w-]*=?", line)}
    assert used - known - {"--help"} == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_named_in_documents_exist(path: Path) -> None:
    named = set(re.findall(r"`(?:\.venv/bin/)?curator ([a-z][a-z-]*)", path.read_text(encoding="utf-8")))
    assert named - set(COMMANDS) == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
