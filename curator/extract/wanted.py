"""Which rows of a pool are wanted: bounds, languages, and any SQL predicate over the canonical columns."""

from __future__ import annotations

import functools
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.errors import Refusal, did_you_mean

if TYPE_CHECKING:
    import polars as pl

TEXTS = frozenset({"url", "caption"})
_NOISE = {
    "special_share": "text_noise",
    "digit_share": "text_noise",
    "capital_share": "text_noise",
    "longest_special_run": "text_noise",
    "odd_word_share": "word_noise",
    "function_word_share": "word_noise",
}
"""Measures of the curation filters, on the caption."""
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")
_QUERY = re.compile(r"\b(?:select|with|table|values)\b|\(\s*from\b|\b(?:read|scan)_\w+|--|/\*|\$\$", re.IGNORECASE)
"""What begins a query, a comment, or a string that may hide one."""
MEASURES = ("short_side", "long_side", "aspect", "characters", "words", *_NOISE)
"""Columns that are computed from the canonical ones and may be bounded or used in a predicate."""


@dataclass(frozen=True)
class Bound:
    """The least and the largest value of a column, as far as there is one."""

    min: float | None
    max: float | None

    def plain(self) -> dict[str, float]:
        """JSON form, for the identity of a draw."""
        return {name: value for name, value in (("min", self.min), ("max", self.max)) if value is not None}


@dataclass(frozen=True)
class Wanted:
    """A predicate: everything that is given must hold; a row whose value is null does not hold."""

    bounds: Mapping[str, Bound]
    languages: tuple[str, ...] = ()
    where: str | None = None

    def plain(self) -> dict[str, Any]:
        """JSON form, for the identity of a draw."""
        return {
            "bounds": {name: bound.plain() for name, bound in sorted(self.bounds.items())},
            "languages": sorted(self.languages),
            "where": self.where,
        }

    def tests(self) -> dict[str, pl.Expr]:
        """Test in words -> expression; all of them must be true."""
        import polars as pl

        plain, found = _plain_expressions(), dict[str, pl.Expr]()
        for name, bound in sorted(self.bounds.items()):
            value = plain.get(name, pl.col(name))
            if bound.min is not None:
                found[f"{name} >= {bound.min:g}"] = value >= bound.min
            if bound.max is not None:
                found[f"{name} <= {bound.max:g}"] = value <= bound.max
        if self.languages:
            spoken = sorted(self.languages)
            found[f"language in {', '.join(spoken)}"] = pl.col("language").is_in(spoken)
        if self.where is not None:
            found[self.where] = parse(self.where)
        return found

    def cheap(self) -> list[pl.Expr]:
        """Tests of the file's own columns without a text: they are applied while it is read."""
        return [test for test in self.tests().values() if not _is_costly(test)]

    def reads(self, columns: Iterable[str]) -> list[str]:
        """Which of these columns the tests read."""
        return _read(list(self.tests().values()), columns)

    def read_later(self, columns: Iterable[str]) -> list[str]:
        """Which of these columns ``holding`` reads."""
        return _read([test for test in self.tests().values() if _is_costly(test)], columns)

    def holding(self, frame: pl.DataFrame) -> pl.Series:
        """Whether a row has an address and words, and the tests that are not cheap hold for it."""
        import polars as pl

        tests = [test for test in self.tests().values() if _is_costly(test)]
        sound = pl.col("url").is_not_null() & (pl.col("caption").str.strip_chars() != "")
        measured = with_measures(frame, _columns(tests))
        return measured.select(functools.reduce(operator.and_, tests, sound)).to_series()

    def masks(self, frame: pl.DataFrame) -> dict[str, pl.Series]:
        """Test in words -> whether it holds, for each row."""
        tests = self.tests()
        measured = with_measures(frame, _columns(tests.values()))
        return {words: measured.select(test.fill_null(False)).to_series() for words, test in tests.items()}

    def check(self, columns: Sequence[str], look: Callable[[list[str]], pl.DataFrame]) -> None:
        """Raise Refusal for a test that cannot be put to rows: unknown columns, or not row by row.

        Args:
            columns: all that there are.
            look: gives some rows of these columns.
        """
        tests = self.tests()
        for words, test in tests.items():
            _refuse_unknown(words, test, columns, [*columns, *MEASURES])
        sample = look(self.reads(columns))
        for words, test in tests.items():
            _refuse_unfit(words, test, sample)


def parse_bounds(given: Sequence[str]) -> dict[str, Bound]:
    """``column=MIN:MAX`` as column -> bounds; raises Refusal for anything else."""
    found: dict[str, Bound] = {}
    for text in given:
        name, equals, limits = text.partition("=")
        least, colon, most = limits.partition(":")
        try:
            bound = Bound(_number(least), _number(most)) if equals and colon and limits.strip() != ":" else None
        except ValueError:
            bound = None
        if bound is None or name in found:
            what = "is given twice" if bound is not None else "is no bound"
            raise Refusal(f"--bound {text}", what, "write column=MIN:MAX, as in similarity=0.3: or aspect=:3")
        found[name] = bound
    return found


