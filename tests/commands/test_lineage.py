"""``curator lineage``: from anything back to the published files, and on to what was made from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from curator.descent import Descent, descent_lines
from curator.lineage import Lineage, find_place, tree_lines
from registry.errors import Refusal
from registry.store import Record, dump_json, read_record
from tests.conftest import Curator
from tests.small_home import SmallHome, digest_of, make_small_home, make_trial


@pytest.fixture
def small(tmp_path: Path) -> SmallHome:
    """A home with one of everything; it is the home of ``curator``, too."""
    return make_small_home(tmp_path)


def places(small: SmallHome, what: str) -> set[str]:
    """Every place on the way from ``what``."""
    return set(Lineage(small.home, find_place(small.home, what)).steps)


def test_a_decision_goes_back_to_the_published_files(small: SmallHome) -> None:
    found = places(small, "first")
    assert {place for place in found if "/" not in place} == {
        "base checkpoint bbbbbbbbbbbb",
        "benchmark table mme tttttttttttt",
    }
    stages = {place.partition("/")[0] for place in found if "/" in place}
    assert stages == {"decisions", "trials", "mixes", "samples", "raw"}
    assert {f"samples/{small.chats}", f"samples/{small.captions}", f"mixes/{small.mix}"} <= found


def test_the_tree_shows_each_thing_once(small: SmallHome) -> None:
    lines = tree_lines(Lineage(small.home, f"decisions/{small.decision}"))
    assert lines[0].startswith(f"decisions/{small.decision}")
    mix = next(line for line in lines if f"mixes/{small.mix}" in line)
    assert mix.endswith("7 samples") or "7 of 9 samples" in mix
    assert sum(f"samples/{small.chats}" in line for line in lines) == 1
    depth = {
        stage: next(line.index(stage) for line in lines if stage in line) for stage in ("mixes/", "samples/", "raw/")
    }
    assert depth["mixes/"] < depth["samples/"] < depth["raw/"]


def test_a_second_trial_names_the_mix_without_repeating_it(small: SmallHome) -> None:
    content = json.loads((small.home.path / "mixes" / small.mix / "mix.json").read_bytes())["content_digest"]
    later = make_trial(
        small.home, content, "both-s1", 1, 50.0, init=digest_of(small.home.path / "trials" / small.trial)
    )
    lines = tree_lines(Lineage(small.home, f"trials/{later.name}"))
    assert sum(f"mixes/{small.mix}" in line for line in lines) == 2
    assert sum(line.endswith("(above)") for line in lines) == 1
    assert any(f"trials/{small.trial}" in line for line in lines)


@pytest.mark.parametrize("form", ["trials/{0}", "{0}", "both-s0", "{1}"])
def test_a_thing_is_found_by_any_of_its_names(small: SmallHome, form: str) -> None:
    digest = digest_of(small.home.path / "trials" / small.trial)
    assert find_place(small.home, form.format(small.trial, digest[:8])) == f"trials/{small.trial}"


def test_a_dataset_means_its_samples(small: SmallHome) -> None:
    assert find_place(small.home, "chats") == f"samples/{small.chats}"


def test_a_name_of_several_things_is_refused_with_their_places(small: SmallHome) -> None:
    make_trial(small.home, "c" * 64, "both-s0", 5, 1.0)
    with pytest.raises(Refusal, match="means 2 things") as caught:
        find_place(small.home, "both-s0")
    assert f"trials/{small.trial}" in caught.value.way_out


def test_an_unknown_name_is_refused_with_the_nearest(small: SmallHome) -> None:
    with pytest.raises(Refusal, match="did you mean 'first'"):
        find_place(small.home, "frist")


def test_what_is_gone_is_named_and_said(small: SmallHome) -> None:
    shutil.rmtree(small.home.path / "raw")
    lines = tree_lines(Lineage(small.home, f"mixes/{small.mix}"))
    assert sum("not in this data home" in line for line in lines) == 2
    shutil.rmtree(small.home.path / "mixes")
    lines = tree_lines(Lineage(small.home, f"trials/{small.trial}"))
    assert any("mixes/content" in line and "not in this data home" in line for line in lines)


def test_what_was_replaced_is_told(small: SmallHome) -> None:
    (raw,) = (path for path in small.home.finished("raw") if path.name.startswith("chats"))
    record = json.loads((raw / "record.json").read_bytes())
    (raw / "record.json").write_bytes(dump_json(record | {"digest": "e" * 64}))
    lines = tree_lines(Lineage(small.home, f"mixes/{small.mix}"))
    assert [line for line in lines if "no longer the one this was made from" in line] == [
        line for line in lines if f"raw/{raw.name}" in line
    ]


def test_the_command_prints_the_tree(small: SmallHome, curator: Curator) -> None:
    result = curator("lineage", "first")
    assert result.exit_code == 0
    expected = [*tree_lines(Lineage(small.home, f"decisions/{small.decision}")), "", "nothing was made from it"]
    assert result.stdout.splitlines() == expected


def publish_mix(small: SmallHome) -> str:
    """A record of a publication of the mix, for which the decision is the evidence; its place."""
    settings = {"url": "https://hub/datasets/acme/both", "commit": "0123456789abcdef", "tag": "v1"}
    digests = {place: digest_of(small.home.path / place) for place in (f"mixes/{small.mix}",)}
    inputs = {**digests, f"decisions/{small.decision}": "d" * 64}
    record = Record(kind="publication", name="acme/both", digest="f" * 64, inputs=inputs, settings=settings)
    folder = small.home.folder("publications", "acme/both", record.digest)
    with small.home.making(folder, record):
        pass
    return f"publications/{folder.name}"


def test_a_source_goes_on_to_the_repositories_that_hold_it(small: SmallHome) -> None:
    published = publish_mix(small)
    (raw,) = (path.name for path in small.home.finished("raw") if path.name.startswith("chats"))
    descent = Descent(small.home, f"raw/{raw}")
    chain = [f"samples/{small.chats}", f"mixes/{small.mix}", f"trials/{small.trial}", f"decisions/{small.decision}"]
    assert set(descent.steps) == {f"raw/{raw}", *chain, published}
    lines = descent_lines(descent)
    depth = [next(line.index(place) for line in lines if place in line) for place in chain]
    assert depth == sorted(set(depth)), "each is made from the one before"
    (score,) = [line for line in lines if "score mme" in line]
    assert "62.5" in score
    assert any("to https://hub/datasets/acme/both at 0123456789ab, tag v1" in line for line in lines)


def test_a_published_repository_is_found_by_its_name_and_goes_back(small: SmallHome) -> None:
    published = publish_mix(small)
    assert find_place(small.home, "acme/both") == published
    assert {f"mixes/{small.mix}", f"decisions/{small.decision}", f"samples/{small.chats}"} <= places(small, "acme/both")
    assert descent_lines(Descent(small.home, published)) == []


def test_what_was_trained_on_equal_rows_belongs_to_both_mixes(small: SmallHome) -> None:
    """Two recipes may give the same rows: a trial names their content and not their folder."""
    record = read_record(small.home.path / "mixes" / small.mix)
    twin = small.home.folder("mixes", "twin", "e" * 64)
    with small.home.making(twin, record.model_copy(update={"digest": "e" * 64, "name": "twin"})) as aside:
        shutil.copy(small.home.path / "mixes" / small.mix / "mix.json", aside)
    for name in (small.mix, twin.name):
        assert f"trials/{small.trial}" in Descent(small.home, f"mixes/{name}").steps


def test_a_damaged_score_is_said_to_be_so(small: SmallHome) -> None:
    (small.home.path / "trials" / small.trial / "scores" / "mme-0123456789ab.json").write_text("[]")
    lines = descent_lines(Descent(small.home, f"trials/{small.trial}"))
    assert any("score mme-0123456789ab.json  (damaged)" in line for line in lines)


def test_one_way_alone(small: SmallHome, curator: Curator) -> None:
    back = curator("lineage", "both-s0", "--way", "back").stdout
    assert "made from it" not in back
    assert f"mixes/{small.mix}" in back
    on = curator("lineage", "both-s0", "--way", "on").stdout
    assert f"mixes/{small.mix}" not in on
    assert f"decisions/{small.decision}" in on
    told = json.loads(curator("lineage", "both-s0", "--way", "on", "--json").stdout)
    assert told["made"][f"trials/{small.trial}"]["made_from_it"] == [f"decisions/{small.decision}"]
    assert "steps" not in told


def test_the_command_prints_json(small: SmallHome, curator: Curator) -> None:
    told = json.loads(curator("lineage", "both-s0", "--json").stdout)
    assert told["root"] == f"trials/{small.trial}"
    assert told["steps"][told["root"]]["inputs"] == ["base checkpoint bbbbbbbbbbbb", f"mixes/{small.mix}"]
    assert all(step["here"] for step in told["steps"].values())


def test_an_empty_home_is_refused_without_a_traceback(curator: Curator) -> None:
    result = curator("lineage", "anything")
    assert result.exit_code == 1
    assert "nothing in" in result.stderr
