"""A base checkpoint from random weights: a small model and its tokenizer, trained stage by stage on mixes.

This is how the checkpoint that ships with the demo is made. Equal settings give equal bytes.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from registry.checkpoint import BUILT, base_digest
from registry.errors import Refusal
from registry.mix import MixReader
from registry.store import Home, dump_json
from registry.trial import Runtime
from trainers.features import Features
from trainers.feed import Feed
from trainers.forward import Network
from trainers.loader import load_corpus
from trainers.loop import Loop, Tell
from trainers.model import Checkpoint, SpecialIds, freeze, load_checkpoint, new_model, save_checkpoint
from trainers.picture import PREPROCESSOR, PictureSettings
from trainers.requests import BaseRequest, BaseSettings, Shape
from trainers.tokenizer_build import build_tokenizer, tokenizer_files
from trainers.tokens import END_TOKEN, IMAGE_TOKEN, PAD_TOKEN, Tokens
from trainers.train import prepare_torch
from trainers.workshop import Workshop

logger = logging.getLogger(__name__)


def build_base(workshop: Workshop, request: BaseRequest, tell: Tell) -> str:
    """Build into the request's folder; the digest of its files."""
    settings, folder = request.settings, Path(request.folder)
    if any(folder.glob("*.safetensors")):
        raise Refusal(str(folder), "holds weights already", "remove them, or give another folder")
    prepare_torch(request.runtime)
    readers = [MixReader(Home(Path(request.home)), part.mix) for part in settings.stages]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as aside:
        work = Path(aside) / "base"
        checkpoint = start(settings, work)
        losses = {}
        for number, (part, reader) in enumerate(zip(settings.stages, readers, strict=True)):
            corpus = load_corpus(reader, part.stage, settings.seed + number, workshop.tokens(checkpoint))
            freeze(checkpoint, part.stage.trains)
            features = Features(checkpoint, workshop.store(reader.home).read, workshop.pictures)
            network = Network(checkpoint, features, part.stage.precision)
            loss = _train(network, Feed(corpus, reader.home), request.runtime, tell)
            losses[f"{number + 1} {part.stage.name}"] = loss
        save_checkpoint(checkpoint, work, half=settings.half)
        (work / BUILT).write_bytes(dump_json(_how(settings, readers, losses)))
        folder.mkdir(exist_ok=True)
        for path in sorted(work.iterdir(), key=lambda path: (path.suffix == ".safetensors", path.name)):
            path.replace(folder / path.name)  # weights last: without them nothing takes the folder for a checkpoint
    load_checkpoint(folder)
    return base_digest(folder)


def start(settings: BaseSettings, work: Path) -> Checkpoint:
    """Tokenizer files in ``work``, and a model of random weights that fits them."""
    work.mkdir(parents=True)
    tokenizer = build_tokenizer(settings.words)
    pictures = PictureSettings(size=settings.shape.image_size)
    image, pad, end = (int(tokenizer.token_to_id(name) or 0) for name in (IMAGE_TOKEN, PAD_TOKEN, END_TOKEN))
    model = new_model(settings.shape, tokenizer.get_vocab_size(), SpecialIds(image, pad, end), settings.seed)
    for name, data in tokenizer_files(tokenizer).items():
        (work / name).write_bytes(data)
    (work / PREPROCESSOR).write_bytes(dump_json(pictures.as_preprocessor()))
    (work / "processor_config.json").write_bytes(dump_json(_processor(settings.shape)))
    image_tokens = (settings.shape.image_size // settings.shape.patch_size) ** 2
    return Checkpoint(model, Tokens(tokenizer, image, "new tokenizer"), pictures, work, image_tokens)


def _processor(shape: Shape) -> dict[str, Any]:
    """What transformers' LlavaProcessor must know to expand a picture's place."""
    return {
        "processor_class": "LlavaProcessor",
        "patch_size": shape.patch_size,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
        "image_token": IMAGE_TOKEN,
    }


def _train(network: Network, feed: Feed, runtime: Runtime, tell: Tell) -> float:
    """One stage; the mean loss of its last tenth."""
    corpus, name = feed.corpus, feed.corpus.stage.name
    logger.info("stage %s: %d samples, left out: %s", name, len(corpus.samples), corpus.rejected or "none")
    log = list(Loop(network, feed, runtime, lambda event: tell({**event, "stage": name})).run())
    tail = log[-max(len(log) // 10, 1) :]
    return sum(line.loss for line in tail) / len(tail)


def _how(settings: BaseSettings, readers: list[MixReader], losses: dict[str, float]) -> dict[str, Any]:
    """The record that stays with the weights."""
    stages = [
        {**part.stage.model_dump(mode="json"), "mix": reader.info.name, "mix_content": reader.info.content_digest}
        for part, reader in zip(settings.stages, readers, strict=True)
    ]
    described = {"seed": settings.seed, "shape": settings.shape.model_dump(), "words": len(settings.words)}
    return {**described, "stages": stages, "loss_at_end": {name: round(loss, 5) for name, loss in losses.items()}}
