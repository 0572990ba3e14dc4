"""The loopback Hub, driven by the unmodified client: what it answers is what the real one answers."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hub.faults import Fault, parse
from tests.hub.server import READ_TOKEN, STRANGER_TOKEN, WRITE_TOKEN, Hub

# The client's own call of its HTTP library, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")
BIG = bytes(range(256)) * 4096


def client(hub: Hub, token: str | bool = WRITE_TOKEN) -> Any:
    """The Hub's own client."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub.url, token=token)


def add(path: str, data: bytes) -> Any:
    from huggingface_hub import CommitOperationAdd

    return CommitOperationAdd(path, data)


def fetch(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, dict[str, str]]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10) as reply:  # noqa: S310  the loopback
        return reply.status, reply.read(), dict(reply.headers)


@pytest.fixture
def api(hub: Hub) -> Any:
    return client(hub)


def test_whoami_names_account_and_organisations(api: Any) -> None:
    told = api.whoami()
    assert (told["name"], told["orgs"][0]["name"], told["auth"]["accessToken"]["role"]) == ("tester", "acme", "write")


def test_create_is_refused_the_second_time_unless_that_is_fine(api: Any) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    url = api.create_repo("acme/created", repo_type="dataset")
    assert url.repo_id == "acme/created"
    assert api.create_repo("acme/created", repo_type="dataset", exist_ok=True).repo_id == "acme/created"
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_repo("acme/created", repo_type="dataset")
    assert refused.value.response.status_code == 409


@pytest.mark.parametrize(
    ("token", "status"), [(False, 401), ("hf_nobody", 401), (READ_TOKEN, 403), (STRANGER_TOKEN, 403)]
)
def test_a_wrong_token_may_not_write(hub: Hub, token: str | bool, status: int) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    hub.seed("acme/guarded", {"a.txt": b"a"})
    writes: list[Callable[[Any], object]] = [
        lambda api: api.create_repo("acme/other", repo_type="dataset"),
        lambda api: api.create_commit("acme/guarded", [add("b.txt", b"b")], commit_message="b", repo_type="dataset"),
        lambda api: api.create_tag("acme/guarded", tag="v1", repo_type="dataset"),
        lambda api: api.delete_repo("acme/guarded", repo_type="dataset"),
    ]
    for write in writes:
        with pytest.raises(HfHubHTTPError) as refused:
            write(client(hub, token))
        assert refused.value.response.status_code == status
    assert set(hub.tree("acme/guarded")) == {".gitattributes", "a.txt"}


def test_private_is_seen_by_its_owners_only(hub: Hub) -> None:
    from huggingface_hub.errors import RepositoryNotFoundError

    hub.seed("acme/secret", {"a.txt": b"a"}, private=True)
    assert client(hub).repo_info("acme/secret", repo_type="dataset").private
    for token in (False, STRANGER_TOKEN):
        with pytest.raises(RepositoryNotFoundError):
            client(hub, token).repo_info("acme/secret", repo_type="dataset")


def test_gated_shows_its_facts_but_not_its_files(hub: Hub, tmp_path: Path) -> None:
    from huggingface_hub.errors import GatedRepoError

    hub.seed("acme/gated", {"a.txt": b"a"}, gated=True)
    stranger = client(hub, STRANGER_TOKEN)
    assert stranger.repo_info("acme/gated", repo_type="dataset").gated == "manual"
    with pytest.raises(GatedRepoError):
        stranger.hf_hub_download("acme/gated", "a.txt", repo_type="dataset", cache_dir=tmp_path)


def test_upload_list_and_download_again(hub: Hub, api: Any, tmp_path: Path) -> None:
    folder = tmp_path / "up"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("---\ntags: [x]\n---\nhello")
    (folder / "data" / "rows.parquet").write_bytes(BIG)
    api.create_repo("tester/whole", repo_type="dataset")
    commit = api.upload_folder(repo_id="tester/whole", folder_path=folder, repo_type="dataset")

    files = {entry.path: entry for entry in api.list_repo_tree("tester/whole", repo_type="dataset", recursive=True)}
    assert set(files) == {".gitattributes", "README.md", "data", "data/rows.parquet"}
    assert files["data/rows.parquet"].lfs.sha256 == hashlib.sha256(BIG).hexdigest()
    assert files["README.md"].lfs is None
    down = Path(api.snapshot_download("tester/whole", repo_type="dataset", cache_dir=tmp_path / "cache"))
    assert down.name == commit.oid
    assert (down / "data" / "rows.parquet").read_bytes() == BIG

    again = api.upload_folder(repo_id="tester/whole", folder_path=folder, repo_type="dataset")
    assert again.oid == commit.oid, "an unchanged folder makes no commit"


