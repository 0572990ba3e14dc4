"""``curator extract --fetch``: dead addresses are replaced by the next in the order, and the account is exact."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.samples import find_samples
from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import file_bytes, picture
from tests.curator.extract_reference import SCHEMA, Row, drawn, rows, write
from tests.curator.picture_server import PictureServer

FAULTS = {7: "status/404", 11: "html", 13: "corrupt", 17: "opt-out", 19: "loop", 23: "bomb", 29: "status/403"}
STATUS = {
    "status": "http 404",
    "html": "not an image",
    "corrupt": "damaged image",
    "opt-out": "opt-out",
    "loop": "redirect loop",
    "bomb": "too many pixels",
}


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as opened:
        yield opened


def path_of(number: int) -> str:
    fault = next((kind for step, kind in FAULTS.items() if number % step == 0 and number), None)
    return f"{fault}/{number}" if fault and fault != "loop" else (f"loop/{number}" if fault else f"picture/{number}")


def addressed(server: PictureServer, count: int) -> list[Row]:
    made = rows(count, twins=0)
    return [row | {"URL": f"{server.url}/{path_of(i)}", "TEXT": f"caption {i}"} for i, row in enumerate(made)]


def status_of(url: str) -> str:
    kind, _, rest = url.split("/", 3)[3].partition("/")
    if kind == "status":
        return f"http {rest.split('/')[0]}"
    return STATUS.get(kind, "arrived")


def expected(made: list[Row], size: int) -> tuple[list[tuple[str, str]], Counter[str]]:
    """The rows that arrive, and what became of all that were walked."""
    came: list[tuple[str, str]] = []
    became: Counter[str] = Counter()
    for url, caption in drawn(made, 0, len(made)):
        became[status_of(url)] += 1
        if status_of(url) == "arrived":
            came.append((url, caption))
            if len(came) == size:
                break
    return came, became


def command(folder: Path) -> list[str]:
    how = ["--fetch", "--allow-private", "--retries", "0", "--fetch-timeout", "3", "--json"]
    return ["extract", "web", "--source", str(folder), "--sizes", "20,120", *how]


def test_as_many_pictures_arrive_as_were_wanted(
    server: PictureServer, curator: Curator, home_path: Path, tmp_path: Path
) -> None:
    made = addressed(server, 260)
    folder = write(tmp_path / "files", made)
    answer = curator(*command(folder))
    assert answer.exit_code == 0, answer.stderr
    told: dict[str, Any] = json.loads(answer.stdout)["fetched"]
    came, became = expected(made, 120)
    assert told["account"]["arrived"] == told["rows"] == 120
    assert told["account"]["planned"] == became.total()
    assert told["account"]["failed"] == {name: n for name, n in sorted(became.items()) if name != "arrived"}
    assert told["account"]["sizes"]["20"]["walked"] == expected(made, 20)[1].total()

    realised = pl.read_parquet(told["realised"])
    assert realised.filter(status="arrived")["url"].to_list() == [url for url, _ in came]

    samples = find_samples(Home(home_path), "web")
    table = pl.concat([pl.read_parquet(path) for path in samples.files()])
    captions = [messages[-1]["content"][0]["text"] for messages in table["messages"].to_list()]
    assert Counter(captions) == Counter(caption for _, caption in came)
    first = [messages[-1]["content"][0]["text"] for messages in table.filter(part="20")["messages"].to_list()]
    assert Counter(first) == Counter(caption for _, caption in came[:20])

    recipes = home_path / "recipes"
    recipes.mkdir()
    (recipes / "two.yaml").write_text(
        "name: two\nparts:\n- dataset: web\n  part: '20'\n- dataset: web\n  part: '120'\n"
    )
    mixed = json.loads(curator("build-mix", "two", "--json").stdout)
    assert mixed["samples"] == 120

    hits = server.hits.total()
    again = json.loads(curator(*command(folder)).stdout)
    assert again["fetched"]["realised"] == told["realised"]
    assert server.hits.total() == hits, "what arrived is not asked for again"


def test_a_picture_with_other_bytes_than_the_metadata_says_does_not_arrive(
    server: PictureServer, curator: Curator, tmp_path: Path
) -> None:
    made = [row | {"URL": f"{server.url}/picture/{i}"} for i, row in enumerate(rows(60, twins=0))]
    digests = [hashlib.sha256(picture(i, server.size)).hexdigest() for i in range(len(made))]
    told = [None if i % 3 == 0 else sha if i % 3 == 1 else digests[0] for i, sha in enumerate(digests)]
    (tmp_path / "files").mkdir()
    table = pa.Table.from_pylist(made, schema=SCHEMA).append_column("sha256", pa.array(told, pa.string()))
    pq.write_table(table, tmp_path / "files" / "a.parquet")
    fetch = ["--fetch", "--allow-private", "--retries", "0", "--reserve", "1"]
    answer = curator("extract", "web", "--source", str(tmp_path / "files"), "--sizes", "30", "--json", *fetch)
    assert answer.exit_code == 0, answer.stderr
    realised = pl.read_parquet(json.loads(answer.stdout)["fetched"]["realised"])
    assert len(realised) > 30
    became = {url: "changed" if i % 3 == 2 else "arrived" for i, url in enumerate(row["URL"] for row in made)}
    assert realised["status"].to_list() == [became[url] for url in realised["url"]]


def test_a_draw_that_is_used_up_says_so(server: PictureServer, curator: Curator, tmp_path: Path) -> None:
    folder = write(tmp_path / "files", addressed(server, 130))
    refused = curator(*command(folder))
    assert refused.exit_code == 1
    assert "pictures arrived of 130 addresses, and 120 are wanted" in refused.stderr
    assert "--reserve" in refused.stderr


@pytest.mark.slow
def test_a_run_killed_in_between_ends_with_the_same_bytes(server: PictureServer, tmp_path: Path) -> None:
    folder = write(tmp_path / "files", addressed(server, 260))
    homes = tmp_path / "killed", tmp_path / "quiet"

    def start(home: Path) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-m", "curator", *command(folder)]
        return subprocess.Popen(arguments, env={**os.environ, "CURATOR_HOME": str(home)}, stdout=subprocess.DEVNULL)

    server.latency = 0.05
    first = start(homes[0])
    limit = time.monotonic() + 90
    while server.hits.total() < 40 and time.monotonic() < limit:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert Home(homes[0]).finished("samples") == [], "the kill came before the end"
    server.latency = 0
    for home in homes:
        assert start(home).wait(120) == 0
    for stage in ("draws", "raw", "fetched", "samples"):
        assert file_bytes(homes[0] / stage) == file_bytes(homes[1] / stage)
