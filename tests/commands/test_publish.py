"""``curator publish`` as a process, against the loopback Hub: what is printed, what is refused, and kill -9."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry.store import Home
from tests.curator.publish_home import make_home
from tests.hub.faults import Fault
from tests.hub.server import READ_TOKEN, WRITE_TOKEN, Hub

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
    assert done.returncode == 0, done.stderr
    assert f"{hub.url}/datasets/acme/cli" in done.stdout
    assert hub.storage.repo("datasets", "acme/cli").ref_of("v1") == "refs/tags/v1"

    again = run(hub, made, "both", "acme/cli", "--tag", "v1", "--json", *SMALL)
    assert (again.returncode, json.loads(again.stdout)["uploaded"]) == (0, False)
    assert "nothing to do" in again.stderr
    assert WRITE_TOKEN not in done.stdout + done.stderr + again.stderr


def test_killed_in_the_middle_and_run_again(hub: Hub, made: Made) -> None:
    whole = run(hub, made, made[1].name, "acme/undisturbed", "--tag", "v1", *SMALL)
    assert whole.returncode == 0, whole.stderr
    with hub.fault(Fault("PUT */acme/killed.git/*", "hold", skip=2)) as third_upload:
        process = start(hub, made, "both", "acme/killed", "--tag", "v1", *SMALL)
        assert third_upload.struck.wait(timeout=60)
        process.kill()
        process.communicate()
    assert set(hub.tree("acme/killed")) == {".gitattributes"}, "nothing of a killed upload is visible"
    with hub.watch() as seen:
        again = run(hub, made, "both", "acme/killed", "--tag", "v1", *SMALL)
    assert again.returncode == 0, again.stderr
    shards = [path for path in hub.tree("acme/killed") if path.startswith("data/")]
    sent = [one for one in seen if one.method == "PUT" and one.status == 200]
    assert len(sent) == len(shards) - 2, "what had arrived is not sent again"
    expected = {path: digest for path, digest in hub.tree("acme/undisturbed").items() if path != "README.md"}
    assert {path: hub.tree("acme/killed")[path] for path in expected} == expected
    assert len(list(hub.storage.repo("datasets", "acme/killed").history("main"))) == 2
    assert [path for path in made[0].aside.iterdir() if path.is_dir()] == [], "the next run clears up"


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        (("bath", "acme/x"), WRITE_TOKEN, "did you mean 'both'?"),
        (("both", "acme/x"), None, "no token of this Hub was found"),
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
