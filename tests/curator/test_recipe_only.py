"""A mix published as its recipe: no picture, no word, and everything that builds it again; lock and description."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curator.croissant import CONFORMS_TO, CONTEXT
from curator.destination import Destination
from curator.lock import lock
from curator.mix import build_mix
from curator.publication import Published, publish
from curator.publish import MixWish, plan_mix
from registry.errors import Refusal
from registry.identity import file_digest
from registry.mix import MixReader
from registry.recipe import Recipe, RecipePart, load_recipe
from registry.store import Home, read_record
from tests.curator.publish_home import add_pictures, make_home, pull
from tests.hub.server import WRITE_TOKEN, Hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")
Made = tuple[Home, Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_home(tmp_path_factory.mktemp("recipe-only"))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)


def put(hub: Hub, made: Made, repo: str, **asked: Any) -> Published:
    to = Destination(repo, hub.url, attempts=2, first_wait_s=0.01)
    wish = MixWish(repo, **{"shard_bytes": 100_000, "date": "2026-11-23", **asked})
    return publish(made[0], plan_mix(*made, wish, to), to)


def files(hub: Hub, repo: str) -> dict[str, bytes]:
    return {path: hub.read(repo, path) for path in hub.tree(repo)}


def test_no_word_and_no_picture_is_in_it(hub: Hub, made: Made) -> None:
    done = put(hub, made, "acme/only", recipe_only=True)
    assert done.tag.startswith("recipe-")
    published = files(hub, "acme/only")
    assert set(published) == {
        ".gitattributes", "README.md", "cards/shapes.yaml", "cards/sums.yaml",
        "composition.png", "croissant.json", "ids/ids-00000-of-00001.parquet",
        "lock.json", "mix.json", "publication.json", "recipe.json", "recipe-1.json",
    }  # fmt: skip
    for path, data in published.items():
        texts = pq.read_table(io.BytesIO(data)).to_pylist().__repr__().encode() if path.endswith(".parquet") else data
        assert b"noise number" not in texts
        assert b"What is 1" not in texts
        assert b"\x89PNG" not in data or path == "composition.png"


def test_the_ids_are_those_of_the_mix_in_its_order(hub: Hub, made: Made) -> None:
    put(hub, made, "acme/ids", recipe_only=True)
    table = pq.read_table(io.BytesIO(hub.read("acme/ids", "ids/ids-00000-of-00001.parquet")))
    rows = MixReader(*made).rows()
    for name in ("id", "copy", "dataset", "part", "category"):
        assert table.column(name).to_pylist() == rows.column(name).to_pylist()
    assert table.column("position").to_pylist() == list(range(90))
    shown = [[image["sha256"] for image in images] for images in rows.column("images").to_pylist()]
    assert table.column("images").to_pylist() == shown
    assert sum(map(len, shown)) == 80
    sources = dict(zip(table.column("id").to_pylist(), table.column("source_id").to_pylist(), strict=True))
    for folder in made[0].finished("samples"):
        for row in pq.read_table(folder / "part-00000.parquet", columns=["id", "source_id"]).to_pylist():
            assert sources.get(row["id"], row["source_id"]) == row["source_id"]


def test_the_other_side_builds_the_same_mix(
    hub: Hub, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the sources and the published files alone, in an empty home."""
    put(hub, made, "acme/rebuilt", recipe_only=True)
    (tmp_path / "cards").mkdir()
    for path, data in files(hub, "acme/rebuilt").items():
        if path.endswith((".json", ".yaml")):
            (tmp_path / path).write_bytes(data)
    source, other = made[0].path.parent / "source", Home(tmp_path / "other")
    for name in ("shapes", "sums"):
        pull(other, source, name, (tmp_path / "cards" / f"{name}.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    folder, info = build_mix(other, load_recipe("./recipe.json"))
    assert info.content_digest == json.loads((tmp_path / "lock.json").read_bytes())["mix"]["content_digest"]
    assert lock(other, folder, info) == json.loads((tmp_path / "lock.json").read_bytes())
    again = Destination("acme/rebuilt-again", hub.url)
    wish = MixWish("acme/rebuilt-again", recipe_only=True)
    publish(other, plan_mix(other, folder, wish, again), again)
    path = "ids/ids-00000-of-00001.parquet"
    assert hub.read("acme/rebuilt-again", path) == hub.read("acme/rebuilt", path)


def test_the_lock_names_every_file_of_every_source(hub: Hub, made: Made) -> None:
    put(hub, made, "acme/locked", recipe_only=True)
    locked = json.loads(hub.read("acme/locked", "lock.json"))
    source = made[0].path.parent / "source"
    for one in locked["sources"]:
        (file,) = one["files"]
        assert file["sha256"] == file_digest(source / one["dataset"] / file["path"])
        assert one["revision"].startswith("local-")
    assert {one["dataset"] for one in locked["sources"]} == {"shapes", "sums"}
    places = {one["place"]: one["digest"] for one in locked["inputs"]}
    for place, stated in read_record(made[1]).inputs.items():
        assert places[place] == stated
    assert str(made[0].path) not in json.dumps(locked), "no path of this machine"


def test_a_source_that_was_cleaned_away_is_named_without_facts(made: Made, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(made[0].path, home.path)
    shutil.rmtree(home.stage("raw"))
    reader = MixReader(home, made[1].name)
    locked = lock(home, reader.folder, reader.info)
    assert {one["dataset"]: one["files"] for one in locked["sources"]} == {"shapes": None, "sums": None}
    assert all(one["digest"] for one in locked["inputs"]), "what is stated of it is still known"


def test_a_repository_changes_its_form_without_leftovers(hub: Hub, made: Made) -> None:
    put(hub, made, "acme/form", tag="v1")
    assert put(hub, made, "acme/form", tag="v2", recipe_only=True).uploaded
    assert not [path for path in hub.tree("acme/form") if path.startswith("data/")]
    assert put(hub, made, "acme/form", tag="v3").uploaded
    assert not [path for path in hub.tree("acme/form") if path.startswith("ids/")]


CLOSED = [
    ("{annotations: MIT, images: no-redistribution}", r"closed \(pictures under no-redistribution"),
    (
        "{annotations: CC BY-ND 4.0, images: MIT}",
        r"closed \(texts under CC BY-ND 4.0, which forbids passing on changed",
    ),
]


@pytest.mark.parametrize(("licence", "message"), CLOSED)
def test_what_must_not_be_passed_on_is_published_as_its_recipe_only(
    hub: Hub, tmp_path: Path, licence: str, message: str
) -> None:
    home = Home(tmp_path / "home")
    add_pictures(home, tmp_path / "source", "closed", 3, licence=f"licence: {licence}")
    made = home, build_mix(home, Recipe(name="m", parts=[RecipePart(dataset="closed")]))[0]
    repo = f"acme/closed-{len(message)}"
    for asked in ({}, {"public": True, "accept_licences": True}):
        with pytest.raises(Refusal, match=message) as refused:
            put(hub, made, repo, **asked)
        assert "--recipe-only" in refused.value.way_out
    assert not (hub.storage.root / "datasets" / repo).exists()
    assert put(hub, made, repo, public=True, recipe_only=True).rows == 3


def test_unknown_terms_do_not_hinder_what_passes_nothing_on(hub: Hub, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    add_pictures(home, tmp_path / "source", "mystery", 3, licence="")
    made = home, build_mix(home, Recipe(name="m", parts=[RecipePart(dataset="mystery")]))[0]
    assert put(hub, made, "acme/mystery-recipe", public=True, recipe_only=True).warnings == []


@pytest.mark.parametrize("recipe_only", [False, True])
def test_the_description_for_machines(hub: Hub, made: Made, recipe_only: bool) -> None:
    repo = f"acme/croissant-{recipe_only}".lower()
    done = put(hub, made, repo, recipe_only=recipe_only)
    told = json.loads(hub.read(repo, "croissant.json"))
    assert told["@context"] == CONTEXT
    assert CONFORMS_TO in told["conformsTo"]
    for required in ("name", "description", "license", "url", "creator", "datePublished"):
        assert told[required]
    assert told["license"] == [
        "https://spdx.org/licenses/CC-BY-4.0.html",
        "https://spdx.org/licenses/CC-BY-SA-4.0.html",
        "https://spdx.org/licenses/MIT.html",
    ]
    objects = {one["@id"]: one for one in told["distribution"] if one["@type"] == "cr:FileObject"}
    listed = json.loads(hub.read(repo, "publication.json"))["large"]
    for path, known in listed.items():
        assert objects[path]["sha256"] == known["sha256"]
        assert objects[path]["contentUrl"] == f"{done.url}/resolve/{done.tag}/{path}"
    (records,) = told["recordSet"]
    columns = {field["@id"] for field in records["field"]}
    (first, *_) = listed
    assert columns == {f"rows/{name}" for name in pq.read_schema(io.BytesIO(hub.read(repo, first))).names}
    ids = [node["@id"] for node in nodes(told) if "@id" in node and len(node) > 1 and "@type" in node]
    assert len(ids) == len(set(ids)), "every @id is given once"
    origins = {one["alternateName"]: one for one in told["prov:wasDerivedFrom"]}
    assert origins.keys() == {"shapes", "sums"}
    assert origins["sums"]["version"].startswith("local-")
    assert told["prov:wasGeneratedBy"]["@id"] == f"urn:sha256:{MixReader(*made).info.recipe_digest}"


def nodes(value: Any) -> list[dict[str, Any]]:
    """Every object inside a JSON value, but for the context."""
    if isinstance(value, list):
        return [node for item in value for node in nodes(item)]
    if not isinstance(value, dict):
        return []
    return [value, *(node for key, item in value.items() if key != "@context" for node in nodes(item))]
