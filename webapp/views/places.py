"""Limits slow request bodies, per address and in total."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from webapp.errors import Busy
from webapp.language import gettext as _

SLOW_BODIES = 200
SLOW_BODIES_PER_ADDRESS = 50  # all users of a proxy share its address, but it usually sends whole bodies
BUSY_SECONDS = 5


class Places:
    """Counts and limits slow bodies. Safe to share between threads."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, address: str) -> Iterator[None]:
        """Take a place while the block runs. Raises Busy if none is free."""
        with self._lock:
            if self._taken[address] >= SLOW_BODIES_PER_ADDRESS or self._taken.total() >= SLOW_BODIES:
                raise Busy(
                    _("This server is receiving as many slow forms as it can. Send it again in a moment."),
                    retry_after=BUSY_SECONDS,
                )
            self._taken[address] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[address] -= 1
                self._taken += Counter()  # drops addresses without a place
