"""``python -m tests.registry.read_mix WHERE SEED EPOCH PLACE WORLD WORKERS``: read a mix with that many processes.

Each takes its share; their samples are printed in turns, one line each: place, position, id, digest of the pictures.
Made to be killed at any instant.
"""

from __future__ import annotations

import hashlib
import os
import sys
from io import TextIOWrapper

from registry.mix_stream import Mix, Progress, Share, open_mix


def line(place: int, position: int, name: str, images: list[bytes]) -> str:
    """What is printed of a sample."""
    digest = hashlib.sha256(b"".join(images)).hexdigest()[:16]
    return f"{place} {position} {name} {digest}\n"


def forked(mix: Mix, seed: int, start: Progress, share: Share) -> TextIOWrapper:
    """A process that reads one share into a pipe; the end to read from."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        return os.fdopen(reading)
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        for done, sample in mix.stream(mix.order(seed), start, share, ahead=7):
            out.write(line(done.place - 1, sample.position, sample.id, sample.images))
            out.flush()
    os._exit(0)


def main() -> None:
    """Print the samples in turns."""
    where, *numbers = sys.argv[1:]
    seed, epoch, place, world, workers = map(int, numbers)
    mix, start = open_mix(where), Progress(epoch, place)
    pipes = [
        forked(mix, seed, start, Share(turn % world, world, turn // world, workers)) for turn in range(world * workers)
    ]
    for turn in range(len(mix) - place):
        print(pipes[turn % len(pipes)].readline(), end="", flush=True)
    assert not any(pipe.read() for pipe in pipes), "a share goes on after the end"


if __name__ == "__main__":
    main()
