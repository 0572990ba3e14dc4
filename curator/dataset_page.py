"""The README of a published mix: metadata that the Hub and `datasets` read, and what a person wants to know.

It depends on the mix, the cards, the evidence and the files alone, so the same mix gives the same page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from curator.composition_chart import CHART_FILE, in_words
from curator.croissant import CROISSANT_FILE
from curator.evidence import Evidence
from curator.licences import Terms, hub_licences
from curator.lock import LOCK_FILE
from curator.page_sections import citations_section, evidence_section, licences_section, table
from curator.publication import Large
from curator.published_recipe import RECIPE_FILE, revision_of
from registry.card import Card
from registry.mix import MixInfo
from registry.taxonomy import CATEGORIES

_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")
CARDS = "cards"
"""Folder of the repository with the cards that the registry does not have."""
_TAKE_CARDS = f"""home="${{CURATOR_HOME:-$HOME/.vlm-curator}}"
mkdir -p "$home/cards" && cp -n {CARDS}/*.yaml "$home/cards/"  # look at them first"""
DEFAULT = "default"
"""Name of the configuration that holds all rows; the others are called as the categories."""


@dataclass(frozen=True)
class Page:
    """What the page of one published mix is about."""

    repo_id: str
    tag: str
    info: MixInfo
    files: Mapping[str, Large]
    """The parquet files; `facts` hold their rows, bytes before compression, and rows of each category."""
    features: Mapping[str, Any]
    """Their columns as `datasets` names them."""
    terms: Sequence[Terms]
    cards: Mapping[str, Card]
    evidence: Sequence[Evidence]
    own_cards: Sequence[str]
    """Datasets whose cards are not the registry's, but published with the mix."""
    whole: bool
    """False when neither a word nor a picture is published, but only what builds the mix again."""

    def readme(self) -> str:
        """The whole file: metadata between ``---`` lines, then text."""
        import yaml

        front = yaml.safe_dump(self.metadata(), sort_keys=False, allow_unicode=True, width=120)
        sections = (
            self._opening(),
            self._composition(),
            licences_section(self.terms, self.cards, self._duty()),
            self._contamination(),
            evidence_section(self.evidence),
            self._rebuild(),
            self._verify(),
            citations_section(self.cards),
        )
        return f"---\n{front}---\n\n" + "\n\n".join(section for section in sections if section) + "\n"

    def metadata(self) -> dict[str, Any]:
        """What the Hub files the dataset under, and what `datasets` needs to read it."""
        facts: dict[str, Any] = {
            "pretty_name": self.info.name,
            "license": hub_licences(self.terms),
            "language": sorted({language for card in self.cards.values() for language in card.languages}),
            "task_categories": ["image-text-to-text", "visual-question-answering"],
            "size_categories": [size_category(self.info.samples)],
            "tags": ["vlm-curator", "croissant", *sorted(self.info.categories)],
            "source_datasets": sorted({c.source.hub_repo for c in self.cards.values() if c.source.hub_repo}),
            "configs": [self._all_rows(), *(map(self._category_rows, self._categories()))],
            "dataset_info": [self._counts(name) for name in (DEFAULT, *self._categories())],
        }
        return {key: value for key, value in facts.items() if value}

    def _categories(self) -> list[str]:
        """Categories that have a configuration of their own; ids alone are one table."""
        return sorted(self.info.categories) if self.whole else []

    def _all_rows(self) -> dict[str, Any]:
        pattern = f"{PurePosixPath(next(iter(self.files))).parent}/*.parquet"
        return {"config_name": DEFAULT, "data_files": [{"split": "train", "path": pattern}], "default": True}

    def _category_rows(self, category: str) -> dict[str, Any]:
        """Shards hold the rows of several categories: those with any are read, through a filter."""
        files = [path for path, known in self.files.items() if known.facts["categories"].get(category)]
        condition = [["category", "==", category]]
        return {"config_name": category, "data_files": [{"split": "train", "path": files}], "filters": condition}

    def _counts(self, config: str) -> dict[str, Any]:
        known = list(self.files.values())
        rows = self.info.samples
        if config != DEFAULT:
            known = [one for one in known if one.facts["categories"].get(config)]
            rows = self.info.categories[config]
        content = sum(one.facts["content"] for one in known)
        return {
            "config_name": config,
            "features": [{"name": name, **_in_yaml(feature)} for name, feature in self.features.items()],
            "splits": [{"name": "train", "num_bytes": content, "num_examples": rows}],
            "download_size": sum(one.size for one in known),
            "dataset_size": content,
        }

    def _opening(self) -> str:
        info = self.info
        start = f"""# {info.name}

A training mix for vision-language models: {info.samples:,} conversations over {info.images:,} pictures from
{len(info.datasets)} datasets, drawn and ordered by a recipe that anyone can build again with `vlm-curator`."""
        return f"{start}\n\n{self._rows_text() if self.whole else self._ids_text()}"

    def _rows_text(self) -> str:
        category = self._categories()[0]
        return f"""```python
from datasets import load_dataset

mix = load_dataset("{self.repo_id}", revision="{self.tag}", split="train")
# or one category alone:
part = load_dataset("{self.repo_id}", "{category}", revision="{self.tag}", split="train")
```

`messages` are turns of `{{"role", "content": [{{"type": "image"}} | {{"type": "text", "text"}}]}}` with as many image
parts as `images` has pictures, the form that chat templates and TRL take. Rows lie grouped by dataset; `position` is
the place of a row in the mix, so shuffle, or sort by it. `id` is the digest of a row's content, `copy` counts the
repetitions of a row from 0, `source_id` names it in its source. A category is read through a filter on the shards that
hold any of it, because rows lie grouped by dataset and not by category."""

    def _ids_text(self) -> str:
        return f"""**This repository holds no pictures and no texts**: it says how to build the mix from the sources,
and what must come of that. `ids/` has the identity of every row in the order of the mix: the digest of its content
(`id`), which repetition it is (`copy`), its place (`position`), where it comes from (`dataset`, `part`, `source_id`),
and the sha256 of its pictures (`images`).

```python
from datasets import load_dataset

ids = load_dataset("{self.repo_id}", revision="{self.tag}", split="train")
```"""

    def _composition(self) -> str:
        total = self.info.samples
        parts = [
            (
                p.dataset,
                p.part or "all",
                f"{p.chosen:,}",
                f"{p.chosen / total:.1%}",
                f"{p.available:,}",
                _counted(p.dropped),
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
        alternative = in_words(self.info).replace("[", "(").replace("]", ")")
        return (
            f"## Composition\n\n![{alternative}]({CHART_FILE})\n\n"
            f"{table(columns, parts)}\n\n{table(('category', 'rows', 'share'), categories)}"
        )

    def _duty(self) -> str:
        if self.whole:
            return (
                "Each row stays under the terms of its dataset (column `dataset`); whoever uses all of them together "
                "keeps to all of them."
            )
        return (
            "Nothing of the datasets is passed on here. These are the terms of what the recipe takes from its sources; "
            "whoever builds the mix keeps to all of them."
        )

    def _contamination(self) -> str:
        """What was done about benchmarks, and what of them is still in the mix."""
        policies = [*_policies(self.info.recipe)]
        if not policies:
            return "## Contamination\n\nThe recipe asked for no search for benchmarks: nothing is known of it."
        asked = [
            (name, policy["policy"], ", ".join(policy["verdicts"]), str(policy["overlap"]))
            for policy in policies
            for name in sorted(policy["benchmarks"])
        ]
        rows = [
            (p.dataset, p.part or "all", _counted(_of_benchmarks(p.dropped)), _counted(p.contamination))
            for p in self.info.parts
        ]
        return (
            "## Contamination\n\nSamples were compared with the questions and pictures of these benchmarks. A *leak* "
            "has a question with its picture, *picture* and *text* have one of the two.\n\n"
            f"{table(('benchmark', 'policy', 'verdicts meant', 'least overlap'), asked)}\n\n"
            f"{table(('dataset', 'part', 'dropped', 'left in the available rows'), rows)}"
        )

    def _rebuild(self) -> str:
        pulls = dict.fromkeys(_pull(part.dataset, part.samples_folder) for part in self.info.parts)
        lines = "\n".join([*([_TAKE_CARDS] if self.own_cards else []), *pulls])
        return f"""## Build it again

```sh
hf download {self.repo_id} --repo-type dataset --revision {self.tag} \\
  --include "*.json" --include "{CARDS}/*" --local-dir rebuilt
cd rebuilt
{lines}
curator build-mix ./{RECIPE_FILE} --json
```

`{RECIPE_FILE}` names each dataset at its revision; `mix.json` is the account of the build; `{LOCK_FILE}` names every
input of it by digest. `curator verify {self.repo_id}` then proves that what was built is what is published here."""

    def _verify(self) -> str:
        table_name = "mix" if self.whole else "ids"
        return f"""## Check it

The content digest of the mix is `{self.info.content_digest}`. It is that of the published rows too:

```python
import hashlib

rows = sorted(zip({table_name}["position"], {table_name}["id"]))
print(hashlib.sha256("".join(f"{{id}}\\n" for _, id in rows).encode()).hexdigest())
```

`curator verify {self.repo_id} --contents` computes every digest of it anew. `publication.json` lists each parquet file
with its size and sha256; `{CROISSANT_FILE}` describes all of it for machines (Croissant 1.1, with where every dataset
came from)."""


def _policies(group: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the recipe, and those it is nested of, asked for about benchmarks."""
    own = [group["decontaminate"]] if "decontaminate" in group else []
    return own + [one for member in group.get("parts", ()) for one in _policies(member)]


def _of_benchmarks(dropped: Mapping[str, int]) -> dict[str, int]:
    return {reason: rows for reason, rows in dropped.items() if reason.startswith("decontaminate")}


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
    if "_type" in inner:
        return {"list": "image" if inner["_type"] == "Image" else inner["dtype"]}
    return {"list": [{"name": name, **_in_yaml(field)} for name, field in inner.items()]}


def _pull(dataset: str, samples_folder: str) -> str:
    revision = revision_of(samples_folder)
    if revision.startswith("local-"):
        return f"curator pull {dataset} --from FOLDER  # a local copy, revision {revision}"
    return f"curator pull {dataset}" + (f" --revision {revision}" if revision else "")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in sorted(counts.items()) if count) or "-"
