"""The sampling error of scores: by hand where that can be done, and whether it covers the truth where it cannot."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from registry.benchmark import Index, Question, load_benchmark
from registry.benchmarks import hallusionbench, mme
from registry.sampling import (
    Sums,
    cluster_sums,
    drawn_scores,
    drawn_sums,
    picture_clusters,
    published_interval,
    score_interval,
)
from tests.registry.scored import scored
from tests.registry.test_benchmarks import artefact, judged


def test_the_error_of_an_accuracy_is_that_of_its_mean() -> None:
    hits = {str(n): float(n % 4 != 0) for n in range(400)}  # 75 %
    interval = score_interval(scored(hits), draws=20_000)
    assert interval is not None
    by_hand = 100 * math.sqrt(0.75 * 0.25 / 399)
    assert interval.standard_error == pytest.approx(by_hand, rel=0.02)
    assert interval.low == pytest.approx(75 - 1.966 * by_hand, abs=0.3)
    assert interval.high == pytest.approx(75 + 1.966 * by_hand, abs=0.3)
    assert interval.clusters == 400


def test_drawing_all_but_one_gives_the_unbiased_error_of_few() -> None:
    """Every draw of 3 clusters, 2 at a time, written out: their spread is s / sqrt(3) exactly."""
    values = np.array([0.0, 30.0, 90.0])
    by_hand = [(values[i] + values[j]) * 3 / 2 for i, j in product(range(3), repeat=2)]
    exact = math.sqrt(np.var(by_hand))
    assert exact / 3 == pytest.approx(values.std(ddof=1) / math.sqrt(3))
    drawn = drawn_sums(values.reshape(3, 1), np.zeros(3, np.int64), 50_000, seed=1)
    assert {round(value, 6) for value in drawn[:, 0].tolist()} == {round(value, 6) for value in by_hand}
    assert drawn.std() == pytest.approx(exact, rel=0.01)


def test_questions_about_one_picture_count_as_one() -> None:
    hits = {f"{picture}/{n}": float(picture % 2) for picture in range(60) for n in range(4)}
    clusters = {group: f"{group.partition('/')[0]}/0" for group in hits}
    alone, together = score_interval(scored(hits)), score_interval(scored(hits, clusters=clusters))
    assert alone is not None
    assert together is not None
    assert (alone.clusters, together.clusters) == (240, 60)
    assert together.standard_error == pytest.approx(100 * math.sqrt(0.25 / 59), rel=0.04)
    assert together.standard_error / alone.standard_error == pytest.approx(2, rel=0.06), "sqrt of 4 questions"


def test_strata_are_drawn_each_within_itself() -> None:
    """Between two tasks that are all right and all wrong nothing varies, though the items do."""
    items = {f"a{n}": 1.0 for n in range(5)} | {f"b{n}": 0.0 for n in range(5)}
    strata = {group: group[0] for group in items}
    assert score_interval(scored(items, strata)) is None
    items["b0"] = 1.0
    interval = score_interval(scored(items, strata), draws=20_000)
    assert interval is not None
    assert interval.standard_error == pytest.approx(100 * math.sqrt(0.2 / 5) / 2, rel=0.02)


def test_a_picture_of_two_tasks_is_drawn_once_for_both() -> None:
    items = {f"{task}{n}": float(n % 2) for task in "ab" for n in range(40)}
    strata = {group: group[0] for group in items}
    shared = {f"{task}{n}": f"a{n}" for task in "ab" for n in range(40)}
    alone, together = (score_interval(scored(items, strata, c), draws=10_000) for c in ({}, shared))
    assert alone is not None
    assert together is not None
    assert together.standard_error / alone.standard_error == pytest.approx(math.sqrt(2), rel=0.05)


def test_ratios_are_resampled_above_and_below_the_line() -> None:
    """Sets of any size that are right by the same share: the ratio does not vary, whatever the sizes."""
    same = {f"s{n}": (float(n + 1), 2.0 * (n + 1)) for n in range(20)}
    assert score_interval(scored(dict.fromkeys(same, 1.0), ratios={"aAcc": same})) is None
    model = {f"q{n}": (6.0 + n % 3, 8.0) for n in range(60)}
    score = scored({group: value / 8 for group, (value, _) in model.items()}, ratios={"relative": model})
    interval = score_interval(score, draws=20_000)
    assert interval is not None
    ratings = [value for value, _ in model.values()]
    assert interval.standard_error == pytest.approx(100 / 8 * np.std(ratings, ddof=1) / math.sqrt(60), rel=0.02)


@pytest.mark.parametrize("name", ["hallusionbench", "llavabench", "mme", "mmbench_dev_en"])
def test_a_benchmark_s_sums_give_its_score(name: str) -> None:
    questions, replies, _ = artefact(name)
    result = load_benchmark(name).score(questions, replies, "2024-05", judged(name, questions))
    assert cluster_sums(result).value() == pytest.approx(result.score)


def test_the_published_figure_has_its_own_unit() -> None:
    questions = [
        Question(n, f"{task}/{n // 2}", "?", {}, "Yes", category=task)
        for n, task in enumerate(task for task in mme.TASKS for _ in range(40))
    ]
    replies: dict[Index, str] = {q.index: "Yes" if int(q.index) % 3 else "No" for q in questions}
    result = mme.score(questions, replies, "2024-05")
    plain, published = score_interval(result), published_interval(result)
    assert plain is not None
    assert published is not None
    assert published.low == pytest.approx(28 * plain.low, abs=1e-4)
    assert published.low < result.metrics["total"] < published.high


def test_all_right_has_the_exact_bound_of_so_many() -> None:
    right, wrong = (score_interval(scored({str(n): value for n in range(36)})) for value in (1.0, 0.0))
    assert right is not None
    assert wrong is not None
    assert right.low == pytest.approx(100 * 0.025 ** (1 / 36), abs=1e-5)
    assert wrong.high == pytest.approx(100 - right.low, abs=1e-5)
    assert (wrong.low, right.high) == (0.0, 100.0)


def test_one_cluster_tells_nothing() -> None:
    assert score_interval(scored({})) is None
    assert score_interval(scored({"a": 1.0})) is None
    assert score_interval(scored({"a": 1.0, "b": 0.0}, clusters={"a": "a", "b": "a"})) is None
    assert score_interval(scored({"a": 1.0, "b": 0.0, "c": 1.0}, strata={"a": "x", "b": "x", "c": "y"})) is None


def test_groups_that_share_a_picture_are_one_cluster_through_others_too() -> None:
    def asked(index: int, group: str, picture: str) -> Question:
        return Question(index, group, "?", {}, "A", image_key=picture)

    rows = [(1, "a", "p"), (2, "b", "q"), (3, "c", "q"), (4, "c", "p"), (5, "d", "r"), (6, "e", ""), (7, "f", "")]
    assert picture_clusters(asked(*row) for row in rows) == {"a": "a", "b": "a", "c": "a"}


COVERAGE = [
    # pictures, questions a picture, how alike they are, tasks
    pytest.param(30, (4,), 1.0, 1, id="four questions a picture"),
    pytest.param(60, (1, 2, 6), 0.5, 1, id="some pictures have many"),
    pytest.param(24, (1, 2, 3), 1.0, 1, id="few pictures"),
    pytest.param(20, (2,), 1.0, 4, id="tasks of 20 pictures"),
]


@pytest.mark.parametrize(("pictures", "sizes", "alike", "tasks"), COVERAGE)
def test_the_interval_covers_the_truth_as_often_as_it_says(
    pictures: int, sizes: tuple[int, ...], alike: float, tasks: int
) -> None:
    """Simulated benchmarks: each picture is easy or hard (a beta draw of mean 0.6), its questions follow it."""
    generator = np.random.default_rng(20261123)
    repeats, covered, covered_without = 300, 0, 0
    for _ in range(repeats):
        items, strata, clusters = {}, {}, {}
        for task, picture in product(range(tasks), range(pictures)):
            ease = generator.beta(0.6 / alike, 0.4 / alike)
            for number in range(int(generator.choice(sizes))):
                group = f"{task}/{picture}/{number}"
                items[group] = float(generator.random() < ease)
                strata[group], clusters[group] = str(task), f"{task}/{picture}"
        whole, apart = (score_interval(scored(items, strata, c), draws=500) for c in (clusters, {}))
        assert whole is not None
        assert apart is not None
        covered += whole.low <= 60 <= whole.high
        covered_without += apart.low <= 60 <= apart.high
    assert 0.92 <= covered / repeats <= 0.98
    assert covered_without / repeats < 0.92, "questions were taken as independent"


def test_the_interval_of_hallusionbench_covers_the_truth() -> None:
    """Sets of 2 to 12 prompts; a set is easy or hard. The truth is the mean of the score over all simulations."""
    generator = np.random.default_rng(7)
    found = []
    for _ in range(250):
        questions: list[Question] = []
        replies: dict[Index, str] = {}
        for number in range(40):
            ease = generator.beta(1.5, 1.0)
            for figure, asked in product(range(int(generator.integers(1, 4))), range(int(generator.integers(2, 5)))):
                index = f"VS_chart_1_{number}_{figure}_{asked}"
                row = {"l2-category": "VS_chart"}
                questions.append(Question(index, f"VS_chart/{number}", "?", {}, "Yes", "VS", row))
                replies[index] = "Yes" if generator.random() < ease else "No"
        result = hallusionbench.score(questions, replies, "2024-05")
        found.append((result.score, score_interval(result, draws=500)))
    truth = np.mean([score for score, _ in found])
    covered = np.mean([interval is not None and interval.low <= truth <= interval.high for _, interval in found])
    assert 0.91 <= covered <= 0.985


def test_every_machine_and_every_order_draws_the_same() -> None:
    items = {f"g{n}": float(n % 3 == 0) for n in range(500)}
    expected = score_interval(scored(items))
    assert expected == score_interval(scored(dict(reversed(items.items()))))
    code = (
        "from registry.sampling import score_interval; from tests.registry.scored import scored\n"
        "print(score_interval(scored({f'g{n}': float(n % 3 == 0) for n in range(500)})))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == str(expected)
    assert expected is not None
    assert (expected.low, expected.high) == (29.458918, 37.591013), "golden: numpy keeps its streams"


def test_a_ratio_that_a_draw_leaves_out_is_taken_as_observed() -> None:
    """The only clusters of ratio 1 belong to stratum 0: a draw may miss them."""
    columns = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    sums = Sums(["a", "b", "c"], np.zeros(3, np.int64), *columns)
    (drawn,) = drawn_scores([sums], 200, seed=3)
    assert np.isfinite(drawn).all()
