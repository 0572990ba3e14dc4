"""Croissant 1.1 of a published mix: what the files are, what the columns are, and where all of it came from.

JSON-LD (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html), provenance in the words of PROV-O. Written
here and not with `mlcroissant`, which brings pandas, scipy and rdflib; its validator reads what is written
(`python -m tests.consumers.croissant`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from curator import __version__
from curator.citations import bibliography
from curator.licences import Terms
from curator.lock import sources
from registry.card import Card
from registry.licence_terms import normal_name
from registry.mix import MixInfo
from registry.taxonomy import CATEGORIES

CROISSANT_FILE = "croissant.json"
CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
RAI = "http://mlcommons.org/croissant/RAI/1.0"
PARQUET = "application/x-parquet"

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_SAID = {
    "id": "Digest of the row's conversation and pictures",
    "copy": "Which repetition of the row this is, from 0",
    "position": "Place of the row in the mix, from 0",
    "dataset": "Dataset that the row comes from",
    "part": "Part of that dataset",
    "category": "One of the twelve categories of the taxonomy",
    "source_id": "What the row is called in its source",
    "images": "The pictures, in the order in which the conversation shows them",
    "messages": "Turns of the conversation: role, and content as image and text parts",
}
_NO_DIGEST = "https://github.com/mlcommons/croissant/issues/80"
"""What Croissant asks for in the place of a digest that a git repository cannot have."""
_TYPES = {"string": "sc:Text", "int32": "cr:Int32", "int64": "cr:Int64"}


@dataclass(frozen=True)
class Described:
    """What is described: one published version of a mix."""

    url: str
    tag: str
    date: str
    owner: str
    info: MixInfo
    terms: Iterable[Terms]
    cards: Mapping[str, Card]
    lock: Mapping[str, Any]
    large: Mapping[str, Mapping[str, Any]]
    """Path -> size and sha256 of each parquet file."""
    small: Mapping[str, Mapping[str, Any]]
    """The same for the other files that a reader may want."""
    features: Mapping[str, Any]
    """Columns as `datasets` names them."""


def croissant(one: Described) -> dict[str, Any]:
    """The whole description."""
    info = one.info
    categories = [c.title for c in CATEGORIES if c.slug in info.categories]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [CONFORMS_TO, RAI],
        "name": info.name,
        "description": (
            f"A training mix for vision-language models: {info.samples:,} conversations over {info.images:,} pictures "
            f"from {len(info.datasets)} datasets, in the categories {', '.join(categories)}."
        ),
        "url": one.url,
        "version": "1.0.0",
        "identifier": [f"sha256:{info.content_digest}", one.tag],
        "datePublished": one.date,
        "creator": {"@type": "sc:Organization", "name": one.owner, "url": f"{_root(one.url)}/{one.owner}"},
        "publisher": {"@type": "sc:Organization", "name": one.owner, "url": f"{_root(one.url)}/{one.owner}"},
        "keywords": ["vision-language", "instruction tuning", "vlm-curator", *sorted(info.categories)],
        "inLanguage": sorted({language for card in one.cards.values() for language in card.languages}),
        "license": licences(one.terms),
        "citeAs": bibliography(one.cards.values()),
        "isLiveDataset": False,
        "distribution": [*_distribution(one)],
        "recordSet": [_records(one)],
        "prov:wasDerivedFrom": [_origin(name, one) for name in sorted(info.datasets)],
        "prov:wasGeneratedBy": _activity(info),
        **_responsible(one),
    }


def licences(terms: Iterable[Terms]) -> list[str]:
    """Every licence of texts and pictures: an SPDX page where the name is one of SPDX's, else the words of the card."""
    found = set()
    for one in terms:
        for text in one.names:
            name = normal_name(text)
            if name:
                found.add(_page_of(name) or str(text))
    return sorted(found) or ["not established"]


def _page_of(name: str) -> str | None:
    """The page of a licence at SPDX; None for names that are not in its list."""
    creative_commons = re.fullmatch(r"cc(0|-by(-nc)?(-nd|-sa)?)-\d\.\d", name)
    known = _SPDX.get(name) or (name.upper() if creative_commons else None)
    return f"https://spdx.org/licenses/{known}.html" if known else None


_SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
    "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0",
    "pddl": "PDDL-1.0",
    "unlicense": "Unlicense",
    "cdla-permissive-1.0": "CDLA-Permissive-1.0",
    "cdla-permissive-2.0": "CDLA-Permissive-2.0",
    "cdla-sharing-1.0": "CDLA-Sharing-1.0",
}


def _root(url: str) -> str:
    return url.rpartition("/datasets/")[0]


def _distribution(one: Described) -> Iterable[dict[str, Any]]:
    yield {
        "@type": "cr:FileObject",
        "@id": "repository",
        "name": "repository",
        "description": "The repository at the tag that this description belongs to.",
        "contentUrl": f"{one.url}/tree/{quote(f'refs/tags/{one.tag}', safe='')}",
        "encodingFormat": "git+https",
        "sha256": _NO_DIGEST,
    }
    folder = next(iter(one.large)).partition("/")[0]
    yield {
        "@type": "cr:FileSet",
        "@id": "rows-files",
        "name": "rows-files",
        "description": "All parquet files; each is described on its own, too.",
        "containedIn": {"@id": "repository"},
        "encodingFormat": PARQUET,
        "includes": f"{folder}/*.parquet",
    }
    for path, known in {**one.large, **one.small}.items():
        yield {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": f"{one.url}/resolve/{one.tag}/{path}",
            "contentSize": f"{known['size']} B",
            "encodingFormat": PARQUET if path.endswith(".parquet") else "application/json",
            "sha256": known["sha256"],
        }


