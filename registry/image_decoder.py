"""What Pillow says of a picture: its size and kind, once it was decoded to the last pixel."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

MAX_PIXELS = 100_000_000
"""Pictures beyond this are refused before they are decoded (a pixel bomb is a small file)."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Raster formats that Pillow decodes itself; SVG, PDF and HTML are not pictures here."""

_DAMAGED = (
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
    except _DAMAGED:
        raise BadImage("image cannot be decoded") from None
    return width, height, {"jpeg": "jpg", "mpo": "jpg"}.get(kind, kind)  # MPO: a JPEG that others follow in one file
