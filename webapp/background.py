"""What a worker does beside its requests, again and again."""

from __future__ import annotations

import logging
import threading

from webapp.errors import StorageUnavailable

log = logging.getLogger(__name__)


class Background:
    """A thread that calls `look` each `look_seconds`, and when it is woken, from `start` to `close`."""

    def __init__(self, name: str, look_seconds: float) -> None:
        self._look_seconds = look_seconds
        self._closed, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Let the thread look at once."""
        self._woken.set()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Do what is due. What raises here is due at the next look again."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self.look()
            except StorageUnavailable:
                pass
            except Exception:
                log.exception("the %s failed", self._thread.name)
            self._woken.wait(self._look_seconds)
            self._woken.clear()  # before _closed is read: `close` sets that first
