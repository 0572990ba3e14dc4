"""``curator compare``: paired tests over stored scores, what changed, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry.answer_rows import read_answers
from registry.scores import answers_path, load_score
from registry.store import Home, dump_json
from tests.commands.test_score import ARTEFACTS
from tests.conftest import Curator
from tests.curator.score_files import right, saved, write_table, wrong
from tests.registry.scored import scored
from tests.small_home import make_trial

HALF = [n % 2 == 0 for n in range(40)]
MORE = [hit or n % 4 == 1 for n, hit in enumerate(HALF)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "seed.tsv")


@pytest.fixture
def two(tmp_path: Path, table: Path) -> tuple[str, str]:
    """Two saved scores: the second mends every fourth question and breaks number 2."""
    second = list(MORE)
    second[2] = False
    return str(saved(tmp_path / "a.json", table, HALF)), str(saved(tmp_path / "b.json", table, second))


def test_a_difference_has_its_test_its_interval_and_its_power(curator: Curator, two: tuple[str, str]) -> None:
    result = curator("compare", *two, "--json")
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)["benchmarks"]
    assert (one["benchmark"], one["rules"]) == ("seedbench_img", "2024-05")
    assert one["scores"] == [50, 72.5]
    assert (one["fixed"], one["broken"], one["groups"], one["clusters"]) == (10, 1, 40, 20)
    assert one["test"] == "McNemar, exact, by cluster"
    # pictures 0, 2, 4 … gain one; picture 1 loses one: the sum of eleven signs is 9 in 12 of 2048 cases, each way
    assert one["p"] == pytest.approx(2 * 12 / 2048)
    assert one["p_adjusted"] == one["p"]
    assert one["verdict"] == "better"
    assert one["effect"]["mean"] == pytest.approx(22.5)
    assert 0 < one["effect"]["low"] < 22.5 < one["effect"]["high"]
    assert one["detectable"] == pytest.approx((2.093 + 0.861) * one["effect"]["se"], rel=1e-3)


def test_the_other_way_round_it_is_worse(curator: Curator, two: tuple[str, str]) -> None:
    printed = curator("compare", *reversed(two)).stdout.splitlines()
    assert printed[0].split()[:4] == ["benchmark", "first", "second", "effect"]
    assert "worse" in printed[2]
    assert "-22.50" in printed[2]


def test_the_same_scores_are_not_told_apart(curator: Curator, two: tuple[str, str]) -> None:
    (one,) = json.loads(curator("compare", two[0], two[0], "--json").stdout)["benchmarks"]
    assert (one["verdict"], one["p"], one["detectable"]) == ("not told apart", 1, None)
    assert one["effect"] == {"mean": 0, "low": 0, "high": 0, "se": 0}


def test_what_a_benchmark_cannot_see_is_said(
    curator: Curator, tmp_path: Path, table: Path, two: tuple[str, str]
) -> None:
    nearly = [not hit if n in (4, 7, 11) else hit for n, hit in enumerate(HALF)]
    other = saved(tmp_path / "c.json", table, nearly)
    result = curator("compare", two[0], str(other))
    assert "not told apart" in result.stdout
    assert "seedbench_img cannot see a difference under" in result.stdout


def test_questions_that_changed_are_shown(curator: Curator, tmp_path: Path, table: Path, two: tuple[str, str]) -> None:
    second = saved(tmp_path / "c.json", table, MORE, {2: "\x1b[2Jnone\nat all"})
    shown = curator("compare", two[0], str(second), "--show", "2").stdout
    assert "\nfixed  1\n" in shown
    assert "\nfixed  5\n" in shown
    assert "\nfixed  9\n" not in shown
    assert f"first     {wrong(1)}\n" in shown
    assert f"second    {right(1)}\n" in shown
    assert "\nbroken  2\n" in shown
    assert "second    \\x1b[2Jnone\\nat all" in shown, "a reply can do nothing to the terminal"
    (one,) = json.loads(curator("compare", two[0], str(second), "--show", "2", "--json").stdout)["benchmarks"]
    assert [(change["index"], change["fixed"]) for change in one["changed"]] == [("1", True), ("5", True), ("2", False)]
    assert one["changed"][0]["question"].startswith("What colour is number 1?\nA. red")


def test_rows_of_answers_have_all_that_was_asked_and_said(two: tuple[str, str]) -> None:
    rows = list(read_answers(answers_path(Path(two[0]))))
    assert len(rows) == 40
    assert rows[3] == {
        "index": "3",
        "group": "3",
        "category": "task 0",
        "question": "What colour is number 3?\nA. red\nB. blue\nC. green\nD. grey\n"
        "Answer with the option's letter from the given choices directly.",
        "answer": "D",
        "reply": "A",
        "extracted": "A",
        "hit": False,
        "judged": False,
        "picture": "2",
        "prompt": None,
        "prompt_digest": None,
    }
    assert load_score(Path(two[0])).clusters["3"] == "2", "questions 2 and 3 are about one picture"


def test_other_rules_another_table_or_other_questions_are_refused(
    curator: Curator, tmp_path: Path, table: Path, two: tuple[str, str]
) -> None:
    cases = {
        "rules differ (2024-05, 2026-06)": saved(tmp_path / "r.json", table, HALF, rules="2026-06"),
        "table digest differ": saved(tmp_path / "t.json", write_table(tmp_path / "other.tsv", text="Which, {}?"), HALF),
        "cover other questions (3 are in one only: 37, 38, 39)": saved(tmp_path / "p.json", table, HALF[:37]),
    }
    for says, path in cases.items():
        result = curator("compare", two[0], str(path))
        assert result.exit_code == 1
        assert says in result.stderr
        assert result.stdout == ""


def test_the_same_part_of_a_benchmark_may_be_compared_and_is_named(
    curator: Curator, tmp_path: Path, table: Path
) -> None:
    parts = [saved(tmp_path / f"{name}.json", table, hits[:30]) for name, hits in (("a", HALF), ("b", MORE))]
    result = curator("compare", *map(str, parts))
    assert result.exit_code == 0
    assert "same part of the benchmark only: seedbench_img" in result.stderr


@pytest.fixture
def trials(home_path: Path) -> tuple[Path, Path]:
    """Two trials with scores on three benchmarks, the second better on the first of them."""
    found = []
    for number in (0, 1):
        folder = make_trial(Home(home_path), f"{number}" * 64, f"t{number}", seed=number, score=50.0)
        for file in (folder / "scores").iterdir():
            file.unlink()
        for name, gain in (("mmbench_dev_en", 10), ("scienceqa_test", 6), ("seedbench_img", 0)):
            items = {f"q{n}": float(n % 2 == 0 or (number and n < 2 * gain)) for n in range(100)}
            score = scored(items, benchmark=name)
            (folder / "scores" / f"{name}-0123456789ab.json").write_bytes(dump_json(score.model_dump(mode="json")))
        found.append(folder)
    return found[0], found[1]


def test_trials_are_compared_on_all_they_share_with_holm_over_them(curator: Curator, trials: tuple[Path, Path]) -> None:
    found = json.loads(curator("compare", "t0", str(trials[1]), "--json").stdout)["benchmarks"]
    by_name = {one["benchmark"]: one for one in found}
    assert list(by_name) == ["mmbench_dev_en", "scienceqa_test", "seedbench_img"]
    assert [round(one["p"], 6) for one in found] == [round(2 / 2**10, 6), round(2 / 2**6, 6), 1]
    assert [round(one["p_adjusted"], 6) for one in found] == [round(6 / 2**10, 6), round(4 / 2**6, 6), 1]
    assert [one["verdict"] for one in found] == ["better", "not told apart", "not told apart"]
    alone = json.loads(curator("compare", "t0", "t1", "--benchmark", "scienceqa_test", "--json").stdout)
    assert [one["verdict"] for one in alone["benchmarks"]] == ["better"], "one test needs no correction"


def test_one_of_several_scores_is_taken_when_it_alone_fits(curator: Curator, trials: tuple[Path, Path]) -> None:
    scores = trials[0] / "scores"
    longer = scores / "seedbench_img-aaaaaaaaaaaa.json"
    longer.write_bytes((scores / "seedbench_img-0123456789ab.json").read_bytes())
    asked = ("compare", "t0", "t1", "--benchmark", "seedbench_img")
    assert curator(*asked).exit_code == 0
    other = trials[1] / "scores" / longer.name
    other.write_bytes(longer.read_bytes())
    result = curator(*asked)
    assert "several scores that fit together" in result.stderr
    assert longer.name in result.stderr
    other.unlink()
    (trials[1] / "scores" / "seedbench_img-0123456789ab.json").rename(trials[1] / "scores" / "seedbench_img-bbb.json")
    assert "none of which fit together" in curator(*asked).stderr
    longer.unlink()
    assert "how replies were made differ" in curator(*asked).stderr


def test_scores_that_group_their_questions_otherwise_are_refused(curator: Curator, tmp_path: Path) -> None:
    items = {f"q{n}": float(n % 2) for n in range(6)}
    pairs = {group: (value, 1.0) for group, value in items.items()}
    plain = scored(items)
    others = [
        scored(items, clusters={"q0": "q0", "q1": "q0"}),
        scored(items, ratios={"aAcc": pairs}),
        scored(items, strata=dict.fromkeys(items, "x")),
    ]
    for number, score in enumerate([plain, *others]):
        (tmp_path / f"{number}.json").write_bytes(dump_json(score.model_dump(mode="json")))
    for number in range(1, 4):
        result = curator("compare", str(tmp_path / "0.json"), str(tmp_path / f"{number}.json"))
        assert result.exit_code == 1
        assert "group questions otherwise" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent", "t1"], "there is none"),
        (["absent.json", "t1"], "absent.json"),
        (["t0", "t1", "--benchmark", "seedbench"], "did you mean 'seedbench_img'"),
        (["t0", "t1", "--benchmark", "mme"], "has no score on mme"),
        (["t0", "t1", "--rules", "2026-06"], "no benchmark that both were scored on under rules 2026-06"),
        (["t0", "t1", "--show", "2"], "cannot be read as answers"),
        (["t0", str(ARTEFACTS / "mme.json")], "is no stored score"),
        (["t0", str(ARTEFACTS / "mme.tsv")], "is no stored score"),
    ],
)
def test_what_cannot_be_read_is_refused(
    curator: Curator, trials: tuple[Path, Path], arguments: list[str], message: str
) -> None:
    assert trials
    result = curator("compare", *arguments)
    assert result.exit_code == 1, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_trial_without_scores_says_how_to_get_them(curator: Curator, trials: tuple[Path, Path]) -> None:
    for file in (trials[0] / "scores").iterdir():
        file.unlink()
    assert "score it with 'curator score'" in curator("compare", "t0", "t1").stderr


def test_too_few_questions_tell_nothing(curator: Curator, tmp_path: Path) -> None:
    table = write_table(tmp_path / "seed.tsv", questions=1)
    one = saved(tmp_path / "a.json", table, [True])
    other = saved(tmp_path / "b.json", table, [False])
    result = curator("compare", str(one), str(other))
    assert result.exit_code == 0
    assert "not told apart" in result.stdout


def test_a_damaged_answers_file_is_refused(curator: Curator, two: tuple[str, str]) -> None:
    answers_path(Path(two[1])).write_bytes(b"PAR1 nothing PAR1")
    result = curator("compare", *two, "--show", "1")
    assert result.exit_code == 1
    assert "cannot be read as answers" in result.stderr
