"""``curator check``: everything that is wrong is said, with the way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from registry.images import ImageStore
from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import make_captions, make_chats, rows_of, write_card
from tests.small_home import make_small_home


@pytest.fixture
def home(home_path: Path, tmp_path: Path) -> Home:
    """A home with one sound card and its samples."""
    opened = Home(home_path)
    make_chats(opened, tmp_path, "sound", 3)
    return opened


def problems(curator: Curator, *names: str) -> list[str]:
    """What ``check`` finds, as text."""
    result = curator("check", *names, "--json")
    found = json.loads(result.stdout)["problems"]
    assert result.exit_code == (1 if found else 0)
    assert all(fault["where"] and fault["what"] and fault["way_out"] for fault in found)
    return [f"{fault['where']}: {fault['what']}" for fault in found]


def write_recipe(home: Home, name: str, **fields: Any) -> Path:
    """A recipe of the home's own."""
    path = home.path / "recipes" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": name, **fields}), encoding="utf-8")
    return path


def test_everything_that_ships_is_sound(curator: Curator) -> None:
    assert problems(curator) == []


def test_what_was_checked_is_counted(curator: Curator, home: Home) -> None:
    write_recipe(home, "r", parts=[{"dataset": "sound", "part": "all"}])
    result = curator("check")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "2 records: no problems" in result.stderr


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"format": "llava_chatt"}, "unknown format 'llava_chatt'; did you mean 'llava_chat'?"),
        ({"format": "llava_chat", "columns": {"imagee": "x"}}, "has no role imagee"),
        (
            {"format": "llava_chat", "alternates": [{"format": "cauldron", "columns": {"nope": "x"}}]},
            "has no role nope",
        ),
    ],
)
def test_a_card_that_no_format_can_read(curator: Curator, home: Home, fields: dict[str, Any], what: str) -> None:
    write_card(home, "odd", **fields)
    (found,) = problems(curator, "odd")
    assert what in found


def test_a_wrong_field_is_found_at_its_line(curator: Curator, home: Home) -> None:
    path = home.cards / "odd.yaml"
    text = "name: odd\ntitle: Odd\nstage: sft\nformat: llava_chat\nlicense: mit\nparts: [{name: a, category: chart}]\n"
    path.write_text(text, encoding="utf-8")
    (found,) = problems(curator, "odd")
    assert f"{path}:5" in found
    assert "did you mean 'licence'?" in found


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"dataset": "sond"}, "no card of a dataset 'sond'; did you mean 'sound'?"),
        ({"dataset": "sound", "part": "al"}, "has no part 'al'; did you mean 'all'?"),
        ({"recipe": "absent"}, "no recipe 'absent'"),
        ({"dataset": "sound", "filters": {"text_lenght": {"words": {"min": "1"}}}}, "did you mean 'text_length'?"),
        ({"dataset": "sound", "filters": {"text_length": {"wrds": {"min": "1"}}}}, "measures no 'wrds'"),
        ({"dataset": "sound", "repeat": "2", "choose": "3"}, "choose one"),
    ],
)
def test_a_recipe_that_names_what_is_not_there(curator: Curator, home: Home, part: dict[str, Any], what: str) -> None:
    path = write_recipe(home, "odd", parts=[part])
    (found,) = problems(curator, "odd")
    assert what in found
    assert str(path) in found or "odd" in found
    assert what in problems(curator)[0]


def test_files_are_told_apart_by_their_fields(curator: Curator, home: Home, tmp_path: Path) -> None:
    recipe = write_recipe(home, "r", parts=[{"dataset": "absent"}])
    assert "no card of a dataset" in problems(curator, str(recipe))[0]
    card = tmp_path / "odd.yaml"
    card.write_text("title: t\n", encoding="utf-8")
    assert "odd.yaml:1" in problems(curator, str(card))[0]


def test_an_account_that_does_not_add_up_is_found(curator: Curator, home: Home) -> None:
    (folder,) = home.finished("samples")
    record = json.loads((folder / "record.json").read_bytes())
    (folder / "record.json").write_text(json.dumps(record | {"rows_in": 99}), encoding="utf-8")
    assert problems(curator) == [f"{folder}: 99 rows in, but 3 accounted for"]


def test_a_damaged_record_is_found_and_the_rest_still_checked(curator: Curator, home: Home) -> None:
    (folder,) = home.finished("samples")
    (folder / "record.json").write_text("{", encoding="utf-8")
    write_card(home, "odd", format="nothing")
    found = problems(curator)
    assert len(found) == 2
    assert "damaged" in found[1]


