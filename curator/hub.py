"""A Hub repository as the origin of a dataset or a model: list its files at one commit, download them, resumably."""

from __future__ import annotations

import contextlib
import glob
import re
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from registry.errors import Refusal

Kind = Literal["dataset", "model"]
_PROBLEMS = {
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
    "ConnectError": "nobody answers there",
    "TimeoutException": "the server takes too long to answer",
}
"""By the names of their classes: which library they are of differs with the version of the client."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class PublishedFile:
    """A file before it is here: path, bytes, and its sha256 where the publisher states one."""

    path: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True)
class HubListing:
    """All files of a repository at one commit."""

    commit: str
    files: list[PublishedFile]


def list_repository(repo: str, revision: str | None, endpoint: str | None = None, kind: Kind = "dataset") -> HubListing:
    """The files of a repository; ``revision`` (branch, tag or commit) is resolved to a commit."""
    from huggingface_hub import HfApi

    with _refusals(repo, revision, kind):
        api = HfApi(endpoint=_checked(endpoint))
        info = api.repo_info(repo, revision=revision, repo_type=kind, files_metadata=True)
    if not _COMMIT.fullmatch(info.sha or ""):
        raise Refusal(repo, f"the server gave no commit ({info.sha!r})", "check --endpoint")
    return HubListing(str(info.sha), [_file(sibling) for sibling in info.siblings or []])


def download(
    repo: str,
    commit: str,
    paths: list[str] | None,
    into: Path,
    endpoint: str | None = None,
    kind: Kind = "dataset",
) -> None:
    """Bring files (all when ``paths`` is None) into a folder; what is there already is not fetched again."""
    from huggingface_hub import snapshot_download

    with _refusals(repo, commit, kind), progress_bars(shown=sys.stderr.isatty()):
        snapshot_download(
            repo,
            repo_type=kind,
            revision=commit,
            local_dir=into,
            endpoint=_checked(endpoint),
            allow_patterns=None if paths is None else [glob.escape(path) for path in paths],
        )


def _file(sibling: Any) -> PublishedFile:
    lfs = getattr(sibling, "lfs", None)
    return PublishedFile(sibling.rfilename, int(sibling.size or 0), getattr(lfs, "sha256", None))


def _checked(endpoint: str | None) -> str | None:
    if endpoint is not None and urllib.parse.urlparse(endpoint).scheme not in ("http", "https"):
        raise Refusal(f"--endpoint {endpoint}", "is no http address", "write it as https://host")
    return endpoint


@contextlib.contextmanager
def progress_bars(*, shown: bool) -> Iterator[None]:
    """The client draws bars of its own on stderr, also where that is no terminal: not so here."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = are_progress_bars_disabled()
    if not shown:
        disable_progress_bars()
    try:
        yield
    finally:
        if not shown and not before:
            enable_progress_bars()


def problem_in_words(error: Exception) -> str:
    """What went wrong on the way to a server, without the names that programs have for it."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code} {response.reason_phrase}".strip()
    known = next((_PROBLEMS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _PROBLEMS), "")
    return ": ".join(filter(None, (known or "the connection broke off", " ".join(str(error).split()))))


@contextlib.contextmanager
def _refusals(repo: str, revision: str | None, kind: Kind) -> Iterator[None]:
    """Say what the client's errors mean for the user. Messages never hold the token."""
    from huggingface_hub import errors

    at = f"{repo}@{revision}" if revision else repo
    named = {"dataset": "the card's hub_repo", "model": "the model's name"}[kind]
    instead = {"dataset": "--endpoint, or pass --from with", "model": "HF_ENDPOINT, or name a folder with"}[kind]
    try:
        yield
    except errors.GatedRepoError:
        way_out = f"accept the terms on the page of {repo}, then set HF_TOKEN"
        raise Refusal(at, f"the {kind} is gated and this account has not been let in", way_out) from None
    except errors.RepositoryNotFoundError:
        way_out = f"check {named}; set HF_TOKEN if it is private"
        raise Refusal(at, f"there is no such {kind} repository, or it is private", way_out) from None
    except errors.RevisionNotFoundError:
        raise Refusal(at, "the repository has no such revision", "name a branch, tag or commit it has") from None
    except errors.HFValidationError as error:
        raise Refusal(at, str(error).splitlines()[0], f"correct {named}") from None
    except (errors.HTTPError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        what = f"the Hub cannot be reached: {problem_in_words(error)}"
        raise Refusal(at, what, f"check the network or --endpoint, or {instead} a local copy") from None
