"""One thread that waits for another, again and again."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from webapp.clock import Clock


class Sleeper:
    """Sleeps until it is woken, or `beat_seconds` have passed. Call `close` at the end.

    A `threading.Condition` with a time-out takes four times as long, and more memory.
    """

    def __init__(self, beat_seconds: float) -> None:
        self.entry = -1  # of the clock
        self._beat_seconds = beat_seconds
        self._since = time.monotonic()
        self._is_beat = self._is_closed = False
        self._awake = threading.Lock()  # locked while nothing is new
        self._awake.acquire()
        _clock.begin()
        _clock.look_at(self, self._since + beat_seconds)

    def rest(self) -> None:
        """The next beat is due `beat_seconds` from now."""
        self._since = time.monotonic()

    def wait(self) -> bool:
        """Return whether it was woken, now or since the last wait; False for a beat."""
        self._awake.acquire()
        is_beat, self._is_beat = self._is_beat, False
        return not is_beat

    def wake(self) -> None:
        with suppress(RuntimeError):  # it is awake
            self._awake.release()

    def close(self) -> None:
        self._is_closed = True
        _clock.end()

    def check(self) -> float | None:
        """For the clock: wake it if a beat is due; return when the next one is."""
        due, now = self._since + self._beat_seconds, time.monotonic()
        if self._is_closed:
            return None
        if due > now:
            return due
        self._is_beat = True
        self.wake()
        return now + self._beat_seconds


_clock = Clock("beats")
