"""A published mix in a stranger's empty home: pulled, built, compared, verified; everything as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from registry.mix import MixReader
from tests.curator.publish_home import make_home
from tests.hub.server import WRITE_TOKEN, Hub

ROOT = Path(__file__).parents[2]


class Terminal:
    """Commands in one data home, beside the loopback Hub."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.home = home
        given = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        settings = hub.environment(home.parent / "client", WRITE_TOKEN)
        self.environment = {**given, **settings, "PYTHONPATH": str(ROOT), "CURATOR_HOME": str(home)}

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        command = [sys.executable, "-m", "curator", *arguments, "--json"]
        ran = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == code, ran.stderr + ran.stdout
        return json.loads(ran.stdout) if ran.stdout else ran.stderr


def test_a_published_mix_is_pulled_built_and_verified_elsewhere(hub: Hub, tmp_path: Path) -> None:
    home, folder = make_home(tmp_path / "ours", pictures=10)
    ours, theirs = Terminal(hub, home.path), Terminal(hub, tmp_path / "theirs" / "home")
    published = ours("publish", "both", "acme/both-v1", "--shard-size", "1")
    assert ours("verify", "acme/both-v1")["verdict"] == "equal"
    assert not any((home.path / "downloads").iterdir())

    theirs("pull", "acme/both-v1", "--dry-run")
    assert not theirs.home.exists(), "a dry run leaves nothing"
    theirs("pull", "acme/both-v1")
    built = theirs("build-mix", "both-v1")
    assert built["content_digest"] == MixReader(home, folder).info.content_digest
    assert built["datasets"] == {"both-v1": 30}
    assert theirs("verify", "both-v1")["verdict"] == "equal"
    alone = theirs("verify", "acme/both-v1", "--revision", published["commit"], "--contents")
    assert [check["check"] for check in alone["checks"]] == ["files", "order", "samples", "pictures"]
    assert alone["verdict"] == "equal"
    whole = theirs("verify", "acme/both-v1", code=1)
    assert whole["verdict"] == "unknown", "its datasets are not here, but for the mix itself"
    assert whole["checks"][-1]["check"] == "recipe"
    assert "there is no card of that name" in whole["checks"][-1]["detail"]


@pytest.mark.parametrize(("name", "told"), [("nothing", "there is none in"), ("acme/no-such", "acme/no-such")])
def test_what_is_no_mix_is_refused(hub: Hub, tmp_path: Path, name: str, told: str) -> None:
    terminal = Terminal(hub, tmp_path / "home")
    assert told in terminal("verify", name, code=1)
    assert "Traceback" not in terminal("verify", name, code=1)


def test_mixes_are_compared_with_each_other_and_with_published_ones(hub: Hub, tmp_path: Path) -> None:
    home, folder = make_home(tmp_path, pictures=4)
    terminal = Terminal(hub, home.path)
    assert terminal("diff-mix", "both", folder.name, "--exit-code")["same_content"]
    (tmp_path / "other.yaml").write_text("name: other\nparts: [{dataset: shapes}]\n")
    terminal("build-mix", str(tmp_path / "other.yaml"))
    found = terminal("diff-mix", "both", "other")
    assert (found["same_rows"], found["only_in_a"], found["only_in_b"]) == (False, 14, 0)
    terminal("diff-mix", "both", "other", "--exit-code", code=1)


def test_a_pull_writes_over_no_recipe_of_somebody_else(hub: Hub, tmp_path: Path) -> None:
    home, folder = make_home(tmp_path, pictures=4)
    ours, theirs = Terminal(hub, home.path), Terminal(hub, tmp_path / "theirs" / "home")
    ours("publish", "both", "acme/mine", "--shard-size", "1")
    recipe = theirs.home / "recipes" / "mine.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("name: mine\nparts: [{dataset: openmoji}]  # a user's own\n")
    theirs("pull", "acme/mine")
    assert "a user's own" in recipe.read_text()
    assert theirs("build-mix", "acme-mine")["content_digest"] == MixReader(home, folder).info.content_digest


def test_a_recipe_alone_is_verified_by_building_it_and_is_not_pulled(hub: Hub, tmp_path: Path) -> None:
    home, _ = make_home(tmp_path, pictures=4)
    terminal = Terminal(hub, home.path)
    terminal("publish", "both", "acme/recipe-v1", "--recipe-only")
    found = terminal("verify", "acme/recipe-v1")
    assert [(check["check"], check["verdict"]) for check in found["checks"]] == [
        ("files", "equal"),
        ("order", "equal"),
        ("recipe", "equal"),
    ]
    assert "publishes its recipe alone" in terminal("pull", "acme/recipe-v1", code=1)
