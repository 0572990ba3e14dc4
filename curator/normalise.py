"""Published rows -> canonical samples. Every row ends as a sample or in ``rejected.parquet`` with a reason."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from curator.known import recall, remember
from curator.ledger import LEDGER, Account, read_ledger
from curator.pictures import Pictures, listing
from curator.raw_sample import Picture, RawSample, Rejected, Unusable, plain
from curator.reading import RawFiles
from curator.rules import Origin, PartRules, parts_settings
from curator.selection import Form, list_files, recognise
from registry.card import Card, Part
from registry.damage import table_of
from registry.identity import digest
from registry.image_decoder import BadImage
from registry.images import ImageRef, ImageStore, ImageWriter
from registry.sample import SCHEMA_VERSION, Message, arrow_schema, check, conversation, sample_id
from registry.store import Home, Record, dump_json, read_record

if TYPE_CHECKING:
    import pyarrow as pa

    from curator.fetch import Fetched

NORMALISE_VERSION = 2
ROWS_PER_FILE = 65_536
ROWS_PER_GROUP = 4096
REJECTED_FILE = "rejected.parquet"
REJECTED_COLUMNS = ("source_id", "place", "reason", "detail")
_ROWS_TOLD = 250
"""Rows between two signs of progress; ``ledger.EARLY_ROWS`` is a multiple."""
_ROWS_TOGETHER = 250
_BYTES_TOGETHER = 1 << 23
_REMEMBERED = 200_000
"""Picture paths whose digests are remembered, so that a picture with many questions is read once."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Look:
    """What of a raw folder is normalised, and with whose pictures."""

    limit: int | None = None
    """Rows at most; None = all."""
    images: Path | None = None
    """The user's folder of pictures that the rows name and the raw folder has not."""
    fetched: Fetched | None = None
    """The pictures that the rows name by their addresses."""

    def settings(self) -> dict[str, Any]:
        """What of this decides the samples before any is made; nothing for a plain run."""
        found: dict[str, Any] = {} if self.limit is None else {"limit": self.limit}
        return found if self.fetched is None else {**found, "fetched": self.fetched.record.digest}


def suffix(settings: dict[str, Any]) -> str:
    """What settings add to the revision in a folder's name."""
    first = f".first{settings['limit']}" if "limit" in settings else ""
    return first + "".join(f".{name}{settings[name][:6]}" for name in ("images", "fetched") if name in settings)


WHOLE = Look()


@dataclass(frozen=True)
class Plan:
    """What normalising one raw folder would make."""

    raw: Path
    form: Form
    source: RawFiles
    settings: dict[str, Any]
    look: Look

    def with_pictures(self, taken: str | None) -> dict[str, Any]:
        """All settings; ``taken`` is a digest of the pictures that the rows had from the user's folder."""
        return self.settings if taken is None else {**self.settings, "images": taken}

    def folder(self, home: Home, settings: dict[str, Any]) -> Path:
        """Where the samples of these settings lie."""
        return home.folder("samples", self.raw.name + suffix(settings), digest(settings))


@dataclass(frozen=True)
class Normalised:
    """A finished samples folder and its account."""

    folder: Path
    record: Record
    already_there: bool
    restored: bool = False
    """Whether pictures that had gone from the image store were put back."""


def form_settings(card: Card, form: Form) -> dict[str, Any]:
    """Everything but the raw files that decides the samples. Facts for people are no part of it."""
    return {
        "dataset": card.name,
        "form": form.settings(),
        "parts": parts_settings(card.parts),
        "prompts": card.prompts,
        "picture_paths": card.pictures.paths,
        "versions": {
            "format": form.module.VERSION,
            "normalise": NORMALISE_VERSION,
            "schema": SCHEMA_VERSION,
        },
    }


def plan(card: Card, raw: Path, look: Look = WHOLE) -> Plan:
    """Which form the raw files are in, and which folder they would become; reads no more than their headers."""
    record = read_record(raw)
    form, source = recognise(card, raw, record.settings.get("repo"))
    settings = {**form_settings(card, form), **look.settings(), "raw": record.digest}
    return Plan(raw, form, replace(source, limit=look.limit), settings, look)


