"""The jinja beside a trial's checkpoint writes what was trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoProcessor, PreTrainedTokenizerFast

from registry.checkpoint import CHECKPOINT
from registry.sample import Message, make_message
from tests.trainers.conftest import Toy
from tests.trainers.families import llama_tokenizer
from tests.trainers.toy import ignore, train_request
from trainers.chat import TEMPLATES, template
from trainers.chat_jinja import FILE, jinja
from trainers.train import train

TURNS = [
    make_message("user", " What's this? ", 2),
    make_message("assistant", 'A "red" {{ cat }}.\n'),
    make_message("user", "Sure?"),
    make_message("assistant", "Yes."),
]
SYSTEM = make_message("system", "Be brief.")


@pytest.mark.parametrize("name", sorted(name for name, form in TEMPLATES.items() if form.asks))
@pytest.mark.parametrize("system", [[], [SYSTEM]], ids=["", "system"])
def test_transformers_writes_the_same_text(name: str, system: list[Message]) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=llama_tokenizer(), chat_template=jinja(template(name)))
    form, messages = template(name), [*system, *TURNS]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == form.render(messages).text
    asked = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    assert asked == form.prompt(messages[:-1])


def test_plain_strings_are_read_too() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=llama_tokenizer(), chat_template=jinja(template("chatml")))
    found = tokenizer.apply_chat_template([{"role": "user", "content": "Hi "}], tokenize=False)
    assert found == template("chatml").render([make_message("user", "Hi")]).text.removesuffix("<|im_start|>assistant\n")


def test_a_trial_is_asked_as_it_was_taught(toy: Toy) -> None:
    folder: Path = train(toy.workshop, train_request(toy.home, toy.base, toy.mix, "asked"), ignore)[0] / CHECKPOINT
    processor = AutoProcessor.from_pretrained(folder)
    asked = [make_message("user", "What color is it?", 1)]
    assert processor.apply_chat_template(asked, tokenize=False) == template("demo").prompt(asked)


def test_a_first_stage_has_none(toy: Toy) -> None:
    request = train_request(toy.home, toy.base, toy.mix, "captions", template="plain")
    assert jinja(template("plain")) is None
    assert not (train(toy.workshop, request, ignore)[0] / CHECKPOINT / FILE).exists()
