"""Put a LLaVA checkpoint together from a vision encoder and a language model, as LLaVA-1.5 does.

The weights are copied tensor by tensor from the parts' safetensors under the names that transformers' LLaVA
checkpoints have, in the number format in which they were published: no model is built, and memory holds one shard.
New are the adapter (torch's own initialisation of linear layers, from a seed) and, where the embedding has no row for
``<image>``, rows that are the mean of all others: none of them is ever looked up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import CONFIG_MAPPING, LlavaConfig, LlavaForConditionalGeneration

from registry.assembly import FILES, Assembly
from registry.checkpoint import CHECKPOINT, base_digest
from registry.errors import Refusal
from registry.store import Home, Record, dump_json
from trainers.picture import PREPROCESSOR, PictureSettings
from trainers.requests import AssembleRequest
from trainers.tokenizer_join import Vocabulary, read_vocabulary

SHARD_BYTES = 2 << 30
"""Bytes of weights in one file, about: what is held in memory at a time."""
ROWS = 64
"""An embedding that must grow grows to a multiple of this, as those of transformers' LLaVA checkpoints."""

ENCODERS = {"clip": "clip", "clip_vision_model": "clip", "siglip": "siglip", "siglip_vision_model": "siglip"}
"""``model_type`` of a vision checkpoint -> its kind."""

VISION, LLM, ADAPTER = "vision_tower.", "language_model.", "multi_modal_projector."
_LEFT_OUT = ("position_ids", "rotary_emb.inv_freq")
"""Ends of names of what older checkpoints store and today's models compute."""

Weights = Iterator[tuple[str, Tensor]]


@dataclass(frozen=True)
class Parts:
    """What is put together, and the config of the result."""

    assembly: Assembly
    vision: Path
    llm: Path
    encoder: str
    vocabulary: Vocabulary
    config: LlavaConfig
    pictures: PictureSettings

    @property
    def dtype(self) -> str:
        """Number format of the language model's weights, as its config names it."""
        return str(self.config.text_config.dtype or "float32").removeprefix("torch.")


def assemble(request: AssembleRequest) -> tuple[Path, bool]:
    """Put a checkpoint together unless it is there. ``(folder, whether it was there)``; Refusal for unfit parts."""
    home = Home(Path(request.home))
    found = home.find("models", request.digest)
    if found is not None:
        return found, True
    parts = read_parts(request.assembly, Path(request.vision), Path(request.llm))
    record = Record(
        kind="model",
        name=request.name,
        digest=request.digest,
        inputs=request.inputs,
        settings=request.assembly.model_dump(mode="json"),
        versions={"torch": torch.__version__, "transformers": transformers.__version__},
        command=f"train --scale with base {request.assembly.vision} + {request.assembly.llm}",
    )
    folder = home.folder("models", request.name, request.digest)
    with home.making(folder, record) as work:
        write_checkpoint(parts, work / CHECKPOINT)
        record.settings[FILES] = base_digest(work / CHECKPOINT)
    return folder, False


def read_parts(assembly: Assembly, vision: Path, llm: Path) -> Parts:
    """Look at both parts' settings; raises Refusal for what cannot be joined."""
    raw_vision, raw_text = _read_json(vision / "config.json"), _read_json(llm / "config.json")
    encoder = ENCODERS.get(str(raw_vision.get("model_type")))
    if encoder is None:
        what = f"is no vision encoder known here (model_type {raw_vision.get('model_type')!r})"
        raise Refusal(str(vision), what, f"give one of: {', '.join(sorted(ENCODERS))}")
    vision_config = _config_of(raw_vision.get("vision_config", raw_vision), f"{encoder}_vision_model", vision)
    if encoder == "siglip":
        vision_config.vision_use_head = False  # a pooling head that LLaVA never reads
        if assembly.select != "patch":
            raise Refusal(str(vision), "SigLIP has no class token", "leave 'select' at 'patch'")
    text_config = _config_of(raw_text, str(raw_text.get("model_type")), llm)
    vocabulary = read_vocabulary(llm, int(text_config.vocab_size))
    config = _joined(assembly, encoder, vision_config, text_config, vocabulary)
    pictures = PictureSettings.read(vision, int(vision_config.image_size))
    return Parts(assembly, vision, llm, encoder, vocabulary, config, pictures)


