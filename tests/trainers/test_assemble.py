"""A checkpoint put together from parts: their own numbers, LLaVA's arithmetic, and plain transformers agrees."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
    CLIPVisionModel,
    LlavaForConditionalGeneration,
    SiglipVisionModel,
)

from registry.assembly import FILES, Assembly
from registry.checkpoint import CHECKPOINT, base_digest
from registry.errors import Refusal
from registry.sample import make_message
from registry.store import Home, read_record
from tests.trainers.families import clip_folder, llama_folder, qwen_folder, siglip_folder, yi_folder
from tests.trainers.test_picture import data
from tests.trainers.toy import files_of
from trainers import assemble as module
from trainers.assemble import assemble, read_parts, write_checkpoint
from trainers.chat import template
from trainers.features import normalised
from trainers.model import load_checkpoint
from trainers.picture import square
from trainers.requests import AssembleRequest
from trainers.tokenizer_check import check_tokenizer

ENCODERS: dict[str, Callable[[Path], Path]] = {"clip": clip_folder, "siglip": siglip_folder}
MODELS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "vicuna": (llama_folder, "vicuna_v1"),
    "vicuna-not-legacy": (lambda folder: llama_folder(folder, legacy=False), "vicuna_v1"),
    "qwen": (qwen_folder, "chatml_qwen1.5"),
    "qwen-tied": (lambda folder: qwen_folder(folder, tied=True), "chatml_qwen2.5"),
    "yi": (yi_folder, "chatml_yi"),
}
ASSEMBLY = Assembly(vision="org/vision@1", llm="org/llm@1")


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every part, once."""
    root = tmp_path_factory.mktemp("parts")
    for name, make in ENCODERS.items():
        make(root / name)
    for name, (make, _) in MODELS.items():
        make(root / name)
    return root


def joined(parts: Path, out: Path, vision: str = "clip", llm: str = "vicuna", **changes: Any) -> Path:
    assembly = ASSEMBLY.model_copy(update=changes)
    write_checkpoint(read_parts(assembly, parts / vision, parts / llm), out)
    return out


