from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from curator.ui import sql_page
from curator.ui.sql_page import ask
from registry.store import Home
from tests.curator.report_home import demo_plans
from tests.curator.report_home import make_home as make_decided_home
from tests.curator.ui.server import Server
from tests.curator.ui.ui_home import CAPTIONS, HUGE, SCRIPT, TURNS, Made


def plain(page: str) -> str:
    """The words of a page."""
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def found(page: str) -> str:
    """What a page of samples says of its search."""
    match = re.search(r'id="found">([^<]*)<', page)
    assert match is not None
    return match[1]


def names(page: str) -> list[str]:
    """The samples on a page."""
    return [html.unescape(name) for name in re.findall(r'<h2 class="example-head"><a [^>]*>([^<]*)</a>', page)]


def test_the_first_page_counts_what_is_there(server: Server) -> None:
    page = re.sub(r"\s+", " ", plain(server.page("/")))
    for words in ("3 datasets", "2 mixes", "4 trials", "0 decisions", "77 samples, 2 rows set aside"):
        assert words in page


@pytest.mark.parametrize("name", CAPTIONS)
def test_every_caption_is_shown_and_nothing_of_it_is_markup(server: Server, made: Made, name: str) -> None:
    page = server.page(f"/samples/{made.pics}?id={name}")
    assert names(page) == [name]
    shown = CAPTIONS[name].replace("\x1b", "\\x1b").replace("\x07", "\\x07").replace("\u202e", "\\u202e")
    assert shown in html.unescape(page)
    assert SCRIPT not in page
    assert "<svg onload" not in page
    assert not set("\x1b\x07\u202e") & set(page)


def test_letters_of_either_direction_are_set_in_theirs(server: Server, made: Made) -> None:
    page = server.page(f"/samples/{made.pics}?q={quote(CAPTIONS['arabic'])}")
    assert f'<p dir="auto">{CAPTIONS["arabic"]}</p>' in page
    assert found(page) == "1 sample of 16 matches."


def test_a_title_of_a_card_is_text_too(server: Server) -> None:
    page = server.page("/datasets/pics")
    assert "<i>and</i>" not in page
    assert "Pictures <i>and</i> what is said of them" in html.unescape(page)


def test_a_conversation_of_ten_thousand_turns_is_read_page_by_page(server: Server, made: Made) -> None:
    address = f"/samples/{made.long}/part-00000.parquet/0"
    seen: list[int] = []
    for start in (0, 50, TURNS - 1):
        page = server.page(f"{address}?turn={start}")
        seen += map(int, re.findall(r"message number (\d+) of a long talk", page))
        assert len(page) < 60_000
    assert seen == [*range(1, 101), *range(TURNS - 49, TURNS + 1)]
    assert "Messages 9,951 to 10,000 of 10,000" in page
    assert server.page(f"{address}?turn=x99") == server.page(address)
    assert f"{TURNS - 2:,} more messages" in server.page(f"/samples/{made.long}")


def test_fifty_megapixels_reach_no_browser(server: Server, made: Made) -> None:
    page = server.page(f"/samples/{made.pics}?id=huge")
    assert f'width="{HUGE[0]}" height="{HUGE[1]}"' in page
    sha256 = re.findall(r'<img src="/picture/([0-9a-f]{64})"', page)[0]
    status, headers, body = server.ask(f"/picture/{sha256}")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert len(body) < 10_000
    assert "immutable" in headers["cache-control"]
    assert len(server.ask(f"/picture/{sha256}?size=large")[2]) > len(body)


def test_samples_are_filtered_by_text_part_measure_and_reason(server: Server, made: Made) -> None:
    chats = f"/samples/{made.chats}"
    assert found(server.page(chats)) == "60 samples; these begin with number 1."
    assert found(server.page(f"{chats}?q=IT+IS+4")) == "11 samples of 60 match."
    assert found(server.page(f"{chats}?part=odd&q=it+is+4")) == "6 samples of 60 match."
    columns = dict(re.findall(r'<option value="([^"]*text_length[^"]*)">([^<]*)<', server.page(chats)))
    chars = next(key for key, words in columns.items() if words == "text_length.chars (characters)")
    assert found(server.page(f"{chats}?measure={chars}&low=&high=27")) == "10 samples of 60 match."
    assert found(server.page(f"{chats}?measure={chars}&low=1&high=27&q=it+is+3")) == "1 sample of 60 matches."
    reasons = re.findall(r'<option value="(moved:[^"]*)"', server.page(chats))
    assert len(reasons) == 1
    assert found(server.page(f"{chats}?reason={reasons[0]}")) == "30 samples of 60 match."
    assert (
        found(server.page(f"{chats}?reason=moved:nobody&measure=x&low=y")) == "60 samples; these begin with number 1."
    )


