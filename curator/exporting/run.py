"""``curator export``: look at a mix and a place, write aside, rename.

The export is made in a folder beside its place and renamed when it is whole, so nothing half done is ever seen under
its name. A killed run is gone on with by the same command, which ends with the same bytes; what it had finished is
not written again. Nothing is redistributed by writing to one's own disk, so licences are told and nothing is refused
for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from curator.export import EXPORT_VERSION, SHARD_BYTES
from curator.exporting.page import page
from curator.exporting.source import Advance, Source, Told
from curator.licences import Terms, check_known, hub_licences, terms_of
from registry.discovery import load_module, names, package_folder
from registry.errors import Refusal
from registry.identity import SHORT, digest, short
from registry.mix import MixReader
from registry.store import RECORD, Home, Record, alone, dump_json, is_finished, read_record

FORMS = "curator.exports"
PAGE = "README.md"
SUMMARY = "summary.json"
"""``Summary`` as JSON: beside the record, which says where the export comes from."""


@dataclass(frozen=True)
class Plan:
    """What is to be exported, as what, and to where."""

    home: Home
    reader: MixReader
    form: str
    module: ModuleType
    to: Path
    shard_bytes: int
    record: Record
    terms: list[Terms]
    present: bool
    """The place holds exactly this export already."""


@dataclass(frozen=True)
class Summary:
    """What an export holds, or would hold, and under which terms."""

    rows: int
    pictures: int
    left_out: dict[str, int]
    """Reason -> rows of the mix that the form cannot express."""
    notes: dict[str, int]
    """What its readers make of it -> rows."""
    licences: list[str]
    terms: list[dict[str, Any]]
    warnings: list[str]


def form_names() -> list[str]:
    """All forms."""
    return names(package_folder(FORMS), ".py")


def plan_export(home: Home, mix: Path, form: str, to: Path, shard_bytes: int = SHARD_BYTES) -> Plan:
    """Look at the mix, the form and the place; Refusal for whatever will not work out."""
    module = load_module(FORMS, form, "form")
    reader = MixReader(home, mix)
    if not reader.info.samples:
        raise Refusal(mix.name, "the mix has no samples", "loosen its filters and build it again")
    settings: dict[str, Any] = {
        "form": form,
        "form_version": module.VERSION,
        "rows_version": EXPORT_VERSION,
        "content_digest": reader.info.content_digest,
        "mix": reader.record.digest,
    }
    if module.SHARDED:
        settings["shard_bytes"] = shard_bytes
    record = Record(
        kind="export",
        name=reader.info.name,
        digest=digest(settings),
        inputs={f"mixes/{mix.name}": reader.record.digest},
        settings=settings,
        command=f"curator export {mix.name} --as {form}",
    )
    place = Path(os.path.abspath(to))  # noqa: PTH100  a link is not followed: it is no empty place
    terms = terms_of(home, reader.info.datasets, _pictured(reader))
    return Plan(home, reader, form, module, place, shard_bytes, record, terms, _is_present(place, record))


def look(plan: Plan, advance: Advance = lambda _rows: None) -> Summary:
    """What an export would hold; nothing is written."""
    with contextlib.closing(Source(plan.home, plan.reader, plan.home.aside, plan.shard_bytes, advance)) as source:
        return _summary(plan, plan.module.look(source))


def export(plan: Plan, advance: Advance = lambda _rows: None) -> Summary:
    """Write the export, unless it is there; what killed runs left beside its place goes."""
    lock = plan.to.with_name(f".{plan.to.name}.lock")
    plan.to.parent.mkdir(parents=True, exist_ok=True)
    if not plan.present or lock.exists() or _asides(plan):
        with alone(lock):
            try:
                if not _is_present(plan.to, plan.record):  # another process may have finished it meanwhile
                    _write(plan, advance)
                for aside in _asides(plan):
                    shutil.rmtree(aside)
            finally:
                lock.unlink(missing_ok=True)
    try:
        return Summary(**json.loads((plan.to / SUMMARY).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        what = f"damaged ({' '.join(str(error).split())})"
        raise Refusal(str(plan.to / SUMMARY), what, "remove the folder and export again") from None


def _summary(plan: Plan, told: Told) -> Summary:
    return Summary(
        rows=told.rows,
        pictures=told.pictures,
        left_out=dict(told.left_out),
        notes=dict(told.notes),
        licences=hub_licences(plan.terms),
        terms=[asdict(one) for one in plan.terms],
        warnings=check_known(plan.terms, private=True, accepted=True),
    )


def _write(plan: Plan, advance: Advance) -> None:
    with _aside(plan) as (inner, work):
        with contextlib.closing(Source(plan.home, plan.reader, work, plan.shard_bytes, advance)) as source:
            told: Told = plan.module.write(source, inner)
        if not told.rows:
            what = f"no sample can be written as {plan.form}: {', '.join(told.left_out)}"
            raise Refusal(plan.record.name, what, f"choose another form: {', '.join(form_names())}")
        record = plan.record.model_copy(deep=True)
        record.rows_in, record.rows_out = plan.reader.info.samples, told.rows
        record.rejected = dict(sorted(told.left_out.items()))
        record.check_rows()
        (inner / SUMMARY).write_bytes(dump_json(asdict(_summary(plan, told))))
        (inner / PAGE).write_text(page(plan.reader.info, plan.form, plan.module, told, plan.terms), encoding="utf-8")
        (inner / RECORD).write_bytes(dump_json(record.model_dump(mode="json")))
        os.sync()  # one wait for all: a wait a picture would take longer than writing them
        inner.replace(plan.to)


@contextlib.contextmanager
def _aside(plan: Plan) -> Iterator[tuple[Path, Path]]:
    """The folder that becomes the export, with what a killed run of the same one finished, and one for scratch.

    What a killed run of another export to this place left is removed. Ours stays when it is killed or interrupted.
    """
    aside = plan.to.with_name(f".{plan.to.name}.{short(plan.record.digest)}.aside")
    for other in _asides(plan):
        if other != aside:
            shutil.rmtree(other)
    inner, work = aside / "out", aside / "work"
    inner.mkdir(parents=True, exist_ok=True)
    for left in aside.iterdir():
        if left != inner:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    work.mkdir()
    try:
        yield inner, work
    except KeyboardInterrupt:
        raise  # the next run goes on with it
    except BaseException:
        shutil.rmtree(aside)
        raise


def _asides(plan: Plan) -> list[Path]:
    """Folders in which something was made for the place of this export, by whatever run."""
    pattern = re.compile(rf"\.{re.escape(plan.to.name)}\.[0-9a-f]{{{SHORT}}}\.aside")
    return [path for path in plan.to.parent.iterdir() if pattern.fullmatch(path.name)]


def _is_present(place: Path, record: Record) -> bool:
    """Whether this export is at its place; Refusal when something else is."""
    if not os.path.lexists(place) or (not place.is_symlink() and place.is_dir() and not any(place.iterdir())):
        return False
    if place.is_dir() and is_finished(place):
        there = read_record(place)
        if there.kind == record.kind and there.digest == record.digest:
            return True
        what = f"holds another export ({there.name} as {there.settings.get('form', there.kind)})"
    else:
        what = "is not empty"
    raise Refusal(str(place), what, "choose another folder with --to, or remove this one")


def _pictured(reader: MixReader) -> list[str]:
    """The datasets that show pictures in the mix."""
    import pyarrow.compute as pc

    rows = reader.rows()
    shown: list[str] = (
        rows.filter(pc.greater(pc.list_value_length(rows.column("images")), 0))["dataset"].unique().to_pylist()
    )
    return shown
