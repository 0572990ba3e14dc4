"""Tables in Excel's format (.xlsx), read and written a row at a time: what a cell says as text, and nothing else.

A file may be hostile: it is a zip of XML. Members are read no further than their announced size, the sizes are bounded
together, entities and anything outside the first sheet are not followed, and a sheet that names a cell far away costs
no more than that cell. Formulas are never run; their stored result is taken.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO
from xml.parsers import expat

from registry.errors import Refusal

UNPACKED_LIMIT = 512 << 20
"""Bytes of XML that are read from one file."""
LONGEST_CELL = 32_767
"""Characters, by Excel's own rule."""
_CHUNK = 1 << 18
_MOST_TEXTS = 8_000_000
_MOST_COLUMNS = 16_384
_SHEET = "xl/worksheets/sheet1.xml"
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_MUST_ESCAPE = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_WAY_OUT = "give an .xlsx file with one table, its column names in the first row"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_DAMAGED = (EOFError, KeyError, NotImplementedError, RuntimeError, ValueError)
"""What the readers of zip and XML raise beside errors of their own."""
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/{_SHEET}" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}">'
    '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}


def read_sheet(path: Path, needs: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Row number and the cells of columns ``needs``, of every row of the first sheet; absent cells are empty.

    Columns are found by their names in the first row, whatever their case. Raises Refusal for what is no such file.
    """
    with _refusals(path), zipfile.ZipFile(path) as book:
        unpacked = sum(member.file_size for member in book.infolist())
        if unpacked > UNPACKED_LIMIT:
            what = f"unpacks to {unpacked / 2**20:,.0f} MiB, more than {UNPACKED_LIMIT / 2**20:,.0f}"
            raise Refusal(str(path), what, "give the predictions as .tsv or .jsonl")
        sheet, strings = _parts(book)
        with contextlib.closing(_Rows(_shared_strings(book, strings)).read(book.open(sheet))) as rows:
            wanted = _wanted(path, next(rows, (1, {}))[1], needs)
            for number, cells in rows:
                if cells:
                    yield number, {name: cells.get(column, "") for name, column in wanted.items()}


def write_sheet(file: IO[bytes], columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    """Write one table; the same rows give the same bytes. No text may be longer than :data:`LONGEST_CELL`."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as book:
        for name, text in _PARTS.items():
            book.writestr(_member(name), _XML + text)
        with book.open(_member(_SHEET), "w") as out:
            out.write(f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            out.write(_row_xml(columns))
            for row in rows:
                out.write(_row_xml(row))
            out.write(b"</sheetData></worksheet>")


def _member(name: str) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    found.compress_type = zipfile.ZIP_DEFLATED
    return found


def _row_xml(cells: Sequence[str | int]) -> bytes:
    return ("<row>" + "".join(map(_cell_xml, cells)) + "</row>").encode()


def _cell_xml(cell: str | int) -> str:
    if isinstance(cell, int):
        return f"<c><v>{cell}</v></c>"
    text = _MUST_ESCAPE.sub(lambda found: f"_x{ord(found[0]):04X}_", cell)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>' if text else "<c/>"


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Refusal(str(path), f"cannot be read ({reason})", _WAY_OUT) from None
    except (zipfile.BadZipFile, expat.ExpatError, zlib.error, *_DAMAGED) as error:
        reason = " ".join(str(error).split())[:120]
        raise Refusal(str(path), f"is no readable .xlsx file ({reason})", _WAY_OUT) from None


def _feed(parser: expat.XMLParserType, file: IO[bytes]) -> Iterator[None]:
    """Parse a member piece by piece; entities of its own are refused."""

    def refuse(*_: object) -> None:
        raise ValueError("it declares entities")

    parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    with file:
        while piece := file.read(_CHUNK):
            parser.Parse(piece, False)
            yield
        parser.Parse(b"", True)
        yield


def _local(name: str) -> str:
    """The name of an element without its prefix."""
    return name.rpartition(":")[2]


def _parts(book: zipfile.ZipFile) -> tuple[str, str]:
    """Members that hold the first sheet and the shared strings; a sheet is never looked for outside the file."""
    sheets: list[str] = []
    targets: dict[str, str] = {}

    def start(name: str, given: dict[str, str]) -> None:
        plain = {_local(key): value for key, value in given.items()}
        if _local(name) == "sheet":
            sheets.append(next((value for key, value in given.items() if _local(key) == "id" and ":" in key), ""))
        elif _local(name) == "Relationship" and plain.get("TargetMode") != "External":
            targets[plain.get("Id", "")] = plain.get("Target", "")

    for member in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
        parser = expat.ParserCreate()
        parser.StartElementHandler = start
        for _ in _feed(parser, book.open(member)):
            pass
    if not sheets or sheets[0] not in targets:
        raise ValueError("it has no sheet")
    strings = next((target for target in targets.values() if target.endswith("sharedStrings.xml")), "")
    return _inside(targets[sheets[0]]), _inside(strings) if strings else ""


def _inside(target: str) -> str:
    """The member that a target of the workbook names."""
    return target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)


def _shared_strings(book: zipfile.ZipFile, member: str) -> list[str]:
    """The texts that cells name by number."""
    return _Strings().read(book.open(member)) if member else []


class _Strings:
    """Texts as they are parsed: those in several fonts are joined, reading aids above them are left out."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._pieces: list[str] = []
        self._is_aid = False
        self._listens = False

    def read(self, file: IO[bytes]) -> list[str]:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._data
        for _ in _feed(parser, file):
            if len(self._found) > _MOST_TEXTS:
                raise ValueError(f"it has more than {_MOST_TEXTS:,} texts")
        return self._found

    def _start(self, name: str, _: dict[str, str]) -> None:
        local = _local(name)
        self._is_aid = self._is_aid or local == "rPh"
        self._listens = local == "t" and not self._is_aid

    def _end(self, name: str) -> None:
        local = _local(name)
        if local == "si":
            self._found.append(_unescaped("".join(self._pieces)))
            self._pieces.clear()
        elif local == "rPh":
            self._is_aid = False
        self._listens = False

    def _data(self, text: str) -> None:
        if self._listens:
            self._pieces.append(text)


class _Rows:
    """The rows of a sheet as they are parsed: number, and column letters -> text."""

    def __init__(self, strings: list[str]) -> None:
        self._strings = strings
        self._done: list[tuple[int, dict[str, str]]] = []
        self._number = 0
        self._column = ""
        self._kind = ""
        self._cells: dict[str, str] = {}
        self._pieces: list[str] = []
        self._listens = False

    def read(self, file: IO[bytes]) -> Generator[tuple[int, dict[str, str]]]:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._data
        for _ in _feed(parser, file):
            yield from self._done
            self._done.clear()

    def _start(self, name: str, given: dict[str, str]) -> None:
        local = _local(name)
        if local == "c":
            self._column = given["r"].rstrip("0123456789") if "r" in given else _next_column(self._column)
            self._kind = given.get("t", "n")
            self._pieces.clear()
        elif local == "row":
            self._number = int(given.get("r", self._number + 1))
            self._column = ""
            self._cells = {}
        self._listens = local in ("v", "t")

    def _end(self, name: str) -> None:
        local = _local(name)
        if local == "c" and self._pieces:
            self._cells[self._column] = self._text("".join(self._pieces))
            if len(self._cells) > _MOST_COLUMNS:
                raise ValueError(f"row {self._number} has more than {_MOST_COLUMNS:,} cells")
        elif local == "row":
            self._done.append((self._number, self._cells))
        self._listens = False

    def _data(self, text: str) -> None:
        if self._listens:
            self._pieces.append(text)

    def _text(self, text: str) -> str:
        """What a cell of this kind says."""
        if self._kind == "s":
            number = int(text)
            if not 0 <= number < len(self._strings):
                raise ValueError(f"it has no text number {number}")
            return self._strings[number]
        if self._kind == "b":
            return "True" if text.strip() == "1" else "False"
        if self._kind == "n":
            return text.strip().removesuffix(".0")
        return _unescaped(text)


def _next_column(column: str) -> str:
    """The letters behind ``column``: A for none, B for A, AA for Z."""
    head, last = column[:-1], column[-1:]
    if not last:
        return "A"
    return head + chr(ord(last) + 1) if last < "Z" else (_next_column(head) + "A")


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def _wanted(path: Path, header: dict[str, str], needs: Sequence[str]) -> dict[str, str]:
    """Name -> column letters of the columns that are needed."""
    columns: dict[str, str] = {}
    for column, name in header.items():
        lowered = name.strip().lower()
        if lowered in columns and lowered in needs:
            raise Refusal(f"{path}:1", f"column {lowered} occurs twice", "keep one of them")
        columns.setdefault(lowered, column)
    lacking = [name for name in needs if name not in columns]
    if lacking:
        found = ", ".join(list(header.values())[:12])[:200] or "the sheet is empty"
        raise Refusal(f"{path}:1", f"no column {', '.join(lacking)} in the first row ({found})", _WAY_OUT)
    return {name: columns[name] for name in needs}
