"""Write the report: read a decision and what it rests on, draw the figures, fill the template.

Equal homes give equal bytes: nothing here looks at a clock, a path or the order of a folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from curator import __version__
from curator.report import evidence, strips, tables, theme, wording
from curator.report.ancestry import lineage_table, rebuild_commands, trace
from curator.report.figures import draw_files, draw_for_page
from curator.report.selection_map import selection_map
from registry.benchmark import load_benchmark
from registry.discovery import names
from registry.errors import Refusal, did_you_mean
from registry.identity import short
from registry.store import Home, read_record, write_aside
from registry.trial import DECISION_FILE, Decision, DecisionRule

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
TEMPLATE = "template.html.jinja"
STYLE = "style.css"
PROGRAM = f"vlm-curator {__version__}"


@dataclass(frozen=True)
class ReportInfo:
    """What was written."""

    decision: str
    """Name of the decision."""
    headline: str
    page: Path
    page_bytes: int
    assets: list[Path]
    """CSV files and figures, if they were asked for."""


def build_report(home: Home, decision: Decision | Path, out: Path, assets: Path | None = None) -> ReportInfo:
    """Write the report of ``decision`` to ``out``, and its tables and figures into the folder ``assets``.

    ``decision`` is the decision itself, its folder, or its ``decision.json``. Raises Refusal when it cannot be read.
    """
    decided, folder = _open(home, decision)
    titles = benchmark_titles(decided)
    ancestry = trace(home, decided, folder)
    sifted = evidence.sift(ancestry)
    cost, cost_table = evidence.cost_of(decided, ancestry)
    written = {
        "comparison": tables.comparison_table(decided, titles),
        "candidates": tables.candidates_table(decided),
        "effects": tables.effects_table(decided, titles),
        "path": tables.path_table(decided, titles),
        "sifted": evidence.sifted_table(sifted),
        "cost": cost_table,
        "lineage": lineage_table(decided, ancestry),
    }
    text = _render(
        decision=decided,
        identity=short(read_record(folder).digest) if folder else "",
        titles=titles,
        map=selection_map(decided),
        outcomes=tables.outcomes(decided),
        strips=strips.strips(home, decided, ancestry),
        rules=rule_fields(decided.rule),
        cost=cost,
        commands=rebuild_commands(decided, ancestry),
        tables=written,
        nothing_sifted=not any(entry.set_aside or entry.dropped or entry.moved for entry in sifted),
        figures=draw_for_page(decided, titles),
    )
    data = text.encode()
    write_aside(out, data)
    files = _write_assets(assets, list(written.values()), decided, titles) if assets is not None else []
    return ReportInfo(decided.name, wording.headline(decided), out, len(data), files)


def plan_report(home: Home, decision: Path, out: Path, assets: Path | None = None) -> dict[str, Any]:
    """What :func:`build_report` would write, JSON-ready; Refusal for a decision that cannot be read."""
    decided, _ = _open(home, decision)
    return {
        "decision": decided.name,
        "headline": wording.headline(decided),
        "page": str(out),
        "replaces": out.exists(),
        "assets": str(assets) if assets is not None else None,
    }


def find_decision(home: Home, name: str | None) -> Path:
    """The folder of a decision by name, folder name or digest; the only one when no name is given."""
    folders = home.finished("decisions")
    if name is None and len(folders) == 1:
        return folders[0]
    if not folders:
        raise Refusal(str(home.path), "there is no decision in this data home", "make one with 'curator select'")
    known = ", ".join(folder.name for folder in folders)
    if name is None:
        raise Refusal(str(home.path), f"there are {len(folders)} decisions", f"name one of them: {known}")
    found = [folder for folder in folders if _goes_by(folder, name)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(folder.name for folder in found)
        raise Refusal(f"decision '{name}'", f"{len(found)} go by that name", f"name the folder: {several}")
    hint = did_you_mean(name, [folder.name for folder in folders])
    raise Refusal(f"decision '{name}'", f"there is none{hint}", f"name one of them: {known}")


def _goes_by(folder: Path, name: str) -> bool:
    human, _, digest = folder.name.rpartition("-")
    return name in (folder.name, human) or (len(name) >= 6 and digest.startswith(name))


def _open(home: Home, decision: Decision | Path) -> tuple[Decision, Path | None]:
    """The decision and its finished folder in the home, if it has one."""
    if isinstance(decision, Decision):
        folders = home.finished("decisions")
        return decision, next((f for f in folders if _read(f / DECISION_FILE) == decision), None)
    file = decision / DECISION_FILE if decision.is_dir() else decision
    folder = file.parent if (file.parent / "record.json").is_file() else None
    return _read(file), folder


def _read(file: Path) -> Decision:
    try:
        return Decision.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise Refusal(str(file), "there is no decision here", "make one with 'curator select'") from None
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise Refusal(str(file), f"cannot be read as a decision ({reason})", "make it again") from None


def benchmark_titles(decision: Decision) -> dict[str, str]:
    """Benchmark name -> short title; a benchmark that is not of the registry goes by its name."""
    return {name: benchmark_title(name) for name in decision.benchmarks}


def benchmark_title(name: str) -> str:
    """The short title of a benchmark; its name where the registry has none."""
    if name not in names(HERE.parents[1] / "registry" / "benchmarks", ".py"):
        return name
    return load_benchmark(name).TITLE.split(" (", maxsplit=1)[0]


def rule_fields(rule: DecisionRule) -> list[tuple[str, str, str]]:
    """Name, value and meaning of every setting of the rule."""
    return [
        (name.replace("_", " "), _setting(getattr(rule, name)), field.description or "")
        for name, field in DecisionRule.model_fields.items()
    ]


def _setting(value: Any) -> str:
    """A setting of the rule as it is read: words, yes or no, a number, or no limit."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return value if isinstance(value, str) else f"{value:g}"


def environment() -> Environment:
    """What the pages of this folder are written with: all text is escaped, numbers are written by ``wording``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for function in (wording.count, wording.score, wording.signed, wording.interval, wording.percent):
        found.filters[function.__name__] = function
    found.filters["certainty"] = wording.certainty
    found.filters |= {"duration": wording.duration, "plural": wording.plural, "listed": wording.listed}
    found.filters["cell"] = _cell
    return found


def style(*more: str) -> str:
    """The one look of the pages, light and dark, and what a page adds to it."""
    text = "\n".join((HERE / name).read_text() for name in (STYLE, *more))
    return text.replace("/* light */", theme.variables(theme.LIGHT)).replace("/* dark */", theme.variables(theme.DARK))


def _render(**content: Any) -> str:
    template = environment().get_template(TEMPLATE)
    return template.render(**content, **_fixed(content["decision"], content["titles"]))


def _fixed(decision: Decision, titles: dict[str, str]) -> dict[str, Any]:
    """Sentences and style: what the template needs beside the evidence."""
    return {
        "headline": wording.headline(decision),
        "summary": wording.summary(decision),
        "truth": wording.truth_sentence(decision),
        "versus_all": wording.versus_all(decision),
        "found": wording.found_by(decision),
        "limits": wording.limits(decision, list(titles.values())),
        "style": style(),
        "program": PROGRAM,
    }


def _cell(value: tables.Cell) -> str:
    """A value of a plain table as it stands on the page."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else value


def _write_assets(folder: Path, written: list[tables.Table], decision: Decision, titles: dict[str, str]) -> list[Path]:
    files = {f"{table.name}.csv": table.csv().encode() for table in written} | draw_files(decision, titles)
    for name, data in sorted(files.items()):
        write_aside(folder / name, data)
    return [folder / name for name in sorted(files)]
