"""A repository of a Hub (of a dataset or a model) as the place where something is published.

Every call is repeated with growing waits while the Hub is busy or the line is down; what it asks for in
Retry-After is kept to. What goes wrong for good becomes a Refusal that never holds the token or a signed address.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from registry.errors import Refusal

OFFICIAL = "https://huggingface.co"
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same request may well succeed."""
LONGEST_WAIT_S = 330.0
"""The Hub counts requests over five minutes, so no honest Retry-After is longer."""

Value = TypeVar("Value")
RepoType = Literal["dataset", "model"]


@dataclass(frozen=True)
class Known:
    """What tells one version of a file from another: size, and sha256 (large files) or git blob id (small ones)."""

    size: int
    sha256: str | None = None
    blob: str | None = None

    @classmethod
    def of(cls, data: bytes) -> Known:
        """The identity of a small file's bytes."""
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        return cls(len(data), hashlib.sha256(data).hexdigest(), blob)

    def same(self, other: Known) -> bool:
        """Whether both are certainly the same bytes."""
        if self.sha256 and other.sha256:
            return (self.size, self.sha256) == (other.size, other.sha256)
        return self.blob is not None and (self.size, self.blob) == (other.size, other.blob)


@dataclass(frozen=True)
class State:
    """A repository at its newest commit; `head` is None when there is no repository."""

    head: str | None = None
    private: bool = False
    files: dict[str, Known] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def holds(self, wanted: Mapping[str, Known]) -> bool:
        """Whether every wanted file is there with the wanted content."""
        return not self.differing(wanted)

    def differing(self, wanted: Mapping[str, Known]) -> list[str]:
        """Wanted paths that are missing or hold something else."""
        return [path for path, known in wanted.items() if path not in self.files or not self.files[path].same(known)]


class Changed(Refusal):
    """Somebody else changed the repository meanwhile."""


class Unreachable(Refusal):
    """The Hub did not answer, or the client was told to stay offline."""


