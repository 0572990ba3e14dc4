"""The laboratory: turns the runs a strategy asks for into outcomes, with real mixes, trials and scores.

For each run the mix is built, the two stages are trained in trainer processes, every guide benchmark is scored, and
the outcome is read back from the data home. Whatever is finished there is never done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from curator.assembly import Base, look_at_base
from curator.mix import build_mix
from curator.study import Outcome, Outcomes, Run, Study, Wave
from curator.trials import Listener, Request, Workers, score_request, train_request
from registry.benchmark import load_benchmark
from registry.errors import Refusal
from registry.mix import MixInfo
from registry.recipe import Quota, Recipe, RecipePart
from registry.scale import Scale
from registry.scores import Replying, score_path
from registry.store import Home
from registry.trial import BenchmarkScore, Settings, Stage


@dataclass(frozen=True)
class Bench:
    """A guide benchmark and the table it reads."""

    name: str
    table: Path
    table_digest: str
    replying: Replying


@dataclass
class Laboratory:
    """Turns runs into outcomes: recipes to mixes, mixes to trials, trials to scores."""

    home: Home
    study: Study
    scale: Scale
    baseline: Recipe
    pretrain: Recipe | None
    benches: tuple[Bench, ...]
    rules: str
    workers: Workers
    listen: Listener
    replay: bool = False
    """Only read what is there: what would have to be trained or scored is refused."""
    outcomes: dict[Run, Outcome] = field(default_factory=dict)
    trials: dict[str, str] = field(default_factory=dict)
    """Digest -> folder name of every trial that was used."""

    @cached_property
    def base(self) -> Path:
        """Folder of the base checkpoint."""
        assert self._base.folder is not None, "a base whose digest is known is here"
        return self._base.folder

    @cached_property
    def base_digest(self) -> str:
        """Digest of the base checkpoint."""
        assert self._base.digest is not None, "a base that is here has a digest"
        return self._base.digest

    @cached_property
    def _base(self) -> Base:
        """The base checkpoint; a study fetches and joins none by itself."""
        found = look_at_base(self.home, self.scale.base)
        if found.folder is None:
            way = f"make it by training once: curator train MIX --scale {self.scale.name}"
            raise Refusal(f"base checkpoint {found.name}", "is not joined yet in this home", way)
        return found

    @cached_property
    def pretrain_mix(self) -> tuple[Path, MixInfo] | None:
        """The mix of the first stage, the same for every trial."""
        return build_mix(self.home, self.pretrain) if self.pretrain is not None else None

    def measure(self, wave: Wave) -> Outcomes:
        """Train and score what is not there yet; return the outcome of every run."""
        self._train_first_stages(sorted({run.seed for run in wave}))
        plans = [(run, *self._plan(run)) for run in wave]
        unique = {settings.digest(): (name, settings, mix) for _, name, settings, mix, _ in plans}
        self._run([self._job(name, settings, mix) for name, settings, mix in unique.values()])
        found = {run: self._read(settings, info) for run, _, settings, _, info in plans}
        self.outcomes.update(found)
        return found

    def mix_of(self, run: Run) -> tuple[Path, MixInfo]:
        """Build (or find) the mix of a run."""
        if not run.joined:
            return build_mix(self.home, self.baseline)
        by_name = {candidate.name: candidate for candidate in self.study.candidates}
        joined = [by_name[name] for name in run.joined]
        parts = [RecipePart(recipe=self.baseline.name)]
        for one in joined:
            if one.edit is None:
                parts.append(RecipePart(dataset=one.dataset, part=one.part))
            elif one.edit.joins is not None:
                parts.append(one.edit.joins)
        quotas = {one.category: one.edit.quota for one in joined if one.edit and one.edit.quota}
        baseline = self._weighted(quotas) if quotas else self.baseline
        recipe = Recipe(name=mix_name(self.baseline.name, run.joined), seed=self.baseline.seed, parts=parts)
        return build_mix(self.home, recipe, nested={self.baseline.name: baseline})

    def _weighted(self, quotas: dict[str, Quota]) -> Recipe:
        """The baseline with other category weights; raises Refusal where they cannot all hold."""
        plain = self.baseline.model_dump()
        try:
            return Recipe.model_validate({**plain, "categories": {**plain["categories"], **quotas}})
        except ValidationError as error:
            what = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise Refusal(f"baseline '{self.baseline.name}'", what, "give smaller shares in --edit") from None

    def finished(self, runs: Wave) -> int:
        """How many of these runs are trained already."""
        return sum(self._finished(settings) is not None for _, settings, _, _ in map(self._plan, runs))

    def _train_first_stages(self, seeds: Iterable[int]) -> None:
        if self.scale.pretrain is None or self.pretrain_mix is None:
            return
        folder, _ = self.pretrain_mix
        jobs = []
        for seed in seeds:
            settings = self._settings(self.scale.pretrain, None, self.pretrain_mix[1], seed)
            if not self._finished(settings):
                jobs.append([train_request(self.home, f"pretrain-s{seed}", settings, folder, self.base)])
        self._run(jobs)
        for seed in seeds:
            self._finished(self._settings(self.scale.pretrain, None, self.pretrain_mix[1], seed))

    def _run(self, jobs: Sequence[list[Request]]) -> None:
        """Do what is left to do."""
        left = [job for job in jobs if job]
        if left and self.replay:
            first = left[0][0]
            raise Refusal(f"replay: {first.label}", "is not there yet", "leave --replay out to train and score it")
        self.workers.run(left, self.listen)

    def _plan(self, run: Run) -> tuple[str, Settings, Path, MixInfo]:
        folder, info = self.mix_of(run)
        init = None
        if self.scale.pretrain is not None and self.pretrain_mix is not None:
            init = self._settings(self.scale.pretrain, None, self.pretrain_mix[1], run.seed).digest()
        settings = self._settings(self.scale.sft, init, info, run.seed)
        return f"{info.name}-s{run.seed}", settings, folder, info

    def _settings(self, stage: Stage, init: str | None, mix: MixInfo, seed: int) -> Settings:
        return Settings(stage=stage, base=self.base_digest, init=init, mix=mix.content_digest, seed=seed)

    def _job(self, name: str, settings: Settings, mix: Path) -> list[Request]:
        """What is still to be done for one trial: training, and each missing score."""
        folder = self._finished(settings)
        requests = [] if folder else [train_request(self.home, name, settings, mix, self.base)]
        trial = folder or self.home.folder("trials", name, settings.digest())
        missing = missing_scores(trial, self.benches, self.rules)
        return requests + [score_request(self.home, name, trial, bench, self.rules) for bench in missing]

    def _finished(self, settings: Settings) -> Path | None:
        folder = self.home.find("trials", settings.digest())
        if folder is not None:
            self.trials[settings.digest()] = folder.name
        return folder

    def _read(self, settings: Settings, info: MixInfo) -> Outcome:
        folder = self._finished(settings)
        assert folder is not None, "a trial that was run is there"
        scores = {bench.name: read_score(folder, bench, self.rules) for bench in self.benches}
        return Outcome(
            trial=settings.digest(),
            mix=info.name,
            samples=info.samples,
            scores={name: scores[name].score for name in self.study.benchmarks},
            held_out={name: scores[name].score for name in self.study.held_out},
            items={name: _by_stratum(score) for name, score in scores.items()},
        )


def mix_name(baseline: str, joined: tuple[str, ...]) -> str:
    """Human name of a mix: short for one candidate, counted for many (the digest tells them apart)."""
    if not joined:
        return baseline
    more = f"{len(joined) - 1}+" if len(joined) > 1 else ""
    return f"{baseline}+{more}{joined[-1].replace('/', '.')}"


def score_file(trial: Path, bench: Bench, rules: str) -> Path:
    """Where the score of one trial on one table lies."""
    version = load_benchmark(bench.name).VERSION
    return score_path(trial, bench.name, version, rules, bench.table_digest, bench.replying)


def missing_scores(trial: Path, benches: Sequence[Bench], rules: str) -> list[Bench]:
    """The benchmarks whose score is still to be made."""
    return [bench for bench in benches if not score_file(trial, bench, rules).is_file()]


def read_score(trial: Path, bench: Bench, rules: str) -> BenchmarkScore:
    """The stored score; raises Refusal when it is not there."""
    path = score_file(trial, bench, rules)
    if not path.is_file():
        raise Refusal(str(path), "this score is not there", "run 'curator score' for the trial")
    return BenchmarkScore.model_validate_json(path.read_bytes())


def _by_stratum(score: BenchmarkScore) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for group, value in score.items.items():
        found.setdefault(score.strata.get(group, ""), {})[group] = value
    return found
