"""``curator prompts``: what a benchmark asks, to the character."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import PathValue, json_option
from curator.output import print_json_rows, visible

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="prompts")
@click.option(
    "--data", "table", type=PathValue(dir_okay=False), required=True, metavar="TABLE", help="Published table."
)
@click.option("--benchmark", required=True, metavar="NAME", help="Benchmark that the table is of.")
@click.option(
    "--style",
    type=click.Choice(("llava", "default")),
    default="llava",
    show_default=True,
    help="As the published scorer asks LLaVA-1.5, or a model that it has no prompt of its own for.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only so many, evenly drawn.")
@json_option
def command(table: Path, benchmark: str, style: str, limit: int | None, as_json: bool) -> None:
    r"""Print the text part of each prompt of a benchmark; the picture goes before it.

    Whoever asks a model elsewhere asks the same with these, and scores the replies with 'curator score --predictions'.

    \b
    Examples:
      curator prompts --data MMBench_DEV_EN.tsv --benchmark mmbench_dev_en --limit 20
      curator prompts --data MME.tsv --benchmark mme --style default --json
    """
    from registry.benchmark import load_benchmark
    from registry.stratified import stratified

    asked = load_benchmark(benchmark)
    questions = list(asked.questions(table))
    drawn = questions if limit is None else stratified(questions, limit)
    found = ((question.index, asked.prompt(question, style)) for question in drawn)
    if as_json:
        print_json_rows({"index": index, "prompt": prompt} for index, prompt in found)
        return
    for index, prompt in found:
        click.echo(f"[{index}]\n{visible(prompt)}\n")
