"""Publish to the loopback Hub: everything in one commit, nothing twice, whatever goes wrong on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curator.destination import Changed, Destination
from curator.mix import build_mix
from curator.publication import Published, publish
from curator.publish import MixWish, plan_mix
from registry.errors import Refusal
from registry.mix import MixReader
from registry.recipe import Recipe, RecipePart
from registry.store import Home
from tests.curator.publish_home import add_pictures, make_home
from tests.hub.faults import Fault
from tests.hub.server import READ_TOKEN, STRANGER_TOKEN, WRITE_TOKEN, Hub, Seen

# The client's own call of its HTTP library, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")
SHARD_BYTES = 100_000
Made = tuple[Home, Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_home(tmp_path_factory.mktemp("publish"))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)


class Publisher:
    """Publishes to one Hub without patience."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.said: list[str] = []

    def wish(self, repo: str, **settings: Any) -> MixWish:
        return MixWish(repo, **{"shard_bytes": SHARD_BYTES, "public": True, "date": "2026-11-23", **settings})

    def to(self, repo: str) -> Destination:
        return Destination(repo, self.hub.url, self.said.append, attempts=3, first_wait_s=0.01)

    def __call__(self, made: Made, repo: str, advance: Callable[[int], None] | None = None, **asked: Any) -> Published:
        to, wish = self.to(repo), self.wish(repo, **asked)
        return publish(made[0], plan_mix(*made, wish, to), to, advance or (lambda _rows: None))


@pytest.fixture
def put(hub: Hub) -> Publisher:
    return Publisher(hub)


@pytest.fixture(scope="module")
def tree(hub: Hub, made: Made) -> dict[str, str]:
    """What an undisturbed run leaves, for comparison."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", WRITE_TOKEN)
        Publisher(hub)(made, "acme/undisturbed")
    return without_page(hub.tree("acme/undisturbed"))


def without_page(tree: dict[str, str]) -> dict[str, str]:
    """All files but those that name the repository."""
    return {path: digest for path, digest in tree.items() if path not in ("README.md", "croissant.json")}


def writes(seen: list[Seen]) -> list[str]:
    """Requests that change something."""
    reading = ("preupload", "validate-yaml", "paths-info")
    changing = [one for one in seen if one.method not in {"GET", "HEAD"}]
    return [f"{one.method} {one.path}" for one in changing if not any(part in one.path for part in reading)]


def test_the_whole_mix_in_one_commit_and_a_tag(hub: Hub, made: Made, put: Publisher) -> None:
    rows: list[int] = []
    with hub.watch() as seen:
        done = put(made, "acme/whole-mix", advance=rows.append)
    assert (done.uploaded, done.rows, sum(rows)) == (True, 90, 90)
    repo = hub.storage.repo("datasets", "acme/whole-mix")
    assert [commit.title.split(":")[0] for commit in repo.history("main")] == ["both", "initial commit"]
    assert repo.refs() == {"refs/heads/main": done.commit, f"refs/tags/{done.tag}": done.commit}
    assert done.tag == f"mix-{MixReader(*made).info.content_digest[:12]}"

    files = hub.tree("acme/whole-mix")
    shards = [path for path in files if path.startswith("data/")]
    assert shards == [f"data/train-{n:05d}-of-{len(shards):05d}.parquet" for n in range(len(shards))]
    assert len(shards) == 5
    assert hub.read("acme/whole-mix", "mix.json") == (made[1] / "mix.json").read_bytes()
    listed = json.loads(hub.read("acme/whole-mix", "publication.json"))["large"]
    assert {path: shard["sha256"] for path, shard in listed.items()} == {path: files[path] for path in shards}
    order = [one.path.split("/")[-2] for one in seen if "/commit/" in one.path or "/large/" in one.path]
    assert order == ["large"] * 6 + ["commit"], "large files and the chart go first: the commit is everything at once"


def test_the_page(hub: Hub, made: Made, put: Publisher) -> None:
    from huggingface_hub import DatasetCard

    put(made, "acme/page", tag="v1")
    card = DatasetCard(hub.read("acme/page", "README.md").decode())
    assert card.data.license == ["cc-by-4.0", "cc-by-sa-4.0", "mit"]
    assert card.data.language == ["de", "en"]
    assert card.data.size_categories == ["n<1K"]
    assert "vlm-curator" in card.data.tags
    told = card.data.to_dict()["dataset_info"][0]["splits"][0]
    assert told["num_examples"] == 90
    for said in (
        "| shapes | all | 80 | 88.9% | 40 |",
        "eprint = {2401.00001}",
        'load_dataset("acme/page", revision="v1"',
    ):
        assert said in card.text


def test_datasets_loads_it(hub: Hub, made: Made, put: Publisher, tmp_path: Path) -> None:
    """The unmodified library, and the check that the page tells people to run."""
    done = put(made, "acme/loaded")
    script = f"""
