"""What the tests of cards and of the recipes over them share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.curator.picture_server import PictureServer


@pytest.fixture(scope="module")
def web() -> Iterator[PictureServer]:
    """A server of the pictures that rows name by address."""
    with PictureServer() as server:
        yield server
