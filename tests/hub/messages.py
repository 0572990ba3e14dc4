"""What goes in and out of a route: a request, an answer, an error; and who may do what."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import parse_qs

Answerable = dict[str, Any] | list[Any]


@dataclass(frozen=True)
class Account:
    """Who a token belongs to. A `write` token may change the account's own namespace and its organisations'."""

    name: str
    role: Literal["read", "write"] = "write"
    orgs: tuple[str, ...] = ()

    def owns(self, namespace: str) -> bool:
        """Whether a namespace is the account's or one of its organisations."""
        return namespace == self.name or namespace in self.orgs


@dataclass(frozen=True)
class Request:
    """One request: decoded path (no query), the query's last value of each key, and the body as a stream."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: BinaryIO
    account: Account | None
    base_url: str

    def json(self) -> dict[str, Any]:
        """The body as an object: JSON, or a form (each key a list of its values). An empty body is an empty object."""
        data = self.body.read()
        if self.headers.get("Content-Type") == "application/x-www-form-urlencoded":
            return dict(parse_qs(data.decode()))
        try:
            loaded = json.loads(data or b"{}")
        except ValueError:
            raise Problem(400, "the body is not JSON") from None
        if not isinstance(loaded, dict):
            raise Problem(400, "the body is not a JSON object")
        return loaded

    def flag(self, name: str) -> bool:
        """A yes/no query parameter."""
        return self.query.get(name, "").lower() in ("1", "true")


@dataclass(frozen=True)
class Answer:
    """One answer. A path as body is streamed; `span` cuts [start, end) out of it."""

    body: bytes | Path = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    span: tuple[int, int] | None = None

    @property
    def length(self) -> int:
        """Bytes of the body that is sent."""
        if self.span is not None:
            return self.span[1] - self.span[0]
        return len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size

    def open(self) -> BinaryIO:
        """The body as a stream, at its first byte to send."""
        stream: BinaryIO = io.BytesIO(self.body) if isinstance(self.body, bytes) else self.body.open("rb")
        stream.seek(self.span[0] if self.span else 0)
        return stream


class Problem(Exception):
    """An answer that is an error: status, the Hub's X-Error-Code, and a message."""

    def __init__(self, status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}

    def answer(self) -> Answer:
        """The error on the wire."""
        headers = {"X-Error-Message": self.message.replace("\n", " "), **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return as_json({"error": self.message}, self.status, headers)


def as_json(value: Answerable, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer."""
    content = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    return Answer(json.dumps(value).encode(), status, content)
