"""Work that grows no faster than its input: processor time, compared between an input and a much longer one."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LONGER = 8  # times: work that grows with the square takes 64 times as long, which no busy machine does
MOST = 3 * LONGER
TRIES = 3
CLEAR_SECONDS = 0.05  # some clocks of processor time go in steps of 10 ms
SHORT_SECONDS = 0.002  # long enough for the work to outweigh what any call costs
MOST_CHARS = 100_000
MOST_SECONDS = 20.0


def is_linear(work: Callable[[Any], object], make: Callable[[int], Any]) -> bool:
    """Whether the work takes less than MOST times as long for an input that is LONGER times as long.

    The input grows until it takes SHORT_SECONDS. What takes MOST_SECONDS of processor time in all is an error.
    """
    size = 16
    with bounded():
        while size < MOST_CHARS and quickest(work, make(size)) < SHORT_SECONDS:
            size *= 4
        return any(seconds(work, make(LONGER * size)) < MOST * seconds(work, make(size)) for _ in range(TRIES))


def seconds(work: Callable[[Any], object], given: Any) -> float:
    """The processor time of a piece of work, which is done again and again until its time is clear."""
    started, times, spent = time.process_time(), 0, 0.0
    while spent < CLEAR_SECONDS:
        work(given)
        times, spent = times + 1, time.process_time() - started
    return spent / times


def quickest(work: Callable[[Any], object], given: Any) -> float:
    """The least time of three runs: enough to choose a size, and quicker than `seconds`."""
    spent = []
    for _ in range(3):
        started = time.perf_counter()
        work(given)
        spent.append(time.perf_counter() - started)
    return min(spent)


@contextmanager
def bounded() -> Iterator[None]:
    """Fail when the block takes MOST_SECONDS of processor time."""

    def give_up(number: int, frame: object) -> None:
        raise AssertionError(f"not done after {MOST_SECONDS:g} s of processor time")

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
