"""The loop that all requests of a worker share, and how long work gives others their turn.

Only the app imports this module: gevent must have replaced `threading` before.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from gevent.monkey import get_original, is_module_patched  # type: ignore[import-untyped]
from gevent.threadpool import ThreadPool  # type: ignore[import-untyped]

Result = TypeVar("Result")

STRETCH_SECONDS = 0.02
PAUSE_SECONDS = 0.0005  # not 0: gevent looks at its timers and sockets only after 50 pauses of no time

_round_at = 0.0  # when the loop last looked at its timers and sockets
_turns = threading.Lock()  # first come, first served
_pool: ThreadPool | None = None


def note_round() -> None:
    """The loop looks at its timers and sockets now."""
    global _round_at
    _round_at = time.monotonic()


def give_way() -> None:
    """Let the loop look at its timers and sockets, if it has not for STRETCH_SECONDS.

    To be called between small pieces of work. Where a hundred requests begin at once, they wait here in a row, and
    the loop has its turn after every few of them.
    """
    if time.monotonic() - _round_at < STRETCH_SECONDS:
        return
    with _turns:
        if time.monotonic() - _round_at >= STRETCH_SECONDS:
            time.sleep(PAUSE_SECONDS)
            note_round()


def has_left(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection on which nothing is read or written at the moment."""
    poll = get_original("select", "poll")()  # that of gevent does not know of RDHUP
    try:
        poll.register(connection, select.POLLRDHUP)
        return bool(poll.poll(0))
    except (OSError, ValueError):  # it is closed on this side
        return True


def apart(work: Callable[[], Result]) -> Result:
    """Call `work`, which waits for a disk, in a thread of the system; the loop goes on. Raises what `work` raises.

    One such call runs at a time.
    """
    global _pool
    if not is_module_patched("threading"):  # no loop, so nobody else waits
        return work()
    if _pool is None:  # an idle pool is false
        _pool = ThreadPool(1)
    results: list[Result] = []
    errors: list[Exception] = []
    _pool.apply(_call, (work, results, errors))
    if errors:
        raise errors[0]
    return results[0]


def _call(work: Callable[[], Result], results: list[Result], errors: list[Exception]) -> None:
    # gevent would print the traceback of an error that leaves its thread.
    try:
        results.append(work())
    except Exception as error:
        errors.append(error)
