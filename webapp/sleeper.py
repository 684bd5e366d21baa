"""One thread that waits for another."""

from __future__ import annotations

import threading


class Sleeper:
    """Sleeps until it is woken. A `threading.Condition` takes three times as long, and more memory."""

    def __init__(self) -> None:
        self._awake = threading.Lock()  # locked while nothing is new
        self._awake.acquire()

    def wait(self, seconds: float) -> bool:
        """Return whether it was woken, now or since the last wait; False after so many seconds."""
        return self._awake.acquire(timeout=seconds)

    def wake(self) -> None:
        """Only one thread at a time calls this."""
        if self._awake.locked():
            self._awake.release()
