"""Pictures are padded, never cropped; what is no picture is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from registry.errors import Refusal
from trainers.features import normalised
from trainers.picture import CLIP_MEAN, CLIP_STD, PREPROCESSOR, PictureSettings, square

SETTINGS = PictureSettings(size=8)


def data(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_a_wide_picture_is_padded_with_the_mean_colour() -> None:
    found = square(data(Image.new("RGB", (8, 4), (255, 0, 0))), SETTINGS, "x")
    assert found.shape == (8, 8, 3)
    assert found[0, 0].tolist() == [122, 116, 104]  # LLaVA cuts the fraction off
    assert found[4, 4].tolist() == [255, 0, 0]


def test_a_wide_picture_is_cut_to_its_middle_as_clip_does() -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    crop = SETTINGS.model_copy(update={"fit": "crop"})
    theirs = CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    for size in ((31, 17), (9, 40), (8, 8), (5, 3)):
        picture = Image.fromarray(np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8))
        ours = normalised(torch.tensor(square(data(picture), crop, "x")[None]), crop).numpy()
        assert np.allclose(ours, theirs(picture, return_tensors="np")["pixel_values"], atol=1e-5)


def test_a_picture_of_the_right_size_is_untouched() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(square(data(Image.fromarray(pixels)), SETTINGS, "x"), pixels)


def test_large_pictures_are_resized_and_clear_ones_stand_on_white() -> None:
    clear = Image.new("RGBA", (30, 30), (10, 20, 30, 0))
    assert square(data(clear), SETTINGS, "x").tolist() == np.full((8, 8, 3), 255).tolist()
    palette = Image.new("P", (20, 20), 0)
    assert square(data(palette, transparency=0), SETTINGS, "x").mean() == 255
    assert square(data(Image.new("L", (99, 40), 7)), SETTINGS, "x").shape == (8, 8, 3)


def test_normalised_pixels_are_clips() -> None:
    found = normalised(torch.zeros(1, 8, 8, 3, dtype=torch.uint8), SETTINGS)
    assert found.shape == (1, 3, 8, 8)
    assert np.allclose(found[0, :, 0, 0].numpy(), [-m / s for m, s in zip(CLIP_MEAN, CLIP_STD, strict=True)])


@pytest.mark.parametrize("bad", [b"", b"no picture", data(Image.new("RGB", (40, 40)))[:60]])
def test_what_is_no_picture_is_refused_by_name(bad: bytes) -> None:
    with pytest.raises(Refusal, match="image 0123"):
        square(bad, SETTINGS, "image 0123")


def test_settings_are_read_from_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="how its pictures are normalised"):
        PictureSettings.read(tmp_path, 24)
    (tmp_path / PREPROCESSOR).write_text(json.dumps({"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}))
    assert PictureSettings.read(tmp_path, 24).mean == (0.5, 0.5, 0.5)
    (tmp_path / PREPROCESSOR).write_text(json.dumps(PictureSettings(size=24).as_preprocessor()))
    assert PictureSettings.read(tmp_path, 24) == PictureSettings(size=24)
    (tmp_path / PREPROCESSOR).write_text("[")
    with pytest.raises(Refusal, match="damaged"):
        PictureSettings.read(tmp_path, 24)
