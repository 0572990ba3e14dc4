"""Routes that only read: who am I, repository facts, listings, history, and the files themselves."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.hub.messages import Answer, Problem, Request, as_json
from tests.hub.routing import API, GIT, commit_of, readable, refuse_gated, route
from tests.hub.storage import Entry, git_blob_id

if TYPE_CHECKING:
    from tests.hub.server import Hub


def listed(path: str, entry: Entry) -> dict[str, Any]:
    """A file as the tree and paths-info routes show it."""
    shown: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.sha256:
        shown["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return shown


def folders(files: dict[str, Entry]) -> set[str]:
    """Each folder that holds a file, at any depth."""
    return {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}


def listed_folder(path: str, files: dict[str, Entry]) -> dict[str, Any]:
    """A folder as the tree and paths-info routes show it."""
    inside = json.dumps([(name, entry.oid) for name, entry in files.items() if name.startswith(path + "/")])
    return {"type": "directory", "oid": git_blob_id(inside.encode()), "size": 0, "path": path}


@route("GET", "/api/whoami-v2")
def whoami(hub: Hub, request: Request) -> Answer:
    """Who the token belongs to."""
    account = request.account
    if account is None:
        raise Problem(401, "Invalid username or password.")
    access = {"displayName": "loopback", "role": account.role}
    orgs = [{"type": "org", "name": name} for name in account.orgs]
    return as_json(
        {"type": "user", "name": account.name, "orgs": orgs, "auth": {"type": "access_token", "accessToken": access}}
    )


@route("GET", rf"{API}(?:/revision/(?P<revision>[^/]+))?")
def info(hub: Hub, request: Request, kind: str, repo_id: str, revision: str = "main") -> Answer:
    """A repository at a revision, with its files."""
    repo = readable(hub, request, kind, repo_id)
    commit = commit_of(repo, revision)
    siblings: list[dict[str, Any]] = [{"rfilename": path} for path in commit.files]
    if request.flag("blobs"):
        for sibling, entry in zip(siblings, commit.files.values(), strict=True):
            sibling.update(size=entry.size, blobId=entry.oid)
            if entry.sha256:
                sibling["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    settings = repo.settings
    return as_json(
        {
            "id": repo_id,
            "author": repo_id.split("/")[0],
            "sha": commit.id,
            "siblings": siblings,
            "private": settings["private"],
            "gated": "manual" if settings["gated"] else False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "createdAt": settings["created"],
            "lastModified": commit.date,
        }
    )


@route("GET", rf"{API}/auth-check")
def auth_check(hub: Hub, request: Request, kind: str, repo_id: str) -> Answer:
    """200 when the repository may be read."""
    repo = readable(hub, request, kind, repo_id)
    refuse_gated(repo, request)
    return Answer()


@route("GET", rf"{API}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
def tree(hub: Hub, request: Request, kind: str, repo_id: str, revision: str, folder: str = "") -> Answer:
    """Files and folders under a folder, a page at a time."""
    commit = commit_of(readable(hub, request, kind, repo_id), revision)
    start = f"{folder}/" if folder else ""
    depth_free = request.flag("recursive")
    names = sorted(
        name
        for name in {*commit.files, *folders(commit.files)}
        if name.startswith(start) and (depth_free or "/" not in name[len(start) :])
    )
    if folder and not names:
        raise Problem(404, f"{folder} does not exist on {revision!r}", "EntryNotFound", {"X-Repo-Commit": commit.id})
    first = int(request.query.get("cursor", "0"))
    page = names[first : first + hub.page_size]
    shown = [listed(n, commit.files[n]) if n in commit.files else listed_folder(n, commit.files) for n in page]
    headers = {}
    if first + hub.page_size < len(names):
        query = urlencode({**request.query, "cursor": first + hub.page_size})
        headers["Link"] = f'<{request.base_url}{request.path}?{query}>; rel="next"'
    return as_json(shown, headers=headers)


@route("POST", rf"{API}/paths-info/(?P<revision>[^/]+)")
def paths_info(hub: Hub, request: Request, kind: str, repo_id: str, revision: str) -> Answer:
    """The given paths that exist; the others are left out."""
    commit = commit_of(readable(hub, request, kind, repo_id), revision)
    asked = request.json().get("paths", [])
    known = folders(commit.files)
    return as_json(
        [
            listed(p, commit.files[p]) if p in commit.files else listed_folder(p, commit.files)
            for p in ([asked] if isinstance(asked, str) else asked)
            if p in commit.files or p in known
        ]
    )


@route("GET", rf"{API}/refs")
def refs(hub: Hub, request: Request, kind: str, repo_id: str) -> Answer:
    """Branches, tags and pull requests."""
    repo = readable(hub, request, kind, repo_id)

    def under(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": commit}
            for ref, commit in sorted(repo.refs().items())
            if ref.startswith(prefix)
        ]

    shown = {"branches": under("refs/heads/"), "tags": under("refs/tags/"), "converts": []}
    if request.flag("include_prs"):
        shown["pullRequests"] = under("refs/pr/")
    return as_json(shown)


@route("GET", rf"{API}/commits/(?P<revision>[^/]+)")
def commits(hub: Hub, request: Request, kind: str, repo_id: str, revision: str) -> Answer:
    """History, newest first."""
    repo = readable(hub, request, kind, repo_id)
    commit_of(repo, revision)
    return as_json(
        [
            {
                "id": commit.id,
                "title": commit.title,
                "message": commit.message,
                "date": commit.date,
                "authors": [{"user": commit.author}],
            }
            for commit in repo.history(revision)
        ]
    )


def span_of(header: str, size: int) -> tuple[int, int] | None:
    """[start, end) of a Range header with one range; None for no header or several; Problem 416 outside the file."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise Problem(416, "Requested Range Not Satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return start, end


@route("GET", rf"{GIT}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(hub: Hub, request: Request, kind: str, repo_id: str, revision: str, path: str) -> Answer:
    """A file's bytes, whole or a range."""
    repo = readable(hub, request, kind, repo_id)
    refuse_gated(repo, request)
    commit = commit_of(repo, revision)
    headers = {"X-Repo-Commit": commit.id, "Accept-Ranges": "bytes"}
    entry = commit.files.get(path)
    if entry is None:
        raise Problem(404, "Entry not found", "EntryNotFound", headers)
    headers |= {"ETag": f'"{entry.sha256 or entry.oid}"', "Content-Type": "application/octet-stream"}
    if entry.sha256:
        headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(entry.size)}
    span = span_of(request.headers.get("Range") or "", entry.size)
    if span:
        headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{entry.size}"
    return Answer(repo.blob(entry), 206 if span else 200, headers, span)
