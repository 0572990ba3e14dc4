"""Routes that change something: repositories, refs, uploads, commits, pull requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.hub.messages import Answer, Problem, Request, as_json
from tests.hub.routing import API, GIT, commit_of, may_write, route, writable
from tests.hub.storage import Entry, MissingError, Repo, StaleError

if TYPE_CHECKING:
    from tests.hub.server import Hub

Change = tuple[str, dict[str, Any] | Entry | None]
LARGE_SUFFIXES = (
    ".parquet",
    ".arrow",
    ".tar",
    ".gz",
    ".zip",
    ".zst",
    ".safetensors",
    ".bin",
    ".h5",
    ".npy",
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".gif",
)
LARGE_BYTES = 10 << 20


@route("POST", "/api/repos/create")
def create(hub: Hub, request: Request) -> Answer:
    """A new repository; 409 when it is there already."""
    asked = request.json()
    namespace = asked.get("organization") or (request.account.name if request.account else "")
    may_write(request, namespace)
    kind, repo_id = f"{asked.get('type') or 'model'}s", f"{namespace}/{asked['name']}"
    url = f"{request.base_url}/{'' if kind == 'models' else kind + '/'}{repo_id}"
    private = bool(asked.get("private")) or asked.get("visibility") == "private"
    try:
        hub.storage.create(kind, repo_id, private=private)
    except FileExistsError:
        return as_json({"error": f"You already created this {kind[:-1]} repo", "url": url}, 409)
    return as_json({"url": url, "id": repo_id, "name": repo_id})


@route("DELETE", "/api/repos/delete")
def delete(hub: Hub, request: Request) -> Answer:
    """Remove a repository."""
    asked = request.json()
    namespace = asked.get("organization") or (request.account.name if request.account else "")
    repo = writable(hub, request, f"{asked.get('type') or 'model'}s", f"{namespace}/{asked['name']}")
    hub.storage.delete(repo.kind, repo.id)
    return Answer()


@route("POST", "/api/validate-yaml")
def validate_yaml(hub: Hub, request: Request) -> Answer:
    """Looks at the front matter of a README; only its frame is checked here."""
    content = request.json().get("content", "")
    framed = content.startswith("---\n") and "\n---\n" in content[4:]
    return as_json({"errors": [], "warnings": [] if framed else [{"message": "empty or missing yaml metadata"}]})


@route("PUT", rf"{API}/settings")
def change_settings(hub: Hub, request: Request, kind: str, repo_id: str) -> Answer:
    """Make a repository private or public."""
    repo = writable(hub, request, kind, repo_id)
    asked = request.json()
    private = bool(asked.get("private")) or asked.get("visibility") == "private"
    (repo.path / "repo.json").write_text(json.dumps({**repo.settings, "private": private}))
    return as_json({"private": private})


@route("POST", rf"{API}/(?P<what>branch|tag)/(?P<name>[^/]+)")
def add_ref(hub: Hub, request: Request, kind: str, repo_id: str, what: str, name: str) -> Answer:
    """A new branch (name in the path) or tag (revision in the path); 409 when it is there already."""
    repo = writable(hub, request, kind, repo_id)
    asked = request.json()
    if what == "tag":
        ref, start = f"refs/tags/{asked['tag']}", name
    else:
        ref, start = f"refs/heads/{name}", asked.get("startingPoint") or "main"
    commit_of(repo, start)
    with hub.storage.lock:
        if ref in repo.refs():
            raise Problem(409, f"Reference already exists: {ref}")
        repo.set_ref(ref, repo.head(start))
    return Answer()


@route("DELETE", rf"{API}/(?P<what>branch|tag)/(?P<name>[^/]+)")
def drop_ref(hub: Hub, request: Request, kind: str, repo_id: str, what: str, name: str) -> Answer:
    """Remove a branch or tag."""
    repo = writable(hub, request, kind, repo_id)
    ref = f"refs/{'tags' if what == 'tag' else 'heads'}/{name}"
    with hub.storage.lock:
        if ref not in repo.refs():
            raise Problem(404, f"Reference not found: {ref}", "RevisionNotFound")
        repo.set_ref(ref, None)
    return Answer()


def is_large(path: str, size: int, sample: bytes) -> bool:
    """Whether a file is kept as a large object: by suffix, size, or a zero byte in its first 512."""
    return path.endswith(LARGE_SUFFIXES) or size > LARGE_BYTES or b"\0" in sample


@route("POST", rf"{API}/preupload/(?P<revision>[^/]+)")
def preupload(hub: Hub, request: Request, kind: str, repo_id: str, revision: str) -> Answer:
    """How each file is to be uploaded, and the object id that the path has now."""
    repo = writable(hub, request, kind, repo_id)
    present = commit_of(repo, revision).files
    shown = []
    for file in request.json().get("files", []):
        large = is_large(file["path"], file["size"], base64.b64decode(file.get("sample", "")))
        answer = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        if file["path"] in present:
            answer["oid"] = present[file["path"]].sha256 or present[file["path"]].oid
        shown.append(answer)
    return as_json({"files": shown})


@route("POST", rf"{GIT}\.git/info/lfs/objects/batch")
def large_batch(hub: Hub, request: Request, kind: str, repo_id: str) -> Answer:
    """Where to put each large object; no action for one that is stored already."""
    repo = writable(hub, request, kind, repo_id)
    prefix = f"{request.base_url}{'' if kind == 'models' else '/' + kind}/{repo_id}.git"
    objects = []
    for wanted in request.json()["objects"]:
        answer = {"oid": wanted["oid"], "size": wanted["size"]}
        if not repo.large(wanted["oid"]).is_file():
            upload = f"{prefix}/large/{wanted['oid']}?signature={hub.sign(wanted['oid'])}"
            verify = f"{prefix}/info/lfs/verify"
            answer["actions"] = {"upload": {"href": upload, "header": {}}, "verify": {"href": verify, "header": {}}}
        objects.append(answer)
    return as_json({"transfer": "basic", "objects": objects})


@route("PUT", rf"{GIT}\.git/large/(?P<sha256>[0-9a-f]{{64}})")
def large_put(hub: Hub, request: Request, kind: str, repo_id: str, sha256: str) -> Answer:
    """The bytes of a large object. The signed address is the permission, as at the real store: no token is sent."""
    if request.query.get("signature") != hub.sign(sha256):
        raise Problem(403, "SignatureDoesNotMatch")
    if not hub.storage.repo(kind, repo_id).add_large(request.body, sha256):
        raise Problem(400, "the content does not have the announced digest")
    return Answer()


@route("POST", rf"{GIT}\.git/info/lfs/verify")
def large_verify(hub: Hub, request: Request, kind: str, repo_id: str) -> Answer:
    """Confirms that an object arrived."""
    repo = writable(hub, request, kind, repo_id)
    asked = request.json()
    try:
        arrived = repo.large_entry(asked["oid"])
    except MissingError as missing:
        raise Problem(404, str(missing)) from None
    if arrived.size != asked["size"]:
        raise Problem(422, "the stored object has another size")
    return Answer()


def changes(repo: Repo, lines: Iterator[bytes], present: dict[str, Entry]) -> Iterator[Change]:
    """A commit's lines as ("", header) and (path, entry or None)."""
    for line in lines:
        item = json.loads(line)
        key, value = item["key"], item["value"]
        path = value.get("path", "")
        if key == "header":
            yield "", value
        elif key == "file":
            yield path, repo.add_small(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            yield path, repo.large_entry(value["oid"])
        elif key == "deletedFile":
            if path not in present:
                raise Problem(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            yield path, None
        elif key == "deletedFolder":
            yield from ((name, None) for name in present if name.startswith(path.rstrip("/") + "/"))
        else:
            raise Problem(400, f"unknown key in a commit: {key}")


@route("POST", rf"{API}/commit/(?P<revision>[^/]+)")
def commit(hub: Hub, request: Request, kind: str, repo_id: str, revision: str) -> Answer:
    """One commit from newline-delimited JSON, on a branch or on a new pull request."""
    repo = writable(hub, request, kind, repo_id)
    present = commit_of(repo, revision).files
    header: dict[str, Any] = {}
    files: dict[str, Entry | None] = {}
    try:
        for path, change in changes(repo, iter(request.body), present):
            if isinstance(change, dict):
                header = change
            else:
                files[path] = change
    except MissingError as missing:
        raise Problem(422, f"the commit names a large object that was not uploaded: {missing}") from None
    with hub.storage.lock:
        number = 1 + sum(ref.startswith("refs/pr/") for ref in repo.refs())
        pull = f"refs/pr/{number}" if request.flag("create_pr") else None
        target = pull or repo.ref_of(revision)
        if target is None or target.startswith("refs/tags/"):
            raise Problem(400, f"not a branch: {revision}")
        try:
            made = hub.storage.change(
                repo,
                target,
                files,
                title=header.get("summary", ""),
                message=header.get("description", ""),
                author=request.account.name if request.account else "",
                parent=header.get("parentCommit"),
                base=revision if pull else None,
            )
        except StaleError as stale:
            raise Problem(412, f"A commit has happened since. Please refresh and try again. Head: {stale}") from None
    url = f"{request.base_url}/{'' if kind == 'models' else kind + '/'}{repo_id}"
    answer = {"success": True, "commitOid": made.id, "commitUrl": f"{url}/commit/{made.id}", "hookOutput": ""}
    if pull:
        answer["pullRequestUrl"] = f"{url}/discussions/{number}"
    return as_json(answer)


@route("POST", rf"{API}/discussions/(?P<number>\d+)/merge")
def merge(hub: Hub, request: Request, kind: str, repo_id: str, number: str) -> Answer:
    """Merge a pull request: main takes its files."""
    repo = writable(hub, request, kind, repo_id)
    with hub.storage.lock:
        pull = commit_of(repo, f"refs/pr/{number}")
        gone = dict.fromkeys(set(repo.commit("main").files) - set(pull.files))
        hub.storage.change(repo, "refs/heads/main", {**gone, **pull.files}, title=f"{pull.title} (#{number})")
    return as_json({})
