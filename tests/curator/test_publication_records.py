"""What stays in the data home of a publication, and what decisions of the home say on its page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from curator.destination import Destination
from curator.evidence import evidence_for
from curator.mix import build_mix, read_info
from curator.publication import Published, publish
from curator.publish import MixWish, plan_mix
from registry.errors import Refusal
from registry.recipe import Recipe, RecipePart
from registry.store import Home, read_record
from tests.curator.publish_home import add_sums
from tests.hub.server import WRITE_TOKEN, Hub
from tests.small_home import make_small_home

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")
Made = tuple[Home, Path]


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("records")
    home = Home(root / "home")
    add_sums(home, root / "source", 5)
    return home, build_mix(home, Recipe(name="sums", parts=[RecipePart(dataset="sums")]))[0]


def put(hub: Hub, made: Made, repo: str, **asked: Any) -> Published:
    to = Destination(repo, hub.url, attempts=2, first_wait_s=0.01)
    return publish(made[0], plan_mix(*made, MixWish(repo, **asked), to), to)


def test_the_home_remembers_what_was_published_where(hub: Hub, made: Made) -> None:
    done = put(hub, made, "acme/remembered", tag="v1")
    record = read_record(made[0].path / done.record)
    assert record.settings["url"] == done.url
    assert (record.settings["commit"], record.settings["tag"]) == (done.commit, "v1")
    assert record.inputs == {f"mixes/{made[1].name}": read_record(made[1]).digest}
    assert put(hub, made, "acme/remembered", tag="v1").record == done.record
    assert put(hub, made, "acme/remembered", tag="v2").record != done.record


def test_a_decision_that_measured_the_mix_is_on_the_page(hub: Hub, tmp_path: Path) -> None:
    small = make_small_home(tmp_path)
    made = small.home, small.home.path / "mixes" / small.mix
    done = put(hub, made, "acme/evidence", public=False)
    page = hub.read("acme/evidence", "README.md").decode()
    for said in ("Decision `first`", "d" * 64, "| **Selected** | 7 | 62.5 | 62.5 | 1 |", "+1.5 (-0.5 … +3.5)"):
        assert said in page
    inputs = read_record(small.home.path / done.record).inputs
    assert inputs.keys() == {f"mixes/{small.mix}", f"decisions/{small.decision}"}
    shutil.rmtree(small.home.path / "decisions")
    with pytest.raises(Refusal, match="another form or evidence of the same"):
        put(hub, made, "acme/evidence", public=False)
    with hub.watch() as seen:
        assert put(hub, made, "acme/evidence", public=False, tag="v2").uploaded
    assert not [one for one in seen if one.method == "PUT"], "the rows are there: only the page goes up"
    assert "No decision of the data home" in hub.read("acme/evidence", "README.md").decode()


def test_a_mix_that_no_decision_measured_has_no_evidence(tmp_path: Path) -> None:
    small = make_small_home(tmp_path)
    content = read_info(small.home.path / "mixes" / small.mix).content_digest
    (found,) = evidence_for(small.home, content)
    assert (found.role, found.place) == ("selected", f"decisions/{small.decision}")
    assert evidence_for(small.home, "0" * 64) == []


def test_a_damaged_decision_is_refused_in_words(tmp_path: Path) -> None:
    small = make_small_home(tmp_path)
    (small.home.path / "decisions" / small.decision / "decision.json").write_text("{}")
    with pytest.raises(Refusal, match="damaged"):
        evidence_for(small.home, "0" * 64)
