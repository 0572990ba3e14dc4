"""Questions and pictures of a benchmark, planted in datasets: what is found, and what a mix does with it."""

from __future__ import annotations

import base64
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.cli import cli
from curator.contamination.account import account, subjects
from curator.contamination.hits import hits, verdicts
from curator.contamination.picture_index import near_pictures
from curator.contamination.questions import BenchmarkTable, Looked, find_tables, parse_tables
from curator.duplicates.same_picture import look_closely, same_picture
from curator.mix import build_mix
from curator.runner import Place
from curator.samples import Samples, find_samples
from registry.errors import Refusal
from registry.recipe import Recipe
from registry.store import Home, read_record
from tests.curator.data_home import file_bytes, pulled, rows_of, write_card, write_parquet

NOUNS = ("harbour", "violin", "glacier", "lantern", "orchard", "tractor", "mosaic", "falcon", "kettle", "bridge")


def blobs(number: int, size: tuple[int, int] = (160, 120)) -> Any:
    """A picture of soft colours that no other number has."""
    from PIL import Image

    chance = random.Random(number)
    small = Image.frombytes("RGB", (8, 6), chance.randbytes(8 * 6 * 3))
    return small.resize(size, Image.Resampling.BICUBIC)


def saved(image: Any, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def question(number: int) -> str:
    """Eleven words, of which the frame is shared by all."""
    chance = random.Random(number)
    first, second = chance.sample(NOUNS, 2)
    return f"How many {first} shapes stand beside the {second} in row {number} here?"


def write_benchmark(folder: Path, n: int = 12) -> Path:
    """A table in MMBench's layout."""
    lines = ["index\tquestion\tA\tB\tanswer\timage"]
    for number in range(n):
        image = base64.b64encode(saved(blobs(number))).decode()
        lines.append(f"{number}\t{question(number)}\tone\ttwo\tA\t{image}")
    path = folder / "mmbench_dev_en.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def turn(image: Any, asked: str, said: str = "one") -> dict[str, Any]:
    data = image if isinstance(image, bytes) else saved(image)
    texts = [{"user": asked, "assistant": said, "source": "x"}]
    return {"images": [{"bytes": data, "path": None}], "texts": texts}


def planted() -> list[tuple[str | None, dict[str, Any]]]:
    """What each row is, and the row."""
    small, hard = blobs(1).resize((80, 60)), saved(blobs(2), "JPEG", quality=40)
    cut = blobs(3, (320, 240)).crop((6, 5, 314, 235))
    clean = [
        (None, turn(blobs(100 + n), f"What does the sign on wall {n} say about tomorrow's weather?")) for n in range(20)
    ]
    return [
        ("leak", turn(blobs(0), question(0))),
        ("leak", turn(small, f"{question(1)}\nA. one\nB. two\nAnswer with the option's letter.")),
        ("leak", turn(hard, question(2).upper().replace(" ", "  "))),
        ("leak", turn(cut, f"Look closely. {question(3)}")),
        ("picture", turn(blobs(4), "Describe the weather.")),
        ("text", turn(blobs(201), question(5))),
        *clean,
    ]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    write_benchmark(home.path / "benchmarks")
    return home


def make(home: Home, folder: Path, rows: list[dict[str, Any]], name: str = "x") -> Samples:
    write_parquet(folder / name / "train.parquet", rows)
    pulled(home, write_card(home, name, format="cauldron"), folder / name)
    return find_samples(home, name)


def test_what_is_planted_is_found_and_nothing_else(home: Home, tmp_path: Path) -> None:
    rows = planted()
    samples = make(home, tmp_path, [row for _, row in rows])
    table = find_tables(home, [], {})[0]
    measured = hits(home, samples, table)
    found = verdicts(measured.columns())
    wanted = {saved_row(row): verdict for verdict, row in rows}
    told = {saved_sample(row): verdict for row, verdict in zip(rows_of(samples.folder), found, strict=True)}
    assert told == wanted
    record = read_record(measured.folder)
    assert (record.rows_in, record.rows_out) == (26, 26)


def saved_row(row: dict[str, Any]) -> str:
    return str(row["texts"][0]["user"])


def saved_sample(row: dict[str, Any]) -> str:
    return str(row["messages"][0]["content"][-1]["text"])


def test_the_hits_do_not_depend_on_files_or_workers(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curator import normalise as normalise_module

    monkeypatch.setattr(normalise_module, "ROWS_PER_GROUP", 5)
    monkeypatch.setattr(normalise_module, "ROWS_PER_FILE", 10)
    samples = make(home, tmp_path, [row for _, row in planted()])
    assert len(samples.files()) == 3
    table = find_tables(home, ["mmbench_dev_en"], {})[0]
    alone = file_bytes(hits(home, samples, table).folder)
    other = Home(tmp_path / "other")
    write_benchmark(other.path / "benchmarks")
    again = make(other, tmp_path, [row for _, row in planted()])
    assert file_bytes(hits(other, again, table, place=Place(workers=2)).folder) == alone


def test_a_mix_drops_refuses_or_reports(home: Home, tmp_path: Path) -> None:
    make(home, tmp_path, [row for _, row in planted()])

    def built(**said: Any) -> Any:
        recipe = {"name": "m", "parts": [{"dataset": "x"}], "decontaminate": {"benchmarks": ["mmbench_dev_en"], **said}}
        return build_mix(home, Recipe.model_validate(recipe))[1]

    held = {"mmbench_dev_en.leak": 4, "mmbench_dev_en.picture": 1, "mmbench_dev_en.text": 1}
    dropped = built()
    assert (dropped.samples, dropped.parts[0].dropped) == (22, {"decontaminate.mmbench_dev_en": 4})
    assert dropped.parts[0].contamination == held
    more = built(verdicts=["leak", "picture", "text"])
    assert more.samples == 20
    reported = built(policy="report")
    assert (reported.samples, reported.parts[0].dropped, reported.parts[0].contamination) == (26, {}, held)
    with pytest.raises(Refusal, match=r"4 samples of x hold something of benchmark mmbench_dev_en \(leak\)"):
        built(policy="refuse")
    assert len({one.recipe_digest for one in (dropped, more, reported)}) == 3


def test_only_what_a_mix_holds_counts_for_it(home: Home, tmp_path: Path) -> None:
    make(home, tmp_path, [row for _, row in planted()])
    build_mix(home, Recipe.model_validate({"name": "few", "parts": [{"dataset": "x", "choose": 10}]}))
    wanted = subjects(home, ["few"])
    assert len(wanted) == 1
    assert len(wanted[0].chosen or ()) == 10
    found = account(home, wanted, find_tables(home, [], {}))
    assert found.rows[0]["samples"] == 10
    told = {hit.row["id"] for hit in found.hits}
    assert told <= set(wanted[0].chosen or ())


def test_the_command_says_and_shows_both_sides(home: Home, tmp_path: Path) -> None:
    make(home, tmp_path, [row for _, row in planted()])
    runner = CliRunner()
    asked = ["decontaminate", "x", "--home", str(home.path)]
    plan = runner.invoke(cli, [*asked, "--dry-run", "--json"])
    assert [row["samples"] for row in json.loads(plan.stdout)] == [26, 26]
    page = tmp_path / "hits.html"
    result = runner.invoke(cli, [*asked, "--json", "--sample-html", str(page)])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["found"][0] | {"questions": 12, "leaks": 4, "same picture": 1, "same text": 1} == told["found"][0]
    assert {hit["verdict"] for hit in told["hits"]} == {"leak", "picture", "text"}
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure") == 12
    assert "How many" in text


def test_what_cannot_be_compared_is_refused(home: Home, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="is not NAME=FILE"):
        parse_tables(["mme"])
    with pytest.raises(Refusal, match="is not there"):
        find_tables(home, ["mme"], {})
    with pytest.raises(Refusal, match="did you mean"):
        find_tables(home, ["mmm"], {})
    with pytest.raises(Refusal, match="no table is there"):
        find_tables(Home(tmp_path / "empty"), [], {})
    with pytest.raises(Refusal, match="there is no card of that name"):
        subjects(home, ["nothing"])


def test_tables_that_differ_in_colour_or_in_a_corner_are_not_the_same() -> None:
    from PIL import Image

    first = blobs(1)

    def same(other: bytes) -> bool:
        one, two = look_closely(saved(first)), look_closely(other)
        return one is not None and two is not None and same_picture(one, two)

    assert same(saved(first))
    assert same(saved(first.resize((300, 225)), "JPEG", quality=70))
    assert same(saved(first.crop((4, 3, 156, 117))))
    assert not same(saved(Image.merge("RGB", first.split()[::-1])))
    corner = first.copy()
    corner.paste(blobs(9, (70, 60)), (0, 0))
    assert not same(saved(corner))
    assert not same(saved(Image.new("RGB", (160, 120), "white")))
    assert look_closely(b"no picture") is None


@settings(max_examples=60, deadline=None)
@given(data=st.data(), distance=st.integers(0, 8))
def test_near_hashes_are_found_as_if_all_were_compared(data: st.DataObject, distance: int) -> None:
    import numpy as np

    known = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8))
    flips = st.lists(st.integers(0, 63), max_size=10)
    asked = [data.draw(st.sampled_from(known)) ^ sum({1 << bit for bit in data.draw(flips)}) for _ in range(6)]
    looked = Looked(np.array(known, np.uint64), np.zeros(len(known), np.bool_))
    near = near_pictures(np.array(asked, np.uint64), np.zeros(6, np.bool_), looked, distance)
    found = sorted(zip(*(values.tolist() for values in near), strict=True))
    everyone = [(i, j, (a ^ b).bit_count()) for i, a in enumerate(asked) for j, b in enumerate(known)]
    assert found == sorted(one for one in everyone if one[2] <= distance)


def test_questions_with_equal_text_and_picture_are_one(tmp_path: Path) -> None:
    path = write_benchmark(tmp_path, 2)
    lines = path.read_text().splitlines()
    lines.append(lines[1].replace("0\tHow", "1000000\tHow", 1))
    path.write_text("\n".join(lines) + "\n")
    table = BenchmarkTable("mmbench_dev_en", path)
    assert (len(table.texts), len(table.pictures)) == (2, 2), "a copy of a picture is the same picture"
