"""What is searched for duplicates: some samples folders together, and what counts as the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator.duplicates.fingerprints import Fingerprint, fingerprints_for, folder_of, identity_of
from curator.measure import measure_folder
from curator.samples import Samples
from registry.identity import digest
from registry.recipe import Alike, Dedup
from registry.store import Home, is_finished

VERSION = 2
NAME = "duplicates"


@dataclass(frozen=True)
class Scope:
    """Samples folders that are looked at together, and what counts as the same."""

    samples: tuple[Samples, ...]
    """Each once, by the names of the folders."""
    wanted: Dedup

    @classmethod
    def of(cls, samples: list[Samples], wanted: Dedup) -> Scope:
        """These samples in any order, some maybe twice."""
        by_name = {one.folder.name: one for one in samples}
        return cls(tuple(by_name[name] for name in sorted(by_name)), wanted)

    def ways(self) -> list[Alike]:
        """The ways of being the same, each after the ways of being exactly the same that it contains."""
        wanted = self.wanted.ways()
        exact = sorted((way.exact() for way in wanted), key=lambda way: way.text != "identical")
        return list(dict.fromkeys(exact + wanted))

    def fingerprints(self) -> list[Fingerprint]:
        """What must be known of each sample."""
        return fingerprints_for(self.ways(), self.wanted)

    def digest(self) -> str:
        """Identity of the clusters: the samples and the settings as far as they decide anything."""
        names = {kind.name for kind in self.fingerprints()}
        settings: dict[str, Any] = {"by": list(map(str, self.ways()))}
        if "shingles" in names:
            settings |= {"threshold": self.wanted.threshold, **self.wanted.banding()._asdict()}
        if "looks" in names:
            settings["distance"] = self.wanted.distance
        return digest(
            {
                "duplicates": VERSION,
                "settings": settings,
                "fingerprints": sorted(identity_of(one, kind) for one in self.samples for kind in self.fingerprints()),
            }
        )

    def folder(self, home: Home, samples: Samples) -> Path:
        """Where the clusters of one of the folders lie, finished or not."""
        return measure_folder(home, samples, NAME, self.digest())

    def missing(self, home: Home) -> bool:
        """Whether there is something to do."""
        return not all(is_finished(self.folder(home, samples)) for samples in self.samples)

    def to_fingerprint(self, home: Home) -> int:
        """Samples of which a fingerprint must be made, counted once for each fingerprint."""
        wanted = [(samples, kind) for samples in self.samples for kind in self.fingerprints()]
        return sum(s.record.rows_out for s, kind in wanted if not is_finished(folder_of(home, s, kind)))

    @property
    def rows(self) -> int:
        """Samples that are looked at."""
        return sum(samples.record.rows_out for samples in self.samples)

    def __str__(self) -> str:
        return " + ".join(samples.card.name for samples in self.samples)
