"""The chart of a published mix: a real picture, the same for the same mix, legible without colour."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from curator.composition_chart import MOST_BARS, chart, dataset_bars, in_words
from curator.report.theme import PRINTED, contrast
from registry.mix import MixInfo


def info(datasets: int) -> MixInfo:
    rows = {f"dataset-{number:02d}": 10 * (number + 1) for number in range(datasets)}
    total = sum(rows.values())
    return MixInfo(
        name="m", recipe={}, recipe_digest="0" * 64, content_digest="1" * 64, samples=total, images=1, datasets=rows,
        categories={"chart": total - 1, "screen": 1}, parts=[],
    )  # fmt: skip


@pytest.mark.parametrize("datasets", [1, MOST_BARS, 37])
def test_the_chart_grows_with_its_bars_and_is_the_same_for_the_same_mix(datasets: int) -> None:
    drawn = chart(info(datasets))
    assert drawn == chart(info(datasets))
    with Image.open(io.BytesIO(drawn)) as picture:
        picture.load()
        width, height = picture.size
        pixels = np.asarray(picture.convert("RGB"))
    inked = int((pixels == (10, 103, 150)).all(axis=2).sum())
    assert width == 1760
    assert 100 < height < 2200
    assert inked > 0.02 * width * height, "the bars are there"


def test_datasets_past_the_limit_share_a_bar_and_none_is_lost() -> None:
    bars = dataset_bars(info(37))
    assert len(bars) == MOST_BARS
    assert bars[0] == ("dataset-36", 370)
    assert bars[-1][0] == "18 others"
    assert sum(rows for _, rows in bars) == info(37).samples


def test_words_say_what_the_chart_shows() -> None:
    assert in_words(info(1)) == "Rows by category: Chart 90.0%, Screen 10.0%. Largest datasets: dataset-00 100.0%."


def test_every_figure_is_legible() -> None:
    assert min(contrast(PRINTED[name], PRINTED["sheet"]) for name in ("ink", "muted", "kept")) >= 4.5
