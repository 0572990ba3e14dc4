"""``--from``: a folder, a file, an archive; hostile archives stay outside."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from curator.normalise import normalise
from curator.origin import local_copy, unpack
from curator.pull import offer_from_folder, pull
from registry.errors import Refusal
from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import captions, chats, picture, rows_of, write_card, write_json, write_parquet


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def pulled_rows(home: Home, given: str, form: str) -> int:
    """Rows of a dataset that is pulled from what ``--from`` names."""
    card = write_card(home, "x", format=form)
    with local_copy(home, given) as local:
        raw = pull(home, offer_from_folder(card, local.folder, local.only)).folder
    return len(rows_of(normalise(home, card, raw).folder))


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return path


def test_a_folder_and_one_file_of_it(home: Home, tmp_path: Path) -> None:
    write_json(tmp_path / "p" / "a.json", chats(3))
    write_json(tmp_path / "p" / "b.json", chats(4, start=3))
    assert pulled_rows(home, str(tmp_path / "p"), "llava_chat") == 7
    assert pulled_rows(home, str(tmp_path / "p" / "b.json"), "llava_chat") == 4


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz"])
def test_an_archive_is_unpacked_and_thrown_away(home: Home, tmp_path: Path, name: str) -> None:
    write_parquet(tmp_path / "p" / "data" / "train-0.parquet", captions(5))
    if name.endswith(".zip"):
        zipped(tmp_path / name, data__train_dot_parquet=(tmp_path / "p/data/train-0.parquet").read_bytes())
    else:
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as tar:
            tar.add(tmp_path / "p", arcname=".")
    assert pulled_rows(home, str(tmp_path / name), "caption_pairs") == 5
    assert [path.name for path in home.aside.iterdir()] == [".lock"]


def test_the_only_folder_at_the_top_of_an_archive_is_the_dataset(home: Home, tmp_path: Path) -> None:
    image, turns = picture(1), [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "This."}]
    rows = json.dumps([{"image": "images/1.png", "conversations": turns}]).encode()
    with zipfile.ZipFile(tmp_path / "X.ZIP", "w") as archive:
        archive.writestr("set/rows.json", rows)
        archive.writestr("set/images/1.png", image)
    assert pulled_rows(home, str(tmp_path / "X.ZIP"), "llava_chat") == 1


def test_what_cannot_be_had_is_refused_in_words(home: Home, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("x")
    (tmp_path / "a.zip").write_text("PK no archive")
    (tmp_path / "a.tar").write_text("no archive")
    cases = {
        str(tmp_path / "absent"): "is no folder, file or http address",
        str(tmp_path / "a.pdf"): "no kind of file",
        str(tmp_path / "a.zip"): "no readable archive",
        str(tmp_path / "a.tar"): "no readable archive",
        "http://127.0.0.1:9/rows.json": "cannot be downloaded",
        "http://127.0.0.1:9/page": "names no file of a known kind",
        "http://127.0.0.1:9/a%5C..%5Cb.json": "names no file of a known kind",
    }
    for given, what in cases.items():
        with pytest.raises(Refusal, match=what), local_copy(home, given):
            pass


@pytest.mark.parametrize("name", ["../evil.json", "/evil.json", "a/../../evil.json", "..\\evil.json"])
def test_no_member_leaves_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "a.zip", **{name: b"[]"})
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 2
        tar.addfile(member, io.BytesIO(b"[]"))
    for archive in ("a.zip", "a.tar"):
        with pytest.raises(Refusal, match="outside its folder"):
            unpack(tmp_path / archive, tmp_path / "in")
    assert not list(tmp_path.rglob("evil.json"))


def test_links_and_devices_of_an_archive_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "link"), (tarfile.CHRTYPE, "device"), (tarfile.LNKTYPE, "hard")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    assert unpack(tmp_path / "a.tar", tmp_path / "in") == ["link", "device", "hard"]
    assert list((tmp_path / "in").iterdir()) == []


def linked_tar(path: Path, data: bytes) -> Path:
    """A file, and other names of it by links of both kinds; and names of nothing."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as tar:
        member = tarfile.TarInfo("data/rows.json")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
        for kind, name, target in (
            (tarfile.LNKTYPE, "data/hard.json", "data/rows.json"),
            (tarfile.SYMTYPE, "data/soft.json", "rows.json"),
            (tarfile.SYMTYPE, "other/soft.json", "../data/hard.json"),
            (tarfile.LNKTYPE, "data/later.json", "data/absent.json"),
            (tarfile.SYMTYPE, "data/out.json", "../../data/rows.json"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
    return path


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_link_to_an_earlier_member_is_that_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    left_out = unpack(linked_tar(tmp_path / name, b"[1]"), tmp_path / "in")
    assert left_out == ["data/later.json", "data/out.json"]
    found = {path.relative_to(tmp_path / "in").as_posix(): path for path in (tmp_path / "in").rglob("*.json")}
    assert sorted(found) == ["data/hard.json", "data/rows.json", "data/soft.json", "other/soft.json"]
    assert not any(path.is_symlink() for path in found.values())
    assert {path.read_bytes() for path in found.values()} == {b"[1]"}


def test_what_an_archive_leaves_out_is_said(curator: Curator, home_path: Path, tmp_path: Path) -> None:
    write_card(Home(home_path), "x", format="llava_chat", source={"files": ["data/rows.json"]})
    told = curator("pull", "x", "--from", str(linked_tar(tmp_path / "a.tar", json.dumps(chats(2)).encode())))
    assert told.exit_code == 0, told.stderr
    assert "data/out.json is a link to no file of the archive" in told.stderr


@pytest.mark.parametrize("cut", [100, 1000, 1024, 1536, 2000])
def test_a_tar_that_is_cut_off_anywhere_is_refused(tmp_path: Path, cut: int) -> None:
    """Also between two members, where nothing but the mark of the end is missing."""
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "whole.tar", "w") as tar:
        for number in range(3):
            member = tarfile.TarInfo(f"{number}.json")
            member.size = 2
            tar.addfile(member, io.BytesIO(b"[]"))
    (tmp_path / "a.tar").write_bytes((tmp_path / "whole.tar").read_bytes()[:cut])
    with pytest.raises(Refusal, match=r"a\.tar: is no readable archive \(.*(cut off|end of data|truncated)"):
        unpack(tmp_path / "a.tar", tmp_path / "in")


def test_an_archive_too_large_for_the_disk_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    zipped(tmp_path / "a.zip", big=b"0" * 100_000)
    monkeypatch.setattr("curator.origin.shutil.disk_usage", lambda _path: type("Usage", (), {"free": 99_999}))
    with pytest.raises(Refusal, match="unpacks to 100,000 bytes and 99,999 are free"):
        unpack(tmp_path / "a.zip", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []
