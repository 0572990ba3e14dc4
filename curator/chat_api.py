"""A chat model behind an OpenAI-compatible address (vLLM, SGLang, llama.cpp, Ollama, a hosted one), with patience.

What may pass (a busy server, a limit of requests, a connection that breaks off, an answer that is no answer) is tried
again, longer and longer apart or as long as the server says. What concerns one question ends as :class:`NoReply`, so
the others go on; what concerns all of them (a wrong key, model or address) is a Refusal, and so is a server that has
not answered anything for many questions in a row. The key is read from a variable of the environment, is sent to no
other address (redirects are not followed), and is never written or printed.
"""

from __future__ import annotations

import base64
import json
import os
import random
import threading
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from registry.errors import Refusal

if TYPE_CHECKING:
    import httpx2

Key = TypeVar("Key", bound=Hashable)
Message = dict[str, Any]

KEY_VARIABLE = "OPENAI_API_KEY"
FIRST_PAUSE = 1.0
"""Seconds before the second try; twice as long before each further one."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries, also where a server asks for more."""
LONGEST_ANSWER = 16 << 20
"""Bytes of an answer that are read."""
FAILURES_IN_A_ROW = 24
"""Questions without a reply, one after the other, after which a server is given up."""
_CHAT = "/chat/completions"
_PASSING = frozenset((408, 409, 423, 425, 429))
_OF_ALL = {401: "does not accept the key", 403: "does not allow it", 404: "knows no such address or model"}
_MEDIA_TYPES = ((b"\x89PNG", "png"), (b"GIF8", "gif"), (b"RIFF", "webp"), (b"BM", "bmp"))


class NoReply(Exception):
    """One question has no reply; its text says why. Others may have one."""


class _Passing(Exception):
    """Worth another try, perhaps after the seconds that the server asks for."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True)
class Ask:
    """What a model is asked."""

    messages: Sequence[Message]
    max_tokens: int
    temperature: float = 0.0


def user_turn(text: str, pictures: Sequence[bytes] = ()) -> Message:
    """A user's message: the pictures (whole files, as they are) before the text."""
    if not pictures:
        return {"role": "user", "content": text}
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": data_url(data)}} for data in pictures]
    return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}


