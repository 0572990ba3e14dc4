from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from curator import hub as hub_module
from curator import pull as pull_module
from curator.hub import HubListing, PublishedFile
from curator.normalise import normalise
from curator.origin import local_copy
from curator.pull import offer_from_folder, offer_from_hub, pull, pulled_folders
from curator.selection import LISTING, select
from registry.card import Card, Source
from registry.errors import Refusal
from registry.identity import file_digest
from registry.store import DOWNLOADS, Home, is_finished, read_record
from tests.curator.data_home import captions, write_card, write_json, write_parquet
from tests.hub.faults import Fault
from tests.hub.server import READ_TOKEN, STRANGER_TOKEN, Hub

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def card(home: Home) -> Card:
    return write_card(home, "shapes", format="caption_pairs", source={"hub_repo": "acme/shapes", "splits": ["train"]})


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", captions(5))
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", captions(2, start=9))
    (folder / "README.md").write_text("about")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "secret").write_text("no")
    return folder


def test_a_local_folder_is_taken_as_published(home: Home, card: Card, published: Path) -> None:
    made = pull(home, offer_from_folder(card, published))
    assert made.folder.parent == home.stage("raw")
    assert made.folder.name.startswith("shapes@local-")
    taken = ["README.md", "data/train-00000-of-00001.parquet"]
    assert sorted(p.relative_to(made.folder).as_posix() for p in made.folder.rglob("*.*") if p.is_file()) == [
        "README.md",
        "data/train-00000-of-00001.parquet",
        LISTING,
        "record.json",
    ]
    listing = [json.loads(line) for line in (made.folder / LISTING).read_text().splitlines()]
    assert [line["path"] for line in listing] == taken
    assert [line["sha256"] for line in listing] == [file_digest(published / path) for path in taken]
    record = read_record(made.folder)
    record.check_rows()
    assert (record.rows_in, record.rows_out) == (4, 2)
    assert pulled_folders(home, "shapes") == [made.folder]
    assert pulled_folders(home, "shape") == []


def test_the_revision_is_a_digest_of_names_and_contents(
    home: Home, card: Card, published: Path, tmp_path: Path
) -> None:
    first = offer_from_folder(card, published)
    os.utime(published / "README.md", (1, 1))
    assert offer_from_folder(card, published).revision == first.revision
    (published / "README.md").write_text("About")
    assert offer_from_folder(card, published).revision != first.revision
    (published / "README.md").write_text("about")
    (published / "data" / "test-00000-of-00001.parquet").unlink()
    assert offer_from_folder(card, published).revision == first.revision, "a file that is not taken does not matter"


def test_pulling_again_changes_nothing(home: Home, card: Card, published: Path) -> None:
    offer = offer_from_folder(card, published)
    first = pull(home, offer)
    before = (first.folder / "record.json").stat().st_mtime_ns
    again = pull(home, offer)
    assert again.already_there
    assert not first.already_there
    assert (again.folder / "record.json").stat().st_mtime_ns == before


