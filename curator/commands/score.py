"""``curator score``: score a trained model, or predictions made anywhere, by the published rules."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from curator.options import PathValue, dry_run_option, home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from curator.score import Asking
    from registry.benchmark import Result
    from registry.trial import BenchmarkScore

_FILE = PathValue(dir_okay=False)
_OF_PREDICTIONS = ("partial", "limit", "answers", "export", "judge_replies", "judge", "judge_model")


@click.command(name="score")
@click.argument("trial", required=False)
@click.option("--predictions", type=_FILE, metavar="FILE", help="Replies to score: .jsonl, .tsv or .xlsx.")
@click.option(
    "--judge-replies",
    type=_FILE,
    metavar="FILE",
    help="What a judge said of predictions that the rules cannot read (index, reply); of all, for llavabench.",
)
@click.option("--judge", metavar="URL", help="Ask a model here (OpenAI-compatible) about such predictions.")
@click.option("--judge-model", metavar="NAME", help="Name of that model at its server.")
@click.option(
    "--judge-key",
    default="OPENAI_API_KEY",
    show_default=True,
    metavar="VARIABLE",
    help="Variable of the environment that holds the key to it.",
)
@click.option("--benchmark", "benchmarks", multiple=True, metavar="NAME", help="Benchmark (repeat for a trial).")
@click.option("--data", "table", type=_FILE, metavar="TABLE", help="Its published table; default: the one in the home.")
@click.option("--rules", default="2024-05", show_default=True, metavar="SET", help="Rules that read the replies.")
@click.option("--partial", is_flag=True, help="Score only the questions that have a prediction.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Score only so many questions, evenly drawn.")
@click.option("--answers", type=_FILE, metavar="FILE", help="Write what each prediction was taken for (.jsonl).")
@click.option(
    "--export",
    type=_FILE,
    metavar="FILE",
    help="Write the predictions as VLMEvalKit (.xlsx, .tsv) or lmms-eval (.jsonl) does.",
)
@click.option(
    "--max-new-tokens", default=16, show_default=True, type=click.IntRange(1, 4096), help="Of a trial's reply."
)
@dry_run_option
@json_option
@home_option
def command(trial: str | None, predictions: Path | None, **asked: Any) -> None:
    r"""Score a TRIAL of the data home, or a file of predictions, on published benchmarks.

    Predictions need no model: whatever produced them, they are read by the rules of the scorer behind most published
    figures (--rules names its version). They may be JSON lines with index and prediction, VLMEvalKit's own files or
    lmms-eval's samples. Replies no rule can read count as wrong and are reported, unless a judge reads them.

    \b
    Examples:
      curator score demo-baseline-s0 --benchmark mme
      curator score --predictions replies.jsonl --data MMBench_DEV_EN.tsv --benchmark mmbench_dev_en --json
      curator score --predictions replies.jsonl --data LLaVABench.tsv --benchmark llavabench --judge-replies said.jsonl
    """
    if (trial is None) == (predictions is None):
        raise click.UsageError("Give either a TRIAL or --predictions FILE.")
    if predictions is not None:
        _score_predictions(predictions, **asked)
    elif trial is not None:
        _score_trial(trial, **asked)


def _score_predictions(
    predictions: Path,
    benchmarks: Sequence[str],
    table: Path | None,
    rules: str,
    partial: bool,
    limit: int | None,
    answers: Path | None,
    export: Path | None,
    **asked: Any,
) -> None:
    from curator.predictions import Said, write_predictions
    from curator.score import scoring_of, write_answers

    if len(benchmarks) != 1:
        raise click.UsageError("--predictions needs one --benchmark NAME.")
    given = (asked["judge"] is not None, asked["judge_model"] is not None, asked["judge_replies"] is not None)
    if given[0] != given[1] or (given[0] and given[2]):
        raise click.UsageError("Give --judge URL with --judge-model NAME, or --judge-replies FILE.")
    if table is None:
        table = _table_of_home(asked["home"], benchmarks[0])
    with _judge(**asked) as judge:
        scoring = scoring_of(predictions, table, benchmarks[0], rules, partial, judge, limit)
    if answers is not None and not asked["dry_run"]:
        write_answers(answers, scoring)
    if export is not None and not asked["dry_run"]:
        write_predictions(export, Said(table, scoring.questions, scoring.replies))
    _print_result(scoring.result, asked["as_json"])


@contextlib.contextmanager
def _judge(
    judge: str | None,
    judge_model: str | None,
    judge_key: str,
    judge_replies: Path | None,
    home: Path,
    dry_run: bool,
    **_: Any,
) -> Iterator[Asking | None]:
    """Who is heard about replies that the rules cannot read: a server, a file, or nobody."""
    if judge is None or judge_model is None:
        from curator.score import replayed

        yield replayed(judge_replies) if judge_replies is not None else None
        return
    from curator.chat_api import ChatApi
    from curator.judge import Judge
    from registry.store import Home

    with ChatApi(judge, judge_model, judge_key) as api:
        yield Judge(api, Home.default(home), spends=not dry_run)


def _table_of_home(home: Path, benchmark: str) -> Path:
    from curator.study_request import find_table
    from registry.store import Home

    return find_table(Home.default(home), benchmark).table


def _score_trial(
    trial: str, benchmarks: Sequence[str], table: Path | None, rules: str, home: Path, max_new_tokens: int, **asked: Any
) -> None:
    if not benchmarks or (table is not None and len(benchmarks) > 1):
        raise click.UsageError("Give --benchmark NAME; with --data TABLE exactly one.")
    given = [name for name in _OF_PREDICTIONS if asked[name]]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.UsageError(f"{options}: go with --predictions.")
    from curator.laboratory import missing_scores
    from curator.score import score_trial
    from curator.study_request import find_table
    from registry.answers import check_rules
    from registry.store import Home, find_folder

    opened = Home.default(home)
    from pathlib import Path

    folder = find_folder(opened, "trials", Path(trial).name)
    benches = [find_table(opened, name, table, max_new_tokens) for name in benchmarks]
    check_rules(rules)
    if asked["dry_run"]:
        _print_plan(folder, [bench.name for bench in missing_scores(folder, benches, rules)], asked["as_json"])
        return
    _print_scores(folder, score_trial(opened, folder, benches, rules), asked["as_json"])


def _print_result(result: Result, as_json: bool) -> None:
    from curator.output import note, print_fields, print_json, print_table

    for line in result.notes:
        note(f"note: {line}")
    if as_json:
        print_json(result.summary())
        return
    headline = (result.headline, f"{result.metrics[result.headline]:.2f}")
    fields = [("benchmark", result.benchmark), ("rules", result.rules), headline]
    print_fields([*fields, ("unresolved", result.unresolved), ("partial", "yes" if result.partial else None)])
    figures = [("metric", name, round(value, 2)) for name, value in result.metrics.items()]
    figures += [("category", name, round(value, 2)) for name, value in result.breakdown.items()]
    print_table(("kind", "name", "figure"), figures)


def _print_plan(trial: Path, missing: Sequence[str], as_json: bool) -> None:
    from curator.output import print_fields, print_json

    if as_json:
        print_json({"trial": trial.name, "to_score": list(missing)})
        return
    print_fields([("trial", trial.name), ("to score", ", ".join(missing) or "nothing: every score is there")])


def _print_scores(trial: Path, scores: Sequence[BenchmarkScore], as_json: bool) -> None:
    from curator.output import note, print_json, print_table

    for score in scores:
        for line in score.notes:
            note(f"note: {score.benchmark}: {line}")
    if as_json:
        shown = [score.model_dump(mode="json", exclude={"items", "strata"}) for score in scores]
        print_json({"trial": trial.name, "scores": shown})
        return
    rows = [
        (score.benchmark, score.rules, round(score.score, 2), score.questions, score.unresolved) for score in scores
    ]
    print_table(("benchmark", "rules", "score", "questions", "unresolved"), rows)
