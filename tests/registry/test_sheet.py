"""Sheets hold no pictures; scores are the same bytes in whatever order, and after whatever breaks, replies come."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from registry.answer_rows import COLUMNS
from registry.benchmark import load_benchmark
from registry.errors import Refusal
from registry.identity import file_digest
from registry.sheet import Ask, Batches, Marking, Sheet, make_score, read_sheet
from registry.trial import BenchmarkScore

BENCHMARK = load_benchmark("mmbench_dev_en")
PICTURES = [bytes([65 + number]) * 90 for number in range(3)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three pictures; two questions each, the second by reference; the last two rows read the same."""
    lines = ["index\tquestion\tA\tB\tanswer\tcategory\timage"]
    for number, picture in enumerate(PICTURES):
        lines.append(f"{number}\twhat {number}?\tcat\tdog\tA\tpets\t{base64.b64encode(picture).decode()}")
        lines.append(f"{number + 10}\twhat else?\tcat\tdog\tB\tpets\t{number}")
    lines.append("20\twhat else?\tcat\tdog\tB\tpets\t2")
    path = tmp_path / "table.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def score(path: Path, table: Path, ask: Ask, tell: Callable[[dict[str, Any]], None] = lambda _: None) -> BenchmarkScore:
    sheet = read_sheet(BENCHMARK, table)
    marking = Marking(BENCHMARK, "2024-05", file_digest(table), "generation")
    return make_score(path, sheet, sheet.asked, ask, marking, tell)


def in_parts(order: Callable[[list[int]], Sequence[int]], size: int, stop: int = 99) -> Ask:
    """Answers ``A`` to even rows, half a surrogate pair to odd ones, so many at a time; breaks off after ``stop``."""

    def ask(numbers: list[int]) -> Batches:
        ordered = list(order(numbers))
        for start in range(0, len(ordered), size):
            if start >= stop:
                raise ConnectionError
            yield {number: "\ud83d B" if number % 2 else "A" for number in ordered[start : start + size]}

    return ask


def test_a_sheet_reads_pictures_when_they_are_looked_at(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    inner = base64.b64decode

    def counting(data: str, validate: bool = False) -> bytes:
        decoded.append(len(data))
        return inner(data, validate=validate)

    monkeypatch.setattr(base64, "b64decode", counting)
    sheet = read_sheet(BENCHMARK, table)
    assert len(decoded) == 3
    assert len(set(sheet.images)) == 3
    assert [sheet.read(images[0]) for images in sheet.images] == [PICTURES[n] for n in (0, 0, 1, 1, 2, 2, 2)]
    assert len(decoded) == 10
    assert holds(sheet) < 3 * 90


def holds(sheet: Sheet) -> int:
    """Characters of the longest text that hangs on a sheet."""
    texts = [cell for question in sheet.questions for cell in (question.text, *question.row.values(), *sheet.asked)]
    return max(map(len, texts))


def test_the_bytes_do_not_depend_on_how_the_replies_came(table: Path, tmp_path: Path) -> None:
    ways: list[Ask] = [in_parts(list, 100), in_parts(lambda numbers: numbers[::-1], 1), in_parts(sorted, 2)]
    written = []
    for number, ask in enumerate(ways):
        path = tmp_path / str(number) / "score.json"
        if number == 2:
            with pytest.raises(ConnectionError):
                score(path, table, in_parts(list, 1, stop=3))
            assert not path.exists()
        heard: list[Any] = []
        score(path, table, ask, heard.append)
        assert (heard[-1]["step"], heard[-1]["steps"]) == (6, 6)
        written.append((path.read_bytes(), path.with_suffix(".parquet").read_bytes()))
        assert sorted(file.name for file in path.parent.iterdir()) == ["score.json", "score.parquet"]
    assert written[0] == written[1] == written[2]


def test_rows_that_read_the_same_are_asked_once(table: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def ask(numbers: list[int]) -> Batches:
        asked.extend(numbers)
        yield dict.fromkeys(numbers, "B")

    found = score(tmp_path / "score.json", table, ask)
    assert asked == [0, 1, 2, 3, 4, 5]
    assert found.questions == 7
    rows = pq.read_table(tmp_path / "score.parquet").to_pylist()
    assert list(rows[0]) == list(COLUMNS)
    assert [row["index"] for row in rows] == ["0", "10", "1", "11", "2", "12", "20"]
    assert rows[5] | {"index": "20", "group": "20"} == rows[6] | {"picture": rows[5]["picture"]}
    assert {(row["category"], row["reply"], row["extracted"]) for row in rows} == {("pets", "B", "B")}
    assert [row["hit"] for row in rows] == [False, True] * 3 + [True]
    assert score(tmp_path / "score.json", table, in_parts(list, 1)) == found


def test_a_picture_that_is_no_base64_is_refused(table: Path) -> None:
    text = table.read_text()
    table.write_text(text.replace(base64.b64encode(PICTURES[1]).decode(), "A" * 65))
    with pytest.raises(Refusal, match="picture of question 1: is not base64"):
        read_sheet(BENCHMARK, table)


def test_a_part_of_the_questions_is_drawn_and_the_score_says_so(table: Path, tmp_path: Path) -> None:
    sheet = read_sheet(BENCHMARK, table, limit=3)
    assert len(sheet.questions) == 3
    marking = Marking(BENCHMARK, "2024-05", "t" * 64, "generation", 3)
    found = make_score(tmp_path / "score.json", sheet, sheet.asked, in_parts(list, 1), marking, print)
    assert (found.partial, found.questions) == (True, 3)
    assert "partial: 3 questions are asked" in found.notes
