"""The process that downloads: img2dataset, shard after shard, with guarded connections.

``python -m curator.fetching.child`` reads JSON lines: first the limits, then shards (a table of addresses, a folder to
write to); it answers with JSON lines. img2dataset's own command would start further processes (which know no guard),
look its shards up by itself, and install a signal handler; its downloader of one shard, which is what its Ray and
Spark modes call too, runs here in this process. When the other side is gone, so is this process, at once.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import urllib.request
from collections.abc import Iterator
from typing import IO, Any

from curator.fetching.guard import Limits
from curator.fetching.opener import Opener

COLUMNS = ("position", "url")
"""Of a shard's table, and of what is written about it."""
EXTENSION = "jpg"
"""Of members of a shard's tar, whatever kind of picture they are."""
SHARD = "00000"
"""img2dataset's name of the only shard in a folder."""
_TOLD_EVERY = 0.5
"""Seconds between two signs of progress."""


class Answers:
    """The stream back; what libraries print goes to stderr instead."""

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def tell(self, **answer: Any) -> None:
        """Write one line."""
        with self._lock:
            self._stream.write(json.dumps(answer) + "\n")
            self._stream.flush()


def requests(stream: IO[str]) -> Iterator[dict[str, Any]]:
    """The lines as they come, read by a thread of its own that ends the process when there will be no more."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in stream:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        request: dict[str, Any] = json.loads(lines.get())
        yield request


def downloader(folder: str, rows: int, threads: int) -> Any:
    """img2dataset's downloader of one shard: bytes as published, no second attempts of its own."""
    from img2dataset.downloader import Downloader
    from img2dataset.resizer import Resizer
    from img2dataset.writer import WebDatasetSampleWriter

    return Downloader(
        sample_writer_class=WebDatasetSampleWriter,
        resizer=Resizer(1, "no", resize_only_if_bigger=False, disable_all_reencoding=True),
        thread_count=threads,
        save_caption=False,
        extract_exif=False,
        output_folder=folder,
        column_list=list(COLUMNS),
        timeout=None,  # the opener has the limits, the attempts and the wishes of publishers
        number_sample_per_shard=max(rows, 2),
        oom_shard_count=len(SHARD),
        compute_hash=None,
        verify_hash_type=None,
        encode_format=EXTENSION,
        retries=0,
        user_agent_token=None,
        disallowed_header_directives=None,
    )


def serve(answers: Answers, asked: Iterator[dict[str, Any]]) -> None:
    """Download shards until the process ends, each in a thread: one that waits for a slow server stops no other."""
    first = next(asked)
    opener = Opener(Limits(**first["limits"]))
    urllib.request.install_opener(opener)
    threading.Thread(target=_tell_progress, args=(answers, opener), daemon=True).start()
    for shard in asked:
        download = downloader(shard["folder"], shard["rows"], first["threads"])
        threading.Thread(target=_download, args=(answers, opener, download, shard), daemon=True).start()


def _download(answers: Answers, opener: Opener, download: Any, shard: dict[str, Any]) -> None:
    done, _ = download((int(SHARD), shard["table"]))  # it catches and prints whatever goes wrong
    answers.tell(event="done" if done else "failed", number=shard["number"], finished=opener.finished)


def _tell_progress(answers: Answers, opener: Opener) -> None:
    told = 0
    pause = threading.Event()
    while not pause.wait(_TOLD_EVERY):
        if opener.finished > told:
            told = opener.finished
            answers.tell(event="progress", finished=told)


def main() -> None:
    """Serve stdin."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # or it asks the network for its newest version
    os.environ["WANDB_MODE"] = "disabled"
    serve(Answers(), requests(sys.stdin))


if __name__ == "__main__":
    main()
