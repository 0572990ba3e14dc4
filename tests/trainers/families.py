"""Tokenizers and checkpoints built like those of the real model families, small: Llama, Yi, Qwen; CLIP, SigLIP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = [
    "A chat between a curious user and an artificial intelligence assistant.",
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    "USER: What is this? ASSISTANT: A red Cat, 42 cm. USER: Sure? ASSISTANT: Yes, I am. Quite.",
    "system You are a helpful assistant. user assistant Answer the questions with a single word or phrase.",
] * 3


def llama_tokenizer(legacy: bool = True) -> Tokenizer:
    """As Llama's: BPE over text with ``▁`` for blanks, bytes for what it does not know, ``<s>`` at the beginning.

    ``legacy`` writes the blank before the text with a normaliser (so after every special token too), otherwise a
    Metaspace does it at the beginning alone: the two forms in which such tokenizers are published.
    """
    vocabulary, merges = _trained("▁")
    names = ["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256)), *vocabulary]
    tokenizer = Tokenizer(
        models.BPE(vocab=_numbered(names), merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = begin_with("<s>", 1)
    tokenizer.add_special_tokens([_special(name) for name in ("<unk>", "<s>", "</s>")])
    return tokenizer


def yi_tokenizer() -> Tokenizer:
    """As Yi's: Llama's kind without a blank before the text or a mark for the beginning, with ChatML's marks."""
    vocabulary, merges = _trained("▁")
    marks = ["<unk>", "<|startoftext|>", "<|endoftext|>", "<|Human|>", "<|Assistant|>", "<|System|>"]
    marks += ["<|im_start|>", "<|im_end|>"]
    names = [*marks, *(f"<0x{number:02X}>" for number in range(256)), *vocabulary]
    tokenizer = Tokenizer(
        models.BPE(vocab=_numbered(names), merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([_special(name) for name in marks])
    return tokenizer


QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def qwen_tokenizer() -> Tokenizer:
    """As Qwen1.5's and 2.5's: BPE over bytes, text composed (NFC), no mark for the beginning, ChatML's marks."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN_PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=420, show_progress=False, initial_alphabet=sorted(alphabet))
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([_special(name) for name in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    return tokenizer


def begin_with(name: str, number: int, times: int = 1) -> Any:
    """A post-processor that writes a mark before every text."""
    pieces = " ".join([name] * times)
    return processors.TemplateProcessing(
        single=f"{pieces} $A", pair=f"{pieces} $A {pieces} $B:1", special_tokens=[(name, number)]
    )


def _special(name: str) -> AddedToken:
    return AddedToken(name, special=True, normalized=False)


def _numbered(names: list[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _trained(blank: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Vocabulary and merges of a BPE trained on the text above, each word with the blank before it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(blank, prepend_scheme="always")
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=160, show_progress=False))
    state = json.loads(tokenizer.to_str())["model"]
    names = sorted(state["vocab"], key=state["vocab"].get)
    return names, [tuple(pair) for pair in state["merges"]]


def clip_folder(folder: Path, whole: bool = True) -> Path:
    """A CLIP checkpoint as OpenAI's (both encoders) or its vision half alone."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(1)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    vision = CLIPVisionConfig(image_size=12, patch_size=6, projection_dim=16, **small)
    text = CLIPTextConfig(vocab_size=40, projection_dim=16, bos_token_id=0, eos_token_id=1, **small)
    both = CLIPConfig(vision_config=vision.to_dict(), text_config=text.to_dict(), projection_dim=16)
    (CLIPModel(both) if whole else CLIPVisionModel(vision)).save_pretrained(folder)
    _preprocessor(folder, "CLIPImageProcessor", None)
    return folder


def siglip_folder(folder: Path) -> Path:
    """A SigLIP checkpoint as Google's: both encoders and a pooling head."""
    from transformers import SiglipConfig, SiglipModel, SiglipTextConfig, SiglipVisionConfig

    torch.manual_seed(2)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    vision = SiglipVisionConfig(image_size=12, patch_size=6, **small)
    text = SiglipTextConfig(vocab_size=40, **small)
    SiglipModel(SiglipConfig(vision_config=vision.to_dict(), text_config=text.to_dict())).save_pretrained(folder)
    _preprocessor(folder, "SiglipImageProcessor", [0.5, 0.5, 0.5])
    return folder


def _preprocessor(folder: Path, kind: str, mean: list[float] | None) -> None:
    settings: dict[str, Any] = {"image_processor_type": kind}
    if mean is not None:
        settings |= {"image_mean": mean, "image_std": mean, "size": {"height": 12, "width": 12}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def llama_folder(folder: Path, legacy: bool = True, dtype: torch.dtype = torch.float32, **config: Any) -> Path:
    """A language model as Vicuna: Llama layers, its tokenizer, a full vocabulary."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = llama_tokenizer(legacy)
    settings = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, **_SMALL, **config}
    torch.manual_seed(3)
    LlamaForCausalLM(LlamaConfig(vocab_size=tokenizer.get_vocab_size(), **settings)).to(dtype).save_pretrained(folder)
    words = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": legacy, "model_max_length": 4096}
    tokenizer_files(folder, tokenizer, words | {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    return folder


def yi_folder(folder: Path) -> Path:
    """A language model as Yi's chat models: Llama layers with fewer key heads, a tokenizer with ChatML's marks."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = yi_tokenizer()
    torch.manual_seed(4)
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), **{**_SMALL, "num_key_value_heads": 1})
    LlamaForCausalLM(config).save_pretrained(folder)
    words = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False, "model_max_length": 4096}
    names = {"bos_token": "<|startoftext|>", "eos_token": "<|im_end|>", "unk_token": "<unk>", "pad_token": "<unk>"}
    tokenizer_files(folder, tokenizer, words | names)
    return folder


def qwen_folder(folder: Path, tied: bool = False) -> Path:
    """A language model as Qwen's: its embedding has more rows than the tokenizer has tokens."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = qwen_tokenizer()
    torch.manual_seed(5)
    rows = tokenizer.get_vocab_size() + 20
    config = Qwen2Config(vocab_size=rows, tie_word_embeddings=tied, **_SMALL)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    words = {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "model_max_length": 32768}
    tokenizer_files(folder, tokenizer, words | {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
    return folder


_SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


def tokenizer_files(folder: Path, tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
    """What a language model's publisher ships beside its weights."""
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
