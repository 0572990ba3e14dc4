"""From picture bytes to the numbers a vision tower reads, the same way in training and in scoring.

The picture is padded to a square with CLIP's mean colour (nothing is cropped away, as LLaVA-1.5 does for
fine-tuning and evaluation) or cut to its middle (as LLaVA-1.5 does for its first stage), resized bicubically, and
normalised. Pillow and numpy only.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from registry.errors import Refusal
from registry.image_decoder import FORMATS, MAX_PIXELS, eight_bits, on_white
from registry.yaml_file import StrictModel

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
PREPROCESSOR = "preprocessor_config.json"

Square = npt.NDArray[np.uint8]
Fit = Literal["pad", "crop"]


class PictureSettings(StrictModel):
    """Size and normalisation of a checkpoint's pictures."""

    size: int
    """Pixels along a side of the square that the tower reads."""
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    fit: Fit = "pad"
    """How a picture that is no square becomes one."""

    @classmethod
    def read(cls, folder: Path, size: int) -> PictureSettings:
        """From ``preprocessor_config.json``; Refusal where there is none: towers differ in what they were taught."""
        path = folder / PREPROCESSOR
        if not path.is_file():
            way = "copy it from where the checkpoint was published"
            raise Refusal(str(folder), f"has no {PREPROCESSOR}, which says how its pictures are normalised", way)
        try:
            raw = json.loads(path.read_bytes())
            return cls(size=size, mean=raw.get("image_mean", CLIP_MEAN), std=raw.get("image_std", CLIP_STD))
        except (ValueError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise Refusal(str(path), f"damaged ({reason})", "copy the checkpoint again") from None

    def as_preprocessor(self) -> dict[str, Any]:
        """The file that transformers' LLaVA processor reads; it pads as we do."""
        return {
            "image_processor_type": "LlavaImageProcessor",
            "do_pad": True,
            "do_resize": True,
            "size": {"shortest_edge": self.size},
            "do_center_crop": True,
            "crop_size": {"height": self.size, "width": self.size},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "do_convert_rgb": True,
            "resample": int(Image.Resampling.BICUBIC),
        }


def square(data: bytes, settings: PictureSettings, where: str) -> Square:
    """uint8 [size, size, 3] from the bytes of a picture file; Refusal (naming ``where``) for what is none."""
    image = rgb(data, where)
    if settings.fit == "crop":
        image = _middle(image, settings.size)
    else:
        image = _pad(image, tuple(int(255 * m) for m in settings.mean))
    if image.size != (settings.size, settings.size):
        image = image.resize((settings.size, settings.size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def rgb(data: bytes, where: str) -> Image.Image:
    """A picture in 8-bit RGB from the bytes of its file; Refusal (naming ``where``) for what is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Refusal(where, f"has more than {MAX_PIXELS:,} pixels", "leave the picture out")
                return _flatten(image)
    except UnidentifiedImageError:
        raise Refusal(where, "is not a picture", "leave it out, or pull its data again") from None
    except (OSError, ValueError, SyntaxError) as error:  # Pillow's kinds for damaged files
        raise Refusal(where, f"cannot be decoded ({error})", "leave it out, or pull its data again") from None


def _flatten(image: Image.Image) -> Image.Image:
    """RGB with 8 bits a channel, over white."""
    return on_white(eight_bits(image)).convert("RGB")


def _middle(image: Image.Image, size: int) -> Image.Image:
    """CLIP's own way: the short side resized to ``size``, then the middle of the long one."""
    short = min(image.size)
    width, height = (size * side // short for side in image.size)  # the long side is cut off below, as CLIP does
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


def _pad(image: Image.Image, colour: tuple[int, ...]) -> Image.Image:
    """The picture in the middle of a square of ``colour``."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
