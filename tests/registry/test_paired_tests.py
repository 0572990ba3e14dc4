"""Paired tests: McNemar and the bootstrap by hand, and how often they find what is not there."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from registry.paired_tests import BOOTSTRAP, CLUSTERED_MCNEMAR, MCNEMAR, holm, in_words, paired_test, sign_test
from tests.registry.scored import scored


@pytest.mark.parametrize(
    ("fixed", "broken", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),  # 2 * 1/2
        (5, 0, 2 / 32),
        (6, 0, 2 / 64),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
        (2, 8, 2 * (1 + 10 + 45) / 1024),
        (3, 3, 1.0),
        (10, 1, 2 * (1 + 11) / 2048),
    ],
)
def test_mcnemar_by_hand(fixed: int, broken: int, p: float) -> None:
    """Twice the chance that a fair coin, thrown once a changed question, favours one side as much."""
    assert sign_test([1] * fixed + [-1] * broken + [0] * 7) == pytest.approx(p)


def test_signs_of_clusters_are_all_written_out() -> None:
    differences = [3, -1, 2, 2, 0]
    sums = [sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in product((1, -1), repeat=5)]
    by_hand = sum(abs(total) >= abs(sum(differences)) for total in sums) / len(sums)
    assert sign_test(differences) == pytest.approx(by_hand)


def test_mcnemar_of_many_is_the_normal_approximation() -> None:
    z = (2600 - 2400 - 1) / math.sqrt(5000)
    assert sign_test([1] * 2600 + [-1] * 2400) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-2)
    assert sign_test([1] * 3000) < 1e-300


def test_an_effect_by_hand() -> None:
    """100 questions: 8 fixed, 2 broken. The difference of each is +1, -1 or 0; its spread gives the error."""
    first = {str(n): float(n < 50) for n in range(100)}
    second = first | {str(n): 1.0 for n in range(50, 58)} | {"0": 0.0, "1": 0.0}
    found = paired_test(scored(first), scored(second), draws=20_000)
    assert found is not None
    assert found.effect.mean == pytest.approx(6)
    by_hand = 100 * math.sqrt((0.1 - 0.06**2) / 99)
    assert found.effect.se == pytest.approx(by_hand, rel=0.02)
    assert found.effect.low == pytest.approx(6 - 1.98422 * found.effect.se, abs=1e-3)
    assert found.test == MCNEMAR
    assert found.p == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert found.detectable == pytest.approx((1.98422 + 0.8453) * found.effect.se, rel=1e-3)


def test_questions_about_one_picture_change_together() -> None:
    first = {f"{p}/{n}": 0.0 for p in range(40) for n in range(3)}
    second = {group: float(group.startswith(("1/", "2/", "3/", "4/"))) for group in first}
    clusters = {group: group.partition("/")[0] for group in first}
    apart = paired_test(scored(first), scored(second))
    together = paired_test(scored(first, clusters=clusters), scored(second, clusters=clusters))
    assert apart is not None
    assert together is not None
    assert (apart.test, together.test) == (MCNEMAR, CLUSTERED_MCNEMAR)
    assert (apart.p, together.p) == (2 / 2**12, 2 / 2**4)
    assert together.effect.se > 1.5 * apart.effect.se
    assert together.effect.mean == pytest.approx(apart.effect.mean)


def test_what_is_not_right_or_wrong_is_bootstrapped() -> None:
    """Two tasks of four pictures; all pictures of one task gain half: the effect is certain, 25 points."""
    names = [f"{task}{n}" for task in "ab" for n in range(4)]
    strata = {name: name[0] for name in names}
    first = dict.fromkeys(names, 0.25)
    sure = paired_test(scored(first, strata), scored({n: 0.75 if n[0] == "a" else 0.25 for n in names}, strata))
    assert sure is not None
    assert (sure.effect.mean, sure.effect.se, sure.detectable) == (25, 0, None)
    varied = {name: (0.25, 0.5, 0.75, 1.0)[int(name[1])] for name in names}
    found = paired_test(scored(first, strata), scored(varied, strata), draws=20_000)
    assert found is not None
    assert found.effect.mean == pytest.approx(37.5)
    by_hand = 100 * math.sqrt(2 * (np.var([0, 0.25, 0.5, 0.75], ddof=1) / 4)) / 2
    assert found.effect.se == pytest.approx(by_hand, rel=0.02)
    assert found.test == BOOTSTRAP
    t = found.effect.mean / found.effect.se
    assert 0 < found.p < 0.05
    assert found.effect.low > 0
    assert t == pytest.approx(37.5 / by_hand, rel=0.02)


def test_ratios_are_paired_too() -> None:
    """The second model is rated 1 higher everywhere and the reference the same: nothing varies."""
    ours = {f"q{n}": (float(n % 5 + 3), 8.0) for n in range(30)}
    theirs = {group: (model + 1, reference) for group, (model, reference) in ours.items()}
    items = dict.fromkeys(ours, 1.0)
    found = paired_test(scored(items, ratios={"relative": ours}), scored(items, ratios={"relative": theirs}))
    assert found is not None
    assert found.effect.mean == pytest.approx(12.5)
    assert found.effect.se == pytest.approx(0, abs=1e-9)
    assert found.test == BOOTSTRAP


def test_a_difference_that_is_the_same_everywhere_is_as_sure_as_its_signs() -> None:
    items = {f"q{n}": 0.5 for n in range(9)}
    found = paired_test(scored(items), scored(dict.fromkeys(items, 0.75)))
    assert found is not None
    assert (found.p, found.effect.low, found.effect.high) == (2 / 2**9, 25.0, 25.0)
    same = paired_test(scored(items), scored(items))
    assert same is not None
    assert same.p == 1.0


def test_too_little_tells_nothing_and_other_groups_are_a_mistake() -> None:
    assert paired_test(scored({"a": 1.0}), scored({"a": 0.0})) is None
    with pytest.raises(ValueError, match="same groups"):
        paired_test(scored({"a": 1.0, "b": 1.0}), scored({"a": 0.0, "c": 1.0}))


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_equal_models_are_told_apart_as_rarely_as_promised_and_others_as_often(gain: float) -> None:
    """Clustered simulations: at 5 % a false finding in at most 5 % or so; a gain of the size that the test names as
    detectable is found in about 80 %."""
    generator = np.random.default_rng(11)
    found, alone, sizes, repeats = 0, 0, [], 300
    for _ in range(repeats):
        first, second, clusters = {}, {}, {}
        for picture in range(80):
            ease, shift = generator.beta(1.0, 1.0), generator.normal(0, 0.25)
            for number in range(4):
                group = f"{picture}/{number}"
                clusters[group] = str(picture)
                first[group] = float(generator.random() < ease)
                second[group] = float(generator.random() < min(1, max(0, ease + shift + gain)))
        test = paired_test(scored(first, clusters=clusters), scored(second, clusters=clusters), draws=200)
        apart = paired_test(scored(first), scored(second), draws=10)
        assert test is not None
        assert apart is not None
        found += test.p < 0.05
        alone += apart.p < 0.05
        sizes.append(test.detectable or 0)
    if not gain:
        assert found / repeats <= 0.07
        assert alone > found, "questions were taken as independent"
        return
    true_gain = 100 * float(np.mean([gain_of(ease, generator) for ease in generator.beta(1.0, 1.0, 4000)]))
    assert found / repeats == pytest.approx(power(true_gain, float(np.mean(sizes))), abs=0.1)


def gain_of(ease: float, generator: np.random.Generator) -> float:
    """What a picture of this ease gains in the simulation above."""
    return float(np.clip(ease + generator.normal(0, 0.25) + 0.1, 0, 1) - ease)


def power(gain: float, detectable: float) -> float:
    """Chance to find a gain, by what is detectable with 80 %."""
    error = detectable / 2.836
    return 0.5 * math.erfc((1.99 - gain / error) / math.sqrt(2))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_small_chances_in_words() -> None:
    assert [in_words(p) for p in (1e-9, 0.0312, 1.0)] == ["< 0.0001", "0.0312", "1.0000"]