@pytest.fixture
def pictured(home_path: Path, tmp_path: Path) -> Home:
    """A home with two datasets of pictures and a mix."""
    made = make_small_home(tmp_path)
    assert made.home.path == home_path
    make_captions(made.home, tmp_path, "others", 3, start=50)
    return made.home


def altered(path: Path, at: int, mask: int = 0x40) -> Path:
    """One byte of a file changed."""
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)
    return path


def test_a_sound_home_is_read_whole(curator: Curator, pictured: Home) -> None:
    result = curator("check", "--contents")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "9 folders, 2 picture shards: no problems" in result.stderr
    assert "1 card, 2 folders, 2 picture shards: no problems" in curator("check", "others", "--contents").stderr


def test_contents_of_what_is_not_here_are_not_said_to_be_sound(curator: Curator, pictured: Home) -> None:
    assert "nothing of vsr is in the data home" in curator("check", "vsr", "--contents").stderr
    assert "nothing of" not in curator("check", "others", "--contents").stderr


def test_one_byte_of_a_picture_is_noticed(curator: Curator, pictured: Home) -> None:
    store = ImageStore(pictured)
    (folder,) = (f for f in pictured.finished("samples") if f.name.startswith("others@"))
    place = store.locate(rows_of(folder)[1]["images"][0]["sha256"])
    tar = altered(pictured.images / f"{place.shard}.tar", place.offset + place.length - 3)
    assert problems(curator) == []
    (found,) = problems(curator, "--contents")
    assert found == f"{tar}: damaged (1 of its pictures are not as stored)"
    assert problems(curator, "others", "--contents") == [found]
    assert problems(curator, "captions", "--contents") == [], "its own pictures are sound"
    index = tar.with_suffix(".parquet")
    assert f"remove {index.name} and {tar.name} from {tar.parent}" in curator("check", "--contents").stdout
    tar.unlink()
    index.unlink()
    (lost,) = problems(curator, "--contents")
    assert "3 pictures of its samples are in no shard" in lost


def test_a_damaged_shard_that_is_removed_comes_back_with_the_next_pull(
    curator: Curator, pictured: Home, tmp_path: Path
) -> None:
    for path in list(pictured.images.iterdir()):
        path.unlink()
    for name in ("others", "captions"):
        assert curator("pull", name, "--from", str(tmp_path / name)).exit_code == 0
    assert problems(curator, "--contents") == []


@pytest.mark.parametrize("at", [5, 300, -1500])
def test_a_tar_that_is_cut_or_moved_is_noticed(curator: Curator, pictured: Home, at: int) -> None:
    (tar, *_) = sorted(pictured.images.glob("*.tar"))
    data = tar.read_bytes()
    tar.write_bytes(data[:at] if at < 0 else data[:at] + b"x" + data[at:])
    assert "pictures are not as stored" in problems(curator, "--contents")[0]


def test_an_index_that_cannot_be_read_is_noticed(curator: Curator, pictured: Home) -> None:
    (index, *_) = sorted(pictured.images.glob("*.parquet"))
    index.write_bytes(index.read_bytes()[:-20])
    found = problems(curator, "--contents")
    assert found[0].startswith(f"{index}: damaged (")
    assert "in no shard" in found[1]


