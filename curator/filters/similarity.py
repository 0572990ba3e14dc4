"""How well a sample's answers go with its pictures, as a CLIP or SigLIP checkpoint sees it."""

from __future__ import annotations

from curator.batch import Column

VERSION = 1
NEEDS_PICTURES = True
LIBRARY = ("torch", "train")
MODEL = "a CLIP or SigLIP checkpoint"
COLUMNS = {
    "similarity": Column(
        "cosine -1..1", "answers (cut at the model's length) and the picture least like them", "float32"
    ),
}
