"""Token ids and masks of every template, against transformers' own chat templates and LLaVA's documented layout."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from registry.errors import Refusal
from registry.sample import make_message
from tests.trainers.families import begin_with, llama_tokenizer, qwen_tokenizer, tokenizer_files, yi_tokenizer
from trainers.chat import QWEN15_SYSTEM, QWEN25_SYSTEM, VICUNA_SYSTEM, template
from trainers.tokenizer_check import check_tokenizer
from trainers.tokens import IMAGE_TOKEN, Encoded, Tokens

TURNS = [
    ("user", "What is this?", 1),
    ("assistant", "A red Cat, 42 cm: naïve 漢字!", 0),
    ("user", "Sure?\nIs it", 0),
    ("assistant", "Yes, I am.", 0),
]
MESSAGES = [make_message(*turn) for turn in TURNS]
PATCHES = 3


def with_pictures(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens([AddedToken(IMAGE_TOKEN, special=True, normalized=False)])
    return tokenizer


def id_of(tokenizer: Tokenizer, name: str) -> int:
    found = tokenizer.token_to_id(name)
    assert found is not None
    return found


def tokens_of(tokenizer: Tokenizer, begins: bool | None = None) -> Tokens:
    return Tokens(tokenizer, tokenizer.token_to_id(IMAGE_TOKEN) or 0, "tokenizer.json", begins)


def encode(tokenizer: Tokenizer, name: str, messages: list[Any] = MESSAGES, patches: int = PATCHES) -> Encoded:
    (found,) = tokens_of(tokenizer).encode([template(name).render(messages)], patches)
    return found


def shown(tokenizer: Tokenizer, encoded: Encoded) -> str:
    """Tokens parted by blanks; the learned ones stand in ⟨ ⟩."""
    names = [str(tokenizer.id_to_token(int(token))) for token in encoded.ids]
    marked = [f"⟨{name}⟩" if learned else name for name, learned in zip(names, encoded.learned, strict=True)]
    return " ".join(marked).replace("⟩ ⟨", " ")


# -- LLaVA's layout, written down a second time: the text cut at its pictures, each piece encoded by itself --


def in_pieces(tokenizer: Tokenizer, text: str) -> list[int]:
    """``tokenizer_image_token`` as documented: every piece has its mark for the beginning, only the first stays."""
    begin, image = id_of(tokenizer, "<s>"), id_of(tokenizer, IMAGE_TOKEN)
    found = [begin]
    for number, piece in enumerate(text.split(IMAGE_TOKEN)):
        found += [image] * PATCHES if number else []
        ids = tokenizer.encode(piece).ids if piece else [begin]
        assert ids[0] == begin
        found += ids[1:]
    return found


def llava_v1(tokenizer: Tokenizer) -> tuple[list[int], list[bool]]:
    """Vicuna v1: rounds end with ``</s>``; of each, what stands before ``ASSISTANT: `` is masked (its blank aside)."""
    said = [text if not images else f"{IMAGE_TOKEN}\n{text}" for _, text, images in TURNS]
    rounds = [f"USER: {ask} ASSISTANT: {answer}" for ask, answer in zip(said[::2], said[1::2], strict=True)]
    rounds[0] = f"{VICUNA_SYSTEM} {rounds[0]}"
    ids, learned = [id_of(tokenizer, "<s>")], [False]
    for text in rounds:
        whole = [*in_pieces(tokenizer, text)[1:], id_of(tokenizer, "</s>")]
        asked = len(in_pieces(tokenizer, text.partition("ASSISTANT: ")[0] + "ASSISTANT: ")) - 2
        ids += whole
        learned += [False] * asked + [True] * (len(whole) - asked)
    return ids, learned


@pytest.mark.parametrize("legacy", [True, False])
def test_vicuna_v1_is_llavas_layout(legacy: bool, tmp_path: Path) -> None:
    from trainers.tokenizer_join import read_vocabulary

    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"}
    tokenizer_files(tmp_path, llama_tokenizer(legacy), names)
    tokenizer = read_vocabulary(tmp_path, 10_000).tokenizer
    found = encode(tokenizer, "vicuna_v1")
    ids, learned = llava_v1(tokenizer)
    assert found.ids.tolist() == ids
    assert found.learned.tolist() == learned
    assert ids.count(id_of(tokenizer, "<s>")) == 1


def test_plain_is_llavas_layout() -> None:
    """Picture and caption with a line end; masked are the first two of [mark, picture] before it is expanded."""
    tokenizer = with_pictures(llama_tokenizer())
    found = encode(tokenizer, "plain", MESSAGES[:2])
    assert found.ids.tolist() == in_pieces(tokenizer, f"{IMAGE_TOKEN}{TURNS[1][1]}\n")
    assert found.learned.tolist() == [False] * (1 + PATCHES) + [True] * (len(found) - 1 - PATCHES)


# -- ChatML against the chat templates that the tokenizers' publishers ship, run by transformers --

QWEN15 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
YI = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PUBLISHED = {
    "chatml_qwen1.5": (qwen_tokenizer, QWEN15),
    "chatml": (qwen_tokenizer, QWEN15.replace(QWEN15_SYSTEM, "You are a helpful assistant.")),
    "chatml_qwen2.5": (qwen_tokenizer, QWEN15.replace(QWEN15_SYSTEM, QWEN25_SYSTEM)),
    "chatml_yi": (yi_tokenizer, YI),
}


def with_generation(published: str) -> str:
    """The same template with the answers marked, so that transformers computes their mask."""
    whole = "'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'"
    answer = "{{ '<|im_start|>assistant\n' }}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    other = f"{{% if message['role'] == 'assistant' %}}{answer}{{{{ '\n' }}}}{{% else %}}{{{{ {whole} }}}}{{% endif %}}"
    found = published.replace(f"{{{{{whole}}}}}", other)
    assert found != published
    return found


@pytest.mark.parametrize("name", sorted(PUBLISHED))
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_chatml_is_the_publishers_own(name: str, system: str | None) -> None:
    make, published = PUBLISHED[name]
    tokenizer = with_pictures(make())
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    turns = [] if system is None else [{"role": "system", "content": system}]
    for role, text, images in TURNS:
        turns.append({"role": role, "content": f"{IMAGE_TOKEN}\n{text}" if images else text})
    messages = [make_message(turn["role"], turn["content"]) for turn in turns[: system is not None]] + MESSAGES
    found = encode(tokenizer, name, messages, patches=1)
    plain = theirs.apply_chat_template(turns, chat_template=published, tokenize=True, return_dict=True)
    masked = theirs.apply_chat_template(
        turns,
        chat_template=with_generation(published),
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    assert found.ids.tolist() == plain["input_ids"] == masked["input_ids"]
    assert found.learned.tolist() == [bool(flag) for flag in masked["assistant_masks"]]
    asked = theirs.apply_chat_template(turns[:-1], chat_template=published, tokenize=False, add_generation_prompt=True)
    assert template(name).prompt(messages[:-1]) == asked


# -- golden: what a person can read --

SHORT = [make_message("user", "What is this?", 1), make_message("assistant", "A red Cat.")]
GOLDEN = {
    "vicuna_v1": (
        "<s> ▁A ▁c hat … ▁questions . ▁USER: ▁ <image> <image> <image> ▁ <0x0A> What ▁is ▁t his ? ▁ASSISTANT: "
        "⟨▁A ▁re d ▁Cat . </s>⟩"
    ),
    "plain": "<s> <image> <image> <image> ⟨▁A ▁re d ▁Cat . <0x0A>⟩",
    "chatml_yi": (
        "<|im_start|> us er <0x0A> <image> <image> <image> <0x0A> What ▁is ▁t his ? <|im_end|> <0x0A> "
        "<|im_start|> a ssi stant <0x0A> ⟨A ▁re d ▁Cat . <|im_end|>⟩ <0x0A>"
    ),
    "chatml_qwen1.5": (
        "<|im_start|> system Ċ Y ou Ġare Ġa Ġhelpful Ġassistant <|im_end|> Ċ <|im_start|> us er Ċ "
        "<image> <image> <image> Ċ What Ġis Ġthis ? <|im_end|> Ċ <|im_start|> a ssi stant Ċ "
        "⟨A Ġred ĠCat . <|im_end|>⟩ Ċ"
    ),
}
FAMILY = {"vicuna_v1": llama_tokenizer, "plain": llama_tokenizer, "chatml_yi": yi_tokenizer}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_tokens(name: str) -> None:
    tokenizer = with_pictures(FAMILY.get(name, qwen_tokenizer)())
    found = shown(tokenizer, encode(tokenizer, name, SHORT))
    found = re.sub(r"(▁c hat) .* (▁questions)", r"\1 … \2", found)
    assert found == GOLDEN[name]


# -- a tokenizer that is not what the template expects --


def _without(tokenizer: Tokenizer, name: str) -> Tokenizer:
    """The same tokenizer, to which ``name`` is text like any other."""
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] != name]
    state["model"]["vocab"] = {
        key if key != name else f"was {name}": value for key, value in state["model"]["vocab"].items()
    }
    return Tokenizer.from_str(json.dumps(state))


def _ending(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


def _beginning(tokenizer: Tokenizer, times: int) -> Tokenizer:
    tokenizer.post_processor = begin_with("<s>", 1, times)
    return tokenizer


def _normalised(tokenizer: Tokenizer, *steps: Any) -> Tokenizer:
    tokenizer.normalizer = normalizers.Sequence([*steps, *([tokenizer.normalizer] if tokenizer.normalizer else [])])
    return tokenizer


def _dropping(tokenizer: Tokenizer) -> Tokenizer:
    """Parts of the text are taken away before it is encoded: no token has their offsets."""
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split("A", "removed"), tokenizer.pre_tokenizer])
    return tokenizer


def _without_bytes(tokenizer: Tokenizer) -> Tokenizer:
    state = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in state["merges"]]
    tokenizer.model = models.BPE(vocab=state["vocab"], merges=merges, unk_token="<unk>", fuse_unk=True)
    return tokenizer


MUTATED = {
    "no im_start": (_without(with_pictures(qwen_tokenizer()), "<|im_start|>"), "chatml", "'marks'.*<|im_start|>"),
    "end in pieces": (_without(with_pictures(llama_tokenizer()), "</s>"), "vicuna_v1", "'marks': '</s>' is 5 tokens"),
    "no picture": (llama_tokenizer(), "plain", "'marks': '<image>'"),
    "two beginnings": (_beginning(with_pictures(llama_tokenizer()), 2), "vicuna_v1", "'beginning': 2 tokens are added"),
    "an end is added": (_ending(with_pictures(llama_tokenizer())), "vicuna_v1", "'beginning': 2 tokens are added"),
    "lower case": (_normalised(with_pictures(qwen_tokenizer()), normalizers.Lowercase()), "chatml", "'answers'"),
    "other lengths": (
        _normalised(with_pictures(llama_tokenizer()), normalizers.Replace("red", "reddish")),
        "vicuna_v1",
        "'answers': the learned tokens read 'Areddish",
    ),
    "accents": (
        _normalised(with_pictures(llama_tokenizer()), normalizers.NFD(), normalizers.StripAccents()),
        "vicuna_v1",
        "'answers'",
    ),
    "text dropped": (_dropping(with_pictures(qwen_tokenizer())), "chatml", "'offsets': its offsets leave out 'A"),
    "no bytes": (_without_bytes(with_pictures(llama_tokenizer())), "vicuna_v1", "'answers'"),
}


@pytest.mark.parametrize("name", sorted(MUTATED))
def test_a_mutated_tokenizer_is_refused_by_the_expectation_it_fails(name: str) -> None:
    tokenizer, form, says = MUTATED[name]
    with pytest.raises(Refusal, match=says):
        check_tokenizer(tokens_of(tokenizer), template(form))


@pytest.mark.parametrize(("begins", "times", "says"), [(True, 0, "writes none"), (False, 1, "writes one")])
def test_the_settings_decide_whether_a_text_begins_with_a_mark(begins: bool, times: int, says: str) -> None:
    tokenizer = with_pictures(llama_tokenizer())
    tokenizer.post_processor = begin_with("<s>", 1) if times else processors.ByteLevel(trim_offsets=False)
    with pytest.raises(Refusal, match=f"'beginning'.*{says}"):
        check_tokenizer(tokens_of(tokenizer, begins), template("vicuna_v1"))
    check_tokenizer(tokens_of(tokenizer, not begins), template("vicuna_v1"))


@pytest.mark.parametrize("name", ["vicuna_v1", "plain"])
def test_the_real_families_meet_their_templates(name: str) -> None:
    for legacy in (True, False):
        check_tokenizer(tokens_of(with_pictures(llama_tokenizer(legacy)), True), template(name))
    for form, (make, _) in PUBLISHED.items():
        check_tokenizer(tokens_of(with_pictures(make()), False), template(form))
