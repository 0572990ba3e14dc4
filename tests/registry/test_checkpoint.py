"""Base checkpoints: what their files are makes the digest; weights that could run code are never taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.checkpoint import DEMO_FOLDER, base_digest, base_folder
from registry.errors import Refusal


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder in the layout of transformers, with made-up bytes."""
    folder = tmp_path / "base"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    return folder


def test_a_folder_with_safetensors_is_a_base(checkpoint: Path) -> None:
    assert base_folder(str(checkpoint)) == checkpoint


def test_the_demo_is_the_packaged_one() -> None:
    if any(DEMO_FOLDER.glob("*.safetensors")):
        assert base_folder("demo") == DEMO_FOLDER
    else:
        with pytest.raises(Refusal, match="has no safetensors weights"):
            base_folder("demo")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt", "weights.pkl"])
def test_pickled_weights_alone_are_refused(checkpoint: Path, name: str) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / name)
    with pytest.raises(Refusal, match="pickled weights, which can run code"):
        base_folder(str(checkpoint))


def test_a_folder_without_weights_and_no_folder_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    for folder in (checkpoint, tmp_path / "absent", checkpoint / "config.json"):
        with pytest.raises(Refusal, match="has no safetensors weights"):
            base_folder(str(folder))


def test_the_digest_covers_every_name_and_byte(checkpoint: Path) -> None:
    digests = [base_digest(checkpoint)]
    (checkpoint / "model.safetensors").write_bytes(b"weightz")
    digests.append(base_digest(checkpoint))
    (checkpoint / "tokenizer" / "vocab.json").rename(checkpoint / "tokenizer" / "vocab2.json")
    digests.append(base_digest(checkpoint))
    (checkpoint / "extra.json").write_text("")
    digests.append(base_digest(checkpoint))
    assert len(set(digests)) == 4


def test_the_digest_is_the_same_wherever_the_folder_lies(checkpoint: Path, tmp_path: Path) -> None:
    before = base_digest(checkpoint)
    assert base_digest(checkpoint.rename(tmp_path / "moved")) == before


def test_what_a_download_or_a_system_leaves_hidden_is_no_part_of_it(checkpoint: Path) -> None:
    before = base_digest(checkpoint)
    (checkpoint / ".DS_Store").write_text("x")
    cache = checkpoint / ".cache" / "huggingface" / "download"
    cache.mkdir(parents=True)
    (cache / "model.safetensors.metadata").write_text("1732345678.9")
    assert base_digest(checkpoint) == before


def test_hidden_weights_are_no_weights(checkpoint: Path) -> None:
    (checkpoint / ".git").mkdir()
    (checkpoint / "model.safetensors").rename(checkpoint / ".git" / "model.safetensors")
    with pytest.raises(Refusal, match="has no safetensors weights"):
        base_folder(str(checkpoint))