def _config_of(raw: dict[str, Any], kind: str, folder: Path) -> Any:
    """A part's config, by a class that ships with transformers: a checkpoint's own code is never run."""
    if kind not in CONFIG_MAPPING:
        what = f"is of a kind that transformers {transformers.__version__} does not know (model_type {kind!r})"
        raise Refusal(str(folder), what, "give a model whose code is part of transformers")
    known = {name: value for name, value in raw.items() if name not in {"auto_map", "transformers_version"}}
    try:
        return CONFIG_MAPPING[kind].from_dict({**known, "model_type": kind})
    except (TypeError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise Refusal(str(folder / "config.json"), f"does not fit ({reason})", "copy the checkpoint again") from None


def _joined(
    assembly: Assembly, encoder: str, vision_config: Any, text_config: Any, vocabulary: Vocabulary
) -> LlavaConfig:
    """The settings of the whole, as transformers reads them."""
    rows = vocabulary.rows(int(text_config.vocab_size), ROWS)
    text_config.vocab_size = rows
    side = int(vision_config.image_size) // int(vision_config.patch_size)
    classes = int(encoder == "clip")
    strategy = "default" if classes and assembly.select == "patch" else "full"
    return LlavaConfig(
        vision_config=vision_config,
        text_config=text_config,
        image_token_index=vocabulary.image_id,
        image_seq_length=side * side + (classes if strategy == "full" else 0),
        projector_hidden_act="gelu",
        multimodal_projector_bias=True,
        vision_feature_layer=assembly.vision_feature_layer,
        vision_feature_select_strategy=strategy,
        tie_word_embeddings=bool(text_config.tie_word_embeddings),
        pad_token_id=vocabulary.pad_id,
        architectures=["LlavaForConditionalGeneration"],
    )


def write_checkpoint(parts: Parts, out: Path) -> None:
    """Every file of the joined checkpoint; Refusal when the parts' weights are not those their configs speak of."""
    out.mkdir(parents=True)
    for name, data in parts.vocabulary.files().items():
        (out / name).write_bytes(data)
    (out / PREPROCESSOR).write_bytes(dump_json(parts.pictures.as_preprocessor()))
    (out / "processor_config.json").write_bytes(dump_json(_processor(parts)))
    (out / "generation_config.json").write_bytes(dump_json(parts.vocabulary.generation()))
    config = json.loads(parts.config.to_json_string(use_diff=False))
    for part in (config, config["text_config"], config["vision_config"]):
        part["dtype"] = parts.dtype
    (out / "config.json").write_bytes(dump_json(config))
    sizes = _write_weights(weights(parts), out)
    _check_weights(parts, sizes)


def _processor(parts: Parts) -> dict[str, Any]:
    """What transformers' LlavaProcessor must know to expand a picture's place."""
    return {
        "processor_class": "LlavaProcessor",
        "patch_size": int(parts.config.vision_config.patch_size),
        "vision_feature_select_strategy": parts.config.vision_feature_select_strategy,
        "num_additional_image_tokens": int(parts.encoder == "clip"),
        "image_token": parts.vocabulary.image_token,
    }


def weights(parts: Parts) -> Weights:
    """Every tensor of the whole under its stored name, in a fixed order."""
    for name, value in _stored(parts.vision):
        inner = name if name.startswith("vision_model.") else f"vision_model.{name}"
        text_side = name.startswith(("text_model.", "text_projection", "visual_projection", "logit_"))
        if not text_side and not inner.startswith("vision_model.head."):
            yield VISION + inner, value
    yield from _adapter(parts)
    grows = ("model.embed_tokens.weight", "lm_head.weight")
    for name, value in _stored(parts.llm):
        if name == "lm_head.weight" and parts.config.tie_word_embeddings:
            continue
        yield LLM + name, _grown(value, int(parts.config.text_config.vocab_size)) if name in grows else value


def _stored(folder: Path) -> Weights:
    """The tensors of a folder's safetensors files, one at a time, files and names in order."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                for name in sorted(file.keys()):
                    if not name.endswith(_LEFT_OUT):
                        yield name, file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise Refusal(str(path), f"cannot be read ({reason})", "fetch or copy it again") from None


def _adapter(parts: Parts) -> Weights:
    """Two linear layers as ``torch.nn.Linear`` starts them: uniform within 1 / sqrt(width of what comes in)."""
    generator = torch.Generator().manual_seed(parts.assembly.seed)
    width = int(parts.config.text_config.hidden_size)
    for layer, inner in (("linear_1", int(parts.config.vision_config.hidden_size)), ("linear_2", width)):
        bound = 1 / math.sqrt(inner)
        for name, shape in (("weight", (width, inner)), ("bias", (width,))):
            yield f"{ADAPTER}{layer}.{name}", torch.empty(shape).uniform_(-bound, bound, generator=generator)


def _grown(value: Tensor, rows: int) -> Tensor:
    """An embedding with rows added that are the mean of those it has."""
    if len(value) >= rows:
        return value
    mean = value.mean(dim=0, keepdim=True, dtype=torch.float32).to(value.dtype)
    return torch.cat((value, mean.expand(rows - len(value), -1)))


def _write_weights(tensors: Weights, out: Path) -> dict[str, tuple[int, ...]]:
    """Files of about ``SHARD_BYTES`` and their index; the shape of every tensor."""
    shapes: dict[str, tuple[int, ...]] = {}
    files: list[list[str]] = []
    held: dict[str, Tensor] = {}
    total = 0

    def write() -> None:
        save_file(held, out / f"part-{len(files):05}.safetensors", metadata={"format": "pt"})
        files.append(list(held))
        held.clear()

    for name, value in tensors:
        if held and sum(map(_bytes, held.values())) + _bytes(value) > SHARD_BYTES:
            write()
        held[name] = value.contiguous()
        shapes[name] = tuple(value.shape)
        total += _bytes(value)
    write()
    named = {number: f"model-{number + 1:05}-of-{len(files):05}.safetensors" for number in range(len(files))}
    if len(files) == 1:
        named = {0: "model.safetensors"}
    for number, name in named.items():
        path = (out / f"part-{number:05}.safetensors").rename(out / name)
        path.chmod(0o644)  # the library writes for the owner alone; a data home may be shared
    if len(files) > 1:
        index = {name: named[number] for number, names in enumerate(files) for name in names}
        data = {"metadata": {"total_size": total}, "weight_map": index}
        (out / "model.safetensors.index.json").write_bytes(dump_json(data))
    return shapes


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()


def _check_weights(parts: Parts, found: dict[str, tuple[int, ...]]) -> None:
    """Every weight of the model must be there in its size, and no other."""
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(parts.config)
    wanted = {name: tuple(value.shape) for name, value in model.named_parameters()}
    here = {_module_name(name): shape for name, shape in found.items()}
    for name in sorted(wanted.keys() | here.keys()):
        if wanted.get(name) == here.get(name):
            continue
        folder = parts.vision if "vision_tower" in name else parts.llm
        if name not in here:
            raise Refusal(str(folder), f"lacks the weight {name}", "check that the copy is whole")
        what = f"has a weight {name} of shape {list(here[name])}"
        expected = f"expects {list(wanted[name])}" if name in wanted else "knows none of this name"
        raise Refusal(str(folder), f"{what}; the config {expected}", "give a checkpoint whose files belong together")


def _module_name(stored: str) -> str:
    """The name that a weight has in the model, from its name on disk."""
    if stored.startswith(LLM):
        inner = stored.removeprefix(LLM)
        return inner if inner.startswith("lm_head.") else f"model.language_model.{inner.removeprefix('model.')}"
    return f"model.{stored.replace('vision_tower.vision_model.', 'vision_tower.')}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise Refusal(str(path), f"cannot be read ({reason})", "give a folder in transformers' layout") from None
    if not isinstance(raw, dict):
        raise Refusal(str(path), "is no JSON object", "give a folder in transformers' layout")
    return raw
