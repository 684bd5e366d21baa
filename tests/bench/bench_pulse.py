"""What saving costs: python -m tests.bench.bench_pulse

Each tick saves the new text of all running replies, eight tokens each, in one transaction. Written out are medians of
RUNS ticks: the processor time of one, and what part of a core that is at four ticks a second.
"""

from __future__ import annotations

import tempfile
import time
from statistics import median

from tests.replies import Reply
from tests.wait import wait_until
from webapp.chat import Delta
from webapp.generation import Hub
from webapp.pulse import TICK_SECONDS, Pulse
from webapp.storage import Storage
from webapp.storage.migrate import migrate

RUNS = 20
NUMBERS = [1, 20, 100, 500]
WORDS = " a piece of text as it comes"  # of 30 tokens a second, as many as come between two ticks


def main() -> None:
    print(f"{'replies':>8}{'a tick':>12}{'of a core':>12}")
    for number in NUMBERS:
        with tempfile.TemporaryDirectory() as name:
            seconds = measure(f"sqlite:///{name}/lockchat.sqlite3", number)
        print(f"{number:8}{seconds * 1000:9.2f} ms{seconds / TICK_SECONDS:12.1%}", flush=True)


def measure(database_url: str, number: int) -> float:
    """The processor time in seconds of a tick that saves so many replies."""
    storage, hub = Storage(database_url), Hub(lambda text: None)
    migrate(storage)
    replies = [Reply(storage, hub, "this worker") for _ in range(number)]
    pulse, spent = Pulse(storage, hub, "this worker"), []
    for _ in range(RUNS):
        grow(replies)
        used = time.thread_time()
        pulse.tick()
        spent.append(time.thread_time() - used)
    for reply in replies:
        reply.script.end()
    storage.close()
    return median(spent)


def grow(replies: list[Reply]) -> None:
    """Add WORDS to each reply, and wait until its thread has them."""
    expected = len(replies[0].generation.since()[0].text) + len(WORDS)
    for reply in replies:
        reply.script.take(Delta(WORDS))
    wait_until(lambda: all(len(reply.generation.since()[0].text) == expected for reply in replies), 30)


if __name__ == "__main__":
    main()
