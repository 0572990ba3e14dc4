"""Chat templates: messages -> the text a model reads, and which characters of it are learned.

Learned are the answers of the assistant with the mark that ends them, nothing else. Spans are in characters; what
that means in tokens is settled by the tokenizer's offsets (``trainers.tokens``), so a mask can't drift from its text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from registry.errors import Refusal, did_you_mean
from registry.sample import IMAGE_MARKER, Message, message_text

VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
CHATML_SYSTEM = "You are a helpful assistant."
QWEN15_SYSTEM = "You are a helpful assistant"
QWEN25_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
"""System sentences that the tokenizers' own chat templates write where a conversation has none."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as text, and the learned spans ``[start, end)`` of its characters."""

    text: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Template:
    """One way to write a conversation."""

    name: str
    stop: str
    """The text, one token of the tokenizer, that ends an answer; generation stops there."""
    control: tuple[str, ...]
    """Texts with a meaning of their own; in what people wrote they are broken by a blank."""
    marks: tuple[str, ...]
    """Control texts that the template writes: each must be one token of the tokenizer."""
    write: Callable[[Template, Sequence[Message], bool], Rendered]
    system: str = ""
    asks: bool = True
    """Whether what the user says is written at all."""

    def render(self, messages: Sequence[Message]) -> Rendered:
        """A whole conversation, to learn from."""
        return self.write(self, messages, False)

    def prompt(self, messages: Sequence[Message]) -> str:
        """A conversation that ends with the user's turn, up to where the answer begins."""
        return self.write(self, messages, True).text

    def plain_text(self, message: Message) -> str:
        """What was said, with control texts broken so that no sample can end a turn or add a picture by itself."""
        text = message_text(message)
        for mark in self.control:
            if mark in text:
                text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        return text


class _Text:
    """Text that grows, and remembers what of it is learned."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._spans: list[tuple[int, int]] = []
        self._length = 0

    def add(self, piece: str, learned: bool = False) -> None:
        if learned and piece:
            self._spans.append((self._length, self._length + len(piece)))
        self._pieces.append(piece)
        self._length += len(piece)

    def done(self) -> Rendered:
        return Rendered("".join(self._pieces), tuple(self._spans))


def _pictures(message: Message) -> int:
    return sum(part["type"] == "image" for part in message["content"])


def _with_pictures(template: Template, message: Message) -> str:
    """Pictures first, a line each, as LLaVA-1.5 moves them."""
    return f"{IMAGE_MARKER}\n" * _pictures(message) + template.plain_text(message).strip()


def _write_plain(template: Template, messages: Sequence[Message], prompt: bool) -> Rendered:
    """LLaVA's first stage: picture, caption, line end. What the user said is dropped."""
    text = _Text()
    for message in messages:
        if message["role"] == "user":
            text.add(IMAGE_MARKER * _pictures(message))
        elif message["role"] == "assistant" and not prompt:
            text.add(template.plain_text(message).strip() + template.stop, learned=True)
    return text.done()


def _write_vicuna(template: Template, messages: Sequence[Message], prompt: bool) -> Rendered:
    """Vicuna v1, and the demo's, which is the same without a system sentence."""
    text = _Text()
    system, turns = _split_system(template, messages)
    if system:
        text.add(f"{system} ")
    for message in turns:
        if message["role"] == "user":
            text.add(f"USER: {_with_pictures(template, message)} ASSISTANT:")
        else:
            text.add(f" {template.plain_text(message).strip()}{template.stop}", learned=True)
    assert not prompt or turns[-1]["role"] == "user"
    return text.done()


def _write_chatml(template: Template, messages: Sequence[Message], prompt: bool) -> Rendered:
    """ChatML (Qwen, Yi, Hermes). Without a system sentence, of its own or the template's, there is no such turn."""
    text = _Text()
    system, turns = _split_system(template, messages)
    if system:
        text.add(f"<|im_start|>system\n{system}{template.stop}\n")
    for message in turns:
        if message["role"] == "user":
            text.add(f"<|im_start|>user\n{_with_pictures(template, message)}{template.stop}\n<|im_start|>assistant\n")
        else:
            text.add(template.plain_text(message).strip() + template.stop, learned=True)
            text.add("\n")
    assert not prompt or turns[-1]["role"] == "user"
    return text.done()


def _split_system(template: Template, messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    """The sample's own system message, else the template's; and the turns."""
    if messages and messages[0]["role"] == "system":
        return template.plain_text(messages[0]).strip(), messages[1:]
    return template.system, messages


_VICUNA = (IMAGE_MARKER, "</s>", "<s>")
_CHATML = (IMAGE_MARKER, "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|startoftext|>")
_PLAIN = (*_VICUNA, *_CHATML[1:])

_CHATML_MARKS = (IMAGE_MARKER, "<|im_start|>", "<|im_end|>")


def _chatml(name: str, system: str) -> Template:
    return Template(name, "<|im_end|>", _CHATML, _CHATML_MARKS, _write_chatml, system)


TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template("plain", "\n", _PLAIN, (IMAGE_MARKER,), _write_plain, asks=False),
        Template("vicuna_v1", "</s>", _VICUNA, (IMAGE_MARKER, "</s>"), _write_vicuna, VICUNA_SYSTEM),
        Template("demo", "</s>", (*_VICUNA, "<pad>"), (IMAGE_MARKER, "</s>"), _write_vicuna),
        _chatml("chatml", CHATML_SYSTEM),
        _chatml("chatml_qwen1.5", QWEN15_SYSTEM),
        _chatml("chatml_qwen2.5", QWEN25_SYSTEM),
        _chatml("chatml_yi", ""),
    )
}
"""Every template by its name."""


def template(name: str) -> Template:
    """The template of this name; Refusal with the nearest known one."""
    if name not in TEMPLATES:
        hint = did_you_mean(name, TEMPLATES)
        raise Refusal(f"template '{name}'", f"there is none{hint}", f"choose one of: {', '.join(sorted(TEMPLATES))}")
    return TEMPLATES[name]
