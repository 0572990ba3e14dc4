"""Cards and records as plain rows, read fast and without models: what ``list``, ``show`` and ``query`` see.

Nothing heavy is imported (pydantic alone would double the start-up of a listing), so nothing is checked here
beyond what a row needs: ``curator check`` reads the same files strictly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from registry.card_cache import cached_cards
from registry.discovery import names
from registry.errors import Refusal, did_you_mean

Row = dict[str, Any]

PACKAGED_CARDS = Path(__file__).parent / "datasets"
_RECORD = "record.json"
_ABSENT = ("", "null", "~")


class HomeFacts:
    """What one data home and the packaged cards hold; the cards are read once."""

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()

    @cached_property
    def cards(self) -> dict[str, Row]:
        """Card name -> its facts."""
        return cached_cards(card_paths(self.home), card_facts)


def card_paths(home: Path) -> dict[str, Path]:
    """Card name -> file: the packaged ones, then those of the data home ``home``, which win."""
    own = home / "cards"
    files = {name: PACKAGED_CARDS / f"{name}.yaml" for name in names(PACKAGED_CARDS, ".yaml")}
    files |= {name: own / f"{name}.yaml" for name in names(own, ".yaml")}
    return dict(sorted(files.items()))


def card_facts(path: Path) -> Row:
    """One card as nested text, ``null`` as None; raises Refusal when the file is no mapping of fields."""
    from registry.yaml_text import read_text  # loading yaml is 12 ms that a cached answer need not pay

    raw = read_text(path)
    if not isinstance(raw, dict):
        raise Refusal(str(path), "the file is not a mapping of fields", "start it with 'name: …'")
    facts: Row = _without_null(raw)
    return facts


def named_card(home: Path, name: str) -> Row:
    """The facts of one card; an unknown name is a Refusal with the nearest known one."""
    files = card_paths(home)
    if name not in files:
        hint = did_you_mean(name, files)
        raise Refusal(f"dataset '{name}'", f"there is no card of that name{hint}", "see 'curator list'")
    return card_facts(files[name])


def dataset_row(name: str, card: Row, pulled: list[str] | None = None) -> Row:
    """A card as one flat row (columns: ``registry.catalog.TABLES``); ``pulled`` are its revisions in the data home."""
    source, licence, size, citation = (_mapping(card, field) for field in ("source", "licence", "size", "citation"))
    parts = _list(card, "parts")
    return {
        "name": name,
        "title": card.get("title"),
        "stage": card.get("stage"),
        "role": card.get("role") or "other",
        "format": card.get("format"),
        "categories": list(dict.fromkeys(part.get("category") for part in parts if isinstance(part, dict))),
        "samples": _whole(name, "size.samples", size.get("samples")),
        "images": _whole(name, "size.images", size.get("images")),
        "exact": size.get("exact") == "true",
        "image_regime": _mapping(card, "pictures").get("regime"),
        "languages": _list(card, "languages"),
        "licence": licence.get("annotations"),
        "images_licence": licence.get("images"),
        "generator_terms": licence.get("generator_terms"),
        "hub_repo": source.get("hub_repo"),
        "config": source.get("config"),
        "revision": source.get("revision"),
        "gated": source.get("gated"),
        "paper_status": card.get("paper_status"),
        "arxiv": citation.get("arxiv"),
        "homepage": citation.get("homepage"),
        "pulled": pulled or [],
        "card": card,
    }


def dataset_rows(found: HomeFacts) -> list[Row]:
    """One row a card."""
    pulled = pulled_revisions(found.home)
    return [dataset_row(name, card, pulled.get(name)) for name, card in found.cards.items()]


def part_rows(found: HomeFacts) -> list[Row]:
    """One row a part of a card."""
    return [
        {
            "dataset": name,
            "part": part.get("name"),
            "category": part.get("category"),
            "table3_unit": part.get("table3_unit"),
            "rows": _whole(name, "parts.rows", part.get("rows")),
        }
        for name, card in found.cards.items()
        for part in _list(card, "parts")
        if isinstance(part, dict)
    ]


def pulled_revisions(home: Path) -> dict[str, list[str]]:
    """Dataset -> revisions whose samples are in the data home."""
    found: dict[str, list[str]] = {}
    for folder in finished(home, "samples"):
        dataset, revision = samples_name(folder.name)
        if revision not in found.setdefault(dataset, []):
            found[dataset].append(revision)
    return found


def samples_name(folder: str) -> tuple[str, str]:
    """``(dataset, revision)`` of a samples folder ``<dataset>@<revision>-<digest>``."""
    dataset, _, revision = folder.rpartition("-")[0].partition("@")
    return dataset, revision


def finished(home: Path, stage: str) -> list[Path]:
    """Folders of one stage of the data home that have a record, by name."""
    root = home / stage
    if not root.is_dir():
        return []
    return [folder for folder in sorted(root.iterdir()) if (folder / _RECORD).is_file()]


def sample_files(home: Path) -> list[Path]:
    """Parquet files of all finished samples folders, in order."""
    return [path for folder in finished(home, "samples") for path in sorted(folder.glob("part-*.parquet"))]


def mix_rows(found: HomeFacts) -> list[Row]:
    """One row a built mix."""
    rows = []
    for folder, record in _records(found.home, "mixes"):
        mix = _json(folder / "mix.json")
        kept = ("recipe_digest", "content_digest", "samples", "images", "datasets", "categories", "parts", "recipe")
        rows.append(_named(folder, record) | {"name": mix.get("name")} | {field: mix.get(field) for field in kept})
    return rows


def trial_rows(found: HomeFacts) -> list[Row]:
    """One row a trained trial."""
    mixes = mix_by_content(found.home)
    return [_trial_row(folder, record, mixes) for folder, record in _records(found.home, "trials")]


def mix_by_content(home: Path) -> dict[str, str]:
    """Content digest -> folder name of the mix: a trial names its mix by content."""
    found: dict[str, str] = {}
    for folder in finished(home, "mixes"):
        found.setdefault(str(_json(folder / "mix.json").get("content_digest")), folder.name)
    return found


def _trial_row(folder: Path, record: Row, mixes: dict[str, str]) -> Row:
    settings = _json(folder / "settings.json")
    stage = _mapping(settings, "stage")
    return _named(folder, record) | {
        "stage": stage.get("name"),
        "seed": settings.get("seed"),
        "mix": mixes.get(str(settings.get("mix"))),
        "mix_content": settings.get("mix"),
        "base": settings.get("base"),
        "init": settings.get("init"),
        "samples": record.get("rows_out"),
        "cost": _json(folder / "cost.json", missing_is_fine=True),
        "settings": settings,
    }


def score_rows(found: HomeFacts) -> list[Row]:
    """One row a benchmark that a trial, or another model, was scored on."""
    fields = ("benchmark", "version", "rules", "score", "questions", "unresolved", "partial", "metrics", "breakdown")
    mixes = mix_by_content(found.home)
    rows = []
    for folder, record in _records(found.home, "trials"):
        scores = sorted((folder / "scores").glob("*.json"))
        trial = _trial_row(folder, record, mixes) if scores else {}
        for path in scores:
            score = _json(path)
            of_trial = {"trial": folder.name, "mix": trial["mix"], "stage": trial["stage"], "seed": trial["seed"]}
            rows.append(of_trial | {field: score.get(field) for field in fields})
    for folder, _ in _records(found.home, "models"):
        of_model = {"trial": folder.name, "mix": None, "stage": None, "seed": None}
        found_scores = map(_json, sorted((folder / "scores").glob("*.json")))
        rows.extend(of_model | {field: score.get(field) for field in fields} for score in found_scores)
    return rows


def answer_files(home: Path) -> Iterator[tuple[Path, Row]]:
    """Every file of answers beside a score, with that score and its ``trial`` (or other model)."""
    for stage in ("trials", "models"):
        for folder in finished(home, stage):
            for path in sorted((folder / "scores").glob("*.json")):
                answers = path.with_suffix(".parquet")
                if answers.is_file():
                    yield answers, _json(path) | {"trial": folder.name}


def decision_rows(found: HomeFacts) -> list[Row]:
    """One row a candidate of a decision."""
    fields = ("candidate", "dataset", "part", "category", "samples", "verdict", "label", "reason", "against", "seeds")
    rows = []
    for folder, record in _records(found.home, "decisions"):
        decision = _json(folder / "decision.json")
        shared = {"decision": decision.get("name"), "folder": folder.name, "digest": record.get("digest")}
        shared |= {field: decision.get(field) for field in ("strategy", "scale")}
        for candidate in _list(decision, "candidates"):
            effect = _mapping(candidate, "average")
            figures = {"effect": effect.get("mean"), "low": effect.get("low"), "high": effect.get("high")}
            more = {"effects": candidate.get("benchmarks"), "truth": candidate.get("truth")}
            rows.append(shared | {field: candidate.get(field) for field in fields} | figures | more)
    return rows


def record_of(folder: Path) -> Row:
    """``record.json`` of a finished folder as it stands; raises Refusal when it is absent or damaged."""
    return _json(folder / _RECORD)


def _records(home: Path, stage: str) -> Iterator[tuple[Path, Row]]:
    for folder in finished(home, stage):
        yield folder, record_of(folder)


def _named(folder: Path, record: Row) -> Row:
    return {"name": record.get("name"), "folder": folder.name, "digest": record.get("digest")}


def _json(path: Path, *, missing_is_fine: bool = False) -> Row:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        if missing_is_fine:
            return {}
        raise Refusal(str(path), "is missing from a finished folder", "remove the folder and make it again") from None
    except ValueError as error:
        raise Refusal(str(path), f"damaged ({error})", "remove the folder and make it again") from None
    if not isinstance(value, dict):
        raise Refusal(str(path), "damaged (not a JSON object)", "remove the folder and make it again")
    return value


def _mapping(row: Row, field: str) -> Row:
    value = row.get(field)
    return value if isinstance(value, dict) else {}


def _list(row: Row, field: str) -> list[Any]:
    value = row.get(field)
    return value if isinstance(value, list) else []


def _whole(card: str, field: str, text: str | None) -> int | None:
    """A whole number of a card, which YAML gave as text."""
    if text is None:
        return None
    try:
        return int(text)
    except (TypeError, ValueError):
        raise Refusal(f"card '{card}'", f"{field}: {text!r} is not a whole number", f"curator check {card}") from None


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return None if value in _ABSENT else value
