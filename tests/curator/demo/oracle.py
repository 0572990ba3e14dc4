"""What is true of a scene, worked out from its question by other means than the code that drew it."""

from __future__ import annotations

import re

from curator.demo.scenes import PLACES, Flag, Magnets, Polygon, Scene, Screen, Shapes, Thing

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
RULES = {"opposite": "attract", "like": "repel", "compass": "turn", "wood": "rest"}


def things(scene: Scene) -> list[Thing]:
    assert isinstance(scene, Shapes)
    return [cell for cell in scene.cells if cell is not None]


def named(scene: Scene, name: str) -> list[Thing]:
    """The things that a phrase like ``circles``, ``red shape`` or ``star`` means."""
    first = name.split()[0]
    return [t for t in things(scene) if first in (t.color, t.shape, f"{t.shape}s")]


def only(found: list[Thing]) -> Thing:
    assert len(found) == 1, "the question has no single answer"
    return found[0]


def truth(scene: Scene, skill: str, question: str) -> str:
    """The value that answers ``question``, open or yes/no, about ``scene``."""
    if isinstance(scene, Shapes):
        return _of_shapes(scene, skill, question)
    match scene:
        case Magnets():
            return RULES[scene.pair]
        case Polygon():
            return NUMBERS[scene.sides] if skill == "sides" else scene.fill
        case Flag():
            return scene.country
        case Screen():
            return scene.control if skill == "control" else scene.theme
    raise AssertionError(f"no question is asked about {scene}")


def _of_shapes(scene: Shapes, skill: str, question: str) -> str:
    phrases = {
        "count": r"(?:How many|Is the number of) (\w+(?: shapes)?)",
        "color": r"(?:What color is|Is) the (\w+)",
        "shape": r"(?:Which shape is|Is the) (\w+)",
        "position": r"(?:Where is|Is) the (\w+)",
    }
    match = re.match(phrases[skill], question)
    assert match is not None, question
    found = named(scene, match[1])
    if skill == "count":
        return NUMBERS[len(found)]
    thing = only(found)
    if skill == "position":
        return PLACES[scene.cells.index(thing)]
    return thing.color if skill == "color" else thing.shape


def claimed(question: str) -> str:
    """The value that a yes/no question puts up: its last word."""
    return question.rstrip("?").split()[-1]
