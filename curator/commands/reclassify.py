"""``curator reclassify``: relabel samples that are here already, by the rules of their card or by what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from curator.options import PathValue, dry_run_option, home_option, json_option, place_options
from curator.output import note, print_json, print_table, progress

if TYPE_CHECKING:
    from pathlib import Path

    from curator.reclassify import Audit
    from curator.runner import Place
    from curator.samples import Samples
    from registry.store import Home


@click.command(name="reclassify")
@click.argument("dataset")
@click.option(
    "--by",
    type=click.Choice(["rules", "general"]),
    default="rules",
    show_default=True,
    help="The rules of the card, or the general classifier, which needs none.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="With --by general: a sample that it is less sure of keeps its label.  [default: 0.6]",
)
@click.option(
    "--learn-from",
    "learned_from",
    multiple=True,
    metavar="NAME",
    help="With --by general: dataset to learn from (repeat); default: all others that are here.",
)
@click.option(
    "--audit",
    type=PathValue(dir_okay=False),
    metavar="FILE",
    help="Write an HTML page with examples and their pictures.",
)
@place_options
@home_option
@json_option
@dry_run_option
def command(
    dataset: str,
    by: str,
    confidence: float | None,
    learned_from: tuple[str, ...],
    audit: Path | None,
    place: Place,
    home: Path,
    as_json: bool,
    dry_run: bool,
) -> None:
    r"""Relabel the samples of DATASET, and look at what moves from where to where, and why.

    By the rules of its card, as the card is now: edit the parts of a card, then look here. Or by the general
    classifier: signs in requests and answers (boxes, options, words of charts, length, turns …), and how near their
    words are to those of other datasets; each sample gets a category and a confidence.

    The samples stay as they are: labels are a measure beside them. Mixes read the labels of the card, and the old card
    gives the old labels again; what the general classifier finds counts only in a recipe with a section ``labels``,
    which is printed here.

    \b
    Examples:
      curator reclassify demo-allava --dry-run
      curator reclassify demo-allava --audit moves.html
      curator reclassify demo-allava --workers auto
      curator reclassify tabmwp --by general --learn-from openmoji --confidence 0.8 --audit moves.html
    """
    from curator.arrow import import_arrow
    from curator.samples import find_samples
    from registry.store import Home

    import_arrow()
    if by == "rules" and (confidence is not None or learned_from):
        raise click.UsageError("--confidence and --learn-from go with --by general.")
    data_home = Home(home)
    samples = find_samples(data_home, dataset)
    if by == "general":
        _general(data_home, samples, confidence, learned_from, audit, place, as_json, dry_run)
        return
    from curator.reclassify import audit as audited
    from curator.reclassify import labels

    with progress(f"reclassify {dataset}", samples.record.rows_out, "samples") as advance:
        moves = audited(samples, advance)
    folder = labels(data_home, samples, place=place).folder if samples.relabelled and not dry_run else None
    _show(data_home, moves, {"labels": str(folder) if folder else None}, None if dry_run else audit, as_json)


def _general(
    home: Home,
    samples: Samples,
    confidence: float | None,
    learned_from: tuple[str, ...],
    audit: Path | None,
    place: Place,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Reclassify by the general classifier; a dry run says what has to be made first, if anything."""
    from curator.categories.general import General, all_teachers, general_audit
    from registry.recipe import Labels

    names = list(learned_from) or all_teachers(home, samples)
    given = {} if confidence is None else {"confidence": confidence}
    wanted = General.of(home, Labels.model_validate({"by": "general", "learned_from": names, **given}))
    missing = wanted.missing(home, samples)
    if dry_run and missing:
        rows = [{"dataset": one.card.name, "to make": name, "samples": one.record.rows_out} for one, name in missing]
        if as_json:
            print_json(rows)
        else:
            print_table(list(rows[0]), [list(row.values()) for row in rows])
        return
    total = sum(one.record.rows_out for one, _ in missing)
    with progress(f"reclassify {samples.card.name}", total, "samples") as advance:
        moves = general_audit(home, samples, wanted, advance, place)
    section = wanted.labels().model_dump(mode="json")
    more: dict[str, object] = {"labels": str(wanted.folder(home, samples)), "recipe": {"labels": section}}
    _show(home, moves, more, None if dry_run else audit, as_json)
    if not as_json:
        learned = ", ".join(section["learned_from"])
        words = f"by: general, confidence: {section['confidence']}, learned_from: [{learned}]"
        note(f"a recipe uses these labels with\n  labels: {{{words}}}")


def _show(home: Home, moves: Audit, more: dict[str, object], audit: Path | None, as_json: bool) -> None:
    """Write the page, if one is wanted, and print the moves."""
    from curator.reclassify import categories_after

    if audit is not None:
        from curator.audit_page import write_audit

        write_audit(home, moves, audit)
    if as_json:
        counts = {"samples": moves.samples, "moved": moves.moved, "categories": categories_after(moves)}
        page = str(audit) if audit else None
        print_json({"dataset": moves.dataset, "by": moves.by, **counts, **more, "audit": page, "moves": moves.plain()})
        return
    print_table(
        ("from", "to", "rule", "samples"),
        [("/".join(m.before), "/".join(m.after) if m.moved else "stays", m.rule, m.count) for m in moves.moves],
    )
    note(f"{moves.moved:,} of {moves.samples:,} samples change their label")