def test_pages_go_on_and_back(server: Server, made: Made) -> None:
    address = f"/samples/{made.chats}"
    first = server.page(address)
    onward = html.unescape(re.findall(r'rel="next" href="([^"]*)"', first)[0])
    second = server.page(onward)
    assert 'rel="prev"' not in first
    assert not set(names(first)) & set(names(second))
    back = html.unescape(re.findall(r'rel="prev" href="([^"]*)"', second)[0])
    assert names(server.page(back)) == names(first)
    assert len(names(first)) == 24


def test_a_mix_is_shown_in_its_order_and_by_what_became_of_its_samples(server: Server, made: Made) -> None:
    address = f"/mixes/{made.mix}/samples"
    page = server.page(address)
    assert "in the order of the mix" in found(page)
    assert [int(place) for place in re.findall(r"place (\d+) ·", page)] == [*range(1, 25)]
    dropped = server.page(f"{address}?reason=text_length.chars")
    assert found(dropped) == "10 samples of 76 match."
    assert set(names(dropped)) == {f"row-{n}" for n in range(10)}
    inside = server.page(f"{address}?category=knowledge")
    assert found(inside) == "25 samples of 76 match."
    assert "left out by text_length.chars, wanted at least 28 (10)" in inside


def test_a_sample_tells_its_measures_and_what_mixes_made_of_it(server: Server, made: Made) -> None:
    page = plain(server.page(f"/samples/{made.chats}/part-00000.parquet/3"))
    assert "text_length.chars" in page
    assert "left out by text_length.chars, wanted at least 28" in page
    assert re.search(rf"{made.all}\s+in the mix,\s+place \d+", page)
    place = int(re.findall(r"in the mix,\s+place (\d+)", page)[0])
    assert names(server.page(f"/mixes/{made.all}/samples?at={place - 1}"))[0] == "row-3"


def test_rows_that_were_set_aside_are_shown_with_their_reason(server: Server, made: Made) -> None:
    page = server.page(f"/samples/{made.pics}/set-aside")
    assert "<b>broken" not in page
    assert "<b>broken</b>" in html.unescape(page)
    assert "not a picture" in page
    only = plain(server.page(f"/samples/{made.pics}/set-aside?reason=not+a+picture"))
    assert "mute" not in only
    assert "broken" in only


def test_two_mixes_are_compared(server: Server, made: Made) -> None:
    page = re.sub(r"\s+", " ", plain(server.page(f"/diff?a={quote(made.mix)}&b={quote(made.all)}")))
    assert "Two different mixes" in page
    assert "66 rows in both" in page
    assert "16 only in a" in page
    assert "10 only in b" in page


def test_the_board_is_sorted_by_any_column(server: Server) -> None:
    def order(query: str) -> list[str]:
        return re.findall(r'<th scope="row"><a href="/(?:trials|mixes)/([^"]*?)-[0-9a-f]{12}"', server.page(query))

    assert order("/leaderboard") == ["trial-2", "trial-0", "trial-3", "trial-1"]
    assert order("/leaderboard?sort=mme") == ["trial-3", "trial-1", "trial-0", "trial-2"]
    assert order("/leaderboard?sort=mme&order=rising") == ["trial-2", "trial-0", "trial-1", "trial-3"]
    assert order("/leaderboard?sort=trial") == [f"trial-{n}" for n in range(4)]
    assert order("/leaderboard?by=mix&sort=mme") == ["whole", "bounded"]
    assert order("/leaderboard?sort=nothing&by=nothing") == order("/leaderboard")


def test_a_trial_shows_its_curve_and_scores(server: Server, made: Made) -> None:
    folder = made.home.finished("trials")[0].name
    page = server.page(f"/trials/{folder}")
    assert "Loss over 40 steps: from 3.000 to 0.075, at the least 0.075." in page
    assert 'role="img"' in page
    assert f'href="/mixes/{made.mix}"' in page


@pytest.mark.parametrize(
    "path",
    [
        "/samples/..%2F..%2Fetc",
        "/samples/../cards",
        "/samples/%2e%2e",
        "/datasets/%2e%2e%2fcards",
        "/samples/nothing",
        "/mixes/a%00b",
        "/mixes/aside",
        "/diff?a=..&b=..",
        "/running/x.1.1",
        "/picture/..%2f..%2frecord.json",
        "/picture/zz",
        "/static/ui.py",
        "/static/../app.py",
        "/decisions/none/report",
        "/samples/x/part-00000.parquet/-1",
        "/samples/x/part-00000.parquet/99999999999999999999999999",
        "/<script>alert(1)</script>",
    ],
)
def test_what_is_not_there_is_said_in_words(server: Server, path: str) -> None:
    status, _, body = server.ask(path)
    assert status == 404
    assert "<script>alert" not in body
    assert "Traceback" not in body


