"""The ``curator`` command: a table of commands, loaded one at a time, and one way to report a refusal.

Nothing but click and the standard library is imported here, so ``curator --help`` costs what click costs.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from typing import IO, Any, NamedTuple

import click

from curator import __version__
from registry.errors import Refusal

TRACEBACK_VARIABLE = "CURATOR_TRACEBACK"
"""Set to 1 to see where in the program a refusal or a file error came from."""


class Entry(NamedTuple):
    """Where a command lives and what it is for, so that the list of commands loads none of them."""

    module: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "demo": Entry("demo", "Run the whole chain on a built-in world, offline, in minutes."),
    "list": Entry("list", "List the datasets of the registry."),
    "show": Entry("show", "Show what is known about one dataset."),
    "query": Entry("query", "Ask anything of cards, samples, mixes, trials and scores in SQL."),
    "licences": Entry("licences", "Say under which terms datasets stand, alone and together."),
    "check": Entry("check", "Check dataset cards and recipes strictly."),
    "pull": Entry("pull", "Download a dataset at a fixed revision and normalise it."),
    "extract": Entry("extract", "Draw nested subsets of metadata tables such as LAION's."),
    "filter": Entry("filter", "Measure samples once; mixes decide by the measures."),
    "reclassify": Entry("reclassify", "Relabel samples into the 12 categories."),
    "dedup": Entry("dedup", "Find samples that are the same, or nearly."),
    "decontaminate": Entry("decontaminate", "Find the questions and pictures of benchmarks in samples."),
    "build-mix": Entry("build_mix", "Build a training mix that anyone can rebuild bit by bit."),
    "diff-mix": Entry("diff_mix", "Say in what two mixes differ: rows, categories, order, recipe."),
    "verify": Entry("verify", "Prove that a mix, also a stranger's, is what its recipe says."),
    "train": Entry("train", "Train the fixed model of a scale on a mix."),
    "pull-benchmark": Entry("pull_benchmark", "Bring the published tables of benchmarks into the home."),
    "score": Entry("score", "Score trained models on benchmarks."),
    "compare": Entry("compare", "Say whether one model is better than another, by paired tests."),
    "prompts": Entry("prompts", "Print what a benchmark asks, to the character."),
    "select": Entry("select", "Decide by experiment which datasets stay in."),
    "simulate": Entry("simulate", "Say how often a strategy and its rule err, on studies with known truth."),
    "report": Entry("report", "Write the report of a decision: tables, figures, numbers."),
    "watch": Entry("watch", "Show what is being trained in a data home, and all scores so far."),
    "ui": Entry("ui", "Look at the data home in a browser of this machine."),
    "export": Entry("export", "Write a mix in the form that a trainer reads."),
    "publish": Entry("publish", "Publish a mix as a Hub dataset, a checkpoint as a Hub model."),
    "lineage": Entry("lineage", "Walk from anything back to its files and on to what was made of it."),
}
"""Every command in the order of the work: its module under ``curator.commands`` and its first help line."""


class Refused(click.ClickException):
    """A ``Refusal`` on its way out: three parts on stderr, exit status 1."""

    exit_code = 1

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the refusal to stderr (or ``file``), with control codes of foreign text made visible."""
        from curator.output import visible

        click.echo(f"Refused: {visible(self.message)}", file=file, err=file is None)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Names in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Import the module of one command; None when there is no such command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = importlib.import_module(f"curator.commands.{entry.module}").command
        assert isinstance(command, click.Command), entry.module
        return with_blocks(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest known names when there is no such command."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the list of commands from the table, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what the user can mend leaves without a traceback."""
        try:
            return super().invoke(ctx)
        except (Refusal, OSError) as error:
            refusal = error if isinstance(error, Refusal) else _file_refusal(error)
            if refusal is None or os.environ.get(TRACEBACK_VARIABLE):
                raise
            raise Refused(refusal) from None


def with_blocks(command: click.Command) -> click.Command:
    r"""Let click see the ``\b`` marks of a raw docstring: the paragraph after one keeps its lines."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    return command


def _file_refusal(error: OSError) -> Refusal | None:
    """A file that cannot be read or written, a full disk, a missing folder; None where no file is named."""
    if isinstance(error, (BrokenPipeError, ConnectionError)) or error.filename is None:
        return None
    reason = error.strerror or type(error).__name__
    way_out = f"check the path, its permissions and the space left ({TRACEBACK_VARIABLE}=1 shows where it happened)"
    return Refusal(str(error.filename), reason.lower(), way_out)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="curator")
def cli() -> None:
    r"""Decide by experiment which datasets a vision-language model should be trained on.

    Results go to stdout, progress and notes to stderr. Exit status: 0 done, 1 refused (with the reason and
    the way out), 2 wrong usage.

    \b
    Examples:
      curator demo
      curator list --category mathematics
      curator show tabmwp
      curator query "SELECT category, count(*) FROM parts GROUP BY 1"
    """


def main(args: Iterable[str] | None = None) -> None:
    """Entry point of the ``curator`` script."""
    with_blocks(cli)
    cli.main(args=list(args) if args is not None else None, prog_name="curator")
