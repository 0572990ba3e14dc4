"""What every page of the web app works on: one data home, and how its finished folders are found by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from curator.ui.pictures import Pictures
from registry.errors import Refusal
from registry.store import Home, is_finished


@dataclass
class Library:
    """One data home, open for reading."""

    home: Home
    pictures: Pictures = field(init=False)

    def __post_init__(self) -> None:
        self.pictures = Pictures(self.home)

    def folder(self, stage: str, name: str) -> Path:
        """A finished folder by its full name, which may come from anywhere; raises Refusal when there is none."""
        folder = self.home.stage(stage) / name
        if Path(name).name != name or not is_finished(folder):
            raise Refusal(f"{stage} '{name}'", "there is none of that name here", f"see the list of {stage}")
        return folder

    def samples_of(self, dataset: str) -> list[Path]:
        """The samples folders of a dataset, by name."""
        return [folder for folder in self.home.finished("samples") if folder.name.partition("@")[0] == dataset]