def test_info_and_paths(hub: Hub, api: Any) -> None:
    hub.seed("tester/facts", {"big.tar": BIG, "d/small.txt": b"x"})
    info = api.repo_info("tester/facts", repo_type="dataset", files_metadata=True)
    big = next(sibling for sibling in info.siblings if sibling.rfilename == "big.tar")
    assert (big.size, big.lfs.sha256) == (len(BIG), hashlib.sha256(BIG).hexdigest())
    found = api.get_paths_info("tester/facts", ["d", "d/small.txt", "absent"], repo_type="dataset")
    assert [entry.path for entry in found] == ["d", "d/small.txt"]
    inside = api.list_repo_tree("tester/facts", "d", repo_type="dataset")
    assert [entry.path for entry in inside] == ["d/small.txt"]


def test_a_long_listing_comes_in_pages(hub: Hub, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "page_size", 3)
    hub.seed("tester/pages", {f"{number}.txt": b"x" for number in range(8)})
    with hub.watch() as seen:
        assert len(list(api.list_repo_tree("tester/pages", repo_type="dataset"))) == 9
    assert len([request for request in seen if "/tree/" in request.path]) == 3


def test_not_found_errors_are_told_apart(hub: Hub, api: Any, tmp_path: Path) -> None:
    from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    hub.seed("tester/there", {"a.txt": b"a"})

    def get(repo: str, path: str, revision: str) -> None:
        api.hf_hub_download(repo, path, revision=revision, repo_type="dataset", cache_dir=tmp_path)

    with pytest.raises(RepositoryNotFoundError):
        get("tester/absent", "a.txt", "main")
    with pytest.raises(RevisionNotFoundError):
        get("tester/there", "a.txt", "absent")
    with pytest.raises(RemoteEntryNotFoundError):
        get("tester/there", "absent.txt", "main")
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree("tester/there", "absent", repo_type="dataset"))


def test_branches_tags_and_history(hub: Hub, api: Any) -> None:
    first = hub.seed("tester/refs", {"a.txt": b"1"})
    api.create_tag("tester/refs", tag="v1", repo_type="dataset")
    api.create_branch("tester/refs", branch="side", repo_type="dataset")
    side = api.create_commit(
        "tester/refs", [add("a.txt", b"2")], commit_message="two", revision="side", repo_type="dataset"
    )
    refs = api.list_repo_refs("tester/refs", repo_type="dataset")
    assert {branch.name: branch.target_commit for branch in refs.branches} == {"main": first, "side": side.oid}
    assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v1", first)]
    history = api.list_repo_commits("tester/refs", revision="side", repo_type="dataset")
    assert [commit.title for commit in history] == ["two", "seed", "initial commit"]
    assert hub.read("tester/refs", "a.txt", "v1") == b"1"
    api.delete_tag("tester/refs", tag="v1", repo_type="dataset")
    api.delete_branch("tester/refs", branch="side", repo_type="dataset")
    assert list(hub.storage.repo("datasets", "tester/refs").refs()) == ["refs/heads/main"]


def test_a_stale_parent_is_refused(hub: Hub, api: Any) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    first = hub.seed("tester/stale", {"a.txt": b"1"})
    hub.seed("tester/stale", {"a.txt": b"2"})
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_commit(
            "tester/stale", [add("a.txt", b"3")], commit_message="x", repo_type="dataset", parent_commit=first
        )
    assert refused.value.response.status_code == 412
    assert hub.read("tester/stale", "a.txt") == b"2"


def test_delete_files_and_folders_in_a_commit(hub: Hub, api: Any) -> None:
    from huggingface_hub import CommitOperationDelete

    hub.seed("tester/less", {"a.txt": b"1", "d/b.txt": b"1", "d/e/c.txt": b"1"})
    gone = [CommitOperationDelete("d/"), CommitOperationDelete("a.txt")]
    api.create_commit("tester/less", gone, commit_message="less", repo_type="dataset")
    assert set(hub.tree("tester/less")) == {".gitattributes"}


def test_pull_request_and_merge(hub: Hub, api: Any) -> None:
    hub.seed("tester/asked", {"a.txt": b"1"})
    asked = api.create_commit(
        "tester/asked", [add("b.txt", b"2")], commit_message="please", repo_type="dataset", create_pr=True
    )
    assert asked.pr_url.endswith("/discussions/1")
    assert "b.txt" not in hub.tree("tester/asked")
    assert hub.read("tester/asked", "b.txt", "refs/pr/1") == b"2"
    refs = api.list_repo_refs("tester/asked", repo_type="dataset", include_pull_requests=True)
    assert [pull.target_commit for pull in refs.pull_requests] == [asked.oid]
    api.merge_pull_request("tester/asked", 1, repo_type="dataset")
    assert "b.txt" in hub.tree("tester/asked")


def test_model_repositories_have_no_prefix(hub: Hub, api: Any, tmp_path: Path) -> None:
    api.create_repo("tester/model")
    api.upload_file(path_or_fileobj=BIG, path_in_repo="m.safetensors", repo_id="tester/model")
    got = api.hf_hub_download("tester/model", "m.safetensors", cache_dir=tmp_path)
    assert Path(got).read_bytes() == BIG


