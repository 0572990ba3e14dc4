"""``python -m trainers serve`` and ``train``: train and score on request (see ``trainers.serve``)."""

from __future__ import annotations

import argparse
import logging
import os
import pathlib
import sys


def main(arguments: list[str] | None = None) -> int:
    """Parse, then load what needs torch; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m trainers", description="Train and score models on request.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="JSON requests on standard input, events on standard output")
    one = commands.add_parser("train", help="one training; under torchrun one of its processes")
    one.add_argument("request", type=pathlib.Path, help="file with the request, of 'curator train --request'")
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    # Set before the libraries are loaded: one thread each, no downloads, no advice on standard error.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        from trainers.serve import serve, train_one
    except ImportError as error:
        sys.stderr.write(f"trainers: {error}\n  way out: pip install 'vlm-curator[train]'\n")
        return 1
    return serve() if given.command == "serve" else train_one(given.request)


if __name__ == "__main__":
    raise SystemExit(main())
