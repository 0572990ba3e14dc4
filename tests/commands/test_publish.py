"""``curator publish`` as a process, against the loopback Hub: what is printed, what is refused, and kill -9."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from curator.cli import cli
from registry.store import Home
from tests.curator.publish_home import make_home
from tests.hub.faults import Fault
from tests.hub.server import READ_TOKEN, WRITE_TOKEN, Hub

# The client's own call of its HTTP library, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")
ROOT = Path(__file__).parents[2]
SMALL = ("--shard-size", "1")
"""MiB; the mix below makes several shards of this size."""

Made = tuple[Home, Path]
Ran = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_home(tmp_path_factory.mktemp("publish"), pictures=40, side=128)


def start(hub: Hub, made: Made, *arguments: str, token: str | None = WRITE_TOKEN) -> subprocess.Popen[str]:
    home = made[0].path
    # HF_HUB_DISABLE_XET is left out: a Hub that is not the official one has to work without it
    given = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    settings = {key: value for key, value in hub.environment(home / "client", token).items() if "XET" not in key}
    return subprocess.Popen(
        [sys.executable, "-m", "curator", "publish", *arguments],
        cwd=home,
        env={**given, **settings, "PYTHONPATH": str(ROOT), "CURATOR_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(hub: Hub, made: Made, *arguments: str, token: str | None = WRITE_TOKEN) -> Ran:
    process = start(hub, made, *arguments, token=token)
    out, said = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, said)


def test_a_plan_then_the_upload_then_nothing_to_do(hub: Hub, made: Made) -> None:
    planned = run(hub, made, "both", "acme/cli", "--dry-run", "--json", *SMALL)
    told = json.loads(planned.stdout)
    assert (planned.returncode, told["shards"] > 3, told["already_there"]) == (0, True, False)
    assert not (hub.storage.root / "datasets" / "acme" / "cli").exists()

    done = run(hub, made, "both", "acme/cli", "--tag", "v1", *SMALL)
    assert hub.storage.repo("datasets", "acme/cli").settings["private"], "unless --public is given"
    assert done.returncode == 0, done.stderr
    assert f"{hub.url}/datasets/acme/cli" in done.stdout
    assert hub.storage.repo("datasets", "acme/cli").ref_of("v1") == "refs/tags/v1"

    again = run(hub, made, "both", "acme/cli", "--tag", "v1", "--json", *SMALL)
    assert (again.returncode, json.loads(again.stdout)["uploaded"]) == (0, False)
    assert "nothing to do" in again.stderr
    assert WRITE_TOKEN not in done.stdout + done.stderr + again.stderr


def without_names(tree: dict[str, str]) -> dict[str, str]:
    """All files but those that name their repository."""
    return {path: digest for path, digest in tree.items() if path not in ("README.md", "croissant.json")}


def test_killed_again_and_again_at_random_points(hub: Hub, made: Made) -> None:
    """Each run is killed at a request of another kind; together they send nothing twice and end as one that was not."""
    whole, repo, home = "acme/never-killed", "acme/killed", made[0]
    assert run(hub, made, made[1].name, whole, "--tag", "v1", *SMALL).returncode == 0
    draw = random.Random(6)
    uploads = f"PUT */{repo}.git/*"
    points = [Fault(f"POST */{repo}.git/info/lfs/*", "hold", skip=draw.randrange(4)),
              Fault(uploads, "hold", skip=draw.randrange(1, 3)), Fault(f"POST */{repo}/commit/*", "hold"),
              Fault(f"POST */{repo}/tag/*", "hold")]  # fmt: skip
    with hub.watch() as seen:
        for point in points:
            with hub.fault(point):
                process = start(hub, made, "both", repo, "--tag", "v1", *SMALL)
                assert point.struck.wait(timeout=60)
                if "/tag/" not in point.route:
                    assert set(hub.tree(repo)) == {".gitattributes"}, "nothing is visible before the commit"
                process.kill()
                process.communicate()
        last = run(hub, made, "both", repo, "--tag", "v1", "--json", *SMALL)
    assert last.returncode == 0, last.stderr
    assert without_names(hub.tree(repo)) == without_names(hub.tree(whole))
    assert len(list(hub.storage.repo("datasets", repo).history("main"))) == 2, "one commit"
    assert hub.storage.repo("datasets", repo).refs()["refs/tags/v1"] == json.loads(last.stdout)["commit"]
    arrived = [one.path for one in seen if one.method == "PUT" and one.status == 200]
    assert len(arrived) == len(set(arrived)) == len([path for path in hub.tree(repo) if path.startswith("data/")]) + 1
    assert [path for path in home.aside.iterdir() if path.is_dir()] == [], "the last run clears up"
    records = [folder.name for folder in home.finished("publications") if folder.name.startswith("acme-killed-")]
    assert len(records) == 1


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        (("bath", "acme/x"), WRITE_TOKEN, "did you mean 'both'?"),
        (("both", "acme/x"), None, "no token of this Hub was found"),
        (("both", "acme/x", "--checkpoint"), WRITE_TOKEN, "trials 'both': there is none"),
        (("both", "acme/x"), READ_TOKEN, "the token may only read"),
        (("both", "acme/x", "--endpoint", "nowhere"), WRITE_TOKEN, "is no address of a Hub"),
    ],
)
def test_refusals_have_a_way_out_and_no_traceback(
    hub: Hub, made: Made, arguments: tuple[str, ...], token: str | None, message: str
) -> None:
    ran = run(hub, made, *arguments, token=token)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert message in ran.stderr
    assert "way out: " in ran.stderr
    assert "Traceback" not in ran.stderr


def planned(made: Made, endpoint: str, repo: str, *more: str) -> tuple[dict[str, Any], str]:
    """What a dry run prints as JSON, and says."""
    arguments = ["publish", "both", repo, "--dry-run", "--json", "--endpoint", endpoint, *SMALL, *more]
    ran = CliRunner().invoke(cli, [*arguments, "--home", str(made[0].path)])
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout), ran.stderr


def test_a_plan_needs_no_token(hub: Hub, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    done = CliRunner().invoke(
        cli, ["publish", "both", "acme/there", "--public", "--endpoint", hub.url, *SMALL, "--home", str(made[0].path)]
    )
    assert done.exit_code == 0, done.output
    monkeypatch.delenv("HF_TOKEN")
    told, said = planned(made, hub.url, "acme/there", "--public")
    assert (told["already_there"], told["new_repository"], len(told["not_checked"])) == (True, False, 1)
    assert "not checked: whether the account may write there" in said
    told, _ = planned(made, hub.url, "acme/not-there")
    assert (told["already_there"], told["new_repository"], len(told["not_checked"])) == (False, None, 2)


@pytest.mark.parametrize("token", ["", WRITE_TOKEN])
def test_a_plan_needs_no_hub(made: Made, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    monkeypatch.setenv("HF_TOKEN", token)
    told, said = planned(made, "http://127.0.0.1:9", "acme/x")
    assert (told["new_repository"], told["rows"], told["private"]) == (None, 90, True)
    assert "ConnectError" in told["not_checked"][0]
    assert "not checked: the account and the repository" in said


def test_wrong_usage(hub: Hub, made: Made) -> None:
    assert run(hub, made, "both").returncode == 2


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom curator.cli import main\n"
        "try:\n    main(['publish', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('huggingface_hub', 'pyarrow', 'datasets', 'pydantic') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
    assert "ORG/NAME" in ran.stdout