def normalise(
    home: Home,
    card: Card,
    raw: Path,
    *,
    look: Look = WHOLE,
    allow_rejected: bool = False,
    advance: Advance | None = None,
) -> Normalised:
    """Make (or find) the samples folder of one raw folder.

    Raises:
        Refusal: more than ``ledger.MAX_REJECTED`` of the rows are rejected and ``allow_rejected`` is not set, or the
            files are damaged or in no form that the card knows.
    """
    planned = plan(card, raw, look)
    key = _key(planned)
    existing = _existing(home, planned, key)
    if existing is not None:
        if not allow_rejected:
            Account.of(card, read_ledger(existing)).check_limit(at_end=True)
        restored = _restore_pictures(home, card, planned, existing, advance)
        return Normalised(existing, read_record(existing), already_there=True, restored=restored)
    record = Record(
        kind="samples",
        name="",
        digest="",
        inputs=_inputs(raw, look),
        versions={name: str(value) for name, value in planned.settings["versions"].items()},
        command=f"curator pull {card.name}{' --fetch' if look.fetched else ''}",
    )
    with home.making(lambda: home.stage("samples") / record.name, record) as out:
        account = Account(card, allow_rejected)
        taken = _convert(home, card, planned, out, account, advance or (lambda _rows: None))
        account.check_limit(at_end=True)
        record.settings = planned.with_pictures(taken)
        record.digest = digest(record.settings)
        record.name = planned.folder(home, record.settings).name
        record.rows_in, record.rows_out = account.rows_in, account.rows_out
        record.rejected = dict(sorted(account.rejected.items()))
        record.check_rows()
        (out / LEDGER).write_bytes(dump_json(account.ledger()))
        there = home.find("samples", record.digest)
    if key is not None:
        remember(home, taken or "", *key)
    return Normalised(there or home.stage("samples") / record.name, record, already_there=there is not None)


def _key(planned: Plan) -> list[Any] | None:
    """What the pictures that rows take from the user's folder are remembered by; None for a pull without one."""
    if planned.look.images is None:
        return None
    return ["pictures", planned.settings, str(planned.look.images.resolve()), listing(planned.look.images)]


def _existing(home: Home, planned: Plan, key: list[Any] | None) -> Path | None:
    """The finished folder that this plan would make, as far as that is known before the pictures are read."""
    taken = recall(home, *key) if key is not None else ""
    return None if taken is None else home.find("samples", digest(planned.with_pictures(taken or None)))


def _inputs(raw: Path, look: Look) -> dict[str, str]:
    """Folder of the data home -> its digest."""
    inputs = {f"raw/{raw.name}": read_record(raw).digest}
    if look.fetched is not None:
        inputs[f"fetched/{look.fetched.folder.name}"] = look.fetched.record.digest
    return inputs


def _restore_pictures(home: Home, card: Card, planned: Plan, folder: Path, advance: Advance | None) -> bool:
    """Put pictures of finished samples back that are in no shard any more; True when there were such."""
    import pyarrow.compute as pc

    store = ImageStore(home)
    for path in sorted(folder.glob("part-*.parquet")):
        images = pc.list_flatten(table_of(path, ["images"]).column("images"))
        if any(sha256 not in store for sha256 in pc.unique(pc.struct_field(images, "sha256")).to_pylist()):
            break
    else:
        return False
    with home.workspace("restore") as work:
        _convert(home, card, planned, work, Account(card, allow_rejected=True), advance or (lambda _rows: None))
    return True


def _convert(home: Home, card: Card, planned: Plan, out: Path, account: Account, advance: Advance) -> str | None:
    """Write samples and rejected rows; pictures are visible in the store before this returns.

    Returns the digest of the pictures that were taken from the user's folder; None when none was.
    """
    with (
        home.workspace("archives") as unpacked,
        contextlib.closing(_pictures(card, planned, unpacked)) as pictures,
        ImageStore(home).writer() as store,
        _Parts(out, arrow_schema()) as samples,
        _Parts(out, rejected_schema(), REJECTED_FILE) as rejected,
    ):
        maker = _SampleMaker(card, pictures, store)
        for made in itertools.chain.from_iterable(map(maker.make, _together(_rows(planned)))):
            if isinstance(made, Rejected):
                rejected.add({name: plain(getattr(made, name)) for name in REJECTED_COLUMNS})
                account.set_aside(made)
            else:
                samples.add(made)
                account.keep(made["part"], pictures=len(made["images"]))
            if account.rows_in % _ROWS_TOLD == 0:
                advance(_ROWS_TOLD)
                account.check_limit()
        taken = pictures.given_digest()
    advance(account.rows_in % _ROWS_TOLD)
    return taken


def _pictures(card: Card, planned: Plan, unpack_into: Path) -> Pictures:
    fetched = planned.look.fetched.by_address() if planned.look.fetched else None
    files = list_files(planned.raw).published
    return Pictures(planned.raw, files, card.pictures.paths, planned.look.images, unpack_into, fetched)


