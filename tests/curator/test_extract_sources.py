"""What ``curator extract`` reads: layouts of releases, places of files, and everything that is refused."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.extract.columns import Layout
from curator.extract.sources import read_pool
from registry.recipe import load_recipe
from tests.conftest import Curator
from tests.curator.data_home import file_bytes
from tests.curator.extract_reference import drawn, rows, write
from tests.hub.server import Hub

ROWS = rows(400)
ORIGINAL = ["SAMPLE_ID", "URL", "TEXT", "HEIGHT", "WIDTH", "LICENSE", "NSFW", "similarity"]
JOINED = [*ORIGINAL, "LANGUAGE", "hash", "punsafe", "pwatermark", "AESTHETIC_SCORE"]
RELAION = ["url", "caption", "similarity", "punsafe", "pwatermark", "key", "status", "width", "height"]
RELAION += ["original_width", "original_height", "exif", "error_message", "hash", "md5"]
COYO = ["id", "url", "text", "width", "height", "clip_similarity_vitb32", "nsfw_score_opennsfw2", "watermark_score"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "files", ROWS)


def drawn_by(curator: Curator, source: str, *more: str) -> list[tuple[str, str]]:
    answer = curator("extract", "x", "--source", source, "--sizes", "50", "--json", *more)
    assert answer.exit_code == 0, answer.stderr
    (subset,) = json.loads(answer.stdout)["subsets"]
    return [pair for path in subset["files"] for pair in pl.read_parquet(path).select("url", "caption").rows()]


@pytest.mark.parametrize(
    ("columns", "names", "exchanged"),
    [
        (ORIGINAL, {"url": "URL", "caption": "TEXT", "width": "HEIGHT", "height": "WIDTH"}, True),
        (JOINED, {"width": "WIDTH", "height": "HEIGHT", "language": "LANGUAGE", "aesthetic": "AESTHETIC_SCORE"}, False),
        (RELAION, {"width": "original_width", "height": "original_height", "source_width": "width"}, False),
        (COYO, {"caption": "text", "similarity": "clip_similarity_vitb32", "punsafe": "nsfw_score_opennsfw2"}, False),
    ],
)
def test_the_columns_of_releases(columns: list[str], names: dict[str, str], exchanged: bool) -> None:
    layout = Layout.of("a file", columns)
    assert names.items() <= layout.names.items()
    assert layout.exchanged == exchanged
    assert sorted(layout.names.values()) == sorted(columns), "no column is lost"
    assert Layout.of("a file", columns, exchanged=False).names["width"] != "HEIGHT"


def test_the_original_files_have_their_sizes_put_right(curator: Curator, tmp_path: Path) -> None:
    table = pa.table({"URL": ["https://a.example/1"], "TEXT": ["wide"], "WIDTH": [100], "HEIGHT": [300]})
    pq.write_table(table, tmp_path / "one.parquet")
    wide = ["extract", "x", "--source", str(tmp_path), "--sizes", "1", "--where", "width > height"]
    assert "width and height are exchanged" in curator(*wide).stderr
    assert curator(*wide, "--as-named").exit_code == 1


def test_files_come_from_a_web_server_and_from_a_hub(
    curator: Curator, folder: Path, tmp_path: Path, hub: Hub, home_path: Path
) -> None:
    expected = drawn(ROWS, 0, 50)
    files = sorted(folder.iterdir())
    handler = type("Site", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: handler(*given, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_address[1]}"
        more = [part for file in files[1:] for part in ("--source", f"{at}/{file.name}")]
        assert drawn_by(curator, f"{at}/{files[0].name}", *more) == expected
        server.shutdown()
    assert not list((home_path / "downloads").glob("*")), "what was downloaded is gone when it is drawn from"
    hub.seed("laion/meta", {f"data/{file.name}": file.read_bytes() for file in files})
    by_hub = drawn_by(curator, "hf://datasets/laion/meta/data/*.parquet", "--endpoint", hub.url, "--seed", "4")
    assert by_hub == drawn(ROWS, 4, 50)


def test_a_renamed_and_moved_pool_is_the_same_draw(curator: Curator, folder: Path, tmp_path: Path) -> None:
    one = json.loads(curator("extract", "x", "--source", str(folder), "--sizes", "50", "--json").stdout)
    moved = folder.rename(tmp_path / "moved")
    for number, path in enumerate(sorted(moved.iterdir(), reverse=True)):
        path.rename(moved / f"other-{number}.parquet")
    again = curator("extract", "x", "--source", f"{moved}/*.parquet", "--sizes", "50", "--json")
    assert json.loads(again.stdout)["folder"] == one["folder"]
    assert "nothing to do" in again.stderr


def test_uids_are_sorted_pairs_of_numbers(curator: Curator, folder: Path, home_path: Path) -> None:
    answer = curator("extract", "x", "--source", str(folder), "--sizes", "50", "--uids")
    assert "has no column uid" in answer.stderr
    (path,) = (home_path / "uids").iterdir()
    uids = np.load(path, allow_pickle=False)
    assert (uids.dtype, len(uids)) == (np.dtype("u8,u8"), 50)
    assert uids.tolist() == sorted(uids.tolist())


def test_published_uids_are_kept(curator: Curator, tmp_path: Path, home_path: Path) -> None:
    uids = [f"{i:016x}{i + 1:016x}" for i in range(60)]
    table = pa.table({"uid": uids, "url": [f"https://a.example/{i}" for i in range(60)], "text": ["x"] * 60})
    pq.write_table(table, tmp_path / "one.parquet")
    drawn_by(curator, str(tmp_path / "one.parquet"), "--uids")
    (path,) = (home_path / "uids").iterdir()
    assert all(second == first + 1 for first, second in np.load(path, allow_pickle=False).tolist())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--sizes", "1x"], "'1x' is no number of rows"),
        (["--sizes", ","], "names no size"),
        (["--sizes", "0"], "'0' is no number of rows"),
        (["--sizes", "1.5"], "'1.5' is no number of rows"),
        (["--where", "width >"], "is no SQL predicate"),
        (["--where", "width > 3; DROP x"], "is no SQL predicate"),
        (["--where", "read_parquet('/etc/passwd') = 1"], "has 'read_parquet' in it"),
        (["--where", "url IN (SELECT url FROM read_parquet('x'))"], "has 'SELECT' in it"),
        (["--where", "url IN (from 'x')"], "has '(from' in it"),
        (["--where", "'select' = caption /* */ AND nothing"], "has '/*' in it"),
        (["--where", "'select' = \"values\""], "asks for 'values'"),
        (["--where", "widht > 3"], "did you mean 'width'?"),
        (["--where", "width > avg(width)"], "depends on more than one row"),
        (["--where", "row_number() OVER () > 3"], "depends on more than one row"),
        (["--where", "true"], "depends on more than one row"),
        (["--where", "width"], "not true or false"),
        (["--where", "caption > 3"], "cannot be computed"),
        (["--where", "caption ~ '('"], "cannot be computed"),
        (["--bound", "similarity"], "is no bound"),
        (["--bound", "similarity=:"], "is no bound"),
        (["--bound", "similarity=nan:"], "is no bound"),
        (["--bound", "similarity=a:b"], "is no bound"),
        (["--bound", "similarity=0:", "--bound", "similarity=:1"], "is given twice"),
        (["--bound", "aesthetic=5:"], "asks for 'aesthetic', which these files do not have"),
        (["--draw", "top"], "needs a column to order by"),
        (["--draw", "top", "--by", "similarit"], "did you mean 'similarity'?"),
        (["--draw", "top", "--by", "caption"], "there is no column of numbers 'caption'"),
        (["--by", "similarity"], "is for --draw top"),
        (["--cap", "3"], "is for --draw balance"),
        (["--reserve", "1"], "is for --fetch"),
        (["--min-side", "3"], "--fetch is not given"),
        (["--source", "/no/such/*.parquet"], "names no parquet file"),
        (["--source", "ftp://a.example/x.parquet"], "'ftp' is no protocol known here"),
        (["--source", "hf://laion"], "names no dataset repository"),
        (["--source", "s3://k:s@bucket/*.parquet?endpoint_override=127.0.0.1:9&scheme=http"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    curator: Curator, folder: Path, home_path: Path, given: list[str], said: str
) -> None:
    answer = curator("extract", "x", "--source", str(folder), "--sizes", "10", *given)
    assert answer.exit_code == 1, answer.output
    assert said in answer.stderr
    assert "way out" in answer.stderr
    assert not (home_path / "draws").exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-9], "is no parquet file that can be read"),
        (lambda data: data[:0], "is no parquet file that can be read"),
        (lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1", "is no parquet file that can be read"),
        (lambda data: data[:4] + bytes(len(data) - 3000) + data[-2996:], "cannot be read"),
    ],
)
def test_damaged_files_are_refused(curator: Curator, folder: Path, damage: Any, said: str) -> None:
    path = folder / "part-1.parquet"
    path.write_bytes(damage(path.read_bytes()))
    answer = curator("extract", "x", "--source", str(folder), "--sizes", "300")
    assert answer.exit_code == 1, answer.output
    assert f"{path}: {said}" in answer.stderr


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"URL": ["u"]}, "has no column of the caption (its columns: URL)"),
        ({"url": ["u"], "URL": ["v"], "text": ["t"]}, "has the columns url and URL, which are both the url"),
        ({"url": [1], "text": ["t"]}, "its url is no text"),
    ],
)
def test_files_of_no_known_shape_are_refused(curator: Curator, tmp_path: Path, table: Any, said: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "one.parquet")
    answer = curator("extract", "x", "--source", str(tmp_path), "--sizes", "1")
    assert answer.exit_code == 1
    assert said in answer.stderr


def test_files_of_two_releases_are_refused(curator: Curator, folder: Path) -> None:
    pq.write_table(pa.table({"url": ["u"], "text": ["t"]}), folder / "other.parquet")
    answer = curator("extract", "x", "--source", str(folder), "--sizes", "1")
    assert answer.exit_code == 1
    assert "has other columns than" in answer.stderr


def test_types_that_differ_are_widened_whatever_comes_first(tmp_path: Path) -> None:
    for number, kind in enumerate((pa.int32(), pa.int64(), pa.float64())):
        columns = {"url": pa.array(["u"]), "text": pa.array(["t"]), "width": pa.array([number], kind)}
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
    files = sorted(tmp_path.glob("*.parquet"))
    assert read_pool(files).schema == read_pool(files[::-1]).schema
    assert read_pool(files).schema["width"] == pl.Float64


def test_rows_without_an_address_or_a_caption_are_never_drawn(curator: Curator, tmp_path: Path) -> None:
    captions = ["one", None, "", " \n", "two"]
    table = pa.table({"url": ["a", "b", "c", "d", None], "text": captions})
    pq.write_table(table, tmp_path / "one.parquet")
    answer = curator("extract", "x", "--source", str(tmp_path), "--sizes", "2")
    assert "1 rows are wanted and can be drawn, and 2 were asked for" in answer.stderr


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return write(tmp_path / "many", rows(9000, seed=2), files=30)


def test_a_run_killed_in_between_goes_on_and_ends_with_the_same_bytes(many: Path, tmp_path: Path) -> None:
    homes = tmp_path / "killed", tmp_path / "quiet"
    arguments = [sys.executable, "-m", "curator", "extract", "x", "--source", str(many), "--sizes", "100,2k"]

    def start(home: Path) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "CURATOR_HOME": str(home), "POLARS_MAX_THREADS": "1"}
        return subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    first = start(homes[0])
    limit = time.monotonic() + 60
    while not list(homes[0].glob("downloads/extract-*/*/*.arrow")) and time.monotonic() < limit:
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = {path: path.stat().st_mtime_ns for path in homes[0].glob("downloads/extract-*/*/*.arrow")}
    assert 0 < len(done) < 30, "the kill came in the middle"
    assert not (homes[0] / "draws").exists()
    for home in homes:
        assert start(home).wait(60) == 0
    assert file_bytes(homes[0] / "draws") == file_bytes(homes[1] / "draws")
    assert list((homes[0] / "downloads").iterdir()) == []


@pytest.mark.parametrize("size", ["1m", "2m", "5m", "10m", "20m", "50m", "100m"])
def test_the_recipes_of_the_study_take_the_parts_of_one_draw(size: str) -> None:
    recipe = load_recipe(f"laion-{size}")
    labels = ["1m", "2m", "5m", "10m", "20m", "50m", "100m"]
    assert [(part.dataset, part.part) for part in recipe.parts] == [
        ("laion", label) for label in labels[: labels.index(size) + 1]
    ]