def _number(text: str) -> float | None:
    number = float(text) if text.strip() else None
    if number is not None and not math.isfinite(number):
        raise ValueError(text)
    return number


def parse(where: str) -> pl.Expr:
    """An SQL predicate as an expression of columns. A query inside it could read files, and is refused unread."""
    import polars as pl

    query = _QUERY.search(_QUOTED.sub("''", where))
    if query is not None:
        what = f"has '{query[0]}' in it, and a predicate looks at one row alone"
        raise Refusal(f"--where {where}", what, "compare columns of the row; put a column's name in double quotes")
    try:
        return pl.sql_expr(where)
    except pl.exceptions.PolarsError as error:
        what = f"is no SQL predicate ({' '.join(str(error).split())})"
        raise Refusal(
            f"--where {where}", what, "write it as in \"width >= 300 AND caption NOT LIKE '%stock%'\""
        ) from None


def with_measures(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The frame with those of these columns that are computed."""
    wanted = [name for name in MEASURES if name in names and name not in frame.columns]
    if not wanted:
        return frame
    plain = _plain_expressions()
    frame = frame.with_columns(plain[name].alias(name) for name in wanted if name in plain)
    noise = [name for name in wanted if name in _NOISE]
    return frame.with_columns(_noise(frame["caption"], noise)) if noise else frame


def _plain_expressions() -> dict[str, pl.Expr]:
    import polars as pl

    short, long = pl.min_horizontal("width", "height"), pl.max_horizontal("width", "height")
    sided = pl.col("width").is_not_null() & pl.col("height").is_not_null() & (short > 0)
    return {
        "short_side": pl.when(sided).then(short),
        "long_side": pl.when(sided).then(long),
        "aspect": pl.when(sided).then(long / short),
        "characters": pl.col("caption").str.len_chars(),
        "words": pl.col("caption").str.count_matches(r"[^\t\n\x0c\r ]+"),
    }


def _noise(captions: pl.Series, names: Sequence[str]) -> list[pl.Series]:
    """The measures of the curation filters, by the same code, so that a word means one thing in the whole project."""
    import importlib

    import polars as pl
    import pyarrow as pa

    from curator.batch import Batch
    from registry.sample import arrow_schema, make_message

    messages = [[make_message("user", "", 1), make_message("assistant", text or "")] for text in captions.to_list()]
    blank = [None] * len(messages)
    columns = {name: messages if name == "messages" else blank for name in arrow_schema().names}
    batch = Batch(pa.table(columns, schema=arrow_schema()))
    made: dict[str, Any] = {}
    for module in dict.fromkeys(_NOISE[name] for name in names):
        made |= importlib.import_module(f"curator.filters.{module}").measure(batch)
    return [pl.Series(name, made[name]) for name in names]


def _read(tests: Sequence[pl.Expr], columns: Iterable[str]) -> list[str]:
    """Which of a file's columns these tests read, themselves or as measures."""
    needs = {*_columns(tests), *(("caption", "width", "height") if tests else ())}
    return [name for name in columns if name in needs]


def _columns(tests: Iterable[pl.Expr]) -> list[str]:
    return [name for test in tests for name in test.meta.root_names()]


def _is_costly(test: pl.Expr) -> bool:
    return bool(set(test.meta.root_names()) & {*TEXTS, *MEASURES})


def _refuse_unknown(words: str, test: pl.Expr, columns: Sequence[str], known: Sequence[str]) -> None:
    for name in test.meta.root_names():
        if name not in known:
            what = f"asks for '{name}', which these files do not have{did_you_mean(name, known)}"
            raise Refusal(f"filter '{words}'", what, f"columns are: {', '.join(known)}")
        needs = {"short_side": ("width", "height"), "long_side": ("width", "height"), "aspect": ("width", "height")}
        for column in needs.get(name, ()):
            if column not in columns:
                raise Refusal(f"filter '{words}'", f"needs the {column}, which these files do not have", "leave it out")


def _refuse_unfit(words: str, test: pl.Expr, rows: pl.DataFrame) -> None:
    """A predicate must say true or false of a row, whatever the other rows are."""
    import polars as pl

    try:
        measured = with_measures(rows, test.meta.root_names())
        together = measured.select(held=test).to_series()
        apart = [measured.slice(i, 1).select(held=test).to_series().to_list() for i in range(len(measured))]
    except pl.exceptions.PolarsError as error:
        what = f"cannot be computed ({' '.join(str(error).split())})"
        raise Refusal(f"filter '{words}'", what, "compare columns with values of their type") from None
    if together.dtype != pl.Boolean:
        raise Refusal(f"filter '{words}'", f"gives {together.dtype}, not true or false", "write a comparison")
    if not test.meta.root_names() or [[one] for one in together.to_list()] != apart:
        raise Refusal(f"filter '{words}'", "depends on more than one row", "use no aggregates and no windows")
