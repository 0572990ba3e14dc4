"""``curator pull --fetch``: rows that name pictures by address become samples, and the account says which did not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curator.ledger import EARLY_ROWS
from curator.samples import find_samples
from registry.images import ImageStore
from registry.store import Home
from tests.conftest import Curator
from tests.curator.data_home import captions, picture, rows_of, write_card, write_json, write_parquet
from tests.curator.picture_server import PictureServer

PATHS = ("picture/1", "once-busy/2", "once-busy/3", "status/404", "picture/1")


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as opened:
        yield opened


@pytest.fixture
def published(server: PictureServer, home_path: Path, tmp_path: Path) -> Path:
    """Five rows that name four addresses; two of the servers are busy when they are first asked."""
    write_card(Home(home_path), "linked", format="caption_pairs", columns={"image": "url"}, pictures={"regime": "url"})
    rows = [{"url": f"{server.url}/{path}", "caption": f"caption {i}"} for i, path in enumerate(PATHS)]
    return write_parquet(tmp_path / "published" / "train.parquet", rows).parent


def given(printed: Any) -> dict[str, Any]:
    assert printed.exit_code == 0, printed.stderr
    found: dict[str, Any] = json.loads(printed.stdout)
    return found


def test_without_fetch_the_way_out_names_it(published: Path, server: PictureServer, curator: Curator) -> None:
    refused = curator("pull", "linked", "--from", str(published))
    assert refused.exit_code == 1
    assert "image is an address that was not fetched (5)" in refused.stderr
    assert "pass --fetch to download what 5 rows name" in refused.stderr
    assert server.connections == 0


def test_a_long_dataset_is_refused_before_all_of_it_is_read(home_path: Path, tmp_path: Path, curator: Curator) -> None:
    write_card(Home(home_path), "long", format="caption_pairs", columns={"image": "url"})
    rows = [{"url": f"https://a.example/{i}.png", "caption": "one"} for i in range(EARLY_ROWS + 500)]
    refused = curator("pull", "long", "--from", str(write_json(tmp_path / "long" / "train.json", rows).parent))
    assert f"pass --fetch to download what {EARLY_ROWS:,} of the rows so far name" in refused.stderr


def test_a_dry_run_counts_the_addresses_and_asks_none(
    published: Path, server: PictureServer, home_path: Path, curator: Curator
) -> None:
    told = given(curator("pull", "linked", "--from", str(published), "--fetch", "--dry-run", "--json"))
    assert told["addresses"] == 4
    first = curator("pull", "linked", "--from", str(published), "--fetch", "--dry-run", "--json", "--limit", "2")
    assert given(first)["addresses"] == 2
    assert (server.connections, list(home_path.glob("fetched*"))) == (0, [])


@pytest.mark.parametrize("idle", [["--allow-private"], ["--retries", "0"], ["--retry-failed"], ["--min-side", "9"]])
def test_options_that_say_how_to_fetch_need_fetch(published: Path, curator: Curator, idle: list[str]) -> None:
    refused = curator("pull", "linked", "--from", str(published), *idle)
    assert refused.exit_code == 1
    assert f"{idle[0]}: says how to fetch, and --fetch is not given" in refused.stderr


def test_a_dataset_without_addresses_is_pulled_as_without_fetch(
    home_path: Path, tmp_path: Path, curator: Curator
) -> None:
    write_card(Home(home_path), "embedded", format="caption_pairs")
    folder = write_parquet(tmp_path / "embedded" / "train.parquet", captions(3)).parent
    plain = given(curator("pull", "embedded", "--from", str(folder), "--json"))
    fetched = given(curator("pull", "embedded", "--from", str(folder), "--json", "--fetch"))
    assert fetched == plain


def test_rows_get_the_pictures_that_arrived_and_the_rest_is_accounted_for(
    published: Path, server: PictureServer, home_path: Path, curator: Curator
) -> None:
    home, pull = Home(home_path), ["pull", "linked", "--from", str(published), "--fetch", "--allow-private", "--json"]
    refused = curator(*pull, "--retries", "0")
    assert refused.exit_code == 1
    assert "3 of 5 rows cannot be used: image did not arrive: http 503 (2)" in refused.stderr
    assert "--fetch --retry-failed" in refused.stderr

    made = given(curator(*pull, "--retries", "0", "--retry-failed"))
    assert (made["addresses"], made["arrived"], made["rows_in"], made["rows_out"]) == (4, 3, 5, 4)
    assert made["rejected"] == {"image did not arrive: http 404": 1}
    assert made["account"]["failed"] == {"http 404": 1}
    assert made["account"]["hosts"] == {"127.0.0.1": 1}
    assert server.hits == {"/picture/1": 1, "/once-busy/2": 2, "/once-busy/3": 2, "/status/404": 2}

    samples = find_samples(home, "linked")
    assert samples.record.settings["fetched"] == made["account"]["realised"], "what was realised is the identity"
    assert f".fetched{made['account']['realised'][:6]}" in samples.folder.name
    store = ImageStore(home)
    pictures = [store.read(image["sha256"]) for row in rows_of(samples.folder) for image in row["images"]]
    assert pictures == [picture(number, server.size) for number in (1, 2, 3, 1)]
    (rejected,) = pq.read_table(samples.folder / "rejected.parquet").to_pylist()
    assert rejected["detail"] == f"{server.url}/status/404"

    hits = server.hits.total()
    again = curator(*pull)
    assert "nothing to do" in again.stderr
    assert given(again) == made
    complete = curator(*pull, "--policy", "complete")
    assert complete.exit_code == 1
    assert "1 rows set aside: image did not arrive: http 404" in complete.stderr
    assert server.hits.total() == hits, "a finished fetch asks nobody"

    tree = curator("lineage", samples.folder.name).stdout
    assert tree.count("fetched/linked@") == 2
    assert "3 of 4 addresses" in tree
    printed = curator(*pull[:-1]).stdout
    assert "picture did not arrive" in printed
    assert "127.0.0.1" in printed
