"""What the speed of scoring is measured with: a LLaVA of 4.7 million parameters and a benchmark's table.

The sizes are those in which a question costs what it costs in a real one, in proportion: 576 picture tokens and about
70 of text. The weights are random, then briefly taught to say one letter and stop.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from registry.multiple_choice import CIRCLE
from registry.sample import make_message
from trainers.chat import VICUNA_SYSTEM, template
from trainers.tokenizer_build import build_tokenizer
from trainers.tokens import END_TOKEN, IMAGE_TOKEN, PAD_TOKEN

NOUNS = ("dog", "boat", "tower", "lamp", "river", "market", "ladder", "violin", "bridge", "garden", "engine", "table")
QUESTION = "Which of these things can be seen near the left side of the picture, behind the person with the {0} hat?"
COLOURS = ("red", "green", "blue", "yellow", "white", "black")
LETTERS = "ABCD"
REQUEST = "Answer with the option's letter from the given choices directly."
SIZE, PATCH = 336, 14
CHAT = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    + VICUNA_SYSTEM
    + " USER: {{ message['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


def write_world(folder: Path, pictures: int, variants: int, questions: int) -> None:
    """A checkpoint in ``model/`` and tables ``circular.tsv``, ``two.tsv`` and ``one.tsv``."""
    torch.manual_seed(0)
    rows = _rows(pictures, variants)
    _write_table(folder / "circular.tsv", rows)
    _write_table(folder / "two.tsv", _plain(pictures, questions))
    _write_table(folder / "one.tsv", _plain(pictures, 1))
    _write_model(folder / "model", [row[1] for row in _plain(200, 1)])


def asked(question: str, options: Sequence[str]) -> str:
    """LLaVA's form of a multiple-choice question."""
    lines = [question, *(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False)), REQUEST]
    return "\n".join(lines)


Row = tuple[int, str, tuple[str, ...], int]
"""Index, question, options, number of the picture."""


def _rows(pictures: int, variants: int) -> list[Row]:
    """Every question once for each rotation of its options, all first ones first, as published."""
    found = []
    for turn in range(variants):
        for number in range(pictures):
            options = [f"the {NOUNS[(5 * number + 7 * n) % len(NOUNS)]} in the garden" for n in range(4)]
            turned = (*options[turn:], *options[:turn])
            found.append((number + turn * CIRCLE, QUESTION.format(COLOURS[number % 6]), turned, number))
    return found


def _plain(pictures: int, questions: int) -> list[Row]:
    found = []
    for number in range(pictures):
        for turn in range(questions):
            options = tuple(f"a {NOUNS[(number + turn + 5 * n) % len(NOUNS)]} and a {COLOURS[n]} hat" for n in range(4))
            index = number * questions + turn
            found.append((index, QUESTION.format(COLOURS[(number + turn) % 6]), options, number))
    return found


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    lines = ["\t".join(("index", "question", *LETTERS, "answer", "image"))]
    for index, question, options, number in rows:
        lines.append("\t".join((str(index), question, *options, "A", base64.b64encode(_picture(number)).decode())))
    path.write_text("\n".join(lines) + "\n")


def _picture(number: int) -> bytes:
    """A JPEG of 512 x 384 with something to see in it."""
    noise = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).resize((512, 384), Image.Resampling.BICUBIC).save(data, "JPEG", quality=90)
    return data.getvalue()


def _write_model(folder: Path, questions: Sequence[str]) -> None:
    words = {word.strip(".,?") for text in (*questions, VICUNA_SYSTEM, "the a and in") for word in text.split()}
    core = build_tokenizer({*words, *NOUNS, *COLOURS, "hat", "garden"})
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END_TOKEN,
        pad_token=PAD_TOKEN,
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        chat_template=CHAT,
        clean_up_tokenization_spaces=False,
    )
    image, pad, end = (core.token_to_id(text) for text in (IMAGE_TOKEN, PAD_TOKEN, END_TOKEN))
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=PATCH,
        projection_dim=128,
    )
    text = LlamaConfig(
        vocab_size=1024,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=image, image_seq_length=576)
    model = LlavaForConditionalGeneration(config)
    _teach(model, tokenizer)
    model.save_pretrained(folder)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    processor.save_pretrained(folder)


def _teach(model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """One letter, then the end; which letter depends on the first noun of the first option."""
    form = template("vicuna_v1")
    optimizer = torch.optim.AdamW(model.model.language_model.parameters(), lr=1e-3)
    rows = [row for turn in range(4) for row in _rows(48, 4)[turn::4]]
    random = np.random.default_rng(0)
    for _ in range(40):
        texts = []
        for number in random.integers(0, len(rows), 8):
            _, question, options, _ = rows[number]
            letter = LETTERS[NOUNS.index(options[0].split()[1]) % 4]
            told = [make_message("user", asked(question, options)), make_message("assistant", letter)]
            texts.append(form.render(told).text)
        ids = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        logits = model(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]).logits
        last = ids["attention_mask"].sum(1) - 1
        row = torch.arange(len(last))
        letter_loss, end_loss = (
            functional.cross_entropy(logits[row, last - back - 1], ids["input_ids"][row, last - back])
            for back in (1, 0)
        )
        optimizer.zero_grad()
        torch.autograd.backward(letter_loss + end_loss)
        optimizer.step()
