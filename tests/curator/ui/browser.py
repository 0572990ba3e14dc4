"""A headless Chromium that is driven by its own protocol over a pipe: no driver, no further library."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
)
START = """import os, sys
ends = [os.dup(int(end)) for end in sys.argv[1:3]]
while min(ends) < 5:
    ends = [os.dup(end) for end in ends]
for place, end in enumerate(ends, 3):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Starts Chromium with the pipe where it expects it: it reads at descriptor 3 and writes at 4."""
PATIENCE = 60.0
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}


def program() -> str | None:
    """Where a Chromium is, None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One browser with one page; what it asks for and complains about is kept."""

    def __init__(self, profile: Path) -> None:
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []
        """Errors of the console, exceptions, and what the content policy stopped."""
        self._loaded = 0
        to_read, self._out = os.pipe()
        self._in, to_write = os.pipe()
        found = program()
        assert found is not None
        pipe = (str(to_read), str(to_write))
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", START, *pipe, found, *SWITCHES, f"--user-data-dir={profile}"],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)

    def __enter__(self) -> Self:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(PATIENCE)
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, address: str) -> None:
        """Go to an address and wait until all of it is loaded."""
        self.after(lambda: self.send("Page.navigate", url=address))

    def after(self, act: Callable[[], object]) -> None:
        """Do what leads to another page, and wait until that is loaded."""
        before = self._loaded
        act()
        self.until(lambda: self._loaded > before)

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, f"waited in vain; complaints: {self.complaints}"
            self._next(0.1)

    def js(self, expression: str) -> Any:
        """The value of an expression on the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """What is shown of an element."""
        found = self.js(f"document.querySelector({json.dumps(selector)})?.innerText")
        assert isinstance(found, str), f"there is no {selector}"
        return found

    def texts(self, selector: str) -> list[str]:
        """What is shown of all such elements."""
        found: list[str] = self.js(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)")
        return found

    def focus(self, selector: str) -> None:
        """Put the keyboard on an element."""
        self.js(f"document.querySelector({json.dumps(selector)}).focus()")

    def type(self, text: str) -> None:
        """Type a text where the keyboard is."""
        self.send("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key that has a name."""
        facts = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        self.send("Input.dispatchKeyEvent", type="keyDown", text="\r" if key == "Enter" else "", **facts)
        self.send("Input.dispatchKeyEvent", type="keyUp", **facts)

    def click(self, selector: str) -> None:
        """Click where an element is, as a hand does."""
        x, y = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'});"
            " const b = e.getClientRects()[0]; return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def look(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Be a screen of this size."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)

    def picture(self) -> bytes:
        """A PNG of what is seen."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def _next(self, seconds: float) -> dict[str, Any]:
        """The next message, an empty one if none comes; events are taken note of."""
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                assert seconds < PATIENCE, "the browser does not answer"
                return {}
            more = os.read(self._in, 1 << 20)
            assert more, "the browser ended"
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, told: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded += 1
        elif event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(told["args"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