import hashlib
from datasets import load_dataset
mix = load_dataset("acme/loaded", revision="{done.tag}", split="train")
rows = sorted(zip(mix["position"], mix["id"]))
print(hashlib.sha256("".join(f"{{id}}\\n" for _, id in rows).encode()).hexdigest())
shown = sum(part["type"] == "image" for row in mix for turn in row["messages"] for part in turn["content"])
assert shown == sum(len(row["images"]) for row in mix) == 80
assert mix[0]["images"][0].size == (32, 32) and mix[0]["messages"][-1]["role"] == "assistant"
first = next(iter(load_dataset("acme/loaded", split="train", streaming=True)))
for streaming in (False, True):
    for name, rows in (("captioning", 80), ("text_only", 10)):
        part = load_dataset("acme/loaded", name, split="train", streaming=streaming)
        assert [row["category"] for row in part] == [name] * rows, (name, streaming)
assert first["id"] == mix[0]["id"] and first["images"][0].tobytes() == mix[0]["images"][0].tobytes()
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", script],
        env={**os.environ, **hub.environment(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == MixReader(*made).info.content_digest


def test_the_same_mix_again_sends_nothing(hub: Hub, made: Made, put: Publisher) -> None:
    first = put(made, "acme/again")
    with hub.watch() as seen:
        second = put(made, "acme/again")
    assert writes(seen) == []
    assert (second.uploaded, second.commit) == (False, first.commit)
    with hub.watch() as seen:
        put(made, "acme/again", tag="v2")
    assert writes(seen) == [f"POST /api/datasets/acme/again/tag/{first.commit}"]
    assert hub.tree("acme/again", "v2") == hub.tree("acme/again", first.tag)


def test_a_tag_that_was_not_made_is_made_by_the_next_run(hub: Hub, made: Made, put: Publisher) -> None:
    with hub.fault(Fault("POST */untagged/tag/*", times=9, status=503)), pytest.raises(Refusal, match="could not tag"):
        put(made, "acme/untagged")
    done = put(made, "acme/untagged")
    assert (done.uploaded, hub.storage.repo("datasets", "acme/untagged").head(done.tag)) == (False, done.commit)


def test_a_new_version_replaces_the_old_one_at_once(hub: Hub, made: Made, put: Publisher) -> None:
    home, folder = made
    first = put(made, "acme/versions", tag="v1")
    hub.seed("acme/versions", {"LICENSE": b"terms"})
    smaller, _ = build_mix(home, Recipe(name="small", parts=[RecipePart(dataset="shapes", choose=5)]))
    put((home, smaller), "acme/versions", tag="v2")
    assert [path for path in hub.tree("acme/versions") if path.startswith("data/")] == [
        "data/train-00000-of-00001.parquet"
    ]
    assert "recipe-1.json" not in hub.tree("acme/versions")
    assert "LICENSE" in hub.tree("acme/versions"), "what is not ours stays"
    assert hub.storage.repo("datasets", "acme/versions").head("v1") == first.commit
    assert len(hub.tree("acme/versions", "v1")) == first.files
    with hub.watch() as seen:
        back = put((home, folder), "acme/versions", tag="v3")
    assert [one for one in writes(seen) if one.startswith("PUT")] == [], "the Hub has these shards already"
    assert back.uploaded


FAULTS = {
    "429 on an upload": Fault("PUT *", status=429, retry_after=0),
    "504 on an upload": Fault("PUT *", status=504),
    "upload cut in the middle": Fault("PUT *", "drop", skip=1, after_bytes=10_000),
    "429 on making the repository": Fault("POST /api/repos/create", status=429, retry_after=0),
    "reply of making the repository lost": Fault("POST /api/repos/create", "lost"),
    "garbage instead of upload addresses": Fault("POST */objects/batch", "garbage"),
    "504 on the commit": Fault("POST */commit/main", status=504),
    "429 on the commit": Fault("POST */commit/main", times=2, status=429, retry_after=0),
    "commit cut in the middle": Fault("POST */commit/main", "drop", after_bytes=100),
    "reply of the commit lost": Fault("POST */commit/main", "lost"),
    "garbage instead of the commit's reply": Fault("POST */commit/main", "garbage"),
    "503 on the tag": Fault("POST */tag/*", status=503),
    "reply of the tag lost": Fault("POST */tag/*", "lost"),
    "listing cut in the middle": Fault("GET */tree/*", "drop", after_bytes=20),
    "504 on who am I": Fault("GET /api/whoami-v2", status=504),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_is_got_over(hub: Hub, made: Made, put: Publisher, tree: dict[str, str], name: str) -> None:
    repo = f"acme/{name.replace(' ', '-').replace(chr(39), '')}"
    with hub.fault(replace(FAULTS[name])) as fault:
        done = put(made, repo)
    assert fault.hits >= 1
    assert without_page(hub.tree(repo)) == tree
    history = list(hub.storage.repo("datasets", repo).history("main"))
    assert len(history) == 2, "one commit, though the reply to it was lost"
    assert hub.storage.repo("datasets", repo).refs()[f"refs/tags/{done.tag}"] == history[0].id


def test_what_does_not_pass_is_refused_and_goes_on_later(
    hub: Hub, made: Made, put: Publisher, tree: dict[str, str], caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with (
        hub.fault(Fault("POST */patience/commit/*", times=99, status=503)) as fault,
        pytest.raises(Refusal) as refused,
    ):
        put(made, "acme/patience")
    assert fault.hits == 3
    text = str(refused.value)
    assert "could not commit in 3 attempts: status 503" in text
    assert "what arrived is not sent twice" in text
    assert hub.tree("acme/patience").keys() == {".gitattributes"}, "nothing is visible before the commit"
    with hub.watch() as seen:
        put(made, "acme/patience")
    assert not any(one.startswith("PUT") for one in writes(seen))
    assert without_page(hub.tree("acme/patience")) == tree
    captured = capfd.readouterr()
    assert WRITE_TOKEN not in text + caplog.text + captured.out + captured.err
    assert "signature" not in text + caplog.text + captured.out + captured.err


def test_retry_after_is_kept_to(hub: Hub, made: Made, put: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("curator.destination.time.sleep", slept.append)
    with hub.fault(Fault("POST */waits/commit/*", status=429, retry_after=17)):
        put(made, "acme/waits")
    assert 17.0 in slept
    assert any("trying again in 17 s" in said for said in put.said)


def test_someone_else_changes_the_repository_meanwhile(hub: Hub, made: Made, put: Publisher) -> None:
    put(made, "acme/busy")
    home = made[0]
    other, _ = build_mix(home, Recipe(name="other", parts=[RecipePart(dataset="shapes", choose=9)]))

    def someone_else(_rows: int) -> None:
        hub.seed("acme/busy", {"note.txt": b"x"})

    with pytest.raises(Changed, match="changed by someone else meanwhile"):
        put((home, other), "acme/busy", advance=someone_else)
    assert "data/train-00000-of-00005.parquet" in hub.tree("acme/busy"), "the old version is whole"


def test_a_damaged_publication_is_mended(hub: Hub, made: Made, put: Publisher, tree: dict[str, str]) -> None:
    done = put(made, "acme/damaged")
    repo = hub.storage.repo("datasets", "acme/damaged")
    hub.storage.change(repo, "refs/heads/main", {"data/train-00002-of-00005.parquet": None}, title="oops")
    with pytest.raises(Refusal, match="this tag names another version already"):
        put(made, "acme/damaged")
    assert put(made, "acme/damaged", tag="mended").uploaded
    assert without_page(hub.tree("acme/damaged")) == tree
    assert repo.head(done.tag) == done.commit
    hub.seed("acme/damaged", {"publication.json": b"[1]"})
    assert put(made, "acme/damaged", tag="mended-again").uploaded


def test_private_unless_a_person_says_otherwise(hub: Hub, made: Made, put: Publisher) -> None:
    assert put(made, "acme/hidden", public=False).private
    assert hub.storage.repo("datasets", "acme/hidden").settings["private"]
    put(made, "acme/open")
    assert not hub.storage.repo("datasets", "acme/open").settings["private"]
    with pytest.raises(Refusal, match="acme/open: is public"):
        put(made, "acme/open", public=False)
    again = put(made, "acme/hidden", public=True)
    assert again.private
    assert "is private and stays so" in again.warnings[0]


@pytest.mark.parametrize(
    ("token", "repo", "message"),
    [
        (READ_TOKEN, "acme/denied", "the token may only read"),
        (STRANGER_TOKEN, "acme/denied", "is no member of 'acme'[^$]*publish under one of: stranger"),
        ("hf_nobody", "acme/denied", "does not know this token"),
        (WRITE_TOKEN, "other/denied", "the account tester is no member of 'other'"),
        (WRITE_TOKEN, "no-organisation", "says no organisation"),
        (WRITE_TOKEN, "acme/not a name", "is no repository name"),
    ],
)
def test_refused_before_anything_is_sent(
    hub: Hub, made: Made, put: Publisher, monkeypatch: pytest.MonkeyPatch, token: str, repo: str, message: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with hub.watch() as seen, pytest.raises(Refusal, match=message) as refused:
        put(made, repo)
    assert writes(seen) == []
    assert token not in str(refused.value)


def test_a_fine_grained_token_that_may_not_write_here(hub: Hub, made: Made, put: Publisher) -> None:
    """Its rights are not told beforehand: the Hub's own answer is what the user sees."""
    with (
        hub.fault(Fault("POST /api/repos/create", times=9, status=403)),
        pytest.raises(Refusal, match="this token may not make the repository"),
    ):
        put(made, "acme/fine-grained")


def test_another_dataset_is_not_written_over(hub: Hub, made: Made, put: Publisher) -> None:
    hub.seed("acme/precious", {"train.csv": b"1,2"})
    with pytest.raises(Refusal, match=r"no 'curator publish' put there \(train.csv"):
        put(made, "acme/precious")
    hub.seed("acme/page-only", {"README.md": b"soon"})
    assert put(made, "acme/page-only").uploaded


def test_a_hub_that_keeps_no_large_files(hub: Hub, made: Made, put: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.hub.writing.LARGE_SUFFIXES", ())
    monkeypatch.setattr("tests.hub.writing.is_large", lambda *_: False)
    with pytest.raises(Refusal, match=r"does not take data/train-\S+ as a large file"):
        put(made, "acme/small-only")


def test_no_hub_there(made: Made) -> None:
    to = Destination("acme/x", "http://127.0.0.1:9", attempts=2, first_wait_s=0.01)
    with pytest.raises(Refusal, match="could not ask who the token belongs to in 2 attempts: ConnectError"):
        plan_mix(*made, MixWish("acme/x"), to)


def test_unknown_licences(hub: Hub, put: Publisher, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    add_pictures(home, tmp_path / "source", "mystery", 3, licence="")
    made = home, build_mix(home, Recipe(name="m", parts=[RecipePart(dataset="mystery")]))[0]
    with pytest.raises(Refusal, match=r"no licence is established for mystery \(annotations and pictures\)"):
        put(made, "acme/unknown")
    assert "mystery" in put(made, "acme/unknown-private", public=False).warnings[0]
    done = put(made, "acme/unknown", accept_licences=True)
    assert "mystery" in done.warnings[0]
    assert "license:\n- unknown" in hub.read("acme/unknown", "README.md").decode()


def test_an_empty_mix_is_refused(put: Publisher, made: Made, tmp_path: Path) -> None:
    home, _ = made
    none = [RecipePart(dataset="sums", filters={"text_length": {"words": {"min": 99}}})]  # type: ignore[dict-item]  # pydantic reads it
    folder, info = build_mix(home, Recipe(name="none", parts=none))
    assert info.samples == 0
    with pytest.raises(Refusal, match="the mix has no samples"):
        put((home, folder), "acme/none")


def test_the_plan_says_what_would_happen(hub: Hub, made: Made, put: Publisher) -> None:
    with hub.watch() as seen:
        plan = plan_mix(*made, put.wish("acme/planned"), put.to("acme/planned"))
    assert writes(seen) == []
    told = plan.plain()
    assert (told["new_repository"], told["shards"], told["rows"], told["already_there"]) == (True, 5, 90, False)
    assert 200_000 < told["bytes_about"] < 500_000
    put(made, "acme/planned")
    told = plan_mix(*made, put.wish("acme/planned"), put.to("acme/planned")).plain()
    assert (told["new_repository"], told["already_there"]) == (False, True)


def test_nothing_is_left_in_the_home(made: Made, put: Publisher) -> None:
    put(made, "acme/clean")
    assert [path for path in made[0].aside.iterdir() if path.is_dir()] == []
