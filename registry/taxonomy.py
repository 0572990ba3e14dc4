"""The 12 categories of SFT data, in the order of the paper's Table 3. The only place that lists them."""

from __future__ import annotations

from typing import NamedTuple


class Category(NamedTuple):
    """A kind of supervised data: slug in files, title for people, one sentence, label in the paper."""

    slug: str
    title: str
    sentence: str
    paper_label: str


CATEGORIES: tuple[Category, ...] = (
    Category("captioning", "Captioning", "Describe the picture, briefly or in detail.", "Captioning"),
    Category("general_qa", "General QA", "Short questions about everyday pictures.", "General QA"),
    Category("science", "Science", "Diagrams and school science, mostly multiple choice.", "Science"),
    Category("chart", "Chart", "Read values and trends from plots.", "Chart"),
    Category("mathematics", "Mathematics", "Geometry, tables and word problems with a picture.", "Mathematics"),
    Category("knowledge", "Knowledge", "Questions that need facts from outside the picture.", "Knowledge"),
    Category("ocr", "OCR", "Read text in scenes.", "OCR"),
    Category("document", "Document", "Read scanned or rendered pages.", "Document"),
    Category("grounding", "Grounding", "Say where a named thing is, or what is at a place.", "Grounding"),
    Category("conversation", "Conversation", "Several turns about one picture.", "Conversation"),
    Category("text_only", "Text-only", "Instructions without a picture.", "Text-only"),
    Category("screen", "Screen", "Questions about user interfaces.", "Screen"),
)

SLUGS: tuple[str, ...] = tuple(category.slug for category in CATEGORIES)
