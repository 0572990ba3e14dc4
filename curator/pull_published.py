"""A published mix as a dataset of this home: the card that says how to read it, and the recipe that gives it again.

The rows of a mix are ordered by a key of its seed and their ids alone. So all rows of the published copy, mixed with
the same seed, are the same mix: the same content digest, without any of the datasets that it was made from.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from curator.published import PublishedFiles, published_account
from registry.card import Card, card_files, load_card
from registry.discovery import checked_name
from registry.errors import Refusal
from registry.mix import Composed
from registry.recipe import load_recipe, recipe_files
from registry.store import Home, dump_json, write_aside


def published_card(
    home: Home, repo: str, revision: str | None = None, endpoint: str | None = None, *, write: bool = True
) -> Card:
    """The card of a published mix, written into the home with its recipe unless the caller only looks.

    Raises:
        Refusal: the repository is no published mix, or something else has both of the names that it could have.
    """
    found = published_account(repo, revision, endpoint)
    if not found.mix.whole:
        way_out = "download its recipe, pull its datasets, and build it: its page says how"
        raise Refusal(repo, "publishes its recipe alone, without the rows", way_out)
    name = _free_name(home, repo)
    try:
        card = _card(name, repo, found.commit, found.mix)
        seed = int(found.mix.info.recipe["seed"])
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise Refusal(repo, f"its account is damaged ({reason})", "ask its publisher to publish it again") from None
    if write:
        recipe = {"name": name, "seed": seed, "parts": [{"dataset": name}]}
        write_aside(home.path / "recipes" / f"{name}.yaml", dump_json(recipe))
        write_aside(home.cards / f"{name}.yaml", dump_json(card.model_dump(mode="json", exclude_defaults=True)))
    return card


def _free_name(home: Home, repo: str) -> str:
    """The repository's name as a dataset's and a recipe's; with its organisation where something else has that name."""
    organisation, _, name = repo.lower().partition("/")
    for candidate in (name, f"{organisation}-{name}"):
        checked_name(candidate, "dataset")
        if _is_free(home, candidate, repo):
            return candidate
    what = f"has the name of other datasets or recipes here ('{name}', '{organisation}-{name}')"
    raise Refusal(repo, what, "pull it into another --home")


def _is_free(home: Home, name: str, repo: str) -> bool:
    """Whether nothing has this name but what an earlier pull of the same repository wrote."""
    cards, recipes = card_files(home), recipe_files(home)
    if name in cards:
        if load_card(name, home).source.hub_repo != repo:
            return False
    elif name in recipes:
        return False
    parts = load_recipe(name, home).parts if name in recipes else []
    return all(part.model_dump(exclude_defaults=True) == {"dataset": name} for part in parts)


def _card(name: str, repo: str, commit: str, mix: PublishedFiles) -> Card:
    """What is established about a published mix: its rows by dataset, part and category."""
    parts = [_part(said) for said in mix.info.composition]
    return Card.model_validate(
        {
            "name": name,
            "title": f"The mix '{mix.info.name}' as {repo} publishes it",
            "stage": "sft",
            "format": "messages",
            "columns": {"id": "source_id"},
            "source": {"hub_repo": repo, "revision": commit, "files": ["data/train-*.parquet"]},
            "parts": parts,
            "licence": {"note": "each row stays under the terms of its dataset, as the page of the repository says"},
            "size": {"samples": mix.info.samples, "rows": mix.info.samples, "exact": True},
            "pictures": {"regime": "embedded"},
        }
    )


def _part(said: Composed) -> dict[str, Any]:
    """The rows of one dataset, part and category of the mix."""
    told = {"dataset": said.dataset, "part": said.part, "category": said.category}
    columns = {key: f"^{re.escape(value)}$" for key, value in told.items()}
    return {
        "name": "/".join(told.values()),
        "category": said.category,
        "rule": {"columns": columns},
        "rows": said.rows,
    }
