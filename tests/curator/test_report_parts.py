"""The small parts of the report: wording of numbers, the axis, colours, figures, embedded pictures."""

from __future__ import annotations

import io
import itertools
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.report import theme, wording
from curator.report.figures import draw_files, draw_for_page, path_stops, spread
from curator.report.pictures import LONGEST_SIDE, embed
from curator.report.selection_map import nice_axis, selection_map
from curator.report.tables import Table
from registry.trial import Decision, Effect
from tests.curator.report_home import BENCHMARKS, Plan, demo_plans, make_decision

TITLES = {name: name.upper() for name in BENCHMARKS}


@pytest.fixture(scope="module")
def decision() -> Decision:
    return make_decision(demo_plans(), {}, {})


def effect(mean: float, error: float) -> Effect:
    return Effect(mean=mean, low=mean - error, high=mean + error, se=error / 2)


# --- words


@pytest.mark.parametrize(
    ("value", "text"), [(4.46, "+4.5"), (-0.31, "−0.3"), (0.0, "0.0"), (-0.04, "0.0"), (0.04, "0.0"), (-12.0, "−12.0")]
)
def test_differences_carry_their_sign_and_zero_none(value: float, text: str) -> None:
    assert wording.signed(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.21, "3.2 s"), (48, "48 s"), (60, "1 min 0 s"), (3599.6, "1 h 0 min"), (400_000, "111 h")]
)
def test_durations_are_in_units_people_use(seconds: float, text: str) -> None:
    assert wording.duration(seconds).replace(wording.THIN, " ") == text


def test_lists_and_counts_read_as_sentences() -> None:
    assert wording.listed([]) == "none"
    assert wording.listed(["a"]) == "a"
    assert wording.listed(["a", "b", "c"]) == "a, b and c"
    assert wording.plural(1, "seed") == "1 seed"
    assert wording.plural(2000, "category", "categories") == "2,000 categories"
    assert wording.percent(0.043).replace(wording.THIN, " ") == "4.3 %"


@pytest.mark.parametrize(
    ("difference", "begins"),
    [
        (effect(4.5, 1.0), "Selected beats All by 4.5 points with "),
        (effect(-4.5, 1.0), "All beats Selected by 4.5 points; Selected trains with "),
        (effect(0.5, 1.0), "Selected and All cannot be told apart (+0.5 points) with "),
    ],
)
def test_headline_claims_no_more_than_the_interval(decision: Decision, difference: Effect, begins: str) -> None:
    assert wording.headline(decision.model_copy(update={"selected_minus_all": difference})).startswith(begins)


@pytest.mark.parametrize(
    ("difference", "begins"),
    [
        (effect(3.0, 1.0), "Selected beats the baseline by 3.0 points with eight of 13 candidates kept."),
        (effect(-3.0, 1.0), "Selected falls 3.0 points below the baseline"),
        (effect(0.0, 1.0), "Selected and the baseline cannot be told apart (0.0 points)"),
    ],
)
def test_headline_without_all(decision: Decision, difference: Effect, begins: str) -> None:
    alone = decision.model_copy(update={"all": None, "selected_minus_all": None, "selected_minus_baseline": difference})
    assert wording.headline(alone).startswith(begins)


def test_known_truth_is_counted_and_misses_are_marked(decision: Decision) -> None:
    told = wording.truth_sentence(decision)
    assert "4 of 5 good ones kept, 4 of 4 bad ones dropped and 4 of 4 neutral ones kept" in told
    missed = [candidate.candidate for candidate in decision.candidates if wording.is_miss(candidate)]
    assert missed == ["demo-positions"]
    unknown = make_decision([Plan("x", "ocr", (1, 1, 1, 1), "kept")], {}, {})
    assert wording.truth_sentence(unknown) == ""
    assert not any("planted" in sentence for sentence in wording.limits(unknown, ["MME"]))


# --- the axis of the map


@given(st.lists(st.floats(-200, 200), max_size=12))
def test_axis_holds_all_values_between_its_ends(values: list[float]) -> None:
    axis = nice_axis(values)
    assert axis.low <= min([0.0, *values]) + 1e-9
    assert axis.high >= max([0.0, *values]) - 1e-9
    assert 0.0 in axis.ticks
    assert 2 <= len(axis.ticks) <= 10
    assert axis.ticks == sorted(set(axis.ticks))
    assert axis.at(axis.low) == 0
    assert axis.at(axis.high) == 100
    assert all(0 <= axis.at(value) <= 100 for value in values)


def test_map_tells_what_joined_at_each_step(decision: Decision) -> None:
    shown = selection_map(decision)
    by_title = {step.title: step for step in shown.steps}
    assert list(by_title)[:2] == ["Captioning", "General QA"]
    assert by_title["Knowledge"].joined == ["demo-flags"]
    assert by_title["Knowledge"].gained == pytest.approx(14.3)
    assert by_title["Grounding"].point is None
    assert [row.number for step in shown.steps for row in step.rows] == list(range(1, 14))
    assert shown.known_truth


