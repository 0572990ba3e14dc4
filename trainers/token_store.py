"""The tokens of a large mix on disk: made once, whoever trains on it, and mapped into memory, not loaded.

A sample is a list of 32-bit numbers, its ids with each picture as one token; the ids of learned tokens are inverted
(``~id``). Samples lie in the order of the files they come from, so that making a store holds one of these files at a
time; a store is made part by part, and a killed run goes on with the next part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from registry.damage import damage_refused
from registry.identity import digest, short
from registry.mix import MixReader
from registry.store import Record, whole_file
from trainers.chat import Template
from trainers.packing import Indices
from trainers.tokens import Encoded, Tokens

if TYPE_CHECKING:
    import pyarrow as pa

STORE_VERSION = 1
BATCH, BATCHES = 2048, 32
"""Samples tokenised at a time, and how many times for one file."""
PART = BATCH * BATCHES


class TokenStore(Sequence[Encoded]):
    """The samples of a mix in tokens, by their position in it."""

    def __init__(self, folder: Path, places: Indices, image_id: int, image_tokens: int) -> None:
        self._folder, self._image_id, self._image_tokens = folder, image_id, image_tokens
        self._places = places
        """Where each sample of the mix lies in the store."""
        self._parts: list[list[tuple[Any, Any]]] = []
        columns: list[tuple[Any, Any]] = []
        for path in sorted(folder.glob("*.arrow")):
            table = _mapped(path)
            pieces = [(batch.column("tokens").offsets.to_numpy(), batch.column("tokens").values.to_numpy())
                      for batch in table.to_batches()]  # fmt: skip
            self._parts.append(pieces)
            sizes = np.concatenate([np.diff(offsets) for offsets, _ in pieces])
            columns.append((sizes, table.select(["learned", "pictures"])))
        sizes = np.concatenate([size for size, _ in columns])[places]
        self.learned, self.pictures = (
            np.concatenate([table.column(name).to_numpy() for _, table in columns]).astype(np.int64)[places]
            for name in ("learned", "pictures")
        )
        self.lengths: Indices = sizes.astype(np.int64) + self.pictures * (image_tokens - 1)

    def __reduce__(self) -> Any:
        """A process that is started afresh maps the files itself."""
        return TokenStore, (self._folder, self._places, self._image_id, self._image_tokens)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Encoded: ...
    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...
    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        part, within = divmod(int(self._places[index]), PART)
        offsets, values = self._parts[part][within // BATCH]
        row = within % BATCH
        stored = values[offsets[row] : offsets[row + 1]]
        learned = stored < 0
        ids = np.where(learned, ~stored, stored)
        if self.pictures[index]:
            repeats = np.where(ids == self._image_id, self._image_tokens, 1)
            ids, learned = np.repeat(ids, repeats), np.repeat(learned, repeats)
        return Encoded(ids, learned, int(self.pictures[index]))


@dataclass(frozen=True)
class Tokeniser:
    """What turns samples into tokens, and the name of all that the tokens depend on."""

    tokens: Tokens
    form: Template
    image_tokens: int

    def key(self, mix: str) -> str:
        """Digest of what the store of a mix is: its content, and what tokenizer and template make of a text."""
        probe = self.form.render(_PROBE)
        made = self.tokens.encode([probe], 1)[0]
        told = [STORE_VERSION, mix, self.form.name, probe.text, made.ids.tolist(), made.learned.tolist()]
        return digest([*told, self.tokens.fingerprint()])

    def store(self, reader: MixReader, rows: pa.Table) -> TokenStore:
        """The tokens of a mix, made where nobody has made them yet."""
        home, places = reader.home, storage_places(rows)
        key = self.key(reader.info.content_digest)
        folder = home.folder("tokens", f"tokens-of-{reader.info.name}", key)
        if home.find("tokens", key) is None:
            record = Record(
                kind="tokens",
                name=folder.name.removesuffix(f"-{short(key)}"),
                digest=key,
                inputs={"mix": reader.info.content_digest},
                rows_in=rows.num_rows,
                rows_out=rows.num_rows,
                command="train",
            )
            with home.continuing(folder, record) as work:
                if work is not None:
                    self._make(work, MixReader(home, reader.folder), rows, np.argsort(places, kind="stable"))
        return TokenStore(home.find("tokens", key) or folder, places, self.tokens.image_id, self.image_tokens)

    def _make(self, work: Path, reader: MixReader, rows: pa.Table, order: Indices) -> None:
        for number, start in enumerate(range(0, len(order), PART)):
            target = work / f"part-{number:05d}.arrow"
            if target.is_file():
                continue
            chosen = order[start : start + PART]
            with whole_file(target) as path:
                self._write(path, reader, rows, chosen)
            reader.forget()

    def _write(self, path: Path, reader: MixReader, rows: pa.Table, order: Indices) -> None:
        import pyarrow as pa

        schema = pa.schema([("tokens", pa.list_(pa.int32())), ("learned", pa.int32()), ("pictures", pa.int32())])
        with pa.ipc.new_file(path, schema) as file:
            for start in range(0, len(order), BATCH):
                chosen = rows.take(pa.array(order[start : start + BATCH]))
                texts = [self.form.render(messages) for messages in reader.messages(chosen)]
                encoded = self.tokens.encode(texts, 1)
                stored = [np.where(sample.learned, ~sample.ids, sample.ids) for sample in encoded]
                ends = np.cumsum([0, *map(len, stored)]).astype(np.int32)
                columns = [
                    pa.ListArray.from_arrays(ends, pa.array(np.concatenate(stored))),
                    pa.array([int(sample.learned.sum()) for sample in encoded], pa.int32()),
                    pa.array([sample.pictures for sample in encoded], pa.int32()),
                ]
                file.write_batch(pa.record_batch(columns, schema=schema))


def storage_places(rows: pa.Table) -> Indices:
    """For each row of a mix its place among all, sorted by the file and the row that it refers to."""
    keys: list[Any] = [rows.column("copy").to_numpy(), rows.column("row").to_numpy()]
    for name in ("file", "folder"):
        column = rows.column(name).dictionary_encode().unify_dictionaries().combine_chunks()
        names = column.dictionary.to_pylist()
        rank = np.argsort(np.argsort(names)) if names else np.empty(0, np.int64)
        keys.append(rank[column.indices.to_numpy()])
    order = np.lexsort(keys)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _mapped(path: Path) -> pa.Table:
    import pyarrow as pa

    with damage_refused(path):
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


_PROBE: list[Any] = [
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
    {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "What's é 漢 1234?\n"}]},
    {"role": "assistant", "content": [{"type": "text", "text": " An answer. "}]},
    {"role": "user", "content": [{"type": "text", "text": "</s> And <image>?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "Another"}]},
]
"""A conversation with what templates and tokenizers differ in."""
