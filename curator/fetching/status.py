"""What can become of an address: the words in the column ``status``. An HTTP status is ``http 404``."""

from __future__ import annotations

import re

ARRIVED = "arrived"
BAD_ADDRESS = "bad address"
"""No http(s) address that could be asked for."""
REFUSED_ADDRESS = "refused address"
"""It leads into a private network, to the machine itself, or to another protocol."""
DNS = "dns"
TLS = "tls"
CONNECTION = "connection"
"""Refused, reset, or ended before the picture did."""
TIMEOUT = "timeout"
"""Nothing came for too long."""
TOO_SLOW = "too slow"
"""Something came all the time, and the picture was not whole when its time was over."""
REDIRECT_LOOP = "redirect loop"
OPT_OUT = "opt-out"
"""Its publisher does not want it used for this."""
NOT_AN_IMAGE = "not an image"
DAMAGED_IMAGE = "damaged image"
TOO_SMALL = "too small"
TOO_LARGE = "too large"
TOO_MANY_PIXELS = "too many pixels"
CHANGED = "changed"
"""A picture, and not the one that was announced."""
OTHER = "other"

_WORDS = {value for name, value in list(globals().items()) if name.isupper() and isinstance(value, str)}
_HTTP = re.compile(r"http [1-9]\d\d")


def known(status: str) -> str:
    """``status`` when it is one of these words, else ``other``: nothing from a server gets into an account."""
    return status if status in _WORDS or _HTTP.fullmatch(status) else OTHER


class Unfetched(Exception):
    """Raised while one address is asked: its text is the status."""

    def __init__(self, status: str, *, passing: bool = False, pause: float | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.passing = passing
        """Whether another attempt may help."""
        self.pause = pause
        """Seconds that the server asks to wait before it."""