def test_a_row_that_is_not_there_is_said_in_words(server: Server, made: Made) -> None:
    for end in ("part-00000.parquet/60", "rejected.parquet/0", "part-9.parquet/0"):
        status, _, body = server.ask(f"/samples/{made.chats}/{end}")
        assert (status, "has no row" in body) == (404, True)


def test_damaged_files_are_said_in_words(made: Made, tmp_path: Path) -> None:
    source = made.home.stage("samples") / made.chats
    target = tmp_path / "home" / "samples" / made.chats
    target.mkdir(parents=True)
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes()[: 500 if path.suffix == ".parquet" else None])
    with Server(tmp_path / "home") as server:
        status, _, body = server.ask(f"/samples/{made.chats}")
        assert (status, "damaged" in body) == (404, True)


def test_a_question_in_sql_is_answered_as_query_answers_it(server: Server) -> None:
    page = server.page("/sql?sql=" + quote("SELECT dataset, count(*) AS n FROM samples GROUP BY 1 ORDER BY 1"))
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    assert cells == ["chats", "60", "long", "1", "pics", "16"]
    page = server.page("/sql?sql=" + quote("SELECT messages FROM samples WHERE source_id = 'script'"))
    assert SCRIPT not in page
    assert "a caption that bites" in page
    assert "No row" in server.page("/sql?sql=" + quote("SELECT 1 WHERE false"))


@pytest.mark.parametrize(
    "sql",
    [
        "COPY samples TO '/tmp/stolen'",
        "SELECT * FROM read_text('/etc/passwd')",
        "DROP TABLE datasets",
        "SELEC",
    ],
)
def test_sql_that_does_more_than_read_is_refused(server: Server, sql: str) -> None:
    page = server.page("/sql?sql=" + quote(sql))
    assert 'role="alert"' in page
    assert "Refused" in page
    assert "root:" not in page


def test_an_answer_without_end_is_cut_and_one_that_never_comes_is_given_up(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = ask(made.home.path, "SELECT range AS n FROM range(100000000)")
    assert (len(answered.rows), answered.more, answered.problem) == (sql_page.ROWS, True, "")
    assert answered.rows[499] == [499]
    late = ask(made.home.path, "SELECT count(*) FROM range(1000000000) a, range(1000000000) b", seconds=1.5)
    assert late.problem.startswith("no answer within 1.5 seconds")
    monkeypatch.setattr(sql_page, "LONGEST_ROW", 1000)
    assert ask(made.home.path, "SELECT repeat('x', 5000) AS x").more


def test_a_decision_is_shown_with_its_map_and_its_whole_report(tmp_path: Path) -> None:
    decided = make_decided_home(tmp_path / "home", demo_plans()[:5], per_dataset=2)
    with Server(tmp_path / "home") as server:
        page = server.page(f"/decisions/{decided.folder.name}")
        for candidate in decided.decision.candidates:
            assert f'<th scope="row">{candidate.candidate}<small>' in page
        assert page.count('class="verdict kept"') == 2
        status, headers, report = server.ask(f"/decisions/{decided.folder.name}/report")
        assert status == 200
        assert report.startswith("<!doctype html>")
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "Decisions" in server.page("/decisions")


def test_no_page_has_a_style_or_script_of_its_own(server: Server, made: Made) -> None:
    """The content policy would stop them: a page that had one would look broken."""
    home = Home(made.home.path)
    trial = home.finished("trials")[0].name
    for path in (
        "/", "/datasets?of=registry", "/datasets/pics", f"/samples/{made.pics}", f"/mixes/{made.mix}", "/mixes",
        f"/mixes/{made.mix}/samples", "/trials", f"/trials/{trial}", "/leaderboard", "/sql",
    ):  # fmt: skip
        page = server.page(path)
        assert not re.search(r'\sstyle="|\son\w+="|<style|<script(?! src="/static/)', page), path
        assert not re.search(r'(?:src|href)="(?!/|#)', page), path
        assert page.count("<h1") == 1
        assert '<html lang="en">' in page
        for field in re.findall(r"<(?:input|select|textarea)(?![^>]*hidden)[^>]*>", page):
            before = page[: page.index(field)]
            assert before.rfind("<label") > before.rfind("</label>"), field
