"""BibTeX of the datasets of a mix, from what their cards establish: no author or title of a paper is guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from registry.card import Card

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\~{}"})


def bibtex(card: Card) -> str:
    """One ``@misc`` entry; an arXiv number gives the year, too."""
    arxiv, homepage, source = card.citation.arxiv, card.citation.homepage, card.source.hub_repo
    fields = {"title": _plain(card.title)}
    if arxiv:
        fields |= {"eprint": arxiv, "archivePrefix": "arXiv", "url": f"https://arxiv.org/abs/{arxiv}"}
        dated = re.match(r"(\d{2})(0[1-9]|1[0-2])\.", arxiv)
        fields |= {"year": f"20{dated[1]}"} if dated else {}
    elif homepage:
        fields["url"] = homepage
    elif source:
        fields["url"] = f"https://huggingface.co/datasets/{source}"
    lines = "".join(f",\n  {key} = {{{value}}}" for key, value in fields.items())
    return f"@misc{{{card.name}{lines}\n}}"


def bibliography(cards: Iterable[Card]) -> str:
    """All entries, by name."""
    return "\n\n".join(bibtex(card) for card in sorted(cards, key=lambda card: card.name))


def _plain(text: str) -> str:
    """Text as LaTeX prints it."""
    return " ".join(text.split()).translate(_SPECIAL)
