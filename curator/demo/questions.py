"""Questions about scenes, with the answers that are true of them.

A *skill* is one kind of question. Its scene is drawn answer first, so every value of its closed list is equally
likely and no majority answer is worth guessing. Three styles, all of them answered *value first*: open ("red"),
choice ("red B"), yes/no ("red yes"; "red no" when the question named another value). Saying the value before the
letter splits a question into seeing and matching; a bare letter is not learned by a model this small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from curator.demo.draws import Draws
from curator.demo.scenes import (
    COLORS,
    CONTROLS,
    COUNTRIES,
    FILLS,
    NUMBERS,
    PAIRS,
    PLACES,
    SHAPES,
    SIDES,
    THEMES,
    Flag,
    Magnets,
    Polygon,
    Scene,
    Screen,
    Thing,
    any_things,
    shapes,
)

OPEN = "Answer the question using a single word or phrase."
CHOICE = "Answer with the option's letter from the given choices directly."
YES_NO = "Please answer yes or no."
INSTRUCTIONS = (OPEN, CHOICE, YES_NO)
"""The last line of a question in each style: LLaVA-1.5's own for the first two, MME's for the third."""

STYLES = ("open", "choice", "yes_no")
STYLE_SHARES = ("open", "open", "choice", "yes_no")
"""open : choice : yes/no = 2 : 1 : 1."""
LETTERS = ("A", "B", "C", "D")
OUTCOMES = {"opposite": "attract", "like": "repel", "compass": "turn", "wood": "rest"}
"""What a magnet and its neighbour do: the rule that the science questions ask for."""


@dataclass(frozen=True)
class Fact:
    """Something true of a scene: how it is asked for, how it is claimed, its value, and the values it could have."""

    question: str
    claim: str
    """Yes/no question with ``{value}`` for the value that is put up."""
    value: str
    pool: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A question as it stands in a dataset, with its true answer."""

    style: str
    skill: str
    question: str
    """Without options and instruction."""
    options: tuple[str, ...]
    """Texts of options A, B, ... (choice only)."""
    value: str
    mark: str
    """Right letter, ``yes`` or ``no``; empty for an open question."""
    pool: tuple[str, ...]

    @property
    def prompt(self) -> str:
        """The user's whole message, without the picture."""
        lines = [self.question, *(f"{a}. {text}" for a, text in zip(LETTERS, self.options, strict=False))]
        return "\n".join([*lines, INSTRUCTIONS[STYLES.index(self.style)]])

    @property
    def answer(self) -> str:
        """Value, then letter / yes / no."""
        return f"{self.value} {self.mark}".strip()


def _count(draws: Draws) -> tuple[Scene, Fact]:
    """How many of one kind: by shape or by colour, one to four of them, any others beside."""
    n = draws.below(4)
    if draws.below(2):
        shape = draws.pick(SHAPES)
        some = [Thing(draws.pick(COLORS), shape) for _ in range(n + 1)]
        rest = any_things(draws, draws.between(0, 3 - n), not_shape=shape)
        name = f"{shape}s"
    else:
        color = draws.pick(COLORS)
        some = [Thing(color, draws.pick(SHAPES)) for _ in range(n + 1)]
        rest = any_things(draws, draws.between(0, 3 - n), not_color=color)
        name = f"{color} shapes"
    fact = Fact(f"How many {name} are there?", f"Is the number of {name} {{value}}?", NUMBERS[n], NUMBERS)
    return shapes(draws, [*some, *rest]), fact


def _color(draws: Draws) -> tuple[Scene, Fact]:
    """The colour of the only thing of its shape."""
    thing = Thing(draws.pick(COLORS), draws.pick(SHAPES))
    rest = any_things(draws, draws.between(0, 3), not_shape=thing.shape)
    fact = Fact(f"What color is the {thing.shape}?", f"Is the {thing.shape} {{value}}?", thing.color, COLORS)
    return shapes(draws, [thing, *rest]), fact


def _shape(draws: Draws) -> tuple[Scene, Fact]:
    """The shape of the only thing of its colour."""
    thing = Thing(draws.pick(COLORS), draws.pick(SHAPES))
    rest = any_things(draws, draws.between(0, 3), not_color=thing.color)
    fact = Fact(f"Which shape is {thing.color}?", f"Is the {thing.color} shape a {{value}}?", thing.shape, SHAPES)
    return shapes(draws, [thing, *rest]), fact


