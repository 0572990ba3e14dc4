"""A mix is what it says, or the first difference is named: whatever was changed afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.export import Exporter
from curator.mix import build_mix
from curator.published import PublishedFiles
from curator.verify import Verdict, check_mix, check_published, worst
from registry.errors import Refusal
from registry.mix import MIX_FILE, MixReader
from registry.recipe import Recipe, RecipePart
from registry.store import Home, dump_json
from tests.curator.publish_home import make_home

Told = dict[str, tuple[str, str]]
"""Check -> verdict and detail."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with the mix `both`, built from recipes in files, and the mix's folder."""
    home, _ = make_home(tmp_path_factory.mktemp("verify"), pictures=12)
    parts = [RecipePart(dataset="shapes", repeat=2), RecipePart(dataset="sums", choose=10)]
    folder, _ = build_mix(home, Recipe(name="flat", seed=7, parts=parts))
    return home.path, folder.name


@pytest.fixture
def home(kept: tuple[Path, str], tmp_path: Path) -> Home:
    shutil.copytree(kept[0], tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def mix(home: Home, kept: tuple[Path, str]) -> Path:
    return home.stage("mixes") / kept[1]


@pytest.fixture
def published(home: Home, mix: Path, tmp_path: Path) -> Path:
    """The files of the mix as they are published."""
    out = tmp_path / "published"
    (out / "data").mkdir(parents=True)
    shutil.copy(mix / MIX_FILE, out)
    reader = MixReader(home, mix)
    exporter = Exporter(home, reader, 30_000)
    large = {}
    for number, part in enumerate(exporter.slices()):
        path = f"data/train-{number:05d}.parquet"
        large[path] = exporter.write(out / path, part).plain()
    exporter.close()
    assert len(large) > 1
    (out / "publication.json").write_bytes(dump_json({"settings": {"form": "whole"}, "large": large}))
    return out


def checked(home: Home, mix: Path, *, recipe: bool = True) -> Told:
    done: list[int] = []
    found = list(check_mix(home, MixReader(home, mix), recipe=recipe, advance=done.append))
    assert sum(done) == 34 or worst(found) is not Verdict.EQUAL
    return {one.name: (str(one.verdict), one.detail) for one in found}


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def with_value(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    values = table.column(column).to_pylist()
    values[row] = value
    index = table.schema.get_field_index(column)
    return table.set_column(index, table.schema.field(column), pa.array(values, table.schema.field(column).type))


def test_a_mix_as_it_was_built_is_equal(home: Home, mix: Path) -> None:
    assert checked(home, mix) == dict.fromkeys(("order", "samples", "pictures", "recipe"), ("equal", ""))


def test_two_rows_that_changed_places(home: Home, mix: Path) -> None:
    order = [1, 0, *range(2, 34)]
    rewrite(mix / "rows-00000.parquet", lambda rows: rows.take(order))
    told = checked(home, mix)
    assert told["order"][0] == "differs"
    assert told["samples"][0] == told["pictures"][0] == "equal"
    first, second = MixReader(home, mix).rows().column("id").to_pylist()[:2]
    assert told["recipe"] == ("differs", f"row 0: the mix has {first}, its recipe gives {second}")


def test_a_row_that_is_gone(home: Home, mix: Path) -> None:
    rewrite(mix / "rows-00000.parquet", lambda rows: rows.slice(0, 33))
    told = checked(home, mix)
    assert told["order"][0] == told["recipe"][0] == "differs"
    assert told["recipe"][1] == "the mix has 33 rows, its recipe gives 34"


def test_a_category_that_was_changed(home: Home, mix: Path) -> None:
    rewrite(mix / "rows-00000.parquet", lambda rows: with_value(rows, "category", 4, "charts"))
    assert checked(home, mix, recipe=False)["order"][0] == "differs"


def test_an_answer_that_was_changed(home: Home, mix: Path) -> None:
    (samples,) = (one for one in home.finished("samples") if one.name.startswith("sums"))
    row = next(one for one in MixReader(home, mix).rows().to_pylist() if one["dataset"] == "sums")

    def change(table: pa.Table) -> pa.Table:
        messages = table.column("messages").to_pylist()[row["row"]]
        messages[-1]["content"][0]["text"] += "!"
        return with_value(table, "messages", row["row"], messages)

    rewrite(samples / row["file"], change)
    told = checked(home, mix)
    assert told["order"][0] == "equal"
    assert told["samples"][0] == "differs"
    assert f"{samples.name}/{row['file']}#{row['row']}" in told["samples"][1]


def test_a_picture_with_one_other_byte(home: Home, mix: Path) -> None:
    (tar,) = home.images.glob("*.tar")
    data = bytearray(tar.read_bytes())
    data[1000] ^= 1
    tar.write_bytes(bytes(data))
    told = checked(home, mix)
    assert told["pictures"][0] == "differs"
    assert told["order"][0] == told["samples"][0] == told["recipe"][0] == "equal"


def test_a_dataset_that_is_not_here_leaves_the_recipe_open(home: Home, mix: Path) -> None:
    (samples,) = (one for one in home.finished("samples") if one.name.startswith("sums"))
    shutil.rmtree(samples)
    told = checked(home, mix)
    assert told["samples"][0] == "differs"
    assert told["recipe"][0] == "unknown"
    assert "run 'curator pull sums --from FOLDER'" in told["recipe"][1]


def test_a_published_mix_is_equal_and_needs_no_home(home: Home, published: Path, tmp_path: Path) -> None:
    found = list(check_published(home, PublishedFiles.open(published), recipe=True, advance=lambda _rows: None))
    assert [(one.name, str(one.verdict), one.checked) for one in found] == [
        ("files", "equal", len(PublishedFiles.open(published).shards)),
        ("order", "equal", 34),
        ("samples", "equal", 34),
        ("pictures", "equal", 24),
        ("recipe", "equal", 34),
    ]
    elsewhere = Home(tmp_path / "empty")
    found = list(check_published(elsewhere, PublishedFiles.open(published), recipe=True, advance=lambda _rows: None))
    assert worst(found[:-1]) is Verdict.EQUAL
    assert (found[-1].name, found[-1].verdict) == ("recipe", Verdict.UNKNOWN)


def listed_anew(published: Path, path: str) -> None:
    """What somebody does who changes a shard and its account."""
    from registry.identity import file_digest

    account = json.loads((published / "publication.json").read_bytes())
    file = published / path
    account["large"][path] |= {"size": file.stat().st_size, "sha256": file_digest(file)}
    (published / "publication.json").write_bytes(dump_json(account))


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("position", 1, "order"),
        ("id", "0" * 32, "order"),
        ("category", "charts", "order"),
        ("messages", [{"role": "user", "content": [{"type": "text", "text": "?"}]}], "samples"),
        ("images", [{"bytes": b"no picture", "path": "x.png"}], "pictures"),
    ],
)
def test_a_published_row_that_was_changed(home: Home, published: Path, column: str, value: object, check: str) -> None:
    path = min(PublishedFiles.open(published).shards)
    rewrite(published / path, lambda table: with_value(table, column, 2, value))
    found = list(check_published(home, PublishedFiles.open(published), recipe=False, advance=lambda _rows: None))
    assert found[0].verdict is Verdict.DIFFERS
    assert path in found[0].detail
    listed_anew(published, path)
    found = list(check_published(home, PublishedFiles.open(published), recipe=False, advance=lambda _rows: None))
    differing = [one.name for one in found if one.verdict is Verdict.DIFFERS]
    assert check in differing
    assert {"files", "order", "samples", "pictures"} == {one.name for one in found}, "every question is answered"


def test_files_that_are_missing_or_strange(home: Home, published: Path) -> None:
    one, other = sorted(PublishedFiles.open(published).shards)[:2]
    shutil.copy(published / one, published / "data" / "more.parquet")
    found = next(check_published(home, PublishedFiles.open(published), recipe=False, advance=lambda _rows: None))
    assert (found.verdict, found.detail) == (Verdict.DIFFERS, "more.parquet is not listed")
    (published / other).unlink()
    found = next(check_published(home, PublishedFiles.open(published), recipe=False, advance=lambda _rows: None))
    assert (found.verdict, found.detail) == (Verdict.DIFFERS, f"{other} is not there")


@pytest.mark.parametrize("shards", [{"../out.parquet": {}}, {"/etc/passwd": {}}, [], {"a": 1}])
def test_an_account_that_leads_out_of_its_folder_is_refused(published: Path, shards: object) -> None:
    (published / "publication.json").write_text(json.dumps({"settings": {"form": "whole"}, "large": shards}))
    with pytest.raises(Refusal, match="damaged"):
        PublishedFiles.open(published)
    (published / "publication.json").unlink()
    with pytest.raises(Refusal, match="no published mix"):
        PublishedFiles.open(published)
