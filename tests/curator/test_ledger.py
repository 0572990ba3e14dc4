"""What a pull says about completeness: declared, found, kept, set aside, missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from curator.ledger import read_ledger, shortfalls
from curator.normalise import Look, normalise
from curator.pull import offer_from_folder, pull
from curator.samples import find_samples
from registry.card import Card
from registry.errors import Refusal
from registry.store import Home
from tests.curator.data_home import picture, rows_of, write_card, write_json


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def chat(number: int, image: str | None) -> dict[str, Any]:
    turns = [{"from": "human", "value": "<image>\nWhat?" if image else "What?"}, {"from": "gpt", "value": "This."}]
    return {"id": str(number), "conversations": turns} | ({"image": image} if image else {})


def mixed(tmp_path: Path) -> Path:
    """Ten rows: four of text, three with a picture of coco, two of gqa, one of no known folder."""
    images = [None] * 4 + ["coco/train2017/1.jpg", "coco/train2017/2.jpg", "coco/train2017/3.jpg"]
    images += ["gqa/images/1.jpg", "gqa/images/2.jpg", "odd.jpg"]
    write_json(tmp_path / "raw" / "rows.json", [chat(number, image) for number, image in enumerate(images)])
    return tmp_path / "raw"


def mix_card(home: Home, **more: Any) -> Card:
    parts = [
        {"name": "text", "category": "text_only", "rule": {"columns": {"image": "^$"}}, "rows": 4},
        {"name": "coco", "category": "captioning", "rule": {"columns": {"image": "^coco/"}}, "rows": 3},
        {"name": "rest", "category": "general_qa"},
    ]
    folders = {"folders": {"coco/train2017": "COCO: train2017 pictures"}}
    fields = {"format": "llava_chat", "parts": parts, "pictures": folders, **more}
    return write_card(home, "mix", **fields)


def given(tmp_path: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = tmp_path / "given" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return tmp_path / "given"


def test_missing_pictures_stop_the_pull_and_the_way_out_is_named(home: Home, tmp_path: Path) -> None:
    raw = pull(home, offer_from_folder(mix_card(home), mixed(tmp_path))).folder
    with pytest.raises(Refusal, match="6 of 10 rows cannot be used: image file is missing") as refused:
        normalise(home, mix_card(home), raw)
    assert refused.value.way_out.startswith("get coco/train2017 (from COCO: train2017 pictures), gqa/images, . and")
    assert refused.value.way_out.endswith("--images")


def test_the_ledger_counts_every_row_by_part_reason_and_folder(home: Home, tmp_path: Path) -> None:
    card = mix_card(home, size={"rows": 12})
    raw = pull(home, offer_from_folder(card, mixed(tmp_path))).folder
    images = given(tmp_path, "coco/train2017/1.jpg", "coco/train2017/2.jpg", "gqa/images/1.jpg")
    made = normalise(home, card, raw, look=Look(images=images), allow_rejected=True)
    ledger = read_ledger(made.folder)
    assert (ledger["declared"]["rows"], ledger["found"], ledger["kept"]) == (12, 10, 7)
    assert ledger["without_pictures"] == 4
    assert ledger["rejected"] == {"image file is missing": 3} == made.record.rejected
    assert ledger["missing_images"] == {".": 1, "coco/train2017": 1, "gqa/images": 1}
    assert [(part["part"], part["declared"], part["kept"]) for part in ledger["parts"]] == [
        ("text", 4, 4),
        ("coco", 3, 2),
        ("rest", None, 1),
    ]
    assert shortfalls(ledger) == [
        "3 rows set aside: image file is missing",
        "12 rows declared and 10 found",
        "part coco: 3 rows declared and 2 kept",
    ]


def test_rows_that_the_card_foresees_do_not_count_towards_the_limit(home: Home, tmp_path: Path) -> None:
    card = mix_card(home, expected_rejections={"image file is missing": "their pictures are elsewhere"})
    made = normalise(home, card, pull(home, offer_from_folder(card, mixed(tmp_path))).folder)
    assert made.record.rows_out == 4
    assert shortfalls(read_ledger(made.folder)) == ["part coco: 3 rows declared and 0 kept"]
    nothing = write_json(tmp_path / "none" / "rows.json", [chat(1, "coco/1.jpg")]).parent
    with pytest.raises(Refusal, match="1 of 1 rows"):
        normalise(home, card, pull(home, offer_from_folder(card, nothing)).folder)


def test_what_one_policy_let_through_is_judged_again_by_another(home: Home, tmp_path: Path) -> None:
    card = mix_card(home)
    raw = pull(home, offer_from_folder(card, mixed(tmp_path))).folder
    assert not normalise(home, card, raw, allow_rejected=True).already_there
    assert normalise(home, card, raw, allow_rejected=True).already_there
    with pytest.raises(Refusal, match="6 of 10 rows cannot be used"):
        normalise(home, card, raw)


def test_files_with_rows_that_a_card_does_not_ask_for_are_named(home: Home, tmp_path: Path) -> None:
    card = mix_card(home, source={"files": ["rows.json"]})
    for name in ("extra.json", "more.csv", "notes.md"):
        (mixed(tmp_path) / name).write_text("[]")
    offer = offer_from_folder(card, tmp_path / "raw")
    assert (offer.left_out, offer.rows_left_out) == (3, ("extra.json", "more.csv"))
    assert pull(home, offer).record.settings["left_out"] == ["extra.json", "more.csv"]


def test_other_pictures_are_other_samples(home: Home, tmp_path: Path) -> None:
    card = mix_card(home)
    raw = pull(home, offer_from_folder(card, mixed(tmp_path))).folder
    first = normalise(home, card, raw, look=Look(images=given(tmp_path, "coco/train2017/1.jpg")), allow_rejected=True)
    look = Look(images=given(tmp_path, "coco/train2017/1.jpg", "coco/train2017/2.jpg"))
    second = normalise(home, card, raw, look=look, allow_rejected=True)
    assert (first.record.rows_out, second.record.rows_out) == (5, 6)
    assert normalise(home, card, raw, look=look, allow_rejected=True).already_there
    with pytest.raises(Refusal, match="more than one revision"):
        find_samples(home, "mix")


def test_a_picture_that_was_replaced_by_one_of_the_same_size_gives_other_samples(home: Home, tmp_path: Path) -> None:
    card = mix_card(home)
    raw = pull(home, offer_from_folder(card, mixed(tmp_path))).folder
    images = given(tmp_path, "coco/train2017/1.jpg")
    look = Look(images=images)
    victim = images / "coco" / "train2017" / "1.jpg"
    before, other = picture(1), picture(2)
    assert len(before) == len(other)
    victim.write_bytes(before)
    first = normalise(home, card, raw, look=look, allow_rejected=True)
    state = victim.stat()
    victim.write_bytes(other)
    os.utime(victim, ns=(state.st_atime_ns, state.st_mtime_ns))  # as a careful copy does
    second = normalise(home, card, raw, look=look, allow_rejected=True)
    assert second.folder != first.folder
    assert [row["images"] for row in rows_of(second.folder)] != [row["images"] for row in rows_of(first.folder)]
    assert normalise(home, card, raw, look=look, allow_rejected=True).already_there
    victim.write_bytes(before)
    back = normalise(home, card, raw, look=look, allow_rejected=True)
    assert (back.folder, back.already_there) == (first.folder, True), "what the rows had is the identity"


def test_files_that_no_row_names_are_no_part_of_the_identity(home: Home, tmp_path: Path) -> None:
    card = mix_card(home)
    raw = pull(home, offer_from_folder(card, mixed(tmp_path))).folder
    look = Look(images=given(tmp_path, "coco/train2017/1.jpg"))
    first = normalise(home, card, raw, look=look, allow_rejected=True)
    (look.images / "notes.txt").write_text("of another dataset")  # type: ignore[operator]  # given above
    again = normalise(home, card, raw, look=look, allow_rejected=True)
    assert (again.folder, again.already_there) == (first.folder, True)
    moved = Look(images=(tmp_path / "given").rename(tmp_path / "elsewhere"))
    assert normalise(home, card, raw, look=moved, allow_rejected=True).folder == first.folder


def test_a_folder_that_gave_no_picture_changes_nothing(home: Home, tmp_path: Path) -> None:
    card = mix_card(home)
    raw = pull(home, offer_from_folder(card, mixed(tmp_path))).folder
    plain = normalise(home, card, raw, allow_rejected=True)
    look = Look(images=given(tmp_path, "of/others/1.jpg"))
    assert normalise(home, card, raw, look=look, allow_rejected=True).folder == plain.folder


def test_what_was_found_is_not_looked_for_again(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = mix_card(home)
    raw = pull(home, offer_from_folder(card, mixed(tmp_path))).folder
    look = Look(images=given(tmp_path, "coco/train2017/1.jpg"))
    normalise(home, card, raw, look=look, allow_rejected=True)
    monkeypatch.setattr("curator.pictures.Pictures.read", lambda *_: pytest.fail("a picture was read again"))
    assert normalise(home, card, raw, look=look, allow_rejected=True).already_there


def test_a_look_at_the_first_rows_is_never_taken_for_the_dataset(home: Home, tmp_path: Path) -> None:
    card = mix_card(home)
    raw = pull(home, offer_from_folder(card, mixed(tmp_path))).folder
    look = normalise(home, card, raw, look=Look(limit=3))
    assert [row["source_id"] for row in rows_of(look.folder)] == ["0", "1", "2"]
    assert ".first3-" in look.folder.name
    with pytest.raises(Refusal, match="has no samples here"):
        find_samples(home, "mix")
    assert find_samples(home, f"mix@{look.folder.name.partition('@')[2].rpartition('-')[0]}").folder == look.folder
