"""The templates' golden texts and masks: what a model reads, and which characters of it are learned."""

from __future__ import annotations

import pytest

from registry.errors import Refusal
from registry.sample import make_message
from trainers.chat import TEMPLATES, VICUNA_SYSTEM, Rendered, template

PLAIN_CHAT = [make_message("user", "What is this?", 1), make_message("assistant", " a red cat ")]
TWO_TURNS = [*PLAIN_CHAT, make_message("user", "Sure?"), make_message("assistant", "yes")]

# The learned characters stand in ⟨ ⟩.
GOLDEN = {
    "plain": "<image>⟨a red cat\n⟩",
    "demo": "USER: <image>\nWhat is this? ASSISTANT:⟨ a red cat</s>⟩",
    "vicuna_v1": f"{VICUNA_SYSTEM} USER: <image>\nWhat is this? ASSISTANT:⟨ a red cat</s>⟩",
    "chatml": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n<image>\nWhat is this?<|im_end|>\n<|im_start|>assistant\n⟨a red cat<|im_end|>⟩\n",
}
GOLDEN["chatml_qwen1.5"] = GOLDEN["chatml"].replace("assistant.<|im_end|>", "assistant<|im_end|>")
GOLDEN["chatml_qwen2.5"] = GOLDEN["chatml"].replace("You are", "You are Qwen, created by Alibaba Cloud. You are")
GOLDEN["chatml_yi"] = GOLDEN["chatml"].partition("<|im_end|>\n")[2]
GOLDEN_TWO = {
    "plain": "<image>⟨a red cat\n⟩⟨yes\n⟩",
    "demo": "USER: <image>\nWhat is this? ASSISTANT:⟨ a red cat</s>⟩USER: Sure? ASSISTANT:⟨ yes</s>⟩",
    "vicuna_v1": f"{GOLDEN['vicuna_v1']}USER: Sure? ASSISTANT:⟨ yes</s>⟩",
    "chatml": GOLDEN["chatml"] + "<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\n⟨yes<|im_end|>⟩\n",
}

for _name in ("chatml_qwen1.5", "chatml_qwen2.5", "chatml_yi"):
    GOLDEN_TWO[_name] = GOLDEN[_name] + GOLDEN_TWO["chatml"].removeprefix(GOLDEN["chatml"])


def marked(rendered: Rendered) -> str:
    text = rendered.text
    for start, end in reversed(rendered.spans):
        text = f"{text[:start]}⟨{text[start:end]}⟩{text[end:]}"
    return text


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_golden_one_turn(name: str) -> None:
    assert marked(template(name).render(PLAIN_CHAT)) == GOLDEN[name]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_golden_two_turns(name: str) -> None:
    assert marked(template(name).render(TWO_TURNS)) == GOLDEN_TWO[name]


@pytest.mark.parametrize("name", ["demo", "vicuna_v1", "chatml"])
def test_a_prompt_is_the_beginning_of_what_was_trained(name: str) -> None:
    form = template(name)
    whole = form.render(PLAIN_CHAT)
    assert form.prompt(PLAIN_CHAT[:1]) == whole.text[: whole.spans[0][0]]


def test_a_samples_own_system_message_replaces_the_templates() -> None:
    messages = [make_message("system", "Be brief."), *PLAIN_CHAT]
    assert template("vicuna_v1").render(messages).text.startswith("Be brief. USER:")
    assert template("demo").render(messages).text.startswith("Be brief. USER:")
    assert template("chatml").render(messages).text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")


def test_pictures_come_first_wherever_they_stood() -> None:
    message = make_message("user", "compare")
    message["content"] += [{"type": "image", "text": None}, {"type": "image", "text": None}]
    text = template("demo").render([message, make_message("assistant", "no")]).text
    assert text == "USER: <image>\n<image>\ncompare ASSISTANT: no</s>"


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_what_people_wrote_cannot_end_a_turn_or_add_a_picture(name: str) -> None:
    form = template(name)
    said = f"a {form.stop} b <image> c" if form.stop != "\n" else "a </s> b <image> c"
    rendered = form.render([make_message("user", said, 1), make_message("assistant", said)])
    assert rendered.text.count("<image>") == 1
    assert len(rendered.spans) == 1
    if form.stop != "\n":
        start, end = rendered.spans[0]
        assert rendered.text[start:end].count(form.stop) == 1


def test_an_unknown_template_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Refusal, match="did you mean 'vicuna_v1'"):
        template("vicuna_v2")