def test_ranges(hub: Hub) -> None:
    hub.seed("tester/ranges", {"f.bin": BIG})
    url = f"{hub.url}/datasets/tester/ranges/resolve/main/f.bin"
    status, data, headers = fetch(url, {"Range": "bytes=10-19"})
    assert (status, data, headers["Content-Range"]) == (206, BIG[10:20], f"bytes 10-19/{len(BIG)}")
    assert fetch(url, {"Range": "bytes=-5"})[1] == BIG[-5:]
    assert fetch(url, {"Range": f"bytes={len(BIG) - 3}-"})[1] == BIG[-3:]
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(url, {"Range": f"bytes={len(BIG)}-"})
    assert refused.value.code == 416
    refused.value.close()


def test_a_download_that_was_cut_goes_on_where_it_stopped(hub: Hub, api: Any, tmp_path: Path) -> None:
    long = BIG * 12  # the client writes in blocks of 10 MiB, and goes on after the last one it has
    hub.seed("tester/cut", {"f.bin": long})
    with hub.fault(Fault("GET */cut/resolve/*", "drop", after_bytes=11 << 20)) as cut, hub.watch() as seen:
        got = api.hf_hub_download("tester/cut", "f.bin", repo_type="dataset", cache_dir=tmp_path)
    assert Path(got).read_bytes() == long
    assert cut.hits == 1
    assert [request.status for request in seen if request.method == "GET"] == [0, 206]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT *", "status", status=429, retry_after=0),
        Fault("PUT *", "status", status=504),
        Fault("PUT *", "drop", after_bytes=100_000),
        Fault("POST */objects/batch", "lost"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_the_client_gets_over_faults_while_uploading(hub: Hub, api: Any, fault: Fault) -> None:
    name = f"tester/up-{fault.kind}-{fault.status}"
    api.create_repo(name, repo_type="dataset")
    with hub.fault(fault):
        api.upload_file(path_or_fileobj=BIG, path_in_repo="f.bin", repo_id=name, repo_type="dataset")
    assert fault.hits == 1
    assert hub.read(name, "f.bin") == BIG


def test_garbage_and_a_count_of_faults(hub: Hub) -> None:
    hub.seed("tester/garbage", {"a.txt": b"a"})
    url = f"{hub.url}/datasets/tester/garbage/resolve/main/a.txt"
    with hub.fault(Fault("GET */garbage/*", "garbage", times=2, skip=1)) as fault:
        got = [fetch(url)[1] for _ in range(4)]
    assert [data == b"a" for data in got] == [True, False, False, True]
    assert fault.hits == 2


def test_an_upload_needs_a_signed_address_and_the_announced_bytes(hub: Hub, api: Any) -> None:
    api.create_repo("tester/signed", repo_type="dataset")
    oid = hashlib.sha256(b"right").hexdigest()
    url = f"{hub.url}/datasets/tester/signed.git/large/{oid}"
    for query, data, status in (("", b"right", 403), (f"?signature={hub.sign(oid)}", b"wrong", 400)):
        request = urllib.request.Request(url + query, data=data, method="PUT")  # noqa: S310  the loopback
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)  # noqa: S310  the loopback
        assert refused.value.code == status
        refused.value.close()


@pytest.mark.parametrize(
    "path", ["/datasets/../..%2F..%2Fetc/x/resolve/main/a", "/datasets/../x/resolve/main/a", "/nothing"]
)
def test_addresses_that_lead_nowhere(hub: Hub, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(hub.url + path)
    assert refused.value.code in (401, 404)
    refused.value.close()


def test_faults_from_the_command_line() -> None:
    fault = parse("PUT /a=b*=504*3")
    assert (fault.route, fault.kind, fault.status, fault.times) == ("PUT /a=b*", "status", 504, 3)
    assert parse("GET /*=lost").kind == "lost"
    with pytest.raises(ValueError, match="expected ROUTE=KIND"):
        parse("GET /*=nonsense")


def test_load_dataset_and_push_to_hub(hub: Hub, tmp_path: Path) -> None:
    """The unmodified library, in a process of its own: it reads its settings once, when it is imported."""
    script = """
import datasets
rows = datasets.Dataset.from_dict({"n": list(range(20)), "text": [f"row {n}" for n in range(20)]})
rows.push_to_hub("tester/pushed", private=True)
back = datasets.load_dataset("tester/pushed", split="train")
assert back["n"] == rows["n"] and back.features == rows.features
assert [row["n"] for row in datasets.load_dataset("tester/pushed", split="train", streaming=True)] == list(range(20))
print("same")
"""
    environment = {**os.environ, **hub.environment(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "same", done.stderr
    assert "data/train-00000-of-00001.parquet" in hub.tree("tester/pushed")


def test_by_hand(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.hub", "--port", "0", "--data", str(tmp_path), "--fault", "GET /api/x*=504"]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        said = process.stdout.readline()
        found = re.search(r"HF_ENDPOINT=(http://127\.0\.0\.1:\d+) HF_TOKEN=(\S+)", said)
        assert found, said
        status, data, _ = fetch(f"{found[1]}/api/whoami-v2", {"Authorization": f"Bearer {found[2]}"})
        process.terminate()
        assert (status, b"tester" in data) == (200, True)
        assert process.wait(timeout=10) == 0
