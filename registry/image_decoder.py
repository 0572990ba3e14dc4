"""What Pillow says of a picture: its size and kind, once it was decoded to the last pixel."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
"""Pictures beyond this are refused before they are decoded (a pixel bomb is a small file)."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Raster formats that Pillow decodes itself; SVG, PDF and HTML are not pictures here."""

DAMAGED = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise for damaged files."""


class BadImage(Exception):
    """These bytes are no usable picture; the message is a short reason that can be counted."""


def decoded(data: bytes) -> tuple[int, int, str]:
    """``(width, height, extension)`` of a picture; raises BadImage for what cannot be decoded to the end."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                kind = str(image.format).lower()
                if width * height > MAX_PIXELS:
                    raise BadImage("image has too many pixels")
                image.load()  # a truncated file shows itself only when it is decoded
    except BadImage:
        raise
    except UnidentifiedImageError:
        raise BadImage("not a picture") from None
    except Image.DecompressionBombError:  # Pillow's own bound, met before ours when a header is absurd
        raise BadImage("image has too many pixels") from None
    except DAMAGED:
        raise BadImage("image cannot be decoded") from None
    return width, height, {"jpeg": "jpg", "mpo": "jpg"}.get(kind, kind)  # MPO: a JPEG that others follow in one file


def eight_bits(image: Image.Image) -> Image.Image:
    """The picture with 8 bits a channel: Pillow's own conversion cuts at 255, and such pictures turn white.

    16 bits are scaled. Real numbers are shades from 0 to 1, or from 0 to 255, where they stay within; what measures
    something else (a height, a depth) is spread over its own range.
    """
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode != "F":
        return image
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(image, np.float64), nan=0, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    return Image.fromarray(np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8))


def on_white(image: Image.Image) -> Image.Image:
    """The picture as a reader of a white page sees it: itself where nothing of it is transparent, else in RGBA."""
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image
    from PIL import Image

    picture = image.convert("RGBA")
    page = Image.new("RGBA", picture.size, "white")
    page.alpha_composite(picture)
    return page
