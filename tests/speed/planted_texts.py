"""Conversations as clean data has them, and what is planted in them: one sort of noise each.

Clean text is made of sentences, captions, counts, code, lists, transcripts and boxes, in many lengths. It holds what a
careless filter trips over: apologies on a sign, things that cannot be seen, prices, opening hours, capitals.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

Turns = list[tuple[str, str]]
"""Questions and answers."""


def listed(text: str) -> list[str]:
    """The words of a text, or what stands between its bars."""
    flat = " ".join(text.split())
    return flat.split(" | ") if " | " in flat else flat.split()


NOUNS = listed(
    """
woman man child dog cat horse bicycle bus train boat kitchen table chair lamp window street market river mountain
field bridge tower bakery station library garden fence umbrella backpack guitar laptop cup plate cake apple banana
sandwich pizza clock mirror shelf carpet truck tractor airplane kite ball racket skateboard surfboard beach harbour
lighthouse temple museum statue fountain crowd tourist waiter farmer doctor teacher player singer painter
"""
)
LOOKS = listed(
    """
red blue green yellow small large old new wooden empty crowded quiet bright dark tall narrow round broken shiny
striped white black rusty modern colourful snowy sunny foggy busy young elderly
"""
)
DOING = listed(
    """
standing next to | sitting on | walking past | looking at | leaning against | holding | painting | repairing |
cleaning | carrying | waiting for | pointing at | running towards | playing with | photographing | climbing over |
sleeping under | parked in front of
"""
)
PLACES = listed(
    """
in the background | on the left | on the right side of the picture | near the entrance | behind the counter | at
sunset | during the afternoon | on a rainy day | in the middle of the square | under a cloudy sky | beside the road |
at the market
"""
)
REMARKS = listed(
    """
The scene feels calm and unhurried. | The light suggests that it is early in the morning. | It is not clear who took
it. | The colours are muted, which gives the photograph an old look. | Several details hint at a celebration. |
Overall, the composition draws the eye to the centre. | The sign says 'Sorry, we are closed today'. | There are no
other people to be seen. | What stands out most is the contrast between light and shadow. | The reflection in the
glass shows a second building. | Nobody seems to notice the camera. | Such places are common in coastal towns. | The
text on the wall cannot be read from here. | A user manual lies open on the desk. | She says she is sorry that she is
late. | The assistant hands over the tools. | You would need to look closely to see the difference. | I can't see any
cars in this picture. | I cannot identify the exact model, but it looks like an old van.
"""
)
QUESTIONS = listed(
    """
Describe the picture in detail. | What is shown in this picture? | What is the person doing? | Where was this taken? |
What stands out in this image and why? | Tell me what happens in the scene. | What could happen next?
"""
)
ELSEWHERE = {
    "de": "Ein {n} steht vor einem alten Haus und wartet auf den Bus.|Im Hintergrund sieht man eine breite Straße mit "
    "vielen Menschen.|Die Frau trägt einen roten Mantel und hält einen Schirm.|"
    "Auf dem Tisch liegen drei Bücher und ein Glas.",
    "fr": "Un homme marche dans la rue avec son chien.|La photo montre une cuisine moderne avec une grande fenêtre.|"
    "Il y a trois enfants qui jouent près de la fontaine.|Le ciel est gris et il va sans doute pleuvoir.",
    "es": "Una mujer está sentada en un banco del parque.|En la imagen se ve un mercado lleno de gente.|"
    "El perro corre detrás de la pelota roja.|Hay dos barcos pequeños en el puerto.",
    "ru": "На фотографии изображена старая улица с деревянными домами.|Мальчик держит в руках красный мяч.|"
    "На столе стоит чашка чая и лежит книга.",
    "zh": "图片中有一位女士站在公交车站旁边。|桌子上放着三本书和一个杯子。|背景里可以看到很多行人和一座高楼。",
    "ja": "写真には公園のベンチに座っている女性が写っています。|"
    "机の上に本が三冊とコップが一つあります。|背景には高い建物が見えます。",
}
REFUSED = listed(
    """
