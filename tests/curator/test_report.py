"""The report: what stands on the page, that nothing foreign runs on it, and that equal homes give equal bytes."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from curator.report.page import build_report
from registry.errors import Refusal
from registry.trial import Decision
from tests.curator.report_home import Made, Plan, demo_plans, make_decision, make_home, relabel

HOSTILE = '</p><script>alert(1)</script><img src=x onerror=alert(2)> & "quoted" \u202egnp \x1b[31m'


class Page(HTMLParser):
    """Tags, attributes and text of a page, and the tags that were never closed."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.misnested: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.misnested.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def html(made: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report.html"
    build_report(made.home, made.folder, out)
    return out.read_text()


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def squeezed(text: str) -> str:
    return " ".join(text.split())


# --- what stands on the page


def test_page_is_well_formed(page: Page) -> None:
    assert page.misnested == []
    assert page.open == []
    assert len(page.ids()) == len(set(page.ids()))


def test_sections_come_in_the_order_of_the_argument(page: Page) -> None:
    order = [
        "map",
        "path",
        "comparison",
        "effects",
        "samples",
        "sifted",
        "cost",
        "lineage",
        "rebuild",
        "rule",
        "limits",
    ]
    assert [identity for identity in page.ids() if identity in order] == order
    linked = [str(a["href"])[1:] for a in page.all("a") if str(a.get("href", "")).startswith("#")]
    assert set(linked) <= set(page.ids()), "every link of the page leads somewhere"


def test_headline_says_what_was_decided_in_numbers(page: Page, made: Made) -> None:
    assert made.decision.all is not None
    points = made.decision.selected.average - made.decision.all.average
    share = round(100 * made.decision.selected.samples / made.decision.all.samples)
    text = squeezed(page.text.replace("\u202f", " "))
    assert f"Selected beats All by {points:.1f} points with {share} % of the samples." in text


def test_map_shows_every_candidate_with_effect_verdict_and_truth(html: str, made: Made) -> None:
    shown = html[html.index('id="map"') : html.index('id="path"')]
    rows = shown.split('<div class="row ')[2:]
    assert len(rows) == len(made.decision.candidates)
    for row, candidate in zip(rows, made.decision.candidates, strict=True):
        words = squeezed(Page(f'<div class="row {row}').text)
        assert words.startswith(candidate.candidate)
        assert f"{candidate.average.mean:+.1f}".replace("-", "−") in words or abs(candidate.average.mean) < 0.05
        assert candidate.verdict in words
        assert str(candidate.truth) in words
        assert row.startswith(candidate.verdict), "the row takes its colour and shape from the verdict"


def test_verdicts_differ_by_shape_and_word_not_by_colour_alone(html: str) -> None:
    marks = {
        verdict: re.search(rf'<svg class="mark {verdict}".*?</svg>', html)
        for verdict in ("kept", "dropped", "undecided")
    }
    shapes = {re.sub("<svg[^>]*>", "", match.group()) for match in marks.values() if match}
    assert len(shapes) == 3


def test_a_verdict_against_the_known_truth_is_marked(html: str) -> None:
    assert html.count("good, missed") == 1  # demo-positions: planted as good, left undecided


def test_growing_baseline_is_told_between_the_categories(page: Page, made: Made) -> None:
    text = squeezed(page.text)
    for point in made.decision.path[1:]:
        assert f"{point.samples:,} samples, average {point.average:.1f}" in text
    assert "Nothing joins." in text  # grounding


def test_comparison_has_scores_deltas_and_samples(page: Page, made: Made) -> None:
    text = page.text[page.text.index("Small figures") - 2000 : page.text.index("Small figures")]
    for outcome in (made.decision.baseline, made.decision.selected, made.decision.all):
        assert outcome is not None
        assert f"{outcome.samples:,}" in text
        for value in outcome.scores.values():
            assert f"{value:.1f}" in text
    gain = made.decision.selected.scores["mme"] - made.decision.baseline.scores["mme"]
    assert f"{gain:+.1f}" in text


def test_samples_show_pictures_and_conversations(page: Page, html: str, made: Made) -> None:
    pictures = page.all("img")
    assert len(pictures) == 4 * (len(made.decision.candidates) - 1)  # demo-sums has none
    assert all(str(picture["src"]).startswith("data:image/png;base64,") for picture in pictures)
    assert all("crisp" in str(picture["class"]) for picture in pictures), (
        "48 px pictures are enlarged without smoothing"
    )
    assert all(picture["alt"] for picture in pictures)
    strip = html[html.index('id="candidate-2"') : html.index('id="candidate-3"')]
    assert "every caption names other things than the picture shows" in strip
    assert "triangles" in strip, "the wrong caption stands under the picture it does not describe"


def test_pictures_are_those_of_the_samples(page: Page) -> None:
    from PIL import Image

    data = base64.b64decode(str(page.all("img")[0]["src"]).split(",")[1])
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (48, 48)
        assert image.getpixel((0, 0)) == (0xF4, 0xF0, 0xE6)


