"""Every card is pulled from a Hub that serves small data in its publisher's own schema."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curator.addresses import Fetching, with_fetched
from curator.fetch import Advance, Rules
from curator.ledger import read_ledger
from curator.normalise import Look, Normalised, normalise
from curator.pull import offer_from_folder, offer_from_hub, pull
from registry.card import PACKAGED, load_card, read_card
from registry.discovery import names
from registry.store import Home
from tests.curator.picture_server import PictureServer
from tests.datasets.published import file_bytes
from tests.hub.server import Hub

FIXTURES = Path(__file__).parent
CARDS = names(PACKAGED, ".yaml")


def fixture(name: str, pictures: str = "http://pictures.example") -> dict[str, Any]:
    """The golden fixture; ``pictures`` stands in its addresses."""
    text = (FIXTURES / f"{name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.replace("{pictures}", pictures))
    return found


def silent(_addresses: int) -> AbstractContextManager[Advance]:
    return nullcontext(lambda _rows: None)


def made_from(name: str, hub: Hub, web: PictureServer, root: Path, home: Home | None = None) -> Normalised:
    """The card's samples, pulled from the Hub, or from a folder where the card names no repository.

    Where the fixture says what is served, the pictures are fetched from their addresses.
    """
    golden, card, home = fixture(name, web.url), load_card(name), home or Home(root / "home")
    files = {path: file_bytes(path, content) for path, content in golden["files"].items()}
    for path, content in golden.get("images", {}).items():
        (root / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / path).write_bytes(file_bytes(path, content))
    if card.source.hub_repo:
        hub.seed(card.source.hub_repo, files)
        offer = offer_from_hub(card, endpoint=hub.url)
    else:
        for path, data in files.items():
            (root / "source" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "source" / path).write_bytes(data)
        offer = offer_from_folder(card, root / "source")
    raw = pull(home, offer, endpoint=hub.url).folder
    look = Look(images=root / "images" if "images" in golden else None)
    if "served" in golden:
        web.files = {f"/{path}": file_bytes(path, content) for path, content in golden["served"].items()}
        look = with_fetched(home, card, raw, look, Fetching(Rules(allow_private=True)), silent)
    return normalise(home, card, raw, look=look, allow_rejected=golden.get("policy") == "any")


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A sample as fixtures write it."""
    turns = [[m["role"], "".join(p["text"] or f"<{p['type']}>" for p in m["content"])] for m in row["messages"]]
    images = [f"{image['width']}x{image['height']}" for image in row["images"]]
    shown = {key: row[key] for key in ("source_id", "part", "category")} | {"images": images, "turns": turns}
    ratings = {rating["name"]: rating["value"] for rating in row["ratings"]}
    return shown | ({"ratings": ratings} if ratings else {})


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_pulled_in_its_publishers_schema(name: str, hub: Hub, web: PictureServer, tmp_path: Path) -> None:
    golden, made = fixture(name), made_from(name, hub, web, tmp_path)
    rows = [row for path in sorted(made.folder.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert [shown(row) for row in rows] == golden["expect"]
    rejected = Counter(row["reason"] for row in pq.read_table(made.folder / "rejected.parquet").to_pylist())
    assert dict(rejected) == golden.get("rejected", {})
    ledger = read_ledger(made.folder)
    assert ledger["found"] == ledger["kept"] + sum(ledger["rejected"].values()) == len(rows) + rejected.total()


def test_every_card_has_a_fixture_and_the_other_way_round() -> None:
    assert {path.stem for path in FIXTURES.glob("*.json")} == set(CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_a_fixture_reaches_every_part_of_its_card(name: str) -> None:
    card = read_card(PACKAGED / f"{name}.yaml")
    assert {row["part"] for row in fixture(name)["expect"]} == {part.name for part in card.parts}
