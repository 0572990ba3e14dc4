"""Where pictures are found: in the dataset's folder, its archives, or the user's folder, by the card's templates."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from curator.pictures import MISSING, Pictures, listing
from curator.raw_sample import Unusable
from registry.card import Pictures as Facts
from registry.errors import Refusal
from tests.curator.data_home import picture


def put(root: Path, **files: int) -> Path:
    for name, number in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".jpg").write_bytes(picture(number))
    return root


def packed(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = len(picture(number))
            tar.addfile(member, io.BytesIO(picture(number)))
    path.write_bytes(gzip.compress(plain.getvalue()))
    return path


def test_templates_are_tried_in_order_in_both_folders(tmp_path: Path) -> None:
    own, given = put(tmp_path / "own", VG_100K_2__7=1), put(tmp_path / "given", VG_100K__8=2)
    pictures = Pictures(own, [], ["VG_100K/{}.jpg", "VG_100K_2/{}.jpg"], given)
    assert pictures.read("7") == picture(1)
    assert pictures.read("8") == picture(2)
    with pytest.raises(Unusable) as missing:
        pictures.read("9")
    assert (missing.value.reason, missing.value.detail) == (MISSING, "VG_100K/9.jpg")


def test_numbers_get_the_zeros_of_the_template(tmp_path: Path) -> None:
    given = put(tmp_path, coco__COCO_000000000042=3)
    pictures = Pictures(tmp_path / "own", [], ["coco/COCO_{:012d}.jpg"], given)
    assert pictures.read("42") == picture(3)
    with pytest.raises(Unusable, match="no number"):
        pictures.read("../42")


@pytest.mark.parametrize("name", ["../up.jpg", "/etc/passwd", "a\\b.jpg"])
def test_a_name_cannot_leave_the_folder_through_a_template(tmp_path: Path, name: str) -> None:
    put(tmp_path, up=1)
    with pytest.raises(Unusable, match="not safe"):
        Pictures(tmp_path / "own", [], ["{}"], tmp_path / "given").read(name)


@pytest.mark.parametrize("template", ["coco", "{}/{}", "{name}", "{}{", "{:d}", "{0}", "{.__class__}"])
def test_a_template_has_one_place_and_no_code(template: str) -> None:
    with pytest.raises(ValueError, match="needs one"):
        Facts(paths=[template])


@pytest.mark.parametrize("template", ["../{}", "/etc/{}", "C:\\{}", "a/../../{}", "c:{}"])
def test_a_template_that_leaves_the_folder_is_refused_with_the_card(template: str) -> None:
    with pytest.raises(ValueError, match="could leave"):
        Facts(paths=[template])


@pytest.mark.parametrize("address", ["http://example.com/a.jpg", "HTTPS://x/y.png", "ftp://x", "s3://b/k"])
def test_addresses_are_not_fetched(tmp_path: Path, address: str) -> None:
    with pytest.raises(Unusable, match="address"):
        Pictures(tmp_path, []).read(address)


def test_links_that_the_user_made_are_followed_and_loops_end(tmp_path: Path) -> None:
    real, given = put(tmp_path / "disk", train2017__1=4), tmp_path / "given"
    (given / "coco").mkdir(parents=True)
    (given / "coco" / "train2017").symlink_to(real / "train2017")
    (given / "coco" / "again").symlink_to(given)
    assert Pictures(tmp_path / "own", [], [], given).read("coco/train2017/1.jpg") == picture(4)
    assert [entry[:2] for entry in listing(given)] == [("coco/train2017/1.jpg", len(picture(4)))]


def test_archives_packed_from_inside_or_above_a_folder_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images_0.zip", "w") as archive:
        archive.writestr("images/5.jpeg", picture(5))
        archive.writestr("6.jpeg", picture(6))
    pictures = Pictures(tmp_path, ["images_0.zip"])
    assert pictures.read("allava_laion/images/5.jpeg") == picture(5)
    assert pictures.read("allava_laion/images/6.jpeg") == picture(6)
    pictures.close()


def test_a_link_inside_a_tar_is_the_picture_that_it_names(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("./pics/1.png")
        member.size = len(picture(1))
        tar.addfile(member, io.BytesIO(picture(1)))
        for kind, name, target in (
            (tarfile.LNKTYPE, "pics/2.png", "./pics/1.png"),
            (tarfile.SYMTYPE, "pics/3.png", "2.png"),
            (tarfile.SYMTYPE, "pics/4.png", "/etc/passwd"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
    pictures = Pictures(tmp_path, ["a.tar"])
    assert [pictures.read(f"pics/{number}.png") for number in (1, 2, 3)] == [picture(1)] * 3
    with pytest.raises(Unusable, match=MISSING):
        pictures.read("pics/4.png")


@pytest.mark.parametrize("cut", [700, 1024])
def test_a_tar_of_pictures_that_is_cut_off_is_no_tar_that_lacks_some(tmp_path: Path, cut: int) -> None:
    whole = gzip.decompress(packed(tmp_path / "a.tgz", "0.png", "1.png").read_bytes())
    (tmp_path / "a.tar").write_bytes(whole[:cut])
    with pytest.raises(Refusal, match=r"is no readable archive \(.*(cut off|end of data)"):
        Pictures(tmp_path, ["a.tar"]).read("1.png")


def test_a_damaged_member_of_a_zip_is_one_picture_that_cannot_be_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", picture(1))
        archive.writestr("2.png", picture(2))
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace(picture(2), bytes(len(picture(2))), 1))
    pictures = Pictures(tmp_path, ["a.zip"])
    assert pictures.read("1.png") == picture(1)
    with pytest.raises(Unusable, match="cannot be read"):
        pictures.read("2.png")
    pictures.close()


def test_a_link_that_leads_nowhere_is_no_file_of_the_users_folder(tmp_path: Path) -> None:
    put(tmp_path, a=1)
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "nowhere")
    assert [entry[:2] for entry in listing(tmp_path)] == [("a.jpg", len(picture(1)))]


@pytest.mark.parametrize("name", ["pics.tar.gz", "pics.tgz"])
def test_a_compressed_tar_is_unpacked_for_the_run(tmp_path: Path, name: str) -> None:
    packed(tmp_path / "raw" / name, "a/0.png", "a/1.png")
    (tmp_path / "room").mkdir()
    pictures = Pictures(tmp_path / "raw", [name], ["a/{}"], unpack_into=tmp_path / "room")
    assert [pictures.read(f"{number}.png") for number in (1, 0)] == [picture(1), picture(0)]
    (tmp_path / "raw" / name).write_bytes(packed(tmp_path / "x.tgz", "b").read_bytes()[:-20])
    with pytest.raises(Refusal, match="no readable archive"):
        Pictures(tmp_path / "raw", [name], unpack_into=tmp_path / "room").read("b")