# --- colours


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_text_colours_have_contrast(colours: dict[str, str]) -> None:
    for name in theme.TEXT_COLOURS:
        for ground in ("paper", "sheet"):
            assert theme.contrast(colours[name], colours[ground]) >= 4.5, f"{name} on {ground}"


def test_contrast_of_black_on_white_is_21() -> None:
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)


def test_light_and_dark_name_the_same_colours() -> None:
    assert list(theme.LIGHT) == list(theme.DARK)


# --- figures


def test_path_carries_the_baseline_over_categories_where_nothing_joined(decision: Decision) -> None:
    stops = path_stops(decision)
    assert [stop.title for stop in stops] == [
        "Baseline", "Captioning", "General QA", "Science", "Mathematics", "Knowledge", "Grounding", "Conversation",
        "Text-only", "Screen",
    ]  # fmt: skip
    grounding = stops[6]
    assert not grounding.moved
    assert grounding.point is stops[5].point


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.floats(0.5, 5))
def test_labels_are_moved_apart_and_keep_their_order(values: list[float], gap: float) -> None:
    places = spread(values, gap)
    order = sorted(range(len(values)), key=lambda index: (values[index], index))
    moved = [places[index] for index in order]
    assert all(later - earlier >= gap - 1e-9 for earlier, later in itertools.pairwise(moved))
    assert sum(places) == pytest.approx(sum(values))


def test_figures_are_well_formed_and_described(decision: Decision) -> None:
    figures = draw_for_page(decision, TITLES)
    assert list(figures) == ["score-path", "score-path-narrow", "radar"]
    seen: set[str] = set()
    for name, figure in figures.items():
        root = ET.fromstring(figure.svg)  # noqa: S314  drawn by ourselves a line above
        ids = {element.get("id", "") for element in root.iter()} - {""}
        assert not ids & seen, "ids of one page are unique"
        seen |= ids
        assert all(identity.startswith(name) for identity in ids)
        assert "var(--" in figure.svg
        assert "currentColor" in figure.svg
        assert not any(colour in figure.svg for colour in theme.ON_PAGE.colours.values())
        assert "font-family" not in figure.svg
    assert "Knowledge 66.0" in figures["score-path"].description
    assert "Selected: MME 77.9" in figures["radar"].description


def test_names_are_drawn_as_they_are_and_not_as_formulas() -> None:
    odd = make_decision([Plan("cost-$5-$6_x^2", "ocr", (1, 1, 1, 1), "kept")], {}, {})
    assert b"cost-$5-$6_x^2" in draw_files(odd, TITLES)["selection-map.svg"]


def test_one_category_and_one_benchmark_can_be_drawn() -> None:
    small = make_decision([Plan("a", "ocr", (0, 0, 0, 0), "dropped")], {}, {}, with_all=False)
    one = small.model_copy(update={"benchmarks": ["mme"]})
    assert all(draw_for_page(one, TITLES).values())
    assert all(draw_files(one, TITLES).values())


# --- pictures


def encoded(size: tuple[int, int], kind: str, mode: str = "RGB", **saving: object) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, size, 0).save(buffer, kind, **saving)
    return buffer.getvalue()


def test_small_pictures_stay_exact_and_large_ones_become_small() -> None:
    small = embed(encoded((48, 20), "PNG"))
    assert small is not None
    assert small.address.startswith("data:image/png;base64,")
    assert (small.width, small.height, small.pixelated) == (48, 20, True)
    large = embed(encoded((2000, 1000), "JPEG"))
    assert large is not None
    assert large.address.startswith("data:image/jpeg;base64,")
    assert (large.width, large.height, large.pixelated) == (2000, 1000, False)
    assert decoded_size(large.address) == (LONGEST_SIDE, LONGEST_SIDE // 2)
    assert large.description == "picture of the sample, 2000 by 1000 pixels"


def decoded_size(address: str) -> tuple[int, int]:
    import base64

    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as image:
        return image.size


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGBA", "PNG"), ("P", "GIF"), ("L", "JPEG"), ("CMYK", "JPEG"), ("1", "PNG")]
)
def test_every_kind_of_picture_becomes_plain(mode: str, kind: str) -> None:
    assert embed(encoded((30, 30), kind, mode)) is not None


def test_metadata_does_not_reach_the_page() -> None:
    import base64

    data = encoded((300, 300), "JPEG", comment=b"<script>secret</script>")
    assert b"secret" in data
    picture = embed(data)
    assert picture is not None
    assert b"secret" not in base64.b64decode(picture.address.split(",")[1])


@pytest.mark.parametrize("data", [b"", b"<svg onload='alert(1)'/>", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_left_out(data: bytes) -> None:
    assert embed(data) is None


# --- tables


def test_tables_drop_columns_in_which_nothing_stands() -> None:
    table = Table("t", "T", ["name", "empty", "count"], [["a", "", 1], ["b", None, None]])
    assert table.without_empty_columns().columns == ["name", "count"]
    assert table.is_number(2)
    assert not table.is_number(0)
    assert table.csv() == "name,empty,count\na,,1\nb,,\n"