def by_hand(parts: Path, out: Path, vision: str, llm: str, ids: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """LLaVA's arithmetic written out over the parts themselves, with the new adapter alone taken from the result."""
    from safetensors.torch import load_file

    kind = CLIPVisionModel if vision == "clip" else SiglipVisionModel
    tower, decoder = kind.from_pretrained(parts / vision), AutoModelForCausalLM.from_pretrained(parts / llm)
    adapter = {name.partition(".")[2]: value for name, value in load_file(out / "model.safetensors").items()}
    found = tower(pixels, output_hidden_states=True).hidden_states[-2]
    found = found[:, 1:] if vision == "clip" else found
    inner = torch.nn.functional.linear(found, adapter["linear_1.weight"], adapter["linear_1.bias"])
    inner = torch.nn.functional.gelu(inner)
    features = torch.nn.functional.linear(inner, adapter["linear_2.weight"], adapter["linear_2.bias"])
    image = json.loads((out / "config.json").read_bytes())["image_token_index"]
    places = ids == image
    embedded = decoder.get_input_embeddings()(ids.masked_fill(places, 0))
    embedded = embedded.masked_scatter(places[..., None], features.to(embedded.dtype))
    logits: torch.Tensor = decoder(inputs_embeds=embedded).logits
    return logits


@pytest.mark.parametrize("vision", sorted(ENCODERS))
@pytest.mark.parametrize("llm", sorted(MODELS))
def test_plain_transformers_reads_it_and_the_parts_say_the_same(
    parts: Path, tmp_path: Path, vision: str, llm: str
) -> None:
    out = joined(parts, tmp_path / "out", vision, llm)
    form = template(MODELS[llm][1])
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 20, 3), dtype=np.uint8))
    text = form.prompt([make_message("user", "What is this?", 1)])
    inputs = AutoProcessor.from_pretrained(out)(images=picture, text=text, return_tensors="pt")
    ours = load_checkpoint(out)
    check_tokenizer(ours.tokens, form)
    (encoded,) = ours.tokens.encode_prompts([text], ours.image_tokens)
    assert inputs["input_ids"][0].tolist() == encoded.ids.tolist()
    pixels = normalised(torch.tensor(square(data(picture), ours.pictures, "x")[None]), ours.pictures)
    assert torch.allclose(inputs["pixel_values"], pixels, atol=1e-5)
    plain, report = LlavaForConditionalGeneration.from_pretrained(out, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.no_grad():
        logits = plain(**inputs).logits
        assert torch.equal(logits, ours.model(**inputs).logits)
        expected = by_hand(parts, out, vision, llm, inputs["input_ids"], inputs["pixel_values"])
    assert torch.allclose(logits[..., : expected.shape[-1]], expected, atol=1e-5)


def test_llamas_vocabulary_grows_by_rows_of_the_mean_and_qwens_has_room(parts: Path, tmp_path: Path) -> None:
    grown = load_checkpoint(joined(parts, tmp_path / "a", llm="vicuna")).model
    had = AutoModelForCausalLM.from_pretrained(parts / "vicuna")
    rows = had.config.vocab_size
    assert grown.config.text_config.vocab_size == -(-(rows + 1) // 64) * 64
    assert grown.config.image_token_id == rows
    for mine, theirs in (
        (grown.get_input_embeddings().weight, had.get_input_embeddings().weight),
        (grown.lm_head.weight, had.lm_head.weight),
    ):
        assert torch.equal(mine[:rows], theirs)
        assert torch.allclose(mine[rows:], theirs.mean(0).expand(len(mine) - rows, -1), atol=1e-6)
    roomy = load_checkpoint(joined(parts, tmp_path / "b", llm="qwen")).model
    assert roomy.config.text_config.vocab_size == AutoModelForCausalLM.from_pretrained(parts / "qwen").config.vocab_size


def test_the_adapter_starts_as_linear_layers_do_and_depends_on_the_seed(parts: Path, tmp_path: Path) -> None:
    first, second, other = (
        load_checkpoint(joined(parts, tmp_path / name, seed=seed)).model.model.multi_modal_projector
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert torch.equal(first.linear_1.weight, second.linear_1.weight)
    assert not torch.equal(first.linear_1.weight, other.linear_1.weight)
    for layer, bound in ((first.linear_1, 16**-0.5), (first.linear_2, 32**-0.5)):
        assert 0.9 * bound < layer.weight.abs().max().item() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
        assert 0 < layer.bias.abs().max().item() <= bound


def test_ids_that_end_and_fill_are_the_language_models(parts: Path, tmp_path: Path) -> None:
    from transformers import GenerationConfig

    for llm, (begin, end, fill) in {"vicuna": (1, 2, 0), "yi": (1, [7, 2], 0)}.items():
        found = GenerationConfig.from_pretrained(joined(parts, tmp_path / llm, llm=llm))
        assert (found.bos_token_id, found.eos_token_id, found.pad_token_id) == (begin, end, fill)


def test_the_published_number_format_stays_and_files_are_split(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llama_folder(parts / "half", dtype=torch.bfloat16)
    monkeypatch.setattr(module, "SHARD_BYTES", 30_000)
    out = joined(parts, tmp_path / "out", llm="half")
    names = sorted(path.name for path in out.glob("*.safetensors"))
    assert len(names) > 2
    assert names[0] == f"model-00001-of-{len(names):05}.safetensors"
    model = LlavaForConditionalGeneration.from_pretrained(out, dtype="auto")
    half = AutoModelForCausalLM.from_pretrained(parts / "half", dtype="auto")
    assert model.dtype == half.dtype == torch.bfloat16
    assert torch.equal(model.model.language_model.layers[0].mlp.up_proj.weight, half.model.layers[0].mlp.up_proj.weight)


def request(parts: Path, home: Path, llm: str = "vicuna") -> AssembleRequest:
    digests = base_digest(parts / "clip"), base_digest(parts / llm)
    return AssembleRequest(
        do="assemble",
        home=str(home),
        name="clip+vicuna",
        digest=ASSEMBLY.digest(*digests),
        assembly=ASSEMBLY,
        vision=str(parts / "clip"),
        llm=str(parts / llm),
        inputs=dict(zip(("vision", "llm"), digests, strict=True)),
    )


def test_an_assembly_is_made_once_with_equal_bytes_and_knows_its_files(parts: Path, tmp_path: Path) -> None:
    first, there = assemble(request(parts, tmp_path / "a"))
    assert not there
    assert assemble(request(parts, tmp_path / "a")) == (first, True)
    second, _ = assemble(request(parts, tmp_path / "b"))
    assert files_of(first) == files_of(second)
    assert read_record(first).settings[FILES] == base_digest(first / CHECKPOINT)
    assert Home(tmp_path / "a").find("models", request(parts, tmp_path).digest) == first


def test_a_tokenizer_is_read_the_same_by_plain_transformers(parts: Path, tmp_path: Path) -> None:
    text = "Ends.</s>USER: again <image>\nWhat?"
    for llm in MODELS:
        out = joined(parts, tmp_path / llm, llm=llm)
        plain = AutoTokenizer.from_pretrained(out)
        assert plain(text)["input_ids"] == load_checkpoint(out).tokens.encode_prompts([text], 1)[0].ids.tolist()


def _edit(name: str, **changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))

    return edit


def _drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:4000])


@pytest.mark.parametrize(
    ("part", "damage", "says"),
    [
        ("clip", _edit("config.json", model_type="dinov2"), "is no vision encoder known here"),
        ("clip", _drop("config.json"), "cannot be read"),
        ("clip", _cut, "cannot be read"),
        ("vicuna", _edit("config.json", model_type="mine", auto_map={"AutoConfig": "x.Y"}), "does not know"),
        ("vicuna", _edit("config.json", hidden_size=64), "of shape"),
        ("vicuna", _edit("config.json", num_hidden_layers=3), "lacks the weight"),
        ("vicuna", _edit("config.json", vocab_size=10), "embedding has 10 rows"),
        ("vicuna", _drop("tokenizer.json"), "has no tokenizer.json"),
        ("vicuna", _edit("tokenizer_config.json", bos_token="<begin>"), None),
        ("yi", _edit("tokenizer_config.json", add_bos_token=True, bos_token="<begin>"), "asks for a mark"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    parts: Path, tmp_path: Path, part: str, damage: Callable[[Path], None], says: str | None
) -> None:
    for name in ("clip", "vicuna", "yi"):
        shutil.copytree(parts / name, tmp_path / name)
    damage(tmp_path / part)
    llm = part if part != "clip" else "vicuna"
    if says is None:  # the mark that tokenizer.json writes is what counts
        assert joined(tmp_path, tmp_path / "out", llm=llm).is_dir()
        return
    with pytest.raises(Refusal, match=says):
        joined(tmp_path, tmp_path / "out", llm=llm)


def test_siglip_has_no_class_token_to_select(parts: Path, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no class token"):
        joined(parts, tmp_path / "out", "siglip", select="cls_patch")
    kept = joined(parts, tmp_path / "kept", "clip", select="cls_patch")
    assert load_checkpoint(kept).image_tokens == 5
