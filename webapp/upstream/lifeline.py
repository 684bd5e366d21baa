"""Deadlines of exchanges with the upstream, and Stop: they cut the connection."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time

from webapp.clock import Clock


class Lifeline:
    """Cuts the connection of one exchange with the upstream: on `abort`, or when a deadline passes.

    `watch` limits the time between deltas, `total_seconds` the whole exchange. Bytes that complete no delta extend
    neither. `expired` is whether a deadline has passed, `timeout` its reason, empty where it is no failure. `query` is
    sent, but never logged. `connect_seconds` is how long the connection took, with TLS; None without one.
    """

    def __init__(self, total_seconds: float, query: str = "") -> None:
        self.query = query
        self.aborted = False
        self.expired = False
        self.timeout = ""
        self.reused = False  # whether the connection was used for an earlier exchange
        self.connect_seconds: float | None = None
        self._total_seconds = total_seconds
        self._changed = threading.Condition()
        self._socket: socket.socket | None = None
        self._over = False
        self._since: float | None = None  # when the silence began; None while paused
        self._reason, self._seconds = "total_timeout", total_seconds
        self._started_at = self._total_at = math.inf
        self.entry = -1  # of the clock

    def start(self, reason: str, seconds: float) -> None:
        """Start the deadlines. Call `end` afterwards."""
        self._started_at = time.monotonic()
        self._total_at = self._started_at + self._total_seconds
        _clock.begin()
        self.watch(reason, min(seconds, self._total_seconds))

    def watch(self, reason: str, seconds: float) -> None:
        """Expire with `reason`, empty for no failure, after `seconds` of silence, counted from now."""
        with self._changed:
            self._reason, self._seconds, self._since = reason, seconds, time.monotonic()
            _clock.look_at(self, self._deadline()[0])

    def pause(self) -> None:
        """Stop counting silence: nobody waits for the upstream. The total time still counts."""
        self._since = None

    def resume(self) -> None:
        """Count silence again, from zero."""
        self._since = time.monotonic()

    def seconds_left(self) -> float:
        return self._deadline()[0] - time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep until the time is over. An abort or a deadline ends the sleep early."""
        with self._changed:
            self._changed.wait_for(lambda: self.aborted or self.expired or self._over, seconds)

    def abort(self) -> None:
        """Cut the connection, from any thread and at any time. A later connection is cut at once."""
        with self._changed:
            self.aborted = True
            self._cut()

    def end(self) -> None:
        """Release the connection and stop the deadlines."""
        with self._changed:
            is_first = not self._over
            self._over = True
            self._socket = None
            self._changed.notify_all()
        if is_first:
            _clock.end()

    def hold(self, connection: socket.socket) -> None:
        with self._changed:
            self._socket = connection
            self.connect_seconds = time.monotonic() - self._started_at  # of TLS too, which calls this again
            if self.aborted or self.expired:
                self._cut()

    def release(self) -> None:
        with self._changed:
            self._socket = None

    def check(self) -> float | None:
        """Cut the connection if a deadline has passed. Return when to check again; None for never."""
        with self._changed:
            if self._over or self.aborted:
                return None
            at, reason = self._deadline()
            if at > time.monotonic():
                return at
            self.timeout, self.expired = reason, True
            self._cut()
            return None

    def _cut(self) -> None:
        if self._socket:
            with contextlib.suppress(OSError):  # already closed
                self._socket.shutdown(socket.SHUT_RDWR)
        self._changed.notify_all()

    def _deadline(self) -> tuple[float, str]:
        # While paused, this is only when to check again. A silence that begins later ends later.
        since = self._since
        silent_at = (time.monotonic() if since is None else since) + self._seconds
        return min((silent_at, self._reason), (self._total_at, "total_timeout"))


_clock = Clock("upstream-deadlines")
