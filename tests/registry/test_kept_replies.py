"""Replies so far: whole lines count, torn ones do not, and one process at a time holds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from registry import kept_replies
from registry.kept_replies import kept_replies as keeping

HELD = """
import sys
from pathlib import Path
from registry.kept_replies import kept_replies
score = Path(sys.argv[1])
with kept_replies(score) as kept:
    print("held", flush=True)
    sys.stdin.read()
    kept.add({"b": "from elsewhere"})
"""


@pytest.fixture
def score(tmp_path: Path) -> Path:
    return tmp_path / "scores" / "mme-0123456789ab.json"


def lines(score: Path) -> Path:
    return score.with_name(".mme-0123456789ab.replies")


def begin_and_stop(score: Path, replies: dict[str, str]) -> None:
    with keeping(score) as kept:
        kept.add(replies)
        raise KeyboardInterrupt


def test_a_run_that_ends_early_leaves_its_replies(score: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        begin_and_stop(score, {"a": "Yes", "b": 'half a pair \ud83d, "quotes" and\nlines'})
    with keeping(score) as kept:
        assert kept.said == {"a": "Yes", "b": 'half a pair \ud83d, "quotes" and\nlines'}
        kept.add({"c": ""})
        score.write_text("{}")
    assert list(score.parent.iterdir()) == [score]


def test_a_run_without_a_reply_leaves_nothing(score: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        begin_and_stop(score, {})
    assert list(score.parent.iterdir()) == []


def test_what_was_cut_off_is_no_reply(score: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_replies, "KEEP_SECONDS", 0.0)
    with keeping(score) as kept:
        kept.add({"a": "one"})
        kept.add({"b": "two"})
    whole = lines(score).read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(len(whole) + 1):
        lines(score).write_bytes(whole[:end])
        with keeping(score) as kept:
            expected = {"a": "one", "b": "two"} if end == len(whole) else {"a": "one"} if end >= first else {}
            assert kept.said == expected, end
            kept.add({"c": "three"})
        with keeping(score) as kept:
            assert kept.said == expected | {"c": "three"}
    lines(score).write_bytes(whole[:first] + b"\0" * 512 + whole[first:])
    with keeping(score) as kept:
        assert kept.said == {"a": "one"}


def test_replies_wait_for_the_disk_no_longer_than_said(score: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with keeping(score) as kept:
        kept.add({"a": "one"})
        assert lines(score).read_bytes() == b""
        monkeypatch.setattr(kept_replies, "KEEP_SECONDS", 0.0)
        kept.add({"b": "two"})
        assert lines(score).read_bytes().count(b"\n") == 2


def test_another_process_that_makes_the_same_waits(score: Path) -> None:
    command = [sys.executable, "-c", HELD, str(score)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        other.stdin.close()
        with keeping(score) as kept:
            assert kept.said == {"b": "from elsewhere"}
