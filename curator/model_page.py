"""The README of a published checkpoint: what it was trained on, how, and what it scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curator.evidence import Evidence
from curator.licences import Terms
from curator.page_sections import citations_section, evidence_section, licences_section, score_rows, table
from registry.card import Card
from registry.mix import MixInfo
from registry.sampling import score_interval
from registry.trial import BenchmarkScore, Settings

TASK = "image-text-to-text"


@dataclass(frozen=True)
class ModelPage:
    """What the page of one published checkpoint is about."""

    repo_id: str
    tag: str
    trial: str
    digest: str
    """Identity of the trial."""
    settings: Settings
    samples: int
    modules: Mapping[str, Mapping[str, Any]]
    """Module -> parameters, and whether it was trained; empty where the trial does not tell."""
    base: str
    """The base checkpoint in words."""
    base_repo: str | None
    """Its repository on the Hub, where it was fetched from one."""
    mix: MixInfo | None
    """None when the mix is no longer in the data home."""
    mix_repos: Sequence[str]
    """Dataset repositories that hold this mix."""
    terms: Sequence[Terms]
    cards: Mapping[str, Card]
    scores: Sequence[BenchmarkScore]
    evidence: Sequence[Evidence]

    def readme(self) -> str:
        """The whole file: metadata between ``---`` lines, then text."""
        import yaml

        front = yaml.safe_dump(self.metadata(), sort_keys=False, allow_unicode=True, width=120)
        sections = [self._opening(), self._training(), self._scores(), evidence_section(self.evidence)]
        sections += [self._licences(), citations_section(self.cards)]
        return f"---\n{front}---\n\n" + "\n\n".join(section for section in sections if section) + "\n"

    def metadata(self) -> dict[str, Any]:
        """What the Hub files the model under; a licence of the weights is for their maker to state."""
        results = [
            {
                "task": {"type": TASK},
                "dataset": {"type": score.benchmark, "name": score.benchmark},
                "metrics": [{"type": "score", "value": round(score.score, 4), "name": f"rules {score.rules}"}],
            }
            for score in self.scores
        ]
        facts: dict[str, Any] = {
            "library_name": "transformers",
            "pipeline_tag": TASK,
            "language": sorted({language for card in self.cards.values() for language in card.languages}),
            "tags": ["vlm-curator", "llava", f"mix:{self.settings.mix}"],
            "datasets": list(self.mix_repos),
            "base_model": self.base_repo,
            "model-index": [{"name": self.trial, "results": results}] if results else None,
        }
        return {key: value for key, value in facts.items() if value}

    def _opening(self) -> str:
        told = f"the mix `{self.mix.name}`" if self.mix else "a mix"
        return f"""# {self.trial}

A vision-language model, trained with `vlm-curator` on {told} with the content digest `{self.settings.mix}`.
Plain `transformers` format:

```python
from transformers import LlavaForConditionalGeneration

model = LlavaForConditionalGeneration.from_pretrained("{self.repo_id}", revision="{self.tag}")
```"""

    def _training(self) -> str:
        stage, settings = self.settings.stage, self.settings
        rows = [
            ("trial", f"`{self.digest}`"),
            ("base checkpoint", self.base),
            ("starts from", f"trial `{settings.init}`" if settings.init else "the base checkpoint"),
            ("data", ", ".join(self.mix_repos) or "not published on its own, as far as the data home knows"),
            ("mix", f"content `{settings.mix}`" + (f", recipe `{self.mix.recipe_digest}`" if self.mix else "")),
            ("samples", f"{self.samples:,}"),
            ("seed", str(settings.seed)),
            ("stage", stage.name),
            ("trained", ", ".join(self._module(name) for name in stage.trains)),
            ("learning rate", ", ".join(f"{name} {rate:g}" for name, rate in stage.lr.items())),
            ("packed row", f"{stage.capacity:,} tokens, {stage.rows_per_step} rows a step"),
            ("epochs", str(stage.epochs)),
            ("warm-up, weight decay, clipping", f"{stage.warmup_ratio:g}, {stage.weight_decay:g}, {stage.clip_norm:g}"),
            ("precision", stage.precision),
            ("chat template", stage.template),
        ]
        return f"## Training\n\n{table(('setting', 'value'), rows)}\n\n`settings.json` holds all of them."

    def _module(self, name: str) -> str:
        parameters = self.modules.get(name, {}).get("parameters")
        return f"{name} ({parameters:,} parameters)" if parameters else name

    def _scores(self) -> str:
        if not self.scores:
            return "## Scores\n\nThis checkpoint was not scored."
        columns = ("benchmark", "score", "95% interval", "questions", "unreadable replies", "rules")
        rows = score_rows([(score, score_interval(score)) for score in self.scores])
        return (
            f"## Scores\n\n{table(columns, rows)}\n\nScores are 0 to 100. Intervals are over the questions of the "
            "benchmark alone, those about one picture taken together; the noise of training seeds is not in them. "
            "`scores.json` holds every figure."
        )

    def _licences(self) -> str:
        if not self.terms:
            return "## Licences\n\nThe mix is not in the data home that this was published from: no terms are known."
        duty = (
            "These are the terms of the data that it was trained on, in all stages. What they mean for the weights is "
            "not settled here; the licence of the base checkpoint holds as well."
        )
        return licences_section(self.terms, self.cards, duty)