def _rows(planned: Plan) -> Iterator[RawSample | Rejected]:
    rows: Iterator[RawSample | Rejected] = planned.form.module.rows(planned.source)
    return rows


def _together(rows: Iterator[RawSample | Rejected]) -> Iterator[list[RawSample | Rejected]]:
    """Rows in the groups that their parts are found in: so many that patterns are cheap, so few that memory is not."""
    group: list[RawSample | Rejected] = []
    held = 0
    for row in rows:
        group.append(row)
        held += sum(map(len, row.images)) if isinstance(row, RawSample) else 0
        if len(group) == _ROWS_TOGETHER or held >= _BYTES_TOGETHER:
            yield group
            group, held = [], 0
    yield group


def _conversation(row: RawSample | Rejected) -> tuple[RawSample, list[Message]] | Rejected:
    """A row with its messages, or why it can be no sample."""
    if isinstance(row, Rejected):
        return row
    messages = conversation(row.turns)
    problem = check(messages, len(row.images))
    return (row, messages) if problem is None else Rejected(row.source_id, problem, place=row.place)


def rejected_schema() -> pa.Schema:
    """Columns of ``rejected.parquet``."""
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in REJECTED_COLUMNS])


class _SampleMaker:
    """Turns raw samples into rows of the canonical schema."""

    def __init__(self, card: Card, pictures: Pictures, store: ImageWriter) -> None:
        self._name = card.name
        self._rules = PartRules(card.parts)
        self._pictures = pictures
        self._store = store
        self._refs: dict[str, ImageRef] = {}

    def make(self, rows: Sequence[RawSample | Rejected]) -> Iterator[dict[str, Any] | Rejected]:
        """For each a row of the canonical schema, or why there is none; their parts are found together."""
        judged = [_conversation(row) for row in rows]
        sound = [one for one in judged if not isinstance(one, Rejected)]
        asked = [(Origin(raw.source_id, raw.file, raw.labels), messages) for raw, messages in sound]
        parts = iter(self._rules.parts_of(asked))
        for one in judged:
            yield one if isinstance(one, Rejected) else self._made(*one, next(parts))

    def _made(self, raw: RawSample, messages: list[Message], part: Part | None) -> dict[str, Any] | Rejected:
        try:
            return self._row(raw, messages, part)
        except Unusable as error:
            return Rejected(raw.source_id, error.reason, error.detail, raw.place)
        except BadImage as error:
            named = next((picture for picture in raw.images if isinstance(picture, str)), "")
            return Rejected(raw.source_id, str(error), plain(named), raw.place)
        except UnicodeEncodeError:
            return Rejected(raw.source_id, "text is not valid Unicode", place=raw.place)

    def _row(self, raw: RawSample, messages: list[Message], part: Part | None) -> dict[str, Any]:
        if part is None:
            raise Unusable("no part of the card takes it")
        refs = [self._ref(picture) for picture in raw.images]
        return {
            "id": sample_id(messages, [ref.sha256 for ref in refs]),
            "dataset": self._name,
            "part": part.name,
            "source_id": raw.source_id,
            "category": part.category,
            "images": [{"sha256": r.sha256, "width": r.width, "height": r.height} for r in refs],
            "messages": messages,
            "ratings": raw.ratings,
        }

    def _ref(self, picture: Picture) -> ImageRef:
        if not isinstance(picture, str):
            return self._store.add(picture)
        if picture not in self._refs:
            if len(self._refs) >= _REMEMBERED:
                self._refs.clear()
            self._refs[picture] = self._pictures.fetched(picture) or self._store.add(self._pictures.read(picture))
        return self._refs[picture]


class _Parts:
    """Writes rows as ``part-00000.parquet`` … (or one named file) with bounded memory."""

    def __init__(self, folder: Path, schema: pa.Schema, single: str | None = None) -> None:
        self._folder, self._schema, self._single = folder, schema, single
        self._rows: list[dict[str, Any]] = []
        self._in_file = self._files = 0
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._flush()
            if self._writer is None:
                self._open()  # a dataset without rows still has its file, so readers need no special case
        if self._writer is not None:
            self._writer.close()

    def add(self, row: dict[str, Any]) -> None:
        """Take one row."""
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        if self._writer is None:
            self._open()
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._in_file += len(self._rows)
        self._rows = []
        if self._in_file >= ROWS_PER_FILE and self._single is None:
            self._writer.close()
            self._writer, self._in_file = None, 0

    def _open(self) -> None:
        import pyarrow.parquet as pq

        name = self._single or f"part-{self._files:05d}.parquet"
        self._files += 1
        self._writer = pq.ParquetWriter(self._folder / name, self._schema, compression="zstd")