def data_url(picture: bytes) -> str:
    """A picture file as text."""
    kind = next((kind for magic, kind in _MEDIA_TYPES if picture.startswith(magic)), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


class ChatApi:
    """Asks one model. Any number of threads may ask at once; ``concurrency`` of them are heard at a time."""

    def __init__(
        self,
        url: str,
        model: str,
        key_variable: str = KEY_VARIABLE,
        timeout: float = 120.0,
        retries: int = 5,
        concurrency: int = 8,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: the address, with or without ``/v1`` or ``/v1/chat/completions``.
            model: the name the server knows the model by.
            key_variable: the variable of the environment that holds the key; a server may need none.
            timeout: seconds for one try, from the first byte sent to the last one received.
            retries: further tries after a failure that may pass.
            concurrency: questions under way at a time.
        """
        import httpx2

        self.url = chat_address(url)
        self.model = model
        self.concurrency = concurrency
        self._timeout = timeout
        self._retries = retries
        self._key = _read_key(key_variable)
        self._key_variable = key_variable
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._client = httpx2.Client(headers=headers, timeout=timeout, limits=limits)
        self._free = threading.BoundedSemaphore(concurrency)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._failed = 0
        self._heard = False
        self._tokens_name = "max_tokens"
        self._sends_temperature = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._client.close()

    def ask(self, messages: Sequence[Message], max_tokens: int, temperature: float = 0.0) -> str:
        """The model's reply; raises NoReply when there is none, Refusal when there will be none for any question."""
        question = Ask(messages, max_tokens, temperature)
        with self._free:
            try:
                reply = self._patiently(question)
            except NoReply as error:
                self._count_failure(str(error))
                raise
        with self._lock:
            self._failed = 0
        return reply

    def ask_each(self, questions: Iterable[tuple[Key, Ask]]) -> Iterator[tuple[Key, str | NoReply]]:
        """Ask many, ``concurrency`` at a time, each taken from ``questions`` when its turn comes. As they are answered.

        Raises Refusal as :meth:`ask` does; what was yielded before is the caller's to keep.
        """
        left = iter(questions)
        with ThreadPoolExecutor(self.concurrency, "chat") as threads:
            going: dict[Future[str], Key] = {}
            try:
                while True:
                    for key, question in left:
                        asked = threads.submit(self.ask, question.messages, question.max_tokens, question.temperature)
                        going[asked] = key
                        if len(going) >= self.concurrency:
                            break
                    if not going:
                        return
                    done = wait(going, return_when=FIRST_COMPLETED).done
                    for answered in sorted(done, key=_is_refusal):
                        yield going.pop(answered), _outcome(answered)
            finally:
                if going:  # a refusal, or nobody listens any more: no pause is waited for
                    self._closed.set()

    def _patiently(self, question: Ask) -> str:
        tries = 0
        while True:
            try:
                return self._once(question)
            except _Passing as error:
                if tries == self._retries or self._closed.is_set():
                    raise NoReply(f"{error} ({tries + 1} tries)") from None
                self._closed.wait(_pause(tries, error.pause))
                tries += 1

    def _once(self, question: Ask) -> str:
        """One try; names of options that this server does not know are changed on the way."""
        request = self._request(question)
        status, headers, body = self._send(request)
        while status == 400 and self._adapted(request, body):
            request = self._request(question)
            status, headers, body = self._send(request)
        if status == 200:
            return _reply_of(body)
        said = _message_of(body)
        if status in _PASSING or status >= 500:
            raise _Passing(f"status {status}{said}", _asked_pause(headers.get("retry-after", "")))
        if status in _OF_ALL or 300 <= status < 400:
            what = f"status {status}: the server {_OF_ALL.get(status, 'is somewhere else')}{said}"
            way_out = f"look at the address, the model's name ({self.model}) and the key in {self._key_variable}"
            raise Refusal(self._where(), what, way_out)
        raise NoReply(f"status {status}{said}")

    def _request(self, question: Ask) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": list(question.messages),
            self._tokens_name: question.max_tokens,
        }
        if self._sends_temperature:
            request["temperature"] = question.temperature
        return request

    def _adapted(self, sent: dict[str, Any], body: bytes) -> bool:
        """Whether the server said which option it wants otherwise: newer hosted models have other names for two."""
        text = body[:4096].decode("utf-8", "replace")
        if "max_tokens" in sent and "max_completion_tokens" in text:
            self._tokens_name = "max_completion_tokens"
            return True
        if "temperature" in sent and "temperature" in text:
            self._sends_temperature = False
            return True
        return False

    def _send(self, request: dict[str, Any]) -> tuple[int, httpx2.Headers, bytes]:
        """Status, headers and the whole body; time and size are bounded."""
        import httpx2

        end = time.monotonic() + self._timeout
        headers = {"Content-Type": "application/json"}
        content = json.dumps(request, ensure_ascii=False).encode("utf-8", "replace")
        body = bytearray()
        try:
            with self._client.stream("POST", self.url, content=content, headers=headers) as answer:
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > LONGEST_ANSWER:
                        raise NoReply(f"an answer of more than {LONGEST_ANSWER >> 20} MiB")
                    if time.monotonic() > end:
                        raise _Passing(f"no whole answer within {self._timeout:g} s")
                self._heard = True
                return answer.status_code, answer.headers, self._without_key(bytes(body))
        except httpx2.TimeoutException:
            raise _Passing(f"no answer within {self._timeout:g} s") from None
        except (httpx2.HTTPError, RuntimeError) as error:  # RuntimeError: closed by another thread
            reason = f"{type(error).__name__}: {error}"[:200]
            if isinstance(error, httpx2.ConnectError) and not self._heard:
                what = f"no server answers ({reason})"
                raise Refusal(self._where(), what, "start it, or correct the address") from None
            raise _Passing(reason) from None

    def _count_failure(self, reason: str) -> None:
        with self._lock:
            self._failed += 1
            if self._failed < FAILURES_IN_A_ROW:
                return
        what = f"{FAILURES_IN_A_ROW} questions in a row have no reply; the last one: {reason}"
        raise Refusal(self._where(), what, "look at the server, then run the same command again")

    def _where(self) -> str:
        return self.url.split("?")[0]

    def _without_key(self, body: bytes) -> bytes:
        """What came without the key: some servers repeat it."""
        return body.replace(self._key.encode(), b"***") if self._key else body


def chat_address(url: str) -> str:
    """Where questions are sent; raises Refusal for what is no http address, or holds a password."""
    import httpx2

    try:
        parsed = httpx2.URL(url.strip())
    except httpx2.InvalidURL:
        parsed = httpx2.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host or "%" in parsed.host or parsed.userinfo:
        reason = "has a password in it" if parsed.userinfo else "is no http address"
        shown = parsed.copy_with(userinfo=b"") if parsed.userinfo else url[:200]
        raise Refusal(str(shown), reason, "give one like http://localhost:8000/v1, and the key in the environment")
    path = parsed.path.rstrip("/")
    if not path.endswith(_CHAT):
        path = f"{path or '/v1'}{_CHAT}"
    return str(parsed.copy_with(path=path))


def _read_key(variable: str) -> str:
    """The key, empty where the usual variable is not set."""
    key = os.environ.get(variable, "").strip()
    if not key and variable != KEY_VARIABLE:
        raise Refusal(f"variable {variable}", "is not set", "put the server's key there")
    if not (key.isascii() and key.isprintable()):
        raise Refusal(f"variable {variable}", "holds something that is no key", "put the server's key there")
    return key


def _is_refusal(answered: Future[str]) -> bool:
    return isinstance(answered.exception(), Refusal)


def _outcome(answered: Future[str]) -> str | NoReply:
    try:
        return answered.result()
    except NoReply as error:
        return error


def _pause(tries: int, asked: float | None) -> float:
    """Seconds before another try: as the server asks, else 1, 2, 4 …; a little more, so that not all come at once."""
    seconds = FIRST_PAUSE * 2**tries if asked is None else asked
    return min(seconds, LONGEST_PAUSE) * (1 + 0.25 * random.random())


def _asked_pause(text: str) -> float | None:
    """Seconds of a ``Retry-After``; None for none, or a date."""
    try:
        return max(0.0, float(text)) if len(text) < 20 else None
    except ValueError:
        return None


def _reply_of(body: bytes) -> str:
    """The text of an answer; an empty one where the model said nothing. Anything else may pass."""
    try:
        message = json.loads(body)["choices"][0]["message"]
        content = message.get("content")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise _Passing(f"not an answer: {body[:80]!r}") from None
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, (str, type(None))):
        raise _Passing(f"not an answer: {body[:80]!r}")
    return content or str(message.get("refusal") or "")


def _message_of(body: bytes) -> str:
    """What a server said of a failure, on one short line."""
    try:
        error = json.loads(body)
        error = error.get("error", error.get("message", error.get("detail"))) if isinstance(error, dict) else None
        text = str(error.get("message", "") if isinstance(error, dict) else error or "")
    except (ValueError, RecursionError):
        text = body[:200].decode("utf-8", "replace")
    line = " ".join(text.split())[:200]
    return f": {line}" if line else ""
