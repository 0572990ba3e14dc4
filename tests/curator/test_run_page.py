"""The page of a run: every figure with its error, every wrong answer as text, nothing from outside, in bounds."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from curator.report.run import Scored, page_of_predictions, write_run_page
from curator.report.wrong_answers import MAX_CHARACTERS, UNREAD_SHOWN, WRONG_SHOWN
from curator.score import scoring_of
from registry.answer_rows import answer_rows
from registry.benchmark import load_benchmark
from registry.errors import Refusal
from registry.identity import file_digest
from registry.sampling import picture_clusters, score_interval
from registry.scores import Replying, answers_path, as_stored, score_path
from registry.store import Home, dump_json
from tests.commands.test_score import ARTEFACTS, curator, predictions_of
from tests.curator.browser import CHROMIUM, render
from tests.curator.score_files import write_replies, write_table
from tests.registry.test_benchmarks import artefact, judged
from tests.small_home import make_trial

HOSTILE = "<img src=x onerror=alert(1)></style><script>alert(2)</script>\u202e\x1b[2J & \"quoted\" 'too'"
NAMES = ["mme", "mmbench_dev_en", "mmbench_dev_cn", "hallusionbench", "llavabench"]


def artefact_scored(name: str) -> Scored:
    questions, replies, _ = artefact(name)
    benchmark = load_benchmark(name)
    result = benchmark.score(questions, replies, "2024-05", judged(name, questions))
    result = replace(result, clusters=picture_clusters(questions))
    rows = io.BytesIO(answer_rows(benchmark, questions, replies, result))
    return Scored(as_stored(result, "t" * 64), rows, ARTEFACTS / f"{name}.tsv")


class Page(HTMLParser):
    """What a browser would make of a page: its tags, their attributes, its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a model that was scored on five benchmarks."""
    out = tmp_path_factory.mktemp("run") / "page.html"
    write_run_page(out, "demo-s0-0123456789ab", [artefact_scored(name) for name in NAMES])
    return out


def test_every_benchmark_has_its_figures_its_error_and_its_categories(several: Path) -> None:
    page = Page(several.read_text())
    assert set(NAMES) <= set(page.ids)
    for name in NAMES:
        score = artefact_scored(name).score
        assert f"{score.score:.1f}" in page.text
        interval = score_interval(score)
        assert interval is None or interval.ends() in page.text
        assert all(category.replace("_", " ") in page.text for category in score.breakdown)
        assert all(line in page.text for line in score.notes)
    assert page.text.count("Categories, the weakest first each 0 to 200") == 1, "the tasks of MME"
    assert "MMBench dev (English, circular)" in page.text
    assert "MMBench dev (Chinese, circular)" in page.text, "two of one title are told apart"


def test_a_radar_stands_on_pages_of_three_benchmarks_and_more(several: Path, tmp_path: Path) -> None:
    assert "<svg" in several.read_text()
    assert 'aria-label="Scores: MME 71.4' in several.read_text()
    write_run_page(tmp_path / "two.html", "x", [artefact_scored(name) for name in NAMES[:2]])
    assert "<svg" not in (tmp_path / "two.html").read_text()


def test_the_page_asks_nothing_of_any_server_and_runs_nothing(several: Path) -> None:
    page = Page(several.read_text())
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "form"} == set()
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("data:image/", "#"))
    assert len(page.ids) == len(set(page.ids))


def test_equal_scores_give_equal_bytes(several: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    write_run_page(again, "demo-s0-0123456789ab", [artefact_scored(name) for name in NAMES])
    assert again.read_bytes() == several.read_bytes()


def predictions_page(folder: Path, hits: list[bool], said: dict[int, str], **table: object) -> str:
    path = write_table(folder / "seed.tsv", questions=len(hits), **table)  # type: ignore[arg-type]  # its options
    scoring = scoring_of(write_replies(folder / "r.jsonl", hits, said), path, "seedbench_img", "2024-05")
    page_of_predictions(folder / "page.html", scoring, "r.jsonl")
    return (folder / "page.html").read_text()


def test_text_of_models_and_tables_is_shown_and_does_nothing(tmp_path: Path) -> None:
    html = predictions_page(tmp_path, [True] * 11 + [False], {11: HOSTILE}, text="<b>{}</b>" + HOSTILE[:28])
    page = Page(html)
    assert "<img src=x onerror=alert(1)></style><script>alert(2)</script>\\u202e\\x1b[2J" in page.text
    assert [attributes for tag, attributes in page.tags if attributes.get("src") == "x"] == []
    assert "script" not in {tag for tag, _ in page.tags}
    assert "\u202e" not in html


def test_a_name_is_text_too(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    write_run_page(out, "<script>alert(1)</script>", [artefact_scored("mme")])
    assert "script" not in {tag for tag, _ in Page(out.read_text()).tags}


def test_what_is_shown_is_bounded_and_counted(tmp_path: Path) -> None:
    hits, said = [False] * 300, dict.fromkeys(range(0, 300, 3), "no idea " * 5000)
    html = predictions_page(tmp_path, hits, said)
    page = Page(html)
    assert sum(attributes.get("class") == "example" for _, attributes in page.tags) == WRONG_SHOWN + UNREAD_SHOWN
    assert f"{WRONG_SHOWN} of 200, drawn by their index alone" in page.text
    assert f"{UNREAD_SHOWN} of 100 are shown" in page.text
    assert max(len(word) for word in page.words if "no idea" in word) <= MAX_CHARACTERS + 2
    assert len(html) < 200_000


def test_which_answers_are_shown_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    """The choice is by index alone: what is shown of more questions, of those both have, is shown of fewer too."""
    indexes = [
        set(re.findall(r"<dt>index</dt><dd>(\d+)", predictions_page(tmp_path, [False] * count, {})))
        for count in (100, 200)
    ]
    assert len(indexes[0]) == len(indexes[1]) == WRONG_SHOWN
    assert {index for index in indexes[1] if int(index) < 100} <= indexes[0]
    assert indexes[0] != {str(n) for n in range(WRONG_SHOWN)}


def test_pictures_are_small_copies_and_a_damaged_one_leaves_the_text(tmp_path: Path) -> None:
    import base64

    buffer = io.BytesIO()
    Image.effect_noise((1600, 900), 80).save(buffer, "PNG")
    table = write_table(tmp_path / "seed.tsv", questions=4, a_picture=1)
    lines = table.read_text().splitlines()
    cells = [line.split("\t") for line in lines]
    cells[1][1] = base64.b64encode(buffer.getvalue()).decode()
    cells[2][1] = "A" * 400
    cells[3][1] = "not base64 at all! " * 20
    table.write_text("\n".join("\t".join(row) for row in cells) + "\n")
    scoring = scoring_of(write_replies(tmp_path / "r.jsonl", [False] * 4), table, "seedbench_img", "2024-05")
    page_of_predictions(tmp_path / "page.html", scoring, "r")
    html = (tmp_path / "page.html").read_text()
    page = Page(html)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 2
    assert page.text.count("its picture cannot be read") == 2
    assert any("1600 by 900" in (attributes["alt"] or "") for attributes in pictures)
    assert len(html) < 120_000 < len(buffer.getvalue())
    assert page.text.count("What colour is number") == 4


def test_all_right_has_nothing_to_show(tmp_path: Path) -> None:
    page = Page(predictions_page(tmp_path, [True] * 12, {}))
    assert "Wrong answers" not in page.text
    assert "100.0" in page.text


def test_answers_that_are_gone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be read as answers"):
        write_run_page(tmp_path / "p.html", "x", [replace(artefact_scored("mme"), answers=tmp_path / "a.parquet")])


def test_the_command_writes_it_and_a_dry_run_does_not(tmp_path: Path) -> None:
    given: list[str | Path] = [
        "--predictions",
        predictions_of("mmbench_dev_en", tmp_path),
        "--benchmark",
        "mmbench_dev_en",
    ]
    given += ["--data", ARTEFACTS / "mmbench_dev_en.tsv", "--html", "page.html", "--save", "score.json"]
    plan = curator(tmp_path, *given, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert not (tmp_path / "page.html").exists()
    assert not (tmp_path / "score.json").exists()
    done = curator(tmp_path, *given, "--json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "score.json").read_text())["score"] == json.loads(done.stdout)["primary"]["value"]
    told = json.loads(done.stdout)["interval"]
    assert told["low"] < json.loads(done.stdout)["primary"]["value"] < told["high"]
    wrong = curator(tmp_path, *given[:-1], "score.txt")
    assert "name it score.json" in wrong.stderr


def test_a_trial_has_a_page_of_what_it_was_scored_on(tmp_path: Path) -> None:
    """A finished score and its answers lie where a trainer leaves them; no trainer is asked."""
    home = Home(tmp_path / "home")
    trial = make_trial(home, "m" * 64, "both-s0", seed=0, score=62.5)
    table = home.path / "benchmarks" / "mme.tsv"
    table.parent.mkdir()
    table.write_bytes((ARTEFACTS / "mme.tsv").read_bytes())
    one = artefact_scored("mme")
    path = score_path(trial, "mme", one.score.version, "2024-05", file_digest(table), Replying())
    path.write_bytes(dump_json(one.score.model_dump(mode="json")))
    assert isinstance(one.answers, io.BytesIO)
    answers_path(path).write_bytes(one.answers.getvalue())
    done = curator(tmp_path, "both-s0", "--benchmark", "mme", "--html", "page.html", "--json")
    assert done.returncode == 0, done.stderr
    assert trial.name in Page((tmp_path / "page.html").read_text()).text
    (score,) = json.loads(done.stdout)["scores"]
    assert score["interval"] is None, "tasks of one picture tell nothing"
    assert "clusters" not in score


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1000, 500])
def test_chromium_draws_the_page_without_a_complaint(several: Path, tmp_path: Path, width: int) -> None:
    shot = tmp_path / "shot.png"
    assert render(several, shot, width) == []
    with Image.open(shot) as image:
        colours = image.convert("RGB").getcolors(maxcolors=1_000_000)
    assert colours is not None
    assert len(colours) > 200