class Destination:
    """One repository, reached with the account's token where there is one.

    `attempts` and `first_wait_s` say how patient to be; `say` is told about waits that a person would notice.
    """

    def __init__(
        self,
        repo_id: str,
        endpoint: str | None = None,
        say: Callable[[str], None] = lambda _text: None,
        attempts: int = 6,
        first_wait_s: float = 1.0,
        repo_type: RepoType = "dataset",
    ) -> None:
        from huggingface_hub import HfApi, constants, get_token

        self.repo_id = checked_repo_id(repo_id)
        self.endpoint = checked_endpoint(endpoint or constants.ENDPOINT, say)
        self._say, self._attempts, self._first_wait_s = say, attempts, first_wait_s
        self.repo_type = repo_type
        self._token = get_token()
        self._api = HfApi(endpoint=self.endpoint, token=self._token or False)
        self.url = f"{self.endpoint}/{'datasets/' if repo_type == 'dataset' else ''}{self.repo_id}"

    @property
    def has_token(self) -> bool:
        """Whether the account is known at all; looking at what is public needs none."""
        return self._token is not None

    def check_account(self) -> None:
        """Refuse before anything is spent when the token is absent, unknown, read-only, or of another namespace."""
        if self._token is None:
            way_out = "run 'hf auth login', or set HF_TOKEN to a token that may write"
            raise Refusal(self.endpoint, "no token of this Hub was found", way_out)
        told = self._keep_trying("ask who the token belongs to", self._api.whoami)
        role = told.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            way_out = "make one that may write at the Hub's settings page, and run 'hf auth login'"
            raise Refusal(self.endpoint, "the token may only read", way_out)
        namespace = self.repo_id.split("/", maxsplit=1)[0]
        names = [told["name"], *(org["name"] for org in told.get("orgs", []))]
        if namespace not in names:
            what = f"the account {told['name']} is no member of '{namespace}'"
            raise Refusal(self.repo_id, what, f"publish under one of: {', '.join(names)}")

    def state(self) -> State:
        """The repository as it is now."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            info = self._keep_trying("look at the repository", self._looked_up)
        except RepositoryNotFoundError:
            return State()
        files = self._keep_trying("list the files", lambda: self._listed(info.sha))
        refs = self._keep_trying("list the tags", self._referred)
        return State(info.sha, bool(info.private), files, {tag.name: tag.target_commit for tag in refs.tags})

    def read(self, path: str, commit: str, into: Path) -> bytes:
        """A small file of a commit; `into` is a folder for the client to work in."""
        got = self._keep_trying(
            f"read {path}",
            lambda: self._api.hf_hub_download(
                self.repo_id, path, revision=commit, repo_type=self.repo_type, local_dir=into / commit
            ),
        )
        return Path(got).read_bytes()

    def create(self, *, private: bool) -> None:
        """Make the repository if it is not there."""
        self._keep_trying(
            "make the repository",
            lambda: self._api.create_repo(self.repo_id, repo_type=self.repo_type, private=private, exist_ok=True),
        )

    def send(self, path: str, local: Path) -> Any:
        """Upload a large file ahead of its commit; what the Hub has already is not sent. For `commit`."""
        from huggingface_hub import CommitOperationAdd

        def upload() -> Any:
            with self._opened(local) as source:
                addition = CommitOperationAdd(path, source)
                self._api.preupload_lfs_files(self.repo_id, [addition], repo_type=self.repo_type)
            return addition

        addition = self._keep_trying(f"upload {path}", upload)
        if addition.path_or_fileobj != b"":  # the client empties it once the content is with the Hub
            way_out = f"remove the rule for *{Path(path).suffix} from the repository's .gitattributes and .gitignore"
            raise Refusal(self.repo_id, f"the Hub does not take {path} as a large file", way_out)
        return addition

    def commit(
        self,
        sent: list[Any],
        small: Mapping[str, bytes],
        gone: list[str],
        wanted: Mapping[str, Known],
        *,
        parent: str,
        message: str,
    ) -> str:
        """Everything in one commit on top of `parent`; its id. A commit whose answer was lost is not made twice."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete
        from huggingface_hub.errors import HfHubHTTPError

        def make() -> str:
            additions = [CommitOperationAdd(path, self._stream(data)) for path, data in small.items()]
            deletions = [CommitOperationDelete(path, is_folder=False) for path in gone]
            done = self._api.create_commit(
                self.repo_id, [*sent, *additions, *deletions], commit_message=message, repo_type=self.repo_type,
                parent_commit=parent,
            )  # fmt: skip
            return str(done.oid)

        try:
            return self._keep_trying("commit", make)
        except HfHubHTTPError as error:
            now = self.state()
            if error.response.status_code == 412 and now.head != parent and now.holds(wanted):
                return str(now.head)
            raise Changed(self.repo_id, "was changed by someone else meanwhile", "run the same command again") from None

    def tag(self, name: str, commit: str) -> None:
        """Give a commit a name; one that it has already is fine."""
        self._keep_trying(
            "tag",
            lambda: self._api.create_tag(
                self.repo_id, tag=name, revision=commit, repo_type=self.repo_type, exist_ok=True
            ),
        )

    def _looked_up(self) -> Any:
        return self._api.repo_info(self.repo_id, repo_type=self.repo_type)

    def _referred(self) -> Any:
        return self._api.list_repo_refs(self.repo_id, repo_type=self.repo_type)

    def _listed(self, commit: str) -> dict[str, Known]:
        entries = self._api.list_repo_tree(self.repo_id, recursive=True, revision=commit, repo_type=self.repo_type)
        return {
            entry.path: Known(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
            for entry in entries
            if hasattr(entry, "blob_id")
        }

    def _opened(self, local: Path) -> contextlib.AbstractContextManager[Any]:
        """What the client is given for a file.

        Other Hubs than the official one rarely speak its Xet protocol, and the client falls back to plain HTTP
        exactly when it is given an open file.
        """
        return contextlib.nullcontext(str(local)) if self.endpoint == OFFICIAL else local.open("rb")

    def _stream(self, data: bytes) -> Any:
        return data if self.endpoint == OFFICIAL else io.BytesIO(data)

    def _keep_trying(self, doing: str, call: Callable[[], Value]) -> Value:
        """Repeat `call` while the Hub is busy; Refusal for what waiting does not mend.

        Errors that mean something to the caller (no such repository, a changed one) go through as they are.
        """
        from huggingface_hub import errors

        wait = self._first_wait_s
        for attempt in range(1, self._attempts + 1):
            try:
                with quiet_client():
                    return call()
            except Exception as error:  # noqa: BLE001  sorted by kind below, and raised again when it is none of ours
                failure = _cause(error)
                asked = _pause(failure)
                if asked is None:
                    raise self._refused(doing, failure) from None
                if attempt == self._attempts:
                    raise self._given_up(doing, failure) from None
            pause = min(max(asked, wait), LONGEST_WAIT_S)
            if pause >= 5:
                state = "is busy" if isinstance(failure, errors.HfHubHTTPError) else "does not answer"
                self._say(f"{self.endpoint} {state} ({doing}): trying again in {pause:.0f} s")
            time.sleep(pause)
            wait *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _refused(self, doing: str, error: Exception) -> Exception:
        """What to raise for an error that waiting does not mend; the caller's and unexpected ones stay as they are."""
        from huggingface_hub import errors

        if isinstance(error, errors.OfflineModeIsEnabled):
            return Unreachable(self.endpoint, "the client is switched to offline", "unset HF_HUB_OFFLINE")
        if isinstance(error, errors.HfHubHTTPError):
            return self._refused_by_hub(doing, error, error.response.status_code)
        if isinstance(error, (ValueError, KeyError, TypeError)):  # an answer without what the protocol promises
            what = f"could not {doing}: {self._plain(error)}"
            return Refusal(self.endpoint, what, "check that --endpoint is a Hub")
        return error

    def _refused_by_hub(self, doing: str, error: Exception, status: int) -> Exception:
        from huggingface_hub.errors import RepositoryNotFoundError

        if status == 401 and not isinstance(error, RepositoryNotFoundError):
            return Refusal(self.endpoint, "does not know this token", "run 'hf auth login', or set HF_TOKEN anew")
        if status == 403:
            what = f"this token may not {doing}"
            return Refusal(self.repo_id, what, "use a token with write access to it, or another organisation")
        if status == 412 or isinstance(error, RepositoryNotFoundError):
            return error
        return Refusal(self.repo_id, f"the Hub would not {doing}: {self._plain(error)}", "mend that, and run it again")

    def _given_up(self, doing: str, error: Exception) -> Unreachable:
        way_out = "check the network and --endpoint, and run it again: what arrived is not sent twice"
        what = f"could not {doing} in {self._attempts} attempts: {self._plain(error)}"
        return Unreachable(self.endpoint, what, way_out)

    def _plain(self, error: Exception) -> str:
        """One line about an error, without the token and without signatures of addresses."""
        response = getattr(error, "response", None)
        said = getattr(error, "server_message", None) or next(iter(str(error).splitlines()), "")
        text = f"status {response.status_code}, {said}" if response is not None else f"{type(error).__name__}: {said}"
        return re.sub(r"\?[^\s'\"]+", "?…", text.replace(self._token or "\0", "…"))[:300]


def checked_repo_id(repo_id: str) -> str:
    """`org/name` as the Hub allows it; Refusal otherwise."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        raise Refusal(
            repo_id, "is no repository name", "write it as org/name: letters, digits, '-', '_', '.'"
        ) from None
    if repo_id.count("/") != 1:
        raise Refusal(repo_id, "says no organisation", f"write it as org/{repo_id}")
    return repo_id


def checked_tag(tag: str) -> str:
    """A name that a git tag may have; Refusal otherwise."""
    if not re.fullmatch(r"\w[\w.+-]*(/\w[\w.+-]*)*", tag) or ".." in tag or tag.endswith((".lock", ".")):
        raise Refusal(f"--tag {tag!r}", "is no name of a tag", "use letters, digits, '-', '_', '+' and '.', as in v1.0")
    return tag


def checked_endpoint(endpoint: str, say: Callable[[str], None]) -> str:
    """An http(s) address without a slash at its end; says so when the token would travel in the clear."""
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise Refusal(f"--endpoint {parts.scheme}://{parts.hostname}", "is no address of a Hub", "write https://host")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        say(f"{parts.hostname} is reached by plain http: the token travels readable to anyone on the way")
    return endpoint.rstrip("/")


@contextlib.contextmanager
def quiet_client() -> Iterator[None]:
    """The client's own bars and warnings (which hold signed addresses) are off inside; its settings come back after."""
    from huggingface_hub import logging
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    verbosity, bars_off = logging.get_verbosity(), are_progress_bars_disabled()
    logging.set_verbosity_error()
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not bars_off:
            enable_progress_bars()


def _cause(error: Exception) -> Exception:
    """The client wraps what went wrong in an upload thread into a RuntimeError; this is the inner error."""
    inner = error.__cause__
    return inner if type(error) is RuntimeError and isinstance(inner, Exception) else error


def _pause(error: Exception) -> float | None:
    """Seconds to wait before the same request again (0 = no wish stated); None when waiting is of no use."""
    from huggingface_hub import errors

    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return 0.0  # half an answer, or a page of something in between
    if isinstance(error, errors.HfHubHTTPError):
        return _asked(error.response.headers) if error.response.status_code in BUSY else None
    if isinstance(error, (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError)):
        return 0.0 if isinstance(error.__cause__, errors.HTTPError) else None
    return 0.0 if isinstance(error, errors.HTTPError) else None


def _asked(headers: Mapping[str, str]) -> float:
    """Seconds that Retry-After, or the Hub's RateLimit header (``r`` requests left, ``t`` seconds to go), asks for."""
    after = headers.get("Retry-After", "")
    if after.isdigit():
        return float(after)
    limit = re.search(r"\br=0;\s*t=(\d+)", headers.get("RateLimit", ""))
    return float(limit[1]) if limit else 0.0
