"""One sentence for a scene: what the base model learns to see. No caption holds the answer of a science rule."""

from __future__ import annotations

from curator.demo.scenes import PLACES, Blank, Flag, Magnets, Polygon, Scene, Screen, Shapes

CAPTION_REQUESTS = ("Describe the picture.", "What is in the picture?")
POLYGON_NAMES = {3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon"}
_PAIR_CAPTIONS = {
    "opposite": "two magnets with opposite poles",
    "like": "two magnets with like poles",
    "compass": "a magnet and a compass",
    "wood": "a magnet and a block of wood",
}


def article(word: str) -> str:
    """``a`` or ``an``."""
    return "an" if word[0] in "aeiou" else "a"


def caption(scene: Scene) -> str:
    """What the picture shows, in lower case, without a full stop."""
    match scene:
        case Shapes(cells=cells):
            things = [
                f"{article(thing.color)} {thing.color} {thing.shape} {place}"
                for place, thing in zip(PLACES, cells, strict=True)
                if thing is not None
            ]
            return " and ".join(things)
        case Magnets(pair=pair):
            return _PAIR_CAPTIONS[pair]
        case Polygon(sides=sides, fill=fill, color=color):
            return f"a {fill} {color} {POLYGON_NAMES[sides]}"
        case Flag(country=country):
            return f"the flag of {country}"
        case Screen(control=control, theme=theme):
            return f"a {theme} screen with a {control}"
        case Blank():
            return "an empty picture"