def test_counts_of_what_was_set_aside_and_moved(page: Page) -> None:
    text = squeezed(page.text)
    assert "image cannot be decoded: 3" in text
    assert "caption-length.words: 4" in text, "both parts of demo-allava were filtered"
    assert "Captioning: 6 samples; Conversation: 6 samples" in text


def test_cost_is_the_sum_over_the_trials(page: Page, made: Made) -> None:
    text = squeezed(page.text.replace("\u202f", " "))
    seconds = 2 * sum(9.5 + place for place in range(len(made.decision.candidates)))
    assert f"{int(seconds // 60)} min {round(seconds % 60)} s" in text
    assert f"{len(made.decision.trials)} trials" in text


def test_lineage_reaches_back_to_the_samples_and_names_what_is_gone(page: Page, made: Made) -> None:
    text = page.text[page.text.index("Every folder it descends from") :]
    for stage in ("trials", "mixes", "samples"):
        assert all(folder.name in text for folder in made.home.finished(stage))
    assert "not in this home" in text  # the raw folders were never made
    for digest in ("cccccccccccc", "bbbbbbbbbbbb"):
        assert digest in text, "benchmark tables and the base checkpoint are ancestors too"


def test_rebuild_commands_name_what_the_command_line_takes(html: str) -> None:
    shown = html[html.index('id="rebuild"') : html.index('id="rule"')]
    assert "curator select demo-allava/cap demo-mismatched" in shown
    assert "--baseline demo-baseline --pretrain demo-pretrain" in shown
    assert "--seeds 2 --max-seeds 4 --margin 3" in shown


def test_a_demo_is_rebuilt_by_the_demo_command(made: Made, tmp_path: Path) -> None:
    demo = made.decision.model_copy(update={"name": "demo-seed3"})
    build_report(made.home, demo, tmp_path / "r.html")
    text = Page((tmp_path / "r.html").read_text()).text
    assert "curator demo --seed 3 --seeds 2 --max-seeds 4\n" in text
    assert "curator select" not in text


def test_parts_of_a_card_that_changed_are_counted_by_its_labels(made: Made, tmp_path: Path) -> None:
    home = type(made.home)(shutil.copytree(made.home.path, tmp_path / "home"))
    relabel(home, "demo-copies", ["captioning", "captioning", "chart", "chart", "chart", "chart"])
    build_report(home, home.path / "decisions" / made.folder.name, tmp_path / "r.html")
    text = squeezed(Page((tmp_path / "r.html").read_text()).text)
    assert "Captioning: 2 samples; Chart: 4 samples" in text


def test_every_setting_of_the_rule_is_told(page: Page, made: Made) -> None:
    text = page.text[page.text.index("The rule") :]
    for name in type(made.decision.rule).model_fields:
        assert name.replace("_", " ") in text


def test_limits_speak_of_this_decision(page: Page) -> None:
    text = squeezed(page.text[page.text.index("What the numbers do not say") :])
    assert "demo-positions" in text
    assert "planted and pure" in text
    assert "MME, MMBench dev, ScienceQA test and SEED-Bench guided the selection" in text


# --- nothing foreign


def test_page_asks_nothing_of_any_server(html: str, page: Page) -> None:
    policy = [str(meta["content"]) for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    addresses = [
        str(value)
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "poster", "data", "xlink:href")
    ]
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert set(re.findall(r"url\(([^)]{1,5})", html)) <= {"#scor", "#rada", "#sele"}
    assert "@import" not in html
    assert not page.all("script")
    assert not page.all("link")
    outside = {
        match for match in re.findall(r"https?://[^\s\"'<>]+", html) if not match.startswith("http://www.w3.org/")
    }
    assert outside == set()


def test_hostile_text_and_names_are_inert(tmp_path: Path) -> None:
    plan = Plan("demo-hostile", "captioning", (1, 1, 1, 1), "kept", None, None,
                [("user", f"<image>\n{HOSTILE}"), ("assistant", HOSTILE)])  # fmt: skip
    made = make_home(tmp_path, [plan], per_dataset=2)
    renamed = made.decision.model_copy(update={"name": "<b onmouseover=x>", "scale": "</style><script>"})
    build_report(made.home, renamed, tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text())
    assert not page.all("script")
    assert not page.all("b onmouseover=x")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert all(str(picture["src"]).startswith("data:image/") for picture in page.all("img"))
    assert page.misnested == []
    assert "<script>alert(1)</script>" in page.text, "the text itself is shown"
    assert "\u202e" not in page.text, "a direction override is shown as its code"
    assert "\x1b" not in page.text