def test_links_out_of_the_folder_are_not_followed(home: Home, card: Card, published: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("private")
    (published / "link.txt").symlink_to(tmp_path / "outside.txt")
    (published / "folder").symlink_to(tmp_path)
    offer = offer_from_folder(card, published)
    assert [file.path for file in offer.files] == ["README.md", "data/train-00000-of-00001.parquet"]
    assert offer.links == ("folder", "link.txt")


@pytest.mark.parametrize(("target", "leads"), [("../../outside.parquet", "out of its folder"), ("absent", "nowhere")])
def test_a_link_that_would_be_data_is_refused(
    home: Home, card: Card, published: Path, tmp_path: Path, target: str, leads: str
) -> None:
    write_parquet(tmp_path / "outside.parquet", captions(3))
    (published / "data" / "train-00001.parquet").symlink_to(target)
    with pytest.raises(Refusal, match=f"train-00001.parquet: is a link that leads {leads}"):
        offer_from_folder(card, published)
    (published / "data" / "train-00001.parquet").rename(published / "data" / "test-00001.parquet")
    assert offer_from_folder(card, published).links == ("data/test-00001.parquet",), "the card does not ask for it"


@pytest.fixture
def cached(hub: Hub, published: Path, tmp_path: Path) -> Path:
    """A snapshot in the cache of the Hub's own client: links to blobs beside it."""
    from huggingface_hub import snapshot_download

    seeded(hub, "acme/shapes", published)
    cache = tmp_path / "cache"
    return Path(snapshot_download("acme/shapes", repo_type="dataset", endpoint=hub.url, cache_dir=cache))


@pytest.mark.parametrize("link", [False, True])
def test_a_snapshot_of_the_hubs_cache_is_pulled_like_any_folder(
    home: Home, card: Card, published: Path, cached: Path, link: bool
) -> None:
    train = "data/train-00000-of-00001.parquet"
    assert (cached / train).is_symlink()
    made = pull(home, offer_from_folder(card, cached), link=link)
    assert made.folder.name == offer_from_folder(card, published).folder(home).name
    assert not (made.folder / train).is_symlink()
    assert (made.folder / train).read_bytes() == (published / train).read_bytes()


def test_a_link_of_a_snapshot_may_lead_to_the_blobs_of_its_own_repository_alone(
    home: Home, card: Card, cached: Path, tmp_path: Path
) -> None:
    (other := cached.parents[2] / "datasets--acme--other" / "blobs").mkdir(parents=True)
    write_parquet(other / "abc", captions(2))
    (cached / "data" / "train-1.parquet").symlink_to("../../../../datasets--acme--other/blobs/abc")
    with pytest.raises(Refusal, match="leads out of its folder"):
        offer_from_folder(card, cached)


def test_the_folder_of_a_cached_repository_means_its_only_snapshot(home: Home, cached: Path) -> None:
    repository = cached.parents[1]
    with local_copy(home, str(repository)) as local:
        assert local.folder == cached
    (repository / "snapshots" / "other").mkdir()
    with pytest.raises(Refusal, match="a cache with 2 snapshots"), local_copy(home, str(repository)):
        pass


def test_linked_files_share_their_bytes_and_copies_do_not(home: Home, card: Card, published: Path) -> None:
    made = pull(home, offer_from_folder(card, published), link=True)
    assert (made.folder / "README.md").stat().st_ino == (published / "README.md").stat().st_ino
    other = Home(home.path.parent / "other")
    copied = pull(other, offer_from_folder(card, published))
    assert (copied.folder / "README.md").stat().st_ino != (published / "README.md").stat().st_ino
    assert read_record(copied.folder) == read_record(made.folder)


def test_a_folder_that_changes_while_it_is_copied_is_refused(home: Home, card: Card, published: Path) -> None:
    offer = offer_from_folder(card, published)
    (published / "README.md").write_text("changed")
    with pytest.raises(Refusal, match="not what its publisher announced"):
        pull(home, offer)
    assert pulled_folders(home, "shapes") == []
    assert list(home.aside.glob("shapes*")) == []
    assert (published / "README.md").exists()


def test_what_cannot_be_pulled_is_refused_with_a_way_out(home: Home, card: Card, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_text("about")
    with pytest.raises(Refusal, match="no data file"):
        offer_from_folder(card, tmp_path / "empty")


def test_a_disk_too_small_is_refused_before_anything_is_copied(
    home: Home, card: Card, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = offer_from_folder(card, published)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": offer.size - 1}))
    with pytest.raises(Refusal, match="are free"):
        pull(home, offer)
    assert not home.stage("raw").exists()


def test_a_killed_pull_leaves_nothing_that_counts_and_the_next_one_finishes(
    home: Home, card: Card, published: Path
) -> None:
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from curator.pull import offer_from_folder, pull
        from registry.card import load_card
        from registry.store import Home
        home = Home(Path(sys.argv[1]))
        def wait(_):
            print("one file", flush=True)
            time.sleep(60)
        pull(home, offer_from_folder(load_card("shapes", home), Path(sys.argv[2])), advance=wait)
    """)
    command = [sys.executable, "-c", script, str(home.path), str(published)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one file\n"
        process.send_signal(signal.SIGKILL)
    assert pulled_folders(home, "shapes") == []
    made = pull(home, offer_from_folder(card, published))
    assert is_finished(made.folder)
    assert [p.name for p in home.aside.iterdir() if p.is_dir()] == []


@pytest.mark.parametrize(
    ("source", "taken"),
    [
        (Source(), ["README.md", "a/train-0.parquet", "a/x.zip", "b/val.jsonl", "constrained.json"]),
        (Source(splits=["train"]), ["README.md", "a/train-0.parquet", "a/x.zip"]),
        (Source(splits=["val"], config="b"), ["b/val.jsonl"]),
        (Source(config="absent"), ["README.md", "a/train-0.parquet", "a/x.zip", "b/val.jsonl", "constrained.json"]),
        (Source(files=["a/*.parquet"]), ["a/train-0.parquet"]),
        (Source(splits=["caption"]), ["README.md", "a/x.zip"]),
    ],
)
def test_which_files_a_source_means(source: Source, taken: list[str]) -> None:
    names = [".gitattributes", "README.md", "a/train-0.parquet", "a/x.zip", "b/val.jsonl", "constrained.json"]
    assert select(names, source) == taken


def test_one_file_without_a_split_in_its_name_is_taken(tmp_path: Path) -> None:
    assert select(["llava_665k.json", "train2017/1.jpg"], Source(splits=["train"])) == [
        "llava_665k.json",
        "train2017/1.jpg",
    ]
    assert select(["train2017.json", "val2017.json"], Source(splits=["train"])) == ["train2017.json"]


def seeded(hub: Hub, repo: str, folder: Path, **options: Any) -> str:
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return hub.seed(repo, files, **options)


def test_a_hub_repository_is_pinned_to_its_commit(hub: Hub, home: Home, card: Card, published: Path) -> None:
    commit = seeded(hub, "acme/shapes", published, tag="v1")
    offer = offer_from_hub(card, revision="v1", endpoint=hub.url)
    assert (offer.commit, offer.repo) == (commit, "acme/shapes")
    assert [file.path for file in offer.files] == ["README.md", "data/train-00000-of-00001.parquet"]
    made = pull(home, offer, endpoint=hub.url)
    assert made.folder.name.startswith(f"shapes@{commit[:12]}.")
    assert made.record.settings["commit"] == commit
    assert (made.folder / "data" / "train-00000-of-00001.parquet").read_bytes() == (
        published / "data" / "train-00000-of-00001.parquet"
    ).read_bytes()
    assert not (made.folder / ".cache").exists()
    assert not any((home.path / DOWNLOADS).iterdir())
    with hub.watch() as seen:
        assert pull(home, offer, endpoint=hub.url).already_there
    assert seen == []


def test_a_dropped_download_is_continued_by_the_same_command(
    hub: Hub, home: Home, card: Card, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    seeded(hub, "acme/dropped", published)
    card = card.model_copy(update={"source": Source(hub_repo="acme/dropped")})
    offer = offer_from_hub(card, endpoint=hub.url)
    stop = Fault("GET */resolve/*/data/test*", "status", times=50, status=500)
    with hub.fault(stop), pytest.raises(Refusal, match="cannot be reached"):
        pull(home, offer, endpoint=hub.url)
    assert pulled_folders(home, "shapes") == []
    with hub.watch() as seen:
        made = pull(home, offer, endpoint=hub.url)
    assert made.record.rows_out == 3
    fetched = [one.path for one in seen if one.method == "GET" and "resolve" in one.path]
    assert any("data/test" in path for path in fetched)
    assert not any("README" in path for path in fetched), "what was fetched before is not fetched again"


def test_a_file_that_differs_from_the_announced_digest_is_refused_and_fetched_again(
    hub: Hub, home: Home, card: Card, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded(hub, "acme/altered", published)
    card = card.model_copy(update={"source": Source(hub_repo="acme/altered")})
    offer = offer_from_hub(card, endpoint=hub.url)

    def damaged(*arguments: Any) -> None:
        hub_module.download(*arguments)
        victim = arguments[3] / "data" / "train-00000-of-00001.parquet"
        victim.write_bytes(bytes(victim.stat().st_size))

    with monkeypatch.context() as patch:
        patch.setattr(pull_module, "download", damaged)
        with pytest.raises(Refusal, match="not what its publisher announced"):
            pull(home, offer, endpoint=hub.url)
    assert pulled_folders(home, "shapes") == []
    assert pull(home, offer, endpoint=hub.url).record.rows_out == 3


@pytest.mark.parametrize(
    ("repo", "revision", "token", "what"),
    [
        ("acme/absent", None, None, "no such dataset repository"),
        ("acme/private", None, STRANGER_TOKEN, "no such dataset repository"),
        ("acme/gated", None, STRANGER_TOKEN, "gated"),
        ("acme/open", "v9", READ_TOKEN, "no such revision"),
        ("not a name", None, None, "Repo id"),
    ],
)
def test_what_the_hub_refuses_is_said_in_words(
    hub: Hub, card: Card, monkeypatch: pytest.MonkeyPatch, repo: str, revision: str | None, token: str | None, what: str
) -> None:
    hub.seed("acme/private", {"train.json": b"[]"}, private=True)
    hub.seed("acme/gated", {"train.json": b"[]"}, gated=True)
    hub.seed("acme/open", {"train.json": b"[]"})
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    card = card.model_copy(update={"source": Source(hub_repo=repo)})
    with pytest.raises(Refusal, match=what) as refused:
        pull(Home(Path("/nonexistent")), offer_from_hub(card, revision=revision, endpoint=hub.url), endpoint=hub.url)
    assert not token or token not in str(refused.value)


def test_a_hub_that_is_not_there_is_refused(card: Card) -> None:
    with pytest.raises(Refusal, match="cannot be reached"):
        offer_from_hub(card, endpoint="http://127.0.0.1:9")
    with pytest.raises(Refusal, match="is no http address"):
        offer_from_hub(card, endpoint="file:///etc")


@pytest.mark.parametrize("path", ["../outside.json", "/etc/train.json", "a/../../train.json", "a\\..\\train.json"])
def test_a_server_that_names_files_outside_is_refused(card: Card, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    listing = HubListing("0" * 40, [PublishedFile("train.json", 2), PublishedFile(path, 2)])
    monkeypatch.setattr(pull_module, "list_repository", lambda *_: listing)
    with pytest.raises(Refusal, match="outside its folder"):
        offer_from_hub(card)


def test_a_commit_that_is_none_is_refused(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    answer = type("Info", (), {"sha": "../../x", "siblings": []})
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: answer)
    with pytest.raises(Refusal, match="gave no commit"):
        hub_module.list_repository("acme/x", None)


def test_a_mirror_that_the_card_does_not_name_is_read_by_its_columns(
    hub: Hub, home: Home, card: Card, published: Path
) -> None:
    seeded(hub, "elsewhere/mirror", published)
    offer = offer_from_hub(card, repo="elsewhere/mirror", endpoint=hub.url)
    made = normalise(home, card, pull(home, offer, endpoint=hub.url).folder)
    assert made.record.rows_out == made.record.rows_in > 0


def test_a_card_without_a_repository_needs_one(home: Home) -> None:
    with pytest.raises(Refusal, match="--repo, or pass --from"):
        offer_from_hub(write_card(home, "none", format="llava_chat"))


def test_files_named_like_ours_are_left_out(home: Home, tmp_path: Path) -> None:
    card = write_card(home, "chats", format="llava_chat")
    write_json(tmp_path / "p" / "rows.json", [{"conversations": []}])
    for name in ("record.json", LISTING, "cost.json"):
        (tmp_path / "p" / name).write_text("{}")
    offer = offer_from_folder(card, tmp_path / "p")
    assert [file.path for file in offer.files] == ["rows.json"]
