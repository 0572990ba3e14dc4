"""The README of a published mix: metadata that the Hub and `datasets` read, and what a person wants to know.

It depends on the mix, the cards and the shards alone, so the same mix gives the same page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from curator.export import Shard, features
from curator.licences import Terms, hub_licences
from curator.published_recipe import RECIPE_FILE, revision_of
from registry.card import Card
from registry.mix import MixInfo
from registry.taxonomy import CATEGORIES

_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")


@dataclass(frozen=True)
class Page:
    """What the page of one published mix is about."""

    repo_id: str
    tag: str
    info: MixInfo
    shards: Mapping[str, Shard]
    terms: Sequence[Terms]
    cards: Mapping[str, Card]
    pictures: Mapping[str, int]

    def readme(self) -> str:
        """The whole file: metadata between ``---`` lines, then text."""
        import yaml

        front = yaml.safe_dump(self.metadata(), sort_keys=False, allow_unicode=True, width=120)
        sections = (self._opening(), self._composition(), self._licences(), self._rebuild(), self._verify())
        return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"

    def metadata(self) -> dict[str, Any]:
        """What the Hub files the dataset under, and what `datasets` needs to read it."""
        languages = sorted({language for card in self.cards.values() for language in card.languages})
        size = sum(shard.size for shard in self.shards.values())
        content = sum(shard.content for shard in self.shards.values())
        split = {"name": "train", "num_bytes": content, "num_examples": self.info.samples}
        folder = PurePosixPath(next(iter(self.shards))).parent
        facts: dict[str, Any] = {
            "pretty_name": self.info.name,
            "license": hub_licences(self.terms),
            "language": languages,
            "task_categories": ["image-text-to-text", "visual-question-answering"],
            "size_categories": [size_category(self.info.samples)],
            "tags": ["vlm-curator", *sorted(self.info.categories)],
            "source_datasets": sorted({c.source.hub_repo for c in self.cards.values() if c.source.hub_repo}),
            "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": f"{folder}/train-*"}]}],
            "dataset_info": {
                "features": [{"name": name, **_in_yaml(feature)} for name, feature in features().items()],
                "splits": [split],
                "download_size": size,
                "dataset_size": content,
            },
        }
        return {key: value for key, value in facts.items() if value}

    def _opening(self) -> str:
        info = self.info
        return f"""# {info.name}

A training mix for vision-language models: {info.samples:,} conversations over {info.images:,} pictures from
{len(info.datasets)} datasets, drawn and ordered by a recipe that anyone can build again with `vlm-curator`.

```python
from datasets import load_dataset

mix = load_dataset("{self.repo_id}", revision="{self.tag}", split="train")
```

`messages` are turns of `{{"role", "content": [{{"type": "image"}} | {{"type": "text", "text"}}]}}` with as many image
parts as `images` has pictures, the form that chat templates and TRL take. Rows lie grouped by dataset; `position` is
the place of a row in the mix, so shuffle, or sort by it. `id` is the digest of a row's content, `copy` counts the
repetitions of a row from 0, `source_id` names it in its source."""

    def _composition(self) -> str:
        total = self.info.samples
        parts = [
            (
                p.dataset,
                p.part or "all",
                f"{p.chosen:,}",
                f"{p.chosen / total:.1%}",
                f"{p.available:,}",
                _dropped(p.dropped),
            )
            for p in self.info.parts
        ]
        categories = [
            (
                category.title,
                f"{self.info.categories[category.slug]:,}",
                f"{self.info.categories[category.slug] / total:.1%}",
            )
            for category in CATEGORIES
            if category.slug in self.info.categories
        ]
        columns = ("dataset", "part", "rows", "share", "available", "dropped by filters")
        return f"## Composition\n\n{table(columns, parts)}\n\n{table(('category', 'rows', 'share'), categories)}"

    def _licences(self) -> str:
        rows = []
        for one in self.terms:
            card = self.cards.get(one.dataset)
            source = card.source.hub_repo if card else None
            pictures = (one.images or "not established") if one.shows_pictures else "no pictures"
            where = f"[{source}](https://huggingface.co/datasets/{source})" if source else "-"
            rows.append(
                (one.dataset, where, one.annotations or "not established", pictures, one.generator_terms or "-")
            )
        columns = ("dataset", "source", "annotations", "pictures", "terms of the model that wrote it")
        papers = sorted({card.citation.arxiv for card in self.cards.values() if card.citation.arxiv})
        cited = "".join(f"\n- arXiv:{paper}" for paper in papers)
        return (
            "## Licences\n\nEach row stays under the terms of its dataset (column `dataset`); whoever uses all of them "
            f"together keeps to all of them.\n\n{table(columns, rows)}"
            + (f"\n\nPapers of the datasets:{cited}" if cited else "")
        )

    def _rebuild(self) -> str:
        pulls = dict.fromkeys(_pull(part.dataset, part.samples_folder) for part in self.info.parts)
        lines = "\n".join(pulls)
        return f"""## Build it again

```sh
hf download {self.repo_id} --repo-type dataset --revision {self.tag} --include "*.json" --local-dir rebuilt
cd rebuilt
{lines}
curator build-mix ./{RECIPE_FILE}
```

`{RECIPE_FILE}` names each dataset at its revision; `mix.json` is the account of the build."""

    def _verify(self) -> str:
        return f"""## Check it

The content digest of the mix is `{self.info.content_digest}`. It is that of the published rows too:

```python
import hashlib

rows = sorted(zip(mix["position"], mix["id"]))
print(hashlib.sha256("".join(f"{{id}}\\n" for _, id in rows).encode()).hexdigest())
```

`publication.json` lists each shard with its size and sha256."""


def size_category(rows: int) -> str:
    """The Hub's class of a number of rows."""
    above = sum(rows >= 10**power for power in range(3, 10))
    if above == 0:
        return f"n<{_SIZES[0]}"
    return f"{_SIZES[above - 1]}<n<{_SIZES[above]}" if above < len(_SIZES) else f"n>{_SIZES[-1]}"


def _in_yaml(feature: Any) -> dict[str, Any]:
    """A feature as the page's metadata writes it; fresh objects, so that YAML needs no aliases."""
    if not isinstance(feature, list):
        return {"dtype": feature["dtype"]}
    inner = feature[0]
    if inner.get("_type") == "Image":
        return {"list": "image"}
    return {"list": [{"name": name, **_in_yaml(field)} for name, field in inner.items()]}


def _pull(dataset: str, samples_folder: str) -> str:
    revision = revision_of(samples_folder)
    if revision.startswith("local-"):
        return f"curator pull {dataset} --from FOLDER  # a local copy, revision {revision}"
    return f"curator pull {dataset}" + (f" --revision {revision}" if revision else "")


def _dropped(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in sorted(dropped.items()) if count) or "-"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of a page."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Text of a card as one cell: it may not end the cell, the line, or become a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
