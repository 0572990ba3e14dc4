"""``curator score``: score a trained model, or predictions made anywhere, by the published rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from curator.options import PathValue, dry_run_option, home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from registry.benchmark import Result
    from registry.trial import BenchmarkScore

_FILE = PathValue(dir_okay=False)


@click.command(name="score")
@click.argument("trial", required=False)
@click.option(
    "--predictions", type=_FILE, metavar="FILE", help="Replies to score: .jsonl or .tsv with index, prediction."
)
@click.option(
    "--judge-replies",
    type=_FILE,
    metavar="FILE",
    help="What a judge said of predictions that the rules cannot read (index, reply); of all, for llavabench.",
)
@click.option("--benchmark", "benchmarks", multiple=True, metavar="NAME", help="Benchmark (repeat for a trial).")
@click.option("--data", "table", type=_FILE, metavar="TABLE", help="Its published table; default: the one in the home.")
@click.option("--rules", default="2024-05", show_default=True, metavar="SET", help="Rules that read the replies.")
@click.option("--partial", is_flag=True, help="Score only the questions that have a prediction.")
@click.option("--answers", type=_FILE, metavar="FILE", help="Write what each prediction was taken for (.jsonl).")
@click.option("--save", type=_FILE, metavar="FILE", help="Keep the score of predictions (.json) for 'curator compare'.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page: figures, categories, what went wrong.")
@click.option(
    "--max-new-tokens", default=16, show_default=True, type=click.IntRange(1, 4096), help="Of a trial's reply."
)
@dry_run_option
@json_option
@home_option
def command(trial: str | None, predictions: Path | None, **asked: Any) -> None:
    r"""Score a TRIAL of the data home, or a file of predictions, on published benchmarks.

    The interval beside a score is its sampling error: in 95 of 100 cases it holds the score over all questions of the
    kind (bootstrap; questions about one picture count together). It is in the unit of the figure it stands beside.

    Predictions need no model: whatever produced them, they are read by the rules of the scorer behind most published
    figures (--rules names its version). Replies no rule can read count as wrong and are reported.

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
    answers: Path | None,
    judge_replies: Path | None,
    save: Path | None,
    html: Path | None,
    **asked: Any,
) -> None:
    from curator.score import save_score, scoring_of, write_answers

    if len(benchmarks) != 1:
        raise click.UsageError("--predictions needs one --benchmark NAME.")
    if table is None:
        table = _table_of_home(asked["home"], benchmarks[0])
    scoring = scoring_of(predictions, table, benchmarks[0], rules, partial, judge_replies)
    if answers is not None and not asked["dry_run"]:
        write_answers(answers, scoring.result, predictions)
    if save is not None and not asked["dry_run"]:
        save_score(save, scoring)
    if html is not None and not asked["dry_run"]:
        from curator.report.run import page_of_predictions

        page_of_predictions(html, scoring, predictions.name)
    _print_result(scoring.result, asked["as_json"])


def _table_of_home(home: Path, benchmark: str) -> Path:
    from curator.study_request import find_table
    from registry.store import Home

    return find_table(Home.default(home), benchmark).table


def _score_trial(
    trial: str, benchmarks: Sequence[str], table: Path | None, rules: str, home: Path, max_new_tokens: int, **asked: Any
) -> None:
    if not benchmarks or (table is not None and len(benchmarks) > 1):
        raise click.UsageError("Give --benchmark NAME; with --data TABLE exactly one.")
    if asked["partial"] or asked["answers"] or asked["judge_replies"] or asked["save"]:
        raise click.UsageError("--partial, --answers, --judge-replies and --save go with --predictions.")
    from curator.laboratory import missing_scores
    from curator.score import count_questions, score_trial
    from curator.study_request import find_table
    from registry.answers import check_rules
    from registry.store import Home, find_folder

    opened = Home.default(home)
    from pathlib import Path

    folder = find_folder(opened, "trials", Path(trial).name)
    benches = [find_table(opened, name, table, max_new_tokens) for name in benchmarks]
    check_rules(rules)
    if asked["dry_run"]:
        missing = missing_scores(folder, benches, rules)
        _print_plan(folder, {bench.name: count_questions(bench) for bench in missing}, asked["as_json"])
        return
    scores = score_trial(opened, folder, benches, rules)
    if asked["html"] is not None:
        from curator.report.run import page_of_trial

        page_of_trial(asked["html"], folder, benches, rules)
    _print_scores(folder, scores, asked["as_json"])


def _print_result(result: Result, as_json: bool) -> None:
    from curator.output import note, print_fields, print_json, print_table
    from registry.sampling import published_interval

    for line in result.notes:
        note(f"note: {line}")
    interval = published_interval(result)
    if as_json:
        print_json(result.summary() | {"interval": interval.told() if interval else None})
        return
    headline = (result.headline, f"{result.metrics[result.headline]:.2f}")
    fields = [("benchmark", result.benchmark), ("rules", result.rules), headline]
    fields.append(("interval", interval.in_words() if interval else "too few questions to tell"))
    print_fields([*fields, ("unresolved", result.unresolved), ("partial", "yes" if result.partial else None)])
    figures = [("metric", name, round(value, 2)) for name, value in result.metrics.items()]
    figures += [("category", name, round(value, 2)) for name, value in result.breakdown.items()]
    print_table(("kind", "name", "figure"), figures)


def _print_plan(trial: Path, missing: Mapping[str, int], as_json: bool) -> None:
    from curator.output import print_fields, print_json

    if as_json:
        print_json({"trial": trial.name, "to_score": list(missing), "questions": missing})
        return
    todo = ", ".join(f"{name} ({questions:,} questions)" for name, questions in missing.items())
    print_fields([("trial", trial.name), ("to score", todo or "nothing: every score is there")])


def _print_scores(trial: Path, scores: Sequence[BenchmarkScore], as_json: bool) -> None:
    from curator.output import note, print_json, print_table
    from registry.sampling import score_interval

    for score in scores:
        for line in score.notes:
            note(f"note: {score.benchmark}: {line}")
    intervals = [score_interval(score) for score in scores]
    if as_json:
        left_out = {"items", "strata", "ratios", "clusters"}
        shown = [
            score.model_dump(mode="json", exclude=left_out) | {"interval": interval.told() if interval else None}
            for score, interval in zip(scores, intervals, strict=True)
        ]
        print_json({"trial": trial.name, "scores": shown})
        return
    rows = [
        (s.benchmark, s.rules, round(s.score, 2), i.ends() if i else None, s.questions, s.unresolved)
        for s, i in zip(scores, intervals, strict=True)
    ]
    print_table(("benchmark", "rules", "score", "interval", "questions", "unresolved"), rows)
