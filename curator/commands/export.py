"""``curator export``: a mix on one's own disk, in the form that a trainer reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from curator.options import PathValue, dry_run_option, home_option, json_option
from curator.output import note, print_fields, print_json, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.exporting.run import Summary


class Forms(click.Command):
    """A command that lists the forms under its help: each is told by the first line of its file."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the list; no form is imported."""
        from pathlib import Path

        from registry.discovery import names

        folder = Path(__file__).parents[1] / "exports"
        with formatter.section("Forms"):
            texts = {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in names(folder, ".py")}
            formatter.write_dl([(name, text.splitlines()[0].strip('"')) for name, text in texts.items()])


@click.command(name="export", cls=Forms)
@click.argument("mix")
@click.option("--as", "form", metavar="FORM", required=True, help="What is written: see the forms below.")
@click.option("--to", type=PathValue(), required=True, metavar="FOLDER", help="A folder that is not there, or empty.")
@click.option(
    "--shard-size",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    metavar="MIB",
    help="Size of the parquet or tar files, about.",
)
@home_option
@json_option
@dry_run_option
def command(mix: str, form: str, to: Path, shard_size: int, home: Path, as_json: bool, dry_run: bool) -> None:
    r"""Write MIX to FOLDER in the form that a trainer reads. Pictures are copied byte for byte.

    What a form cannot express (a text with a literal <image> where that marks a picture, a system message in LLaVA's
    JSON) is left out, counted and listed in left_out.jsonl, never changed. The folder appears whole or not at all; a
    run that was stopped is continued by the same command. Its README says how it is loaded.

    \b
    Examples:
      curator export openmoji-tabmwp --as llava --to llava --dry-run
      curator export openmoji-tabmwp --as webdataset --to tars --shard-size 256
    """
    from curator.arrow import import_arrow
    from curator.exporting.run import export, look, plan_export
    from registry.store import Home, find_folder

    import_arrow()
    data_home = Home(home)
    folder = find_folder(data_home, "mixes", mix)
    plan = plan_export(data_home, folder, form, to, shard_size << 20)
    told = "look at" if dry_run else "export"
    with progress(f"{told} {folder.name}", plan.reader.info.samples, "rows") as advance:
        done = (look if dry_run else export)(plan, advance)
    if plan.present:
        note(f"{plan.to}: nothing to do, this export is there")
    _print(
        {"path": str(plan.to), "form": form, **plan.record.settings, "written": not (dry_run or plan.present)},
        done,
        as_json,
    )


def _print(what: dict[str, Any], done: Summary, as_json: bool) -> None:
    if as_json:
        print_json({**what, **vars(done)})
        return
    for warning in done.warnings:
        note(f"warning: {warning}")
    fields = [("path", what["path"]), ("form", what["form"]), ("content_digest", what["content_digest"])]
    fields += [("rows", done.rows), ("pictures", done.pictures), ("licences", done.licences)]
    print_fields(fields)
    for text, count in done.left_out.items():
        click.echo(f"left out    {count:,} rows: {text}")
    for text, count in done.notes.items():
        click.echo(f"note        {count:,} rows: {text}")
