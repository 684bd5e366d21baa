"""How long a token takes from the upstream's socket to the browser's, through the real gunicorn.

python -m tests.bench.bench_first_token
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path

from tests.server import Server
from tests.upstream import Upstream, Wait, body, token
from tests.visitor import Visitor

RUNS = 100


def main() -> None:
    """Print the median and the 95th percentile of RUNS first tokens, and of as many second ones."""
    with Upstream() as upstream, tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory), URL=upstream.url)
        try:
            with Visitor(server.url) as visitor:
                seconds = [one_reply(upstream, visitor) for _ in range(RUNS)]
        finally:
            server.kill()
    for name, values in zip(("first token", "second token"), zip(*seconds, strict=True), strict=True):
        milliseconds = sorted(value * 1000 for value in values)
        median, high = statistics.median(milliseconds), milliseconds[int(RUNS * 0.95)]
        print(f"{name}: median {median:.1f} ms, 95 % below {high:.1f} ms, of {RUNS}")


def one_reply(upstream: Upstream, visitor: Visitor) -> tuple[float, float]:
    """The delays in seconds of a reply's first and second token, each sent while a browser waits for it."""
    first, second = threading.Event(), threading.Event()
    upstream.answer(*body(Wait(first), token("first"), Wait(second), token("second"), b"data: [DONE]\n\n"))
    events = visitor.events(visitor.new_chat("Hello"))
    next(events)
    delays = []
    for go, text in ((first, "first"), (second, "second")):
        started = time.monotonic()
        go.set()
        next(event for event in events if text in event.data)
        delays.append(time.monotonic() - started)
    for _ in events:
        pass
    return delays[0], delays[1]


if __name__ == "__main__":
    main()
