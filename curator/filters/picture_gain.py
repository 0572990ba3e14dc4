"""What its pictures tell a LLaVA checkpoint of a sample's answers: near 0 for what can be answered without them.

The answers' loss without the pictures less that with them. The pictures are taken away with their places: the model
reads the same questions as if none had ever been shown.
"""

from __future__ import annotations

from curator.batch import Column

VERSION = 1
NEEDS_PICTURES = True
LIBRARY = ("torch", "train")
MODEL = "a LLaVA checkpoint"
NEEDS_TEMPLATE = True
COLUMNS = {
    "picture_gain": Column("nats per token", "loss of the answers without the pictures less that with them", "float32"),
    "loss_without_picture": Column("nats per token", "loss of the answers where no picture is shown", "float32"),
}