def test_spreadsheet_formulas_in_names_are_text(tmp_path: Path) -> None:
    plans = [Plan("demo-x", "captioning", (1, 1, 1, 1), "kept")]
    decision = make_decision(plans, {}, {})
    named = decision.candidates[0].model_copy(update={"candidate": "=cmd|' /C calc'!A0"})
    made = make_home(tmp_path / "home", plans, per_dataset=1)
    risky = decision.model_copy(update={"candidates": [named]})
    build_report(made.home, risky, tmp_path / "r.html", tmp_path / "assets")
    rows = list(csv.DictReader((tmp_path / "assets" / "candidates.csv").read_text().splitlines()))
    assert rows[0]["candidate"] == "'=cmd|' /C calc'!A0"
    assert float(rows[0]["effect"]) == 1.0


# --- the same bytes


def test_equal_homes_give_equal_bytes(made: Made, html: str, tmp_path: Path) -> None:
    again = make_home(tmp_path / "elsewhere")
    info = build_report(again.home, again.folder, tmp_path / "r.html", tmp_path / "a")
    assert (tmp_path / "r.html").read_text() == html
    assert info.page_bytes == len(html.encode())
    build_report(made.home, made.folder, tmp_path / "s.html", tmp_path / "b")
    first, second = (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / name).iterdir()}
        for name in "ab"
    )
    assert first == second


def test_a_decision_in_memory_gives_the_same_page_as_its_folder(made: Made, html: str, tmp_path: Path) -> None:
    build_report(made.home, made.decision, tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == html


def test_a_users_matplotlib_settings_change_nothing(made: Made, html: str, tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 22, "lines.linewidth": 9, "svg.fonttype": "path"}):
        build_report(made.home, made.folder, tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == html


# --- assets


def test_assets_are_every_table_and_every_figure(made: Made, tmp_path: Path) -> None:
    info = build_report(made.home, made.folder, tmp_path / "r.html", tmp_path / "assets")
    names = sorted(path.name for path in (tmp_path / "assets").iterdir())
    tables = ("candidates", "comparison", "cost", "effects", "lineage", "score-path", "sifted")
    figures = ("radar", "score-path", "selection-map")
    expected = [f"{table}.csv" for table in tables] + [f"{f}.{kind}" for f in figures for kind in ("svg", "png")]
    assert names == sorted(expected) == sorted(path.name for path in info.assets)
    for figure in figures:
        assert (tmp_path / "assets" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
        assert "var(--" not in (tmp_path / "assets" / f"{figure}.svg").read_text(), "a file of its own has no page"


def test_csv_tables_hold_the_numbers_of_the_decision(made: Made, tmp_path: Path) -> None:
    build_report(made.home, made.folder, tmp_path / "r.html", tmp_path)
    comparison = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert [row["mix"] for row in comparison] == ["Baseline", "Selected", "All"]
    assert float(comparison[1]["average"]) == pytest.approx(made.decision.selected.average, abs=1e-4)
    effects = list(csv.DictReader((tmp_path / "effects.csv").read_text().splitlines()))
    assert len(effects) == 5 * len(made.decision.candidates)


# --- what may be missing


def test_a_home_that_was_cleaned_still_gives_a_report(made: Made, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(made.home.path, home)
    for stage in ("trials", "mixes", "samples", "images"):
        shutil.rmtree(home / stage)
    cleaned = type(made.home)(home)
    build_report(cleaned, home / "decisions" / made.folder.name, tmp_path / "r.html")
    text = squeezed(Page((tmp_path / "r.html").read_text()).text)
    assert "Its samples are not in this data home." in text
    assert f"The cost of {len(made.decision.trials)} trials is not known here." in text


def test_pictures_that_are_gone_are_counted(made: Made, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(made.home.path, home)
    shutil.rmtree(home / "images")
    build_report(type(made.home)(home), home / "decisions" / made.folder.name, tmp_path / "r.html")
    text = Page((tmp_path / "r.html").read_text()).text
    assert "1 picture not shown" in text
    assert "triangles" in text


def test_without_all_the_baseline_is_what_is_beaten(tmp_path: Path) -> None:
    made = make_home(tmp_path, demo_plans()[5:8], per_dataset=1, with_all=False)
    info = build_report(made.home, made.folder, tmp_path / "r.html")
    assert info.headline.startswith("Selected beats the baseline by ")
    assert info.headline.endswith("three of 3 candidates kept.")
    page = Page((tmp_path / "r.html").read_text())
    assert page.misnested == []
    assert "All" not in re.findall(r"\bAll\b(?= \d)", page.text)


def test_a_damaged_decision_is_refused_by_name(tmp_path: Path, made: Made) -> None:
    (tmp_path / "decision.json").write_text('{"name": 3}')
    with pytest.raises(Refusal, match=r"cannot be read as a decision"):
        build_report(made.home, tmp_path / "decision.json", tmp_path / "r.html")
    with pytest.raises(Refusal, match="there is no decision here"):
        build_report(made.home, tmp_path / "nowhere", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_decision_model_is_read_as_written(made: Made) -> None:
    assert Decision.model_validate_json((made.folder / "decision.json").read_bytes()) == made.decision
