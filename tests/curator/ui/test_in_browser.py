from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator

import pytest

from curator.ui.running import log_of
from tests.curator.ui.browser import Browser, program
from tests.curator.ui.server import Server
from tests.curator.ui.ui_home import CAPTIONS, Made

pytestmark = pytest.mark.skipif(program() is None, reason="there is no Chromium here")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(one: Browser, server: Server) -> Iterator[Browser]:
    """A browser that complains of nothing and asks nobody but the server."""
    one.look(1280, 900)
    one.complaints.clear()
    one.requests.clear()
    yield one
    assert one.complaints == []
    assert [address for address in one.requests if not address.startswith(server.address)] == []


def test_a_search_by_keyboard_finds_a_sample_and_opens_it(browser: Browser, server: Server, made: Made) -> None:
    browser.open(f"{server.address}samples/{made.chats}")
    browser.focus("input[name=q]")
    browser.type("what is 41")
    browser.after(lambda: browser.press("Enter"))
    assert browser.text("#found") == "1 sample of 60 matches."
    assert browser.texts(".example-head") == ["row-41"]
    assert browser.js("document.querySelector('input[name=q]').value") == "what is 41"
    browser.after(lambda: browser.click(".example-head a"))
    assert browser.text("h1") == "row-41"
    assert "What is 41 and one?" in browser.text(".conversation")
    browser.after(lambda: browser.click(".pager a:last-child"))
    assert browser.text("h1") == "row-42"


def test_samples_are_filtered_by_a_choice_and_a_measure(browser: Browser, server: Server, made: Made) -> None:
    browser.open(f"{server.address}samples/{made.chats}")
    browser.js("document.querySelector('select[name=part]').value = 'odd'")
    browser.after(lambda: browser.click("form button"))
    assert browser.text("#found") == "30 samples of 60 match."
    browser.click("summary")
    browser.js(
        "(s => { s.value = [...s.options].find(o => o.text.startsWith('text_length.chars')).value })"
        "(document.querySelector('select[name=measure]'))"
    )
    browser.focus("input[name=high]")
    browser.type("27")
    browser.after(lambda: browser.press("Enter"))
    assert browser.text("#found") == "5 samples of 60 match."
    assert browser.js("document.querySelector('details').open") is True


def test_captions_that_bite_are_shown_and_do_not_run(browser: Browser, server: Server, made: Made) -> None:
    browser.open(f"{server.address}samples/{made.pics}")
    assert browser.js("document.title") == "Samples of pics – vlm-curator"
    shown = "\n".join(browser.texts(".answer p"))
    assert CAPTIONS["script"] in shown
    assert CAPTIONS["chinese"] in shown
    assert "\\x1b[31malert\\x07" in shown
    arabic = "[...document.querySelectorAll('.answer p')].find(p => p.innerText.includes('\u0645'))"
    assert browser.js(f"getComputedStyle({arabic}).direction") == "rtl"
    assert browser.js("document.scripts.length + document.querySelectorAll('[onerror], [onload]').length") == 0
    assert browser.js("fetch('https://example.org/').then(() => 'went out', () => 'stopped')") == "stopped"
    assert any("Content Security Policy" in told or "violates" in told for told in browser.complaints)
    browser.complaints.clear()


def test_pictures_are_there_and_have_words(browser: Browser, server: Server, made: Made) -> None:
    browser.open(f"{server.address}samples/{made.pics}?id=huge")
    browser.until(lambda: browser.js("document.querySelector('.shot img').complete"))
    assert browser.js("document.querySelector('.shot img').naturalWidth") == 320
    assert browser.js("document.querySelector('.shot img').alt") == "picture of the sample, 10,000 by 5,000 pixels"


def test_the_board_is_sorted_by_a_click_and_says_so(browser: Browser, server: Server) -> None:
    browser.open(f"{server.address}leaderboard")
    browser.after(lambda: browser.click("thead th:nth-child(4) a"))
    assert browser.text("th[aria-sort=descending]").startswith("mme")
    first = browser.texts("tbody td:nth-child(4)")
    assert first == ["55.0", "43.5", "41.0", "39.0"]
    browser.after(lambda: browser.click("th[aria-sort] a"))
    assert browser.text("th[aria-sort=ascending]").startswith("mme")
    assert browser.texts("tbody td:nth-child(4)") == first[::-1]


def test_a_question_is_asked_in_the_box(browser: Browser, server: Server) -> None:
    browser.open(f"{server.address}sql")
    browser.focus("textarea")
    browser.type("SELECT 6 * 7 AS answer")
    browser.after(lambda: browser.click("form button"))
    assert browser.texts(".answer-table td") == ["42"]


def test_the_curve_of_a_running_trial_renews_itself(browser: Browser, server: Server, made: Made) -> None:
    work = made.home.aside / "running-s0-0123456789ab.77.1"
    log_of(work).parent.mkdir(parents=True)
    lines = [json.dumps({"step": step, "loss": 2.0 / step}) + "\n" for step in range(1, 31)]
    log_of(work).write_text("".join(lines[:10]) + '{"step": 11, "lo')  # a line that is being written
    with (work / ".lock").open("w") as lock:
        browser.open(f"{server.address}trials")
        assert "running-s0-0123456789ab" not in browser.text("main")  # nobody works there
        fcntl.flock(lock, fcntl.LOCK_EX)
        browser.open(f"{server.address}trials")
        browser.after(lambda: browser.click("main li a"))
        assert "Loss over 10 steps: from 2.000 to 0.200" in browser.text("#live")
        log_of(work).write_text("".join(lines))
        browser.until(lambda: "Loss over 30 steps: from 2.000 to 0.067" in browser.text("#live"))
        browser.open(f"{server.address}trials")  # before the trial ends: its page would ask for what is gone


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1280, True)])
def test_nothing_is_wider_than_the_screen(browser: Browser, server: Server, made: Made, width: int, dark: bool) -> None:
    browser.look(width, 844, dark=dark, phone=width < 500)
    pages = ["", "datasets?of=registry", "datasets/pics", f"samples/{made.pics}", f"mixes/{made.mix}", "mixes", "sql"]
    pages += [f"mixes/{made.mix}/samples", "leaderboard", "trials", f"samples/{made.chats}/part-00000.parquet/3"]
    for page in pages:
        browser.open(server.address + page)
        assert browser.js("document.documentElement.scrollWidth") <= width, page
    light, ink = (browser.js(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert (light == "rgb(20, 22, 26)") is dark
    assert ink != light


def test_the_keyboard_reaches_the_content_first(browser: Browser, server: Server) -> None:
    browser.open(f"{server.address}datasets")
    browser.press("Tab")
    assert browser.js("document.activeElement.className") == "skip"
    assert browser.js("document.activeElement.getBoundingClientRect().top >= 0")
    browser.press("Enter")
    assert browser.js("document.activeElement.id") == "content"