def _records(one: Described) -> dict[str, Any]:
    fields = [_field(f"rows/{name}", name, feature, [name]) for name, feature in one.features.items()]
    return {
        "@type": "cr:RecordSet",
        "@id": "rows",
        "name": "rows",
        "description": f"The {one.info.samples:,} rows of the mix; sorted by position they are in its order.",
        "key": [{"@id": "rows/id"}, {"@id": "rows/copy"}],
        "field": fields,
    }


def _field(identity: str, name: str, feature: Any, path: list[str]) -> dict[str, Any]:
    """A column, or one part of a nested column, as `cr:Field`."""
    is_list = isinstance(feature, list)
    inner = feature[0] if is_list else feature
    field: dict[str, Any] = {"@type": "cr:Field", "@id": identity, "name": identity}
    if name in _SAID and len(path) == 1:
        field["description"] = _SAID[name]
    if is_list:
        field |= {"isArray": True, "arrayShape": "-1"}
    if "_type" not in inner:
        return field | {
            "subField": [_field(f"{identity}/{key}", key, value, [*path, key]) for key, value in inner.items()]
        }
    picture = inner["_type"] == "Image"
    field["dataType"] = "sc:ImageObject" if picture else _TYPES[inner["dtype"]]
    field["source"] = {"fileSet": {"@id": "rows-files"}, "extract": {"column": path[0]}}
    if picture:
        field["repeated"] = True  # the word of Croissant 1.0, without which its reader takes the list for one picture
        field["source"]["transform"] = {"jsonPath": "$.bytes"}
    if len(path) > 1:  # a transform of a list is one of each element
        field["source"]["transform"] = {"jsonPath": f"$.{'[*].'.join(path[1:])}"}
    return field


def _origin(dataset: str, one: Described) -> dict[str, Any]:
    """A dataset that rows came from, at the revision that was used."""
    source, card = sources(dict(one.lock)).get(dataset, {}), one.cards.get(dataset)
    revisions = sorted({p.samples_folder.partition("@")[2].rpartition("-")[0] for p in one.info.parts
                        if p.dataset == dataset})  # fmt: skip
    version = source.get("commit") or ", ".join(revisions)
    repo = source.get("repo") or (card.source.hub_repo if card else None)
    place = f"https://huggingface.co/datasets/{repo}" if repo else (card.citation.homepage if card else None)
    pinned = f"{place}/tree/{source['commit']}" if repo and source.get("commit") else place
    found: dict[str, Any] = {"@type": "prov:Entity", "@id": pinned or f"urn:vlm-curator:{dataset}"}
    found |= {"name": card.title if card else dataset, "alternateName": dataset, "version": version}
    found |= {"url": pinned} if pinned else {}
    found |= {"identifier": f"sha256:{source['digest']}"} if source.get("digest") else {}
    return found | {"license": licences([terms for terms in one.terms if terms.dataset == dataset])}


def _activity(info: MixInfo) -> dict[str, Any]:
    """What made the mix: the recipe, by its digest, and the tool."""
    return {
        "@type": "prov:Activity",
        "@id": f"urn:sha256:{info.recipe_digest}",
        "name": f"curator build-mix {info.name}",
        "description": "recipe.json, resolved; the identifier is the digest of the resolved recipe.",
        "prov:wasAssociatedWith": {
            "@type": ["prov:SoftwareAgent", "sc:SoftwareApplication"],
            "@id": f"urn:vlm-curator:{__version__}",
            "name": "vlm-curator",
            "softwareVersion": __version__,
        },
    }


def _responsible(one: Described) -> dict[str, Any]:
    """Fields of the RAI vocabulary that the records establish; nothing else is claimed."""
    dropped: dict[str, int] = {}
    for part in one.info.parts:
        for reason, rows in part.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + rows
    steps = [f"{reason}: {rows:,} rows dropped" for reason, rows in sorted(dropped.items()) if rows]
    written = sorted({terms.generator_terms for terms in one.terms if terms.generator_terms})
    notes = [f"{name}: {note}" for name, card in sorted(one.cards.items()) for note in card.quality_notes]
    overlaps = [f"{name}: holds {text}" for name, card in sorted(one.cards.items()) for text in card.overlaps]
    said = {
        "rai:dataPreprocessingProtocol": steps,
        "rai:machineAnnotationTools": written,
        "rai:dataLimitations": notes + overlaps,
        "rai:dataUseCases": ["Training of vision-language models; not a benchmark."],
        "rai:dataCollection": f"Drawn from published datasets by a recipe: {', '.join(sorted(one.info.datasets))}.",
    }
    return {key: value for key, value in said.items() if value}
