"""`python -m tests.hub --port P --data DIR`: a Hub on the loopback, to try `curator publish` and `curator pull` on."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from tests.hub.faults import parse
from tests.hub.server import READ_TOKEN, WRITE_TOKEN, Hub


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.hub", description=__doc__)
    parser.add_argument("--port", type=int, default=8400, help="0 takes any free port (default: 8400)")
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps the repositories")
    parser.add_argument("--quiet", action="store_true", help="no line for each request")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="ROUTE=KIND[*TIMES]",
        help="for example 'PUT /*=504*2' or 'POST /*/commit/*=lost'; KIND: a status, drop, lost or garbage",
    )
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Hub(arguments.data, arguments.port, talkative=not arguments.quiet) as hub:
        hub.faults.extend(parse(text) for text in arguments.fault)
        export = f"export HF_ENDPOINT={hub.url} HF_TOKEN={WRITE_TOKEN} HF_HUB_DISABLE_XET=1"
        print(f"# the Hub listens; in the shell that is to use it:\n{export}", flush=True)
        print(f"# account tester, organisation acme; the token {READ_TOKEN} may only read", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
