"""The image store: plain tars, exact positions, every picture once, and no bad picture inside."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from registry import image_decoder, images
from registry.errors import Refusal
from registry.image_decoder import BadImage
from registry.image_index import ImageIndex
from registry.images import ImageRef, ImageStore, Place, inspect
from registry.store import Home

CHILD = """
import sys
from pathlib import Path
from registry.images import ImageStore
from registry.store import Home

with ImageStore(Home(Path(sys.argv[1]))).writer() as writer:
    writer.add(Path(sys.argv[2]).read_bytes())
    print("working", flush=True)
    sys.stdin.readline()
"""


def picture(number: int = 0, kind: str = "PNG", size: tuple[int, int] = (5, 3)) -> bytes:
    """The file bytes of a small picture; another number is another picture."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (number * 37 % 256, number % 256, 7)).save(buffer, kind)
    return buffer.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_claiming(width: int, height: int) -> bytes:
    """A small PNG file whose header claims this size."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def open_files() -> int:
    """Files that this process has open (0 where the system does not tell)."""
    table = Path("/proc/self/fd")
    return len(list(table.iterdir())) if table.is_dir() else 0


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(Home(tmp_path / "home"))


def index_table(digests: list[str]) -> pa.Table:
    """The index of a shard with pictures of a byte each."""
    numbers = {name: [1] * len(digests) for name in ("length", "width", "height")}
    return pa.table({"sha256": digests, "offset": list(range(len(digests))), **numbers})


def fill(store: ImageStore, pictures: list[bytes]) -> list[ImageRef]:
    with store.writer() as writer:
        return [writer.add(data) for data in pictures]


def shards(store: ImageStore) -> list[str]:
    return sorted(path.name for path in store.home.images.iterdir()) if store.home.images.is_dir() else []


def test_a_picture_comes_back_as_it_was_published(store: ImageStore) -> None:
    published = [picture(n, kind) for n, kind in enumerate(image_decoder.FORMATS)]
    refs = fill(store, published)
    assert refs == [ImageRef(sha(data), 5, 3) for data in published]
    assert [store.read(ref.sha256) for ref in refs] == published
    assert all(ref.sha256 in store and store.ref(ref.sha256) == ref for ref in refs)
    store.close()
    assert store.read(refs[0].sha256) == published[0]
    store.close()


def test_another_reader_finds_them_too(store: ImageStore) -> None:
    early = ImageStore(store.home)
    [ref] = fill(store, [picture()])
    assert ref.sha256 not in early
    early.refresh()
    for reader in (early, ImageStore(store.home)):
        assert reader.read(ref.sha256) == picture()
        assert reader.ref(ref.sha256) == ref
        reader.close()


def test_a_shard_is_a_tar_for_any_tool(store: ImageStore) -> None:
    published = {sha(data): data for data in (picture(1, "JPEG"), picture(2), picture(3, "GIF", (64, 64)))}
    fill(store, list(published.values()))
    [tar] = store.home.images.glob("*.tar")
    with tarfile.open(tar) as opened:
        members = opened.getmembers()
        found = {member.name: opened.extractfile(member) for member in members}
        assert {name: file.read() for name, file in found.items() if file} == {
            f"{key}.{ending}": data
            for (key, data), ending in zip(published.items(), ("jpg", "png", "gif"), strict=True)
        }
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}
    if shutil.which("tar"):
        listed = subprocess.run(["tar", "-tf", tar], capture_output=True, text=True, check=True)
        assert listed.stdout.split() == list(found)


def test_the_index_says_where_each_picture_lies(store: ImageStore) -> None:
    published = [picture(n, size=(4 + n, 9)) for n in range(5)]
    fill(store, published)
    [index] = store.home.images.glob("*.parquet")
    rows = pq.read_table(index).to_pylist()
    whole = index.with_suffix(".tar").read_bytes()
    assert [row["sha256"] for row in rows] == [sha(data) for data in published]
    assert [whole[row["offset"] : row["offset"] + row["length"]] for row in rows] == published
    assert [(row["width"], row["height"]) for row in rows] == [(4 + n, 9) for n in range(5)]
    assert {row["shard"] for row in rows} == {index.stem}
    for row in rows:
        assert store.locate(row["sha256"]) == Place(index.stem, row["offset"], row["length"], row["crc32"])
        assert row["crc32"] == zlib.crc32(store.read(row["sha256"]))


def test_a_checked_picture_is_as_it_was_stored_or_refused(store: ImageStore) -> None:
    """By its checksum, by its digest, and by its digest where an index of before the checksums has none."""
    [ref] = fill(store, [picture(1)])
    assert store.read_checked(ref.sha256) == picture(1)
    place = store.locate(ref.sha256)
    tar, index = store.home.images / f"{place.shard}.tar", store.home.images / f"{place.shard}.parquet"
    pq.write_table(pq.read_table(index).drop_columns("crc32"), index)
    older = ImageStore(store.home)
    assert older.locate(ref.sha256).crc32 is None
    assert older.read_checked(ref.sha256) == picture(1)
    room = memoryview(bytearray(place.length))
    with tar.open("r+b") as file:
        file.seek(place.offset + 20)
        file.write(b"\x55")
    for one, thorough in ((store, False), (store, True), (older, False)):
        with pytest.raises(Refusal, match="is damaged"):
            one.read_into(ref.sha256, one.locate(ref.sha256), room, thorough=thorough)
    os.truncate(tar, place.offset + 9)
    with pytest.raises(Refusal, match="cut off"):
        store.read_checked(ref.sha256)
    older.close()
    store.close()


def test_a_picture_is_stored_once(store: ImageStore) -> None:
    fill(store, [picture(1), picture(2), picture(1)])
    fill(store, [picture(2), picture(3)])
    fill(store, [picture(1), picture(3)])
    assert len(shards(store)) == 4
    assert sum(pq.read_table(path).num_rows for path in store.home.images.glob("*.parquet")) == 3


def test_the_same_pictures_make_the_same_shard_anywhere(tmp_path: Path) -> None:
    published = [picture(n) for n in range(4)]
    found = []
    for place in ("one", "two"):
        store = ImageStore(Home(tmp_path / place))
        fill(store, published)
        found.append({path.name: path.read_bytes() for path in store.home.images.iterdir()})
    assert found[0] == found[1]
    assert len(found[0]) == 2


def test_a_full_shard_is_finished_and_the_next_begun(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SHARD_BYTES", 1500)
    published = [picture(n) for n in range(5)]
    with store.writer() as writer:
        refs = [writer.add(data) for data in published]
        assert refs[0].sha256 in ImageStore(store.home)
        assert refs[-1].sha256 not in ImageStore(store.home)
    assert len(list(store.home.images.glob("*.tar"))) == 3
    assert [ImageStore(store.home).read(ref.sha256) for ref in refs] == published


def test_more_shards_than_may_be_open_are_read(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SHARD_BYTES", 1)
    monkeypatch.setattr(images, "OPEN_SHARDS", 2)
    published = [picture(n) for n in range(6)]
    refs = fill(store, published)
    before = open_files()
    assert [store.read(ref.sha256) for _ in range(2) for ref in refs] == published * 2
    assert [store.read_at(place) for place in store.locate_all([ref.sha256 for ref in refs])] == published
    assert open_files() <= before + 2
    store.close()
    assert open_files() == before


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "image is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='5' height='5'/>", "not a picture"),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not a picture"),
        (b"%PDF-1.7\n%%EOF\n", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture"),
        (picture(1)[:40], "not a picture"),
        (picture(1, size=(64, 64))[:-40], "image cannot be decoded"),
        (picture(1, "JPEG", (64, 64))[:-200], "image cannot be decoded"),
        (picture(1, "WEBP")[:-4], "image cannot be decoded"),
        (png_claiming(100, 100), "image cannot be decoded"),
        (png_claiming(20_000, 20_000), "image has too many pixels"),
        (png_claiming(2**31 - 1, 2**31 - 1), "image has too many pixels"),
        (b"BM" + b"\0" * 40, "image cannot be decoded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_picture_is_refused_with_a_reason_to_count(store: ImageStore, data: bytes, reason: str) -> None:
    with store.writer() as writer:
        with pytest.raises(BadImage) as caught:
            writer.add(data)
        kept = writer.add(picture())
    assert str(caught.value) == reason
    assert sha(data) not in store
    assert store.read(kept.sha256) == picture()


def test_a_file_that_is_too_large_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 10)
    with pytest.raises(BadImage, match="image file too large"):
        inspect(picture())


def test_a_picture_is_told_by_its_bytes_not_by_a_name() -> None:
    assert inspect(picture(kind="JPEG", size=(7, 2))) == (7, 2, "jpg")
    assert inspect(picture(kind="TIFF")) == (5, 3, "tiff")


GOOD = [picture(n, kind, (9, 7)) for n, kind in enumerate(image_decoder.FORMATS)]
damaged = st.builds(
    lambda data, at, new, end: (data[: at % len(data)] + new + data[at % len(data) + len(new) :])[: max(1, end)],
    st.sampled_from(GOOD),
    st.integers(0, 400),
    st.binary(min_size=1, max_size=6),
    st.sampled_from([10**6, 10**6, 40, 100, 200]),
)


@settings(max_examples=300, deadline=None)
@given(damaged)
def test_whatever_the_bytes_they_are_a_picture_or_a_bad_one(data: bytes) -> None:
    with contextlib.suppress(BadImage):
        width, height, extension = inspect(data)
        assert width > 0 < height
        assert extension.isalnum()


def test_an_absent_picture_is_refused(store: ImageStore) -> None:
    assert "ab" * 32 not in store
    with pytest.raises(Refusal, match="is not in the image store"):
        store.read("ab" * 32)
    with pytest.raises(KeyError):
        store.ref("ab" * 32)


def test_a_shard_that_was_cut_off_is_refused(store: ImageStore) -> None:
    [ref] = fill(store, [picture()])
    [tar] = store.home.images.glob("*.tar")
    os.truncate(tar, 520)
    with pytest.raises(Refusal, match="is cut off"):
        ImageStore(store.home).read(ref.sha256)


def test_an_error_while_writing_leaves_nothing(store: ImageStore) -> None:
    def fail() -> None:
        with store.writer() as writer:
            writer.add(picture())
            raise KeyError("row")

    with pytest.raises(KeyError):
        fail()
    assert shards(store) == []
    assert [path.name for path in store.home.aside.iterdir()] == [".lock"]


def test_a_killed_writer_leaves_nothing_half_visible(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(picture())
    command = [sys.executable, "-c", CHILD, str(store.home.path), str(tmp_path / "picture.png")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "working\n"
        child.send_signal(signal.SIGKILL)
    assert shards(store) == []
    assert sha(picture()) not in ImageStore(store.home)
    [ref] = fill(store, [picture()])
    assert store.read(ref.sha256) == picture()
    assert [path.name for path in store.home.aside.iterdir()] == [".lock"]


def test_an_index_whose_tar_never_came_does_not_count(store: ImageStore) -> None:
    [ref] = fill(store, [picture()])
    whole = {path.name: path.read_bytes() for path in store.home.images.iterdir()}
    [tar] = store.home.images.glob("*.tar")
    tar.unlink()
    again = ImageStore(store.home)
    assert ref.sha256 not in again
    assert fill(again, [picture()]) == [ref]
    assert {path.name: path.read_bytes() for path in store.home.images.iterdir()} == whole


def test_the_index_answers_as_a_dictionary_would_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    """Digests that end or begin with zeros included, and a picture that two shards have: the first one counts."""
    draw = random.Random(4)
    known: dict[str, tuple[str, int]] = {}
    index = ImageIndex()
    for batch in range(7):
        arriving = []
        for number in range(draw.choice([1, 2, 30])):
            digests = [draw.randbytes(30).hex() + draw.choice(["0000", "00ff", "1200", "ffff"]) for _ in range(20)]
            digests += ["00" + draw.randbytes(31).hex(), *draw.sample(list(known), min(5, len(known)))]
            name = f"{batch}-{number}"
            arriving.append((name, index_table(digests)))
            for offset, digest in enumerate(digests):
                known.setdefault(digest, (name, offset))
        index.add(arriving)
    found = {digest: index.find(digest) for digest in known}
    assert {digest: (one.shard, one.offset) for digest, one in found.items() if one} == known
    assert sum(map(len, index._segments)) < 1.5 * len(known), "later shards are merged, and copies do not stay"
    assert index.find("0" * 64) is None
    assert index.find("no digest") is None
    assert index.find("12") is None
    asked = [*draw.choices(list(known), k=300), "0" * 64, *list(known)[:3]]
    assert index.find_all(asked) == [index.find(digest) for digest in asked]
    odd = ["no digest", asked[0], "12", asked[1] + "00"]
    assert index.find_all(odd) == [None, index.find(asked[0]), None, None]
    assert index.find_all([]) == []
    assert ImageIndex().find_all(asked[:2]) == [None, None]


def test_an_index_with_a_digest_that_is_none_is_refused(store: ImageStore) -> None:
    fill(store, [picture()])
    (path,) = store.home.images.glob("*.parquet")
    pq.write_table(index_table(["12 is no digest"]), path)
    with pytest.raises(Refusal, match="a sha256 is none"):
        ImageStore(store.home)


def test_a_shard_that_is_gone_is_refused(store: ImageStore) -> None:
    (ref,) = fill(store, [picture()])
    (path,) = store.home.images.glob("*.tar")
    path.unlink()
    with pytest.raises(Refusal, match="is missing"):
        store.read(ref.sha256)
