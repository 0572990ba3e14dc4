"""``curator report`` as a command, and its page in a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from curator.cli import cli
from curator.report.page import build_report, find_decision
from registry.errors import Refusal
from tests.curator.browser import CHROMIUM, render
from tests.curator.report_home import Made, make_home


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def html(made: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report.html"
    build_report(made.home, made.folder, out)
    return out.read_text()


def test_decisions_are_found_by_name_folder_and_digest(made: Made) -> None:
    for name in (None, "demo", made.folder.name, made.folder.name.rpartition("-")[2][:8]):
        assert find_decision(made.home, name) == made.folder
    with pytest.raises(Refusal, match="there is none; did you mean"):
        find_decision(made.home, made.folder.name[:-1] + "x")


def test_an_empty_home_says_how_to_make_a_decision(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["report", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "curator select" in result.output


def test_command_writes_and_tells_in_json(made: Made, tmp_path: Path, html: str) -> None:
    out, assets = tmp_path / "deep" / "page.html", tmp_path / "assets"
    arguments = ["report", "demo", "--home", str(made.home.path), "--out", str(out), "--assets", str(assets), "--json"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["page"] == str(out)
    assert told["bytes"] == len(html.encode())
    assert len(told["assets"]) == 13
    assert out.read_text() == html


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(made: Made, tmp_path: Path) -> None:
    out, assets = tmp_path / "page.html", tmp_path / "assets"
    arguments = ["report", "demo", "--home", str(made.home.path), "--out", str(out), "--assets", str(assets)]
    told = json.loads(CliRunner().invoke(cli, [*arguments, "--dry-run", "--json"]).stdout)
    assert (told["decision"], told["page"], told["replaces"], told["assets"]) == ("demo", str(out), False, str(assets))
    assert list(tmp_path.iterdir()) == []
    out.write_text("mine")
    result = CliRunner().invoke(cli, [*arguments, "--dry-run"])
    assert "replaces the file that is there" in result.stdout
    assert out.read_text() == "mine"
    result = CliRunner().invoke(cli, ["report", "absent", "--home", str(made.home.path), "--dry-run"])
    assert result.exit_code == 1
    assert "there is none" in result.output


def test_command_takes_a_path_and_tells_people(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    result = CliRunner().invoke(cli, ["report", str(made.folder), "--home", str(made.home.path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert str(out) in result.stdout
    assert "Selected beats All" in result.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_chromium_renders_the_page_without_a_complaint(made: Made, html: str, tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text(html)
    shot = tmp_path / "shot.png"
    complaints = render(tmp_path / "r.html", shot)
    assert complaints == [], "the page breaks its own content policy, or an SVG is malformed"
    from PIL import Image

    with Image.open(shot) as image:
        colours = image.convert("RGB").getcolors(maxcolors=1_000_000)
    assert colours is not None
    assert len(colours) > 200, "text, marks and lines were drawn"
