"""The table of routes, how a request finds its own, and who may read or write a repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.hub.messages import Answer, Problem, Request
from tests.hub.storage import Commit, MissingError, Repo

if TYPE_CHECKING:
    from tests.hub.server import Hub

Route = Callable[..., Answer]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []
ID = r"(?P<repo_id>[^/]+/[^/]+)"
API = rf"/api/(?P<kind>models|datasets|spaces)/{ID}"
GIT = rf"/(?:(?P<kind>datasets|spaces)/)?{ID}"


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    """Enter a function into the table."""

    def enter(function: Route) -> Route:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return enter


def find(method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    """The route for a request and the decoded parts of its path; a slash inside a part comes as %2F."""
    wanted = "GET" if method == "HEAD" else method
    for known, pattern, function in ROUTES:
        match = pattern.fullmatch(raw_path)
        if known == wanted and match:
            parts = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
            if "kind" in pattern.groupindex:
                parts.setdefault("kind", "models")
            return function, parts
    raise Problem(404, f"Sorry, we can't find the page you are looking for: {raw_path}")


def readable(hub: Hub, request: Request, kind: str, repo_id: str) -> Repo:
    """The repository, when it is there and this account may see it."""
    try:
        repo = hub.storage.repo(kind, repo_id)
    except MissingError as missing:
        raise Problem(404 if request.account else 401, str(missing), "RepoNotFound") from None
    if repo.settings["private"] and not (request.account and request.account.owns(repo_id.split("/")[0])):
        raise Problem(404 if request.account else 401, f"Repo not found: {repo_id}", "RepoNotFound")
    return repo


def may_write(request: Request, namespace: str) -> None:
    """401 without a token, 403 with one that may not change this namespace."""
    if request.account is None:
        raise Problem(401, "Invalid username or password.")
    if request.account.role != "write" or not request.account.owns(namespace):
        raise Problem(403, f"You don't have the rights to change {namespace}")


def writable(hub: Hub, request: Request, kind: str, repo_id: str) -> Repo:
    """The repository, when this account may change it."""
    repo = readable(hub, request, kind, repo_id)
    may_write(request, repo_id.split("/")[0])
    return repo


def commit_of(repo: Repo, revision: str) -> Commit:
    """The commit behind a revision, or the Hub's RevisionNotFound."""
    try:
        return repo.commit(revision)
    except MissingError as missing:
        raise Problem(404, str(missing), "RevisionNotFound") from None


def refuse_gated(repo: Repo, request: Request) -> None:
    """Files of a gated repository are for its owners only here."""
    if repo.settings["gated"] and not (request.account and request.account.owns(repo.id.split("/")[0])):
        status = 403 if request.account else 401
        raise Problem(status, f"Access to {repo.kind[:-1]} {repo.id} is restricted", "GatedRepo")
