"""Base checkpoints: where one lies, and the digest of its files. No torch: only names and bytes."""

from __future__ import annotations

from pathlib import Path

from registry.errors import Refusal
from registry.identity import digest, file_digest

DEMO = "demo"
"""Name of the base checkpoint that ships with the package."""
DEMO_FOLDER = Path(__file__).parent.parent / "trainers" / "demo_base"

CHECKPOINT = "checkpoint"
"""The folder with a model's files, in a finished trial and in a model that was fetched."""
BUILT = "built.json"
"""Beside the weights of a base that was built here: how they were made."""

WEIGHTS = (".safetensors",)
REFUSED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""Pickled weights run code when they are loaded: never read."""


class PickledRefusal(Refusal):
    """A model whose weights are there as pickles alone."""

    def __init__(self, where: str, way_out: str) -> None:
        super().__init__(where, "holds only pickled weights, which can run code", way_out)


def base_folder(base: str) -> Path:
    """The folder of a base checkpoint: the packaged one for ``demo``, else a path; raises Refusal without weights."""
    folder = DEMO_FOLDER if base == DEMO else Path(base).expanduser()
    if not any(path.suffix in WEIGHTS for path in _files(folder)):
        where, way = f"base checkpoint {folder}", "give a folder in transformers' layout with *.safetensors"
        if any(map(is_pickled, _files(folder))):
            raise PickledRefusal(where, way)
        raise Refusal(where, "has no safetensors weights", way)
    return folder


def is_pickled(path: Path) -> bool:
    """Whether a file's ending says that it holds pickled weights."""
    return path.suffix in REFUSED


def base_digest(folder: Path) -> str:
    """sha256 over the names and contents of every file of a checkpoint folder."""
    return digest({path.relative_to(folder).as_posix(): file_digest(path) for path in _files(folder)})


def _files(folder: Path) -> list[Path]:
    """The files of a checkpoint; hidden ones are not part of it (a download leaves times in ``.cache/``)."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