def _position(draws: Draws) -> tuple[Scene, Fact]:
    """The cell of the only thing of its shape or of its colour."""
    thing = Thing(draws.pick(COLORS), draws.pick(SHAPES))
    n = draws.between(0, 3)
    if draws.below(2):
        scene, name = shapes(draws, [thing, *any_things(draws, n, not_shape=thing.shape)]), thing.shape
    else:
        scene = shapes(draws, [thing, *any_things(draws, n, not_color=thing.color)])
        name = f"{thing.color} shape"
    place = PLACES[scene.cells.index(thing)]
    return scene, Fact(f"Where is the {name}?", f"Is the {name} {{value}}?", place, PLACES)


def _magnet(draws: Draws) -> tuple[Scene, Fact]:
    """What a magnet and its neighbour will do."""
    scene = Magnets(draws.pick(PAIRS), draws.bits())
    value = OUTCOMES[scene.pair]
    return scene, Fact("What will happen here?", "Will it {value}?", value, tuple(OUTCOMES.values()))


def _polygon(draws: Draws) -> Polygon:
    return Polygon(draws.pick(SIDES), draws.pick(FILLS), draws.pick(COLORS), draws.bits())


SIDE_NUMBERS = ("three", "four", "five", "six")


def _sides(draws: Draws) -> tuple[Scene, Fact]:
    """How many sides a polygon has."""
    scene = _polygon(draws)
    value = SIDE_NUMBERS[SIDES.index(scene.sides)]
    return scene, Fact("How many sides does it have?", "Is the number of sides {value}?", value, SIDE_NUMBERS)


def _fill(draws: Draws) -> tuple[Scene, Fact]:
    """How a polygon is filled."""
    scene = _polygon(draws)
    return scene, Fact("How is it filled?", "Is it {value}?", scene.fill, FILLS)


def _flag(draws: Draws) -> tuple[Scene, Fact]:
    """Whose flag it is."""
    scene = Flag(draws.pick(COUNTRIES), draws.bits())
    return scene, Fact("Which country has this flag?", "Does this flag belong to {value}?", scene.country, COUNTRIES)


def _control(draws: Draws) -> tuple[Scene, Fact]:
    """Which control a screen shows."""
    scene = Screen(draws.pick(CONTROLS), draws.pick(THEMES), draws.bits())
    return scene, Fact("Which control is on the screen?", "Does the screen show a {value}?", scene.control, CONTROLS)


def _theme(draws: Draws) -> tuple[Scene, Fact]:
    """Which theme a screen has."""
    scene = Screen(draws.pick(CONTROLS), draws.pick(THEMES), draws.bits())
    return scene, Fact("Which theme does the screen use?", "Is the theme {value}?", scene.theme, THEMES)


SKILLS: dict[str, Callable[[Draws], tuple[Scene, Fact]]] = {
    "count": _count,
    "color": _color,
    "shape": _shape,
    "position": _position,
    "magnet": _magnet,
    "sides": _sides,
    "fill": _fill,
    "flag": _flag,
    "control": _control,
    "theme": _theme,
}
BASELINE_SKILLS = ("count", "color", "shape")
"""What the base model and the baseline know; every other skill is taught by one good candidate alone."""


def fact_of(skill: str, draws: Draws) -> tuple[Scene, Fact]:
    """A fresh scene and a fact of this skill about it."""
    return SKILLS[skill](draws)


def pose(fact: Fact, skill: str, style: str, draws: Draws, truth: bool | None = None) -> Asked:
    """Ask for a fact in a style. Wrong options come from the fact's own pool; every letter is equally likely.

    ``truth`` fixes whether a yes/no question puts up the true value (drawn evenly otherwise).
    """
    if style == "choice":
        wrong = draws.take([v for v in fact.pool if v != fact.value], min(3, len(fact.pool) - 1))
        options = draws.take([fact.value, *wrong], len(wrong) + 1)
        mark = LETTERS[options.index(fact.value)]
        return Asked(style, skill, fact.question, tuple(options), fact.value, mark, fact.pool)
    if style == "yes_no":
        true = bool(draws.below(2)) if truth is None else truth
        shown = fact.value if true else draws.other(fact.pool, fact.value)
        return Asked(style, skill, fact.claim.format(value=shown), (), fact.value, "yes" if true else "no", fact.pool)
    return Asked(style, skill, fact.question, (), fact.value, "", fact.pool)


def ask(skill: str, draws: Draws, style: str | None = None) -> tuple[Scene, Asked]:
    """A fresh scene with a question about it, in a style drawn from ``STYLE_SHARES`` unless given."""
    scene, fact = fact_of(skill, draws)
    return scene, pose(fact, skill, style or draws.pick(STYLE_SHARES), draws)
