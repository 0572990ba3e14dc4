"""Bounds by share: an exact number, the same whatever the order of the rows; and the identity of what has none."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from curator.bounds import keeps
from curator.filtering import measure_all, parse_bounds, summary_rows
from curator.measure import measure
from curator.mix import NOT_DRAWN, build_mix
from curator.published_recipe import recipe_files
from curator.resolve import Criterion, Draw, Group, Leaf
from curator.rules import parts_settings
from curator.samples import Samples
from registry.card import Card
from registry.errors import Refusal
from registry.mix import MixReader
from registry.recipe import Bounds, Recipe
from registry.store import Home, Record, read_record
from tests.curator.data_home import make_chats


def kept(values: list[float | None], bounds: Bounds, order: list[int] | None = None) -> set[int]:
    """Numbers of the values that are kept, given in some order."""
    order = order or list(range(len(values)))
    table = pa.table({"id": [f"s{n}" for n in order], "x": pa.array([values[n] for n in order], pa.float32())})
    return {n for n, inside in zip(order, keeps(table, "x", bounds).to_pylist(), strict=True) if inside}


def test_a_share_keeps_the_lowest_or_the_highest_and_what_has_no_value() -> None:
    values = [5.0, None, 1.0, 3.0, 2.0, 4.0]
    assert kept(values, Bounds(lowest=0.4)) == {1, 2, 4}
    assert kept(values, Bounds(highest=0.2)) == {0, 1}
    assert kept(values, Bounds(lowest=0.6, highest=0.6)) == {1, 3}, "all limits hold"
    assert kept(values, Bounds(lowest=0.4, min=1.5)) == {1, 4}, "the share is of all, whatever else is dropped"
    assert kept(values, Bounds(lowest=1)) == set(range(6))
    assert kept(values, Bounds(lowest=0.01)) == {1}
    assert kept([None, None], Bounds(highest=0.5)) == {0, 1}
    assert kept([], Bounds(highest=0.5)) == set()


@pytest.mark.parametrize("side", ["lowest", "highest"])
def test_ties_are_broken_by_id_and_the_number_is_exact(side: str) -> None:
    draw = random.Random(1)
    values: list[float | None] = [float(draw.randrange(3)) for _ in range(200)] + [None] * 20
    found = [kept(values, Bounds.model_validate({side: share})) for share in (0.1, 0.305, 0.5, 0.9)]
    assert [len(one) - 20 for one in found] == [20, 61, 100, 180]
    assert found[0] < found[1] < found[2] < found[3], "a larger share keeps what a smaller one keeps"
    for _ in range(3):
        order = draw.sample(range(220), 220)
        assert kept(values, Bounds.model_validate({side: 0.305}), order) == found[1]


@pytest.mark.parametrize("text", ["lowest:", "lowest:0", "highest:1.5", "lowest:a", "lowest:nan"])
def test_a_share_is_a_number_between_nothing_and_all(text: str) -> None:
    with pytest.raises(Refusal, match=r"is not FILTER.COLUMN=MIN:MAX"):
        parse_bounds([f"text_length.chars={text}"])


def test_a_name_has_no_limits() -> None:
    with pytest.raises(Refusal, match="is a name, no number"):
        parse_bounds(["language.language=lowest:0.5"])
    assert parse_bounds(["language.language=en"]) == {"language": {"language": Bounds(equals="en")}}


def test_a_mix_takes_its_share_of_each_dataset(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    one, two = (make_chats(home, tmp_path, name, 40, start) for name, start in (("one", 0), ("two", 980)))
    words = {"text_length": {"chars": {"lowest": "0.25", "min": "1"}}}
    wanted = {"name": "short", "parts": [{"dataset": "one"}, {"dataset": "two"}], "filters": words}
    folder, info = build_mix(home, Recipe.model_validate(wanted))
    assert [part.chosen for part in info.parts] == [10, 10]
    assert read_record(folder).rejected == {"text_length.chars": 60}
    assert NOT_DRAWN not in read_record(folder).rejected
    for samples in (one, two):
        table = measure(home, samples, "text_length").columns(["id", "chars"])
        in_mix = set(MixReader(home, folder).rows().column("id").to_pylist())
        inside = [n for name, n in zip(*table.to_pydict().values(), strict=True) if name in in_mix]
        assert max(inside) <= sorted(table.column("chars").to_pylist())[9]
    rows = summary_rows(measure_all(home, one, ["text_length"]), parse_bounds(["text_length.chars=highest:0.1"]))
    assert next(row["dropped"] for row in rows if row["column"] == "chars") == 36
    again = Recipe.model_validate_json(recipe_files(info)["recipe.json"])
    assert build_mix(home, again)[1].content_digest == info.content_digest


def test_the_identity_of_a_recipe_without_shares_and_models_is_as_ever() -> None:
    """Golden: mixes that were built before there were shares and models are found again."""
    parts = [{"name": "all", "category": "captioning"}]
    card = Card.model_validate({"name": "x", "title": "x", "stage": "sft", "format": "caption_pairs", "parts": parts})
    record = Record(kind="samples", name="x@r1", digest="0" * 64, settings={"parts": parts_settings(card.parts)})
    samples = Samples(Path("x@r1-0123"), record, card)
    bounds = {"chars": Bounds(min=3, max=200.5), "turns": Bounds(equals="1")}
    leaf = Leaf(samples, "all", [Criterion("text_length", bounds)], Draw(proportion=0.5), 7)
    inner = Group("inner", 3, [leaf], Draw(choose=10))
    whole = Group("outer", 0, [inner, Leaf(samples, None, [], Draw(), 0)], Draw())
    assert whole.digest() == "536356147487728ffdde1a95a9e978f3b1a805d477d39e42e32050695494de90"
