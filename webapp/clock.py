"""One thread for the times of many streams, so that none of them makes a timer for each of its waits."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import Protocol


class Timed(Protocol):
    """What the clock checks. It sets `entry`."""

    entry: int

    def check(self) -> float | None:
        """Do what is due. Return when to check again; None for never."""


class Clock:
    """Checks each thing when it is due, in one thread, which ends with the last `end`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Timed]] = []  # a heap
        self._numbers = itertools.count()  # so that no two of them are compared
        self._running = 0  # begun and not ended
        self._has_thread = False

    def begin(self) -> None:
        with self._changed:
            if not self._has_thread:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
                self._has_thread = True  # or no thread is left, and the next one tries again
            self._running += 1

    def end(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify()

    def look_at(self, timed: Timed, at: float) -> None:
        """Check this one at this time, and at no other."""
        with self._changed:
            timed.entry = next(self._numbers)
            heapq.heappush(self._due, (at, timed.entry, timed))
            if self._due[0][2] is timed:
                self._changed.notify()

    def _run(self) -> None:
        while timed := self._next_timed():
            at = timed.check()
            if at is not None:
                self.look_at(timed, at)

    def _next_timed(self) -> Timed | None:
        """Wait for the next one that is due. None when all have ended."""
        with self._changed:
            while self._running:
                left = self._due[0][0] - time.monotonic() if self._due else None
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                _at, entry, timed = heapq.heappop(self._due)
                if entry == timed.entry:
                    return timed
            self._due.clear()
            self._has_thread = False
            return None
