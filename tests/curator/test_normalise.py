from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from curator import ledger as ledger_module
from curator import normalise as normalise_module
from curator.normalise import normalise, plan
from curator.pictures import Pictures
from curator.pull import offer_from_folder, pull
from curator.raw_sample import Unusable
from curator.samples import find_samples
from registry.errors import Refusal
from registry.images import ImageStore
from registry.sample import arrow_schema, check, sample_id
from registry.store import Home, read_record
from tests.curator.data_home import (
    captions,
    chats,
    file_bytes,
    make_captions,
    make_chats,
    picture,
    pulled,
    rows_of,
    write_card,
    write_json,
    write_parquet,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def chat(image: object, question: str = "<image>\nWhat?", answer: str = "This.", **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"image": image, "conversations": turns, **more}


def test_every_row_is_a_canonical_sample(home: Home, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    samples = make_captions(home, tmp_path, "shapes", 5)
    assert pq.read_schema(samples.files()[0]).equals(arrow_schema())
    rows = rows_of(samples.folder)
    assert [row["source_id"] for row in rows] == [f"train.parquet#{i}" for i in range(5)]
    store = ImageStore(home)
    for i, row in enumerate(rows):
        [image] = row["images"]
        assert store.read(image["sha256"]) == picture(i)
        assert (image["width"], image["height"]) == (16, 12)
        assert row["id"] == sample_id(row["messages"], [image["sha256"]])
        assert check(row["messages"], 1) is None
        assert (row["dataset"], row["part"], row["category"]) == ("shapes", "all", "captioning")
    store.close()


def test_rows_in_are_rows_out_and_rejected_with_a_reason_each(home: Home, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "good.png").write_bytes(picture(1))
    (tmp_path / "p" / "broken.png").write_bytes(picture(1)[:60])
    (tmp_path / "p" / "page.png").write_text("<html>not found</html>")
    (tmp_path / "p" / "empty.png").write_bytes(b"")
    rows = [
        chat("good.png", id="1"),
        chat("absent.png", id="2"),
        chat("broken.png", id="3"),
        chat("page.png", id="4"),
        chat("empty.png", id="5"),
        chat("../../secret.png", id="6"),
        chat("/etc/passwd", id="7"),
        chat(None, id="8"),
        chat("good.png", "What?", id="9"),
        chat("good.png", answer=" ", id="10"),
        chat(None, "lone \ud800 half", id="11"),
        {"id": "12", "conversations": [{"from": "gpt", "value": "I begin."}]},
        {"id": "13", "conversations": [{"from": "human", "value": "No answer?"}]},
        {"id": "14", "conversations": [{"from": "human", "value": "a"}] * 2},
    ]
    write_json(tmp_path / "p" / "rows.json", [*rows, "no object"])
    made = pulled(home, write_card(home, "x", format="llava_chat"), tmp_path / "p", allow_rejected=True)
    assert (made.record.rows_in, made.record.rows_out) == (15, 1)
    places = [row["place"] for row in rows_of(made.folder, "rejected.parquet")]
    kept = rows_of(made.folder)[0]["source_id"]
    assert places == [f"rows.json#{number}" for number in range(15) if str(number + 1) != kept]
    rejected = {row["source_id"]: row["reason"] for row in rows_of(made.folder, "rejected.parquet")}
    assert rejected == {
        "2": "image file is missing",
        "3": "image cannot be decoded",
        "4": "not a picture",
        "5": "image is empty",
        "6": "image path is not safe",
        "7": "image path is not safe",
        "8": "more image markers than images",
        "9": "fewer image markers than images",
        "10": "empty answer",
        "11": "text is not valid Unicode",
        "12": "roles do not alternate",
        "13": "last message is not the assistant's",
        "14": "roles do not alternate",
        "rows.json#14": "row is not an object",
    }
    assert sum(made.record.rejected.values()) == len(rejected)


def pixel_bomb() -> bytes:
    """A PNG of some hundred bytes that says it has 20000 x 20000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 99)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_picture_with_too_many_pixels_is_never_decoded(home: Home, tmp_path: Path) -> None:
    rows = [{"image": {"bytes": pixel_bomb(), "path": None}, "caption": "large"}, *captions(40)]
    write_parquet(tmp_path / "p" / "rows.parquet", rows)
    made = pulled(home, write_card(home, "x", format="caption_pairs"), tmp_path / "p")
    assert made.record.rejected == {"image has too many pixels": 1}
    assert made.record.rows_out == 40


def test_too_many_rejected_rows_stop_the_run_and_name_the_reasons(home: Home, tmp_path: Path) -> None:
    write_json(tmp_path / "p" / "rows.json", [*chats(90), *({"id": f"bad{i}", "conversations": []} for i in range(10))])
    card = write_card(home, "x", format="llava_chat")
    with pytest.raises(
        Refusal, match=r"10 of 100 rows cannot be used: no conversations \(10\); first: rows.json#90 .id bad0"
    ):
        pulled(home, card, tmp_path / "p")
    assert home.finished("samples") == []
    assert pulled(home, card, tmp_path / "p", allow_rejected=True).record.rows_out == 90


def test_a_card_that_fits_nothing_stops_early(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "EARLY_ROWS", 250)
    write_json(tmp_path / "p" / "rows.json", [{"id": "a", "conversations": []}] * 2000)
    with pytest.raises(Refusal, match="250 of 250 rows"):
        pulled(home, write_card(home, "x", format="llava_chat"), tmp_path / "p")


def test_a_dataset_without_rows_is_refused_unless_that_is_fine(home: Home, tmp_path: Path) -> None:
    write_json(tmp_path / "p" / "rows.json", [])
    card = write_card(home, "x", format="alpaca")
    write_json(tmp_path / "q" / "rows.json", [{"instruction": "Say", "input": "", "output": "so"}])
    with pytest.raises(Refusal, match="no column instruction"):
        pulled(home, card, tmp_path / "p")
    write_parquet(tmp_path / "r" / "rows.parquet", [{"instruction": "", "output": ""}])
    with pytest.raises(Refusal, match="1 of 1 rows"):
        pulled(home, card, tmp_path / "r")
    made = pulled(home, card, tmp_path / "r", allow_rejected=True)
    assert made.record.rows_out == 0
    assert rows_of(made.folder) == []


def test_equal_work_gives_equal_bytes_in_any_home(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        home = Home(tmp_path / name)
        if name == "two":
            make_captions(home, tmp_path, "others", 3, start=2)  # another order of pictures in the store
        made.append(make_captions(home, tmp_path, "shapes", 6).folder)
    assert made[0].name == made[1].name
    assert file_bytes(made[0]) == file_bytes(made[1])


def test_normalising_again_does_nothing(home: Home, tmp_path: Path) -> None:
    write_parquet(tmp_path / "p" / "rows.parquet", captions(3))
    card = write_card(home, "x", format="caption_pairs")
    assert not pulled(home, card, tmp_path / "p").already_there
    assert pulled(home, card, tmp_path / "p").already_there
    assert len(home.finished("samples")) == 1


def test_facts_for_people_do_not_change_the_samples_and_columns_do(home: Home, tmp_path: Path) -> None:
    rows = [{**row, "name": "a name"} for row in captions(3)]
    write_parquet(tmp_path / "p" / "rows.parquet", rows)
    first = pulled(home, write_card(home, "x", format="caption_pairs"), tmp_path / "p")
    noted = write_card(home, "x", format="caption_pairs", quality_notes=["fine"], size={"samples": 3})
    assert pulled(home, noted, tmp_path / "p").folder == first.folder
    renamed = write_card(home, "x", format="caption_pairs", columns={"caption": "name"})
    other = pulled(home, renamed, tmp_path / "p")
    assert other.folder != first.folder
    assert rows_of(other.folder)[0]["messages"][1]["content"][0]["text"] == "a name"


def test_alternates_are_told_apart_by_their_columns(home: Home, tmp_path: Path) -> None:
    texts = [{"user": "Q", "assistant": "A"}]
    write_parquet(tmp_path / "main" / "a.parquet", [{"images": [picture(1)], "texts": texts}])
    original = {"pid": "7", "image": picture(1), "question": "Q", "choices": ["x", "y"], "answer": "y"}
    write_parquet(tmp_path / "other" / "a.parquet", [{**original, "unit": None, "solution": "s"}])
    write_parquet(tmp_path / "neither" / "a.parquet", [{"picture": picture(1), "text": "t"}])
    card = write_card(
        home,
        "x",
        format="cauldron",
        alternates=[{"format": "nobody_reads_this"}, {"format": "tabmwp"}],
    )
    assert pulled(home, card, tmp_path / "main").record.settings["form"]["format"] == "cauldron"
    made = pulled(home, card, tmp_path / "other")
    assert made.record.settings["form"]["format"] == "tabmwp"
    assert rows_of(made.folder)[0]["source_id"] == "7"
    with pytest.raises(Refusal, match=r"cauldron: a.parquet has no column images, texts; tabmwp: .* no column answer"):
        pulled(home, card, tmp_path / "neither")


def test_a_main_format_that_is_unknown_is_refused(home: Home, tmp_path: Path) -> None:
    write_json(tmp_path / "p" / "rows.json", chats(2))
    with pytest.raises(Refusal, match=r"no such format; did you mean 'llava_chat'"):
        pulled(home, write_card(home, "x", format="lava_chat"), tmp_path / "p")


def test_parts_are_chosen_by_the_first_rule_that_holds(home: Home, tmp_path: Path) -> None:
    rows = chats(4)
    rows[1]["conversations"] *= 2
    rows[2]["id"] = "cap_2"
    rows[3]["conversations"][0]["value"] = "Describe it."
    write_json(tmp_path / "p" / "rows.json", rows)
    parts = [
        {"name": "cap", "category": "captioning", "rule": {"source_id": "^cap_"}},
        {"name": "described", "category": "captioning", "rule": {"request": "(?i)^describe", "turns_max": 1}},
        {"name": "long", "category": "conversation", "rule": {"turns_min": 2}},
    ]
    card = write_card(home, "x", format="llava_chat", parts=[*parts, {"name": "rest", "category": "text_only"}])
    made = pulled(home, card, tmp_path / "p")
    assert [row["part"] for row in rows_of(made.folder)] == ["rest", "long", "cap", "described"]
    narrow = write_card(home, "x", format="llava_chat", parts=parts)
    made = pulled(home, narrow, tmp_path / "p", allow_rejected=True)
    assert made.record.rejected == {"no part of the card takes it": 1}


def test_samples_are_cut_into_files_of_a_fixed_number_of_rows(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalise_module, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(normalise_module, "ROWS_PER_FILE", 8)
    samples = make_chats(home, tmp_path, "x", 19)
    assert [path.name for path in samples.files()] == [f"part-0000{i}.parquet" for i in range(3)]
    assert [row["source_id"] for row in rows_of(samples.folder)] == [f"row-{i}" for i in range(19)]


def test_progress_counts_every_row(home: Home, tmp_path: Path) -> None:
    write_json(tmp_path / "p" / "rows.json", chats(601))
    told: list[int] = []
    card = write_card(home, "x", format="llava_chat")
    raw = pull(home, offer_from_folder(card, tmp_path / "p"))
    normalise(home, card, raw.folder, advance=told.append)
    assert sum(told) == 601


def test_planning_reads_no_rows(home: Home, tmp_path: Path) -> None:
    write_parquet(tmp_path / "p" / "rows.parquet", captions(3))
    card = write_card(home, "x", format="caption_pairs")
    raw = pull(home, offer_from_folder(card, tmp_path / "p"))
    planned = plan(card, raw.folder)
    assert not home.stage("samples").exists()
    assert normalise(home, card, raw.folder).folder == planned.folder(home, planned.settings)


def archived(folder: Path, kind: str) -> None:
    folder.mkdir(parents=True)
    if kind == "zip":
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            archive.writestr("a/1.png", picture(1))
            archive.writestr("images/2.png", picture(2))
        return
    with tarfile.open(folder / "images.tar", "w") as tar:
        for name, data in {"./a/1.png": picture(1), "images/2.png": picture(2)}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_pictures_in_archives_are_found_without_unpacking(home: Home, tmp_path: Path, kind: str) -> None:
    archived(tmp_path / "p", kind)
    write_json(tmp_path / "p" / "rows.json", [chat("a/1.png"), chat("2.png"), chat("a/1.png"), chat("absent.png")])
    made = pulled(home, write_card(home, "x", format="llava_chat"), tmp_path / "p", allow_rejected=True)
    store = ImageStore(home)
    found = [store.read(row["images"][0]["sha256"]) for row in rows_of(made.folder)]
    store.close()
    assert found == [picture(1), picture(2), picture(1)]
    assert made.record.rejected == {"image file is missing": 1}


def test_an_archive_that_is_damaged_is_refused(home: Home, tmp_path: Path) -> None:
    write_json(tmp_path / "p" / "rows.json", [chat("1.png")])
    (tmp_path / "p" / "images.zip").write_bytes(b"PK no archive")
    with pytest.raises(Refusal, match="no readable archive"):
        pulled(home, write_card(home, "x", format="llava_chat"), tmp_path / "p")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(1))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.png").symlink_to(tmp_path / "secret.png")
    (inside / "up").symlink_to(tmp_path)
    pictures = Pictures(inside, [])
    for name in ("a.png", "up/secret.png", "../secret.png", "x\0.png"):
        with pytest.raises(Unusable):
            pictures.read(name)


def test_a_picture_file_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(Unusable, match="too large"):
        Pictures(tmp_path, []).read("big.png")


def test_the_newest_card_finds_its_own_samples(home: Home, tmp_path: Path) -> None:
    first = make_chats(home, tmp_path, "x", 3)
    assert find_samples(home, f"x@{first.revision}").folder == first.folder
    with pytest.raises(Refusal, match="at revision 0123"):
        find_samples(home, "x@0123")
    write_card(home, "x", format="llava_chat", options={"unknown": "setting"})
    with pytest.raises(Refusal, match=r"made otherwise \(form.options.unknown: None -> 'setting'\)"):
        find_samples(home, "x")
    write_card(home, "y", format="llava_chat")
    with pytest.raises(Refusal, match="run 'curator pull y'"):
        find_samples(home, "y")


def test_two_revisions_must_be_told_apart_or_pinned(home: Home, tmp_path: Path) -> None:
    first = make_chats(home, tmp_path, "x", 3)
    write_json(tmp_path / "newer" / "rows.json", chats(4))
    second = pulled(home, first.card, tmp_path / "newer").folder
    with pytest.raises(Refusal, match="more than one revision") as refused:
        find_samples(home, "x")
    assert f"x@{first.revision}" in refused.value.way_out
    assert find_samples(home, f"x@{first.revision}").folder == first.folder
    newer = second.name.partition("@")[2].rpartition("-")[0]
    pinned = write_card(home, "x", format="llava_chat", source={"revision": newer})
    assert find_samples(home, pinned.name).folder == second


def test_the_record_accounts_for_its_inputs(home: Home, tmp_path: Path) -> None:
    samples = make_chats(home, tmp_path, "x", 3)
    [(raw, digest)] = samples.record.inputs.items()
    assert read_record(home.path / raw).digest == digest
    assert samples.record.kind == "samples"
    assert samples.record.versions.keys() == {"format", "normalise", "schema"}
