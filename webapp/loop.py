"""The loop that all requests of a worker share, and how long work gives others their turn."""

from __future__ import annotations

import time

STRETCH_SECONDS = 0.005
PAUSE_SECONDS = 0.0005  # not 0: gevent looks at its timers and sockets only after 50 pauses of no time

_paused_at = 0.0


def give_way() -> None:
    """Let others run, if nobody has given way for STRETCH_SECONDS. To be called between small pieces of work."""
    global _paused_at
    if time.monotonic() - _paused_at >= STRETCH_SECONDS:
        time.sleep(PAUSE_SECONDS)
        _paused_at = time.monotonic()