def test_every_kind_of_folder_is_read(curator: Curator, pictured: Home) -> None:
    victims = [next(pictured.path.glob(glob)) for glob in ("raw/*/train.*", "samples/*/part-*", "mixes/*/rows-*")]
    before = [path.read_bytes() for path in victims]
    for path, data in zip(victims, before, strict=True):
        path.write_bytes(data[: len(data) // 2])
        (found,) = problems(curator, "--contents")
        assert found.startswith(str(path))
        assert "not the file that was pulled" in found or "damaged (" in found
        path.write_bytes(data)
    assert problems(curator, "--contents") == []


def test_tables_of_another_shape_are_damage_too(curator: Curator, pictured: Home) -> None:
    """Readable, and yet not what was written there: no traceback."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    odd = pa.table({"id": ["x", None], "sha256": [None, "y"], "images": [[None], None]})
    victims = [next(pictured.path.glob(glob)) for glob in ("samples/others@*/part-*", "images/*.parquet")]
    for path in victims:
        pq.write_table(odd, path)
    next(pictured.path.glob("raw/others@*/published.jsonl")).write_bytes(b'{"path": "../../x", "sha256": "\xff"}')
    found = "\n".join(problems(curator, "--contents"))
    assert "is no list of files" in found
    assert f"{victims[0]}: damaged (row 0 is not the sample" in found
    assert f"{victims[1]}: damaged (it lacks columns" in found
    refused = curator("filter", "captions")
    assert (refused.exit_code, refused.exception.__class__) == (1, SystemExit), "not a traceback"


def test_a_sample_that_was_edited_is_no_longer_the_one_of_its_id(curator: Curator, pictured: Home) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = next(pictured.path.glob("samples/others@*/part-*"))
    table = pq.read_table(path)
    ids = pa.array(table.column("id").to_pylist()[::-1])
    pq.write_table(table.set_column(0, "id", ids), path)
    assert "row 0 is not the sample that its id names" in problems(curator, "--contents")[0]
    pq.write_table(table.filter(pc.not_equal(table.column("source_id"), "train.parquet#1")), path)
    assert "2 samples, 3 in the record" in problems(curator, "--contents")[0]


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.97])
def test_damaged_samples_are_refused_with_the_folder_to_remove(
    curator: Curator, pictured: Home, tmp_path: Path, keep: float
) -> None:
    path = next(pictured.path.glob("samples/others@*/part-*"))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)] + bytes(len(data) - int(len(data) * keep) if keep > 0.9 else 0))
    for command in (
        ("query", "SELECT max(messages) FROM samples"),
        ("pull", "others", "--from", str(tmp_path / "others")),
        ("filter", "others"),
        ("reclassify", "others", "--dry-run"),
    ):
        result = curator(*command)
        assert (result.exit_code, result.stdout) == (1, ""), command
        assert f"Refused: {path}: damaged (" in result.stderr, command
        assert f"remove the folder {path.parent} and run 'curator pull others' again" in result.stderr
    (found,) = problems(curator, "others")
    assert found.startswith(f"{path}: damaged")
    shutil.rmtree(path.parent)
    assert curator("pull", "others", "--from", str(tmp_path / "others")).exit_code == 0
    assert curator("filter", "others").exit_code == 0


def test_pages_that_cannot_be_read_are_found_by_a_query(curator: Curator, pictured: Home) -> None:
    """DuckDB's reader says neither the file nor the kind of the error then."""
    import pyarrow.parquet as pq

    path = next(pictured.path.glob("samples/others@*/part-*"))
    at = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    for offset in range(4):
        altered(path, at + offset, 0x5A)
    result = curator("query", "SELECT max(id) FROM samples")
    assert f"Refused: {path}: damaged (" in result.stderr
    assert "samples does not exist" not in curator("query", "SELECT max(idd) FROM samples").stderr


def test_a_damaged_ledger_is_refused(curator: Curator, pictured: Home, tmp_path: Path) -> None:
    ledger = next(pictured.path.glob("samples/others@*/ledger.json"))
    for text in ("{", "[]"):
        ledger.write_text(text)
        result = curator("pull", "others", "--from", str(tmp_path / "others"))
        assert f"Refused: {ledger}: damaged (" in result.stderr


def test_an_unknown_name_is_refused_with_the_nearest(curator: Curator, home: Home) -> None:
    assert home.cards.is_dir()
    result = curator("check", "soun")
    assert result.exit_code == 1
    assert "did you mean 'sound'?" in result.stderr


def test_problems_are_printed_for_people(curator: Curator, home: Home) -> None:
    write_card(home, "odd", format="nothing")
    result = curator("check", "odd")
    assert result.exit_code == 1
    assert "unknown format 'nothing'\n  way out: formats are: " in result.stdout
    assert "checked 1 card: 1 problem\n" in result.stderr


def test_the_first_rows_of_a_dataset_that_is_here_are_shown(curator: Curator, home: Home, tmp_path: Path) -> None:
    make_chats(home, tmp_path, "long", 5)
    result = curator("check", "sound", "long")
    assert result.exit_code == 0
    assert result.stdout.count("row ") == 6
    assert "What is 2 and one?" in result.stdout
    assert "What is 3 and one?" not in result.stdout
    shown = json.loads(curator("check", "sound", "--json").stdout)["rows"]
    assert [row["source_id"] for row in shown] == ["row-0", "row-1", "row-2"]
    assert curator("check", "vsr").stdout == ""