I'm sorry, but I can't help with identifying people in images. | Sorry, I can't assist with that request. | I
apologize, but I am unable to view the image you mentioned. | As an AI, I do not have personal opinions. | As a large
language model, I cannot look at pictures. | I'm just an AI, so I cannot taste food. | Unfortunately, I cannot see the
picture. | I don't have access to the image. Please upload it. | I am not able to provide a description of this
person. | I'm unable to analyze the image at the moment. | I do not have the ability to browse the web. | My knowledge
cutoff does not include this event. | I regret that I must decline to answer this. | I won't be able to help with
that. | No image was provided, so I cannot describe it. | It seems that the image did not load. Please try again. | I
cannot fulfill this request. | I don't see any image attached. Could you please provide the image? | I must refrain
from naming the people shown. | This request goes against my guidelines.
"""
)
REFUSED_OTHERWISE = listed(
    """
I'm afraid I can't comment on the identity of the individual. | It's not possible for me to view attachments. | I'm
not comfortable describing this content. | Since I'm a text-based model, images are not visible to me. | My apologies,
but describing real people isn't something I can do. | I do not have visual capabilities. | Could you share the photo
you are referring to? | The picture appears to be missing from your message. | I cannot comply with this request. |
I'm sorry, I cannot determine that without more context. | Unfortunately I can't process images right now. | I am only
a language model and cannot verify this. | That is beyond my capabilities. | I must decline, as this would violate the
policy. | Please attach the image so that I can describe it.
"""
)
"""Held back: no pattern was written with these in view."""
LEFT = (
    "{} <|im_end|>",
    "### Response: {}",
    "{}</s>",
    "ASSISTANT: {}",
    "[INST] {} [/INST]",
    "{} {{answer}}",
    "<s>{}",
    "{}<|endoftext|>",
    "<|start_header_id|>assistant<|end_header_id|>{}",
    "{}<|eot_id|>",
    "<start_of_turn>model {}",
    "{} [insert name here]",
    "{}\nHuman: What else is there?",
    "<|assistant|>{}",
    "<<SYS>> {} <</SYS>>",
)
CODES = "IMG_{}.jpg|SKU-{}X|model{}b|www.shop{}.com/item?id={}|RX{}/{}|DSC{}.JPG|{}x{}px|item_{}_v2|https://cdn{}.net/a{}.png"


class Writer:
    """Draws texts; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clean: list[tuple[float, str, Callable[[], Turns]]] = [
            (30, "caption", self.caption),
            (20, "description", self.description),
            (16, "short answer", self.short_answer),
            (10, "conversation", lambda: [turn for _ in range(self.chance.randint(2, 4)) for turn in self.caption()]),
            (7, "options", lambda: self.options(outside=False)),
            (5, "box", lambda: self.boxes("sound")),
            (4, "working", self.working),
            (3, "code", self.code),
            (3, "list", self.steps),
            (2, "transcript", self.transcript),
        ]
        self.noise: dict[str, Callable[[], Turns]] = {
            "loop": self.loop,
            "phrases again": self.phrases_again,
            "symbols": self.symbols,
            "codes": self.codes,
            "search words": self.search_words,
            "refusal": lambda: self.refusal(REFUSED),
            "refusal held back": lambda: self.refusal(REFUSED_OTHERWISE),
            "leftover": self.leftover,
            "other language": self.other_language,
            "box in pixels": lambda: self.boxes("pixels"),
            "box swapped": lambda: self.boxes("swapped"),
            "letter outside": lambda: self.options(outside=True),
            "too long": lambda: self.description(self.chance.randint(120, 300)),
            "next to nothing": lambda: [("", self.chance.choice(["Image", "yes", "photo", "N/A", "none"]))],
        }

    def clean_row(self) -> tuple[str, Turns]:
        """A kind of clean row, and one of it."""
        (found,) = self.chance.choices(self.clean, [weight for weight, _, _ in self.clean])
        return found[1], found[2]()

    def sentence(self) -> str:
        """One sentence."""
        pick, n = self.chance.choice, self.chance.randint(2, 12)
        shape = self.chance.randrange(6)
        thing, other = f"{pick(LOOKS)} {pick(NOUNS)}", f"{pick(LOOKS)} {pick(NOUNS)}"
        if shape == 0:
            return f"There are {n} {pick(LOOKS)} {pick(NOUNS)}s {pick(PLACES)}."
        if shape == 1:
            return pick(REMARKS)
        if shape == 2:
            return f"The {thing} is {pick(DOING)} the {other}, while a {pick(NOUNS)} can be seen {pick(PLACES)}."
        if shape == 3:
            return f"A {thing}, about {n} metres from the {other}, is {pick(DOING)} a {pick(NOUNS)}."
        return f"A {thing} is {pick(DOING)} a {other} {pick(PLACES)}."

    def sentences(self, count: int) -> str:
        return " ".join(self.sentence() for _ in range(count))

    def asked(self) -> str:
        return self.chance.choice(QUESTIONS)

    def caption(self) -> Turns:
        return [(self.asked(), self.sentences(self.chance.choice([1, 1, 1, 2])))]

    def description(self, count: int | None = None) -> Turns:
        said = [self.sentence() for _ in range(count or self.chance.randint(4, 14))]
        return [(self.asked(), " ".join(f"{one}\n\n" if i % 5 == 4 else one for i, one in enumerate(said)).strip())]

    def short_answer(self) -> Turns:
        noun, n = self.chance.choice(NOUNS), self.chance.randint(0, 2000)
        answers = [
            "yes",
            "no",
            str(n),
            f"{n / 10:.1f}%",
            noun,
            f"{self.chance.choice(LOOKS)} {noun}",
            f"${n:,}.99",
            "3:45 pm",
        ]
        return [
            (
                f"What does the sign next to the {noun} say?\nAnswer with a single word or phrase.",
                self.chance.choice(answers),
            )
        ]

    def options(self, outside: bool) -> Turns:
        count = self.chance.randint(2, 5)
        offered = "\n".join(
            f"{'ABCDE'[i]}. {self.chance.choice(LOOKS)} {self.chance.choice(NOUNS)}" for i in range(count)
        )
        letter = self.chance.choice("FGHK" if outside else "ABCDE"[:count])
        answer = self.chance.choice([letter, f"{letter}.", f"({letter})", f"The answer is {letter}."])
        return [(f"Which of these is {self.chance.choice(PLACES)}?\n{offered}", answer)]

    def boxes(self, kind: str) -> Turns:
        draw, found = self.chance.random, []
        for _ in range(self.chance.choice([1, 1, 1, 2, 3])):
            left, top = draw() * 0.8, draw() * 0.8
            right, bottom = left + 0.02 + draw() * (0.98 - left), top + 0.02 + draw() * (0.98 - top)
            if kind == "swapped":
                left, right = right, left
            scale, digits = (640, 0) if kind == "pixels" else (1, 2)
            found.append("[" + ", ".join(f"{scale * value:.{digits}f}" for value in (left, top, right, bottom)) + "]")
        said = " and ".join(found)
        noun = self.chance.choice(NOUNS)
        return [(f"Where is the {noun}?", self.chance.choice([said, f"The {noun} is at {said}."]))]

    def working(self) -> Turns:
        steps, total = [], self.chance.randint(2, 90)
        for number in range(self.chance.randint(2, 6)):
            more = self.chance.randint(2, 90)
            steps.append(f"Step {number + 1}: {total} + {more} = {total + more}.")
            total += more
        return [("How much is it altogether?", "\n".join([*steps, f"So the total is ${total}.00 (x = {total})."]))]

    def code(self) -> Turns:
        name, other = self.chance.sample(NOUNS, 2)
        lines = [
            f"def {name}_{other}({name}s, limit={self.chance.randint(2, 99)}):",
            f'    """Count each {name} that has a {other}."""',
            "    found = {}",
            f"    for item in {name}s:",
            f"        if item.{other} is not None and len(found) < limit:",
            f"            found[item.name] = item.{other} * {self.chance.randint(2, 9)}  # {self.chance.choice(LOOKS)}",
            "    return found",
        ]
        return [("Write a function for the diagram.", "```python\n" + "\n".join(lines) + f"\n```\n{self.sentence()}")]

    def steps(self) -> Turns:
        mark = self.chance.choice(["-", "*", "1."])
        said = [
            f"{mark} **{self.chance.choice(NOUNS).capitalize()}**: {self.sentence()}"
            for _ in range(self.chance.randint(3, 7))
        ]
        return [("List what you see.", "\n".join(said))]

    def transcript(self) -> Turns:
        pick, n = self.chance.choice, self.chance.randint
        lines = [
            f"{pick(LOOKS)} {pick(NOUNS)}".upper(),
            f"OPEN {n(7, 11)}:00 - {n(17, 22)}:30",
            f"Tel. +49 {n(100, 999)} {n(10000, 99999)}",
            f"{n(1, 28)}/{n(1, 12)}/{n(1990, 2024)}",
            f"{pick(NOUNS).capitalize()} ........ ${n(2, 40)}.{n(10, 99)}",
        ]
        return [("What text can be read?", "\n".join(self.chance.sample(lines, n(2, 5))))]

    def loop(self) -> Turns:
        said, stuck = self.sentences(self.chance.randint(1, 4)), self.sentence()
        if self.chance.random() < 0.5:
            stuck = " ".join(stuck.split()[: self.chance.randint(2, 6)])
        return [(self.asked(), f"{said} " + f"{stuck} " * self.chance.randint(6, 40))]

    def phrases_again(self) -> Turns:
        said = [self.sentence() for _ in range(self.chance.randint(3, 8))]
        return [(self.asked(), " ".join([*said, *self.chance.sample(said, max(2, len(said) // 2)), self.sentence()]))]

    def symbols(self) -> Turns:
        text, share = self.sentences(self.chance.randint(1, 5)), self.chance.uniform(0.15, 0.6)
        if self.chance.random() < 0.3:
            return [
                (
                    self.asked(),
                    f"{text} {self.chance.choice('!?*=~-_') * self.chance.randint(20, 80)} {self.sentence()}",
                )
            ]
        return [
            (
                self.asked(),
                "".join(self.chance.choice("#@*|~%$^&\\�") if self.chance.random() < share else c for c in text),
            )
        ]

    def codes(self) -> Turns:
        made = [self.chance.choice(CODES.split("|")) for _ in range(self.chance.randint(3, 9))]
        made = [code.replace("{}", str(self.chance.randint(10, 99_999))) for code in made]
        return [(self.asked(), " ".join([*made, *self.chance.sample(NOUNS, self.chance.randint(0, 4))]))]

    def search_words(self) -> Turns:
        comma = self.chance.choice([" ", ", ", " | "])
        return [
            (
                self.asked(),
                comma.join(
                    self.chance.choices([*NOUNS, *LOOKS, "stock", "hd", "wallpaper"], k=self.chance.randint(6, 25))
                ),
            )
        ]

    def refusal(self, texts: Sequence[str]) -> Turns:
        said = self.chance.choice(texts)
        return [(self.asked(), self.chance.choice([said, f"{said} {self.sentence()}", f"{self.sentence()} {said}"]))]

    def leftover(self) -> Turns:
        return [(self.asked(), self.chance.choice(LEFT).replace("{}", self.sentence()))]

    def other_language(self) -> Turns:
        sentences = self.chance.choice(list(ELSEWHERE.values())).replace("{n}", "Mann").split("|")
        return [(self.asked(), " ".join(self.chance.choices(sentences, k=self.chance.randint(1, 4))))]
