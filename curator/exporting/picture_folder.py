"""Pictures as files of an export, named by their digests: ``images/ab/ab12….jpg``, each once, byte for byte."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from curator.export import picture_extension
from curator.exporting.source import Source
from registry.errors import Refusal

IMAGES = "images"
Place = Callable[[str], str]
"""sha256 of a picture -> its path in the export."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class PictureFolder:
    """Copies pictures where an export wants them; what a killed run had copied whole stays."""

    def __init__(self, source: Source, folder: Path) -> None:
        self._images = source.images
        self._aside = source.work / "picture"
        self._folder = folder
        self._paths: dict[str, str] = {}

    def place(self, sha256: str) -> str:
        """Path of a picture inside the export; the file is there when this returns."""
        path = self._paths.get(sha256)
        if path is None:
            path = self._paths[sha256] = self._copied(sha256)
        return path

    def _copied(self, sha256: str) -> str:
        if not _DIGEST.fullmatch(sha256):
            raise Refusal(f"picture {sha256!r}", "is not named by a sha256", "remove the mix and build it again")
        data = self._images.read_checked(sha256)
        path = f"{IMAGES}/{sha256[:2]}/{sha256}.{picture_extension(data)}"
        target = self._folder / path
        if not _holds(target, sha256, len(data)):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._aside.write_bytes(data)
            self._aside.replace(target)
        return path


def _holds(path: Path, sha256: str, size: int) -> bool:
    """Whether a killed run had copied this picture."""
    return path.is_file() and path.stat().st_size == size and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
