"""Chromium without a window, where the machine has one: what it says of a page, and what it draws."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


def render(page: Path, shot: Path, width: int = 1000, height: int = 1600) -> list[str]:
    """Draw ``page`` into the PNG ``shot``; what the browser complained of."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr"]
    command += [f"--user-data-dir={shot.parent / 'profile'}", f"--screenshot={shot}", f"--window-size={width},{height}"]
    run = subprocess.run([*command, page.resolve().as_uri()], capture_output=True, timeout=120, check=False)
    return [line for line in run.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
