"""``curator score``: score a trained model, or predictions made anywhere, by the published rules."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from curator.options import PathValue, dry_run_option, home_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from curator.score import Asking
    from registry.benchmark import Result
    from registry.trial import BenchmarkScore

_FILE = PathValue(dir_okay=False)
_OF_PREDICTIONS = ("partial", "answers", "export", "judge_replies", "judge", "judge_model", "save")


@click.command(name="score")
@click.argument("model", metavar="[TRIAL|CHECKPOINT]", required=False)
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
@click.option(
    "--benchmark", "--benchmarks", "benchmarks", multiple=True, metavar="NAME", help="Benchmark (repeat for a model)."
)
@click.option("--data", "table", type=_FILE, metavar="TABLE", help="Its published table; default: the one in the home.")
@click.option("--rules", default="2024-05", show_default=True, metavar="SET", help="Rules that read the replies.")
@click.option(
    "--partial", is_flag=True, help="Score only the questions that have a prediction; at --api, whatever has a reply."
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many questions, evenly drawn, groups whole."
)
@click.option("--answers", type=_FILE, metavar="FILE", help="Write what each prediction was taken for (.jsonl).")
@click.option("--save", type=_FILE, metavar="FILE", help="Keep the score of predictions (.json) for 'curator compare'.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page: figures, categories, what went wrong.")
@click.option(
    "--export",
    type=_FILE,
    metavar="FILE",
    help="Write the predictions as VLMEvalKit (.xlsx, .tsv) or lmms-eval (.jsonl) does.",
)
@click.option(
    "--max-new-tokens", default=512, show_default=True, type=click.IntRange(1, 4096), help="Of a model's reply."
)
@click.option(
    "--answer-by",
    default="generation",
    show_default=True,
    type=click.Choice(["generation", "likelihood"]),
    help="How a model answers multiple choice: by what it says, or by the likeliest option letter.",
)
@click.option("--api", metavar="URL", help="Ask a model behind an OpenAI-compatible address (vLLM …).")
@click.option("--model", "api_model", metavar="NAME", help="What the server at --api calls the model.")
@click.option(
    "--concurrency", default=8, show_default=True, type=click.IntRange(1, 256), help="Questions under way at --api."
)
@dry_run_option
@json_option
@home_option
def command(model: str | None, predictions: Path | None, api: str | None, **asked: Any) -> None:
    r"""Score a model, or a file of predictions, on published benchmarks.

    A model is a TRIAL of the data home, a CHECKPOINT (a folder, or org/name@revision on the Hub, of any model that
    transformers turns pictures and text into text with; '#vicuna_v1' behind it asks it in a template of ours), or one
    behind an address (--api). A run that is killed goes on where it was; scores are kept in the home, and made once.

    The interval beside a score is its sampling error: in 95 of 100 cases it holds the score over all questions of the
    kind (bootstrap; questions about one picture count together). It is in the unit of the figure it stands beside.

    Predictions need no model: whatever produced them, they are read by the rules of the scorer behind most published
    figures (--rules names its version). They may be JSON lines with index and prediction, VLMEvalKit's own files or
    lmms-eval's samples. Replies no rule can read count as wrong and are reported, unless a judge reads them.

    \b
    Examples:
      curator score demo-baseline-s0 --benchmark mme
      curator score llava-hf/llava-1.5-7b-hf@b234b804 --benchmark mme --benchmark mmbench_dev_en
      curator score --api http://localhost:8000/v1 --model llava --benchmark mme
      curator score --predictions replies.jsonl --data MMBench_DEV_EN.tsv --benchmark mmbench_dev_en --json
      curator score --predictions replies.jsonl --data LLaVABench.tsv --benchmark llavabench --judge-replies said.jsonl
    """
    if sum(given is not None for given in (model, predictions, api)) != 1:
        raise click.UsageError("Give one of TRIAL or CHECKPOINT, --predictions FILE, --api URL.")
    if (api is None) != (asked["api_model"] is None):
        raise click.UsageError("--api URL and --model NAME go together.")
    if predictions is not None:
        _score_predictions(predictions, **asked)
    else:
        _score_model(model, api, **asked)


def _score_predictions(
    predictions: Path,
    benchmarks: Sequence[str],
    table: Path | None,
    rules: str,
    partial: bool,
    limit: int | None,
    answers: Path | None,
    export: Path | None,
    save: Path | None,
    html: Path | None,
    **asked: Any,
) -> None:
    from curator.predictions import Said, write_predictions
    from curator.score import save_score, scoring_of, write_answers

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
    if save is not None and not asked["dry_run"]:
        save_score(save, scoring)
    if html is not None and not asked["dry_run"]:
        from curator.report.run import page_of_predictions

        page_of_predictions(html, scoring, predictions.name)
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


def _score_model(
    model: str | None,
    api: str | None,
    benchmarks: Sequence[str],
    table: Path | None,
    rules: str,
    home: Path,
    **asked: Any,
) -> None:
    if not benchmarks or (table is not None and len(benchmarks) > 1):
        raise click.UsageError("Give --benchmark NAME; with --data TABLE exactly one.")
    given = [name for name in _OF_PREDICTIONS if asked[name] and not (name == "partial" and api is not None)]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.UsageError(f"{options}: go with --predictions.")
    if api is not None and asked["answer_by"] != "generation":
        raise click.UsageError("--answer-by likelihood needs the model itself, not an address.")
    from curator.score import count_questions, open_model
    from curator.study_request import find_table
    from registry.answers import check_rules
    from registry.scores import Replying
    from registry.store import Home

    opened = Home.default(home)
    replying = Replying(asked["max_new_tokens"], asked["answer_by"], asked["limit"])
    benches = [find_table(opened, name, table, replying) for name in benchmarks]
    check_rules(rules)
    found = open_model(opened, model, api, **asked)
    if asked["dry_run"]:
        missing = {bench.name: count_questions(bench) for bench in found.missing(benches, rules)}
        _print_plan(found.folder, missing, asked["as_json"])
        return
    scores = found.score(benches, rules)
    if asked["html"] is not None:
        from curator.report.run import page_of_model

        page_of_model(asked["html"], found.folder, benches, rules)
    _print_scores(found.folder, scores, asked["as_json"])


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


def _print_plan(model: Path, missing: Mapping[str, int], as_json: bool) -> None:
    from curator.output import print_fields, print_json

    kind = _kind(model)
    if as_json:
        print_json({kind: model.name, "to_score": list(missing), "questions": missing})
        return
    todo = ", ".join(f"{name} ({questions:,} questions)" for name, questions in missing.items())
    print_fields([(kind, model.name), ("to score", todo or "nothing: every score is there")])


def _kind(model: Path) -> str:
    return "trial" if model.parent.name == "trials" else "model"


def _print_scores(model: Path, scores: Sequence[BenchmarkScore], as_json: bool) -> None:
    from curator.output import note, print_json, print_table
    from registry.sampling import score_interval

    for score in scores:
        for line in score.notes:
            note(f"note: {score.benchmark}: {line}")
    intervals = [score_interval(score) for score in scores]
    if as_json:
        left_out = {"items", "strata", "ratios", "clusters"}
        shown = [
            score.model_dump(mode="json", exclude=left_out)
            | {"primary": {"name": score.headline, "value": score.metrics.get(score.headline, score.score)}}
            | {"interval": interval.told() if interval else None}
            for score, interval in zip(scores, intervals, strict=True)
        ]
        print_json({_kind(model): model.name, "scores": shown})
        return
    rows = [
        (s.benchmark, s.rules, round(s.score, 2), i.ends() if i else None, s.questions, s.unresolved)
        for s, i in zip(scores, intervals, strict=True)
    ]
    print_table(("benchmark", "rules", "score", "interval", "questions", "unresolved"), rows)
