"""How surprising a sample's answers are to a LLaVA checkpoint that reads its pictures and questions."""

from __future__ import annotations

from curator.batch import Column

VERSION = 1
NEEDS_PICTURES = True
LIBRARY = ("torch", "train")
MODEL = "a LLaVA checkpoint"
NEEDS_TEMPLATE = True
COLUMNS = {
    "answer_loss": Column("nats per token", "mean negative log likelihood of the answers' tokens", "float32"),
    "answer_tokens": Column("tokens", "tokens of the answers, with the mark that ends each", "int32"),
}
