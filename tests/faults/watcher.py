"""A reader who notes what came, and when."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

from tests.wait import wait_until


class Watcher:
    """Follows a reply in a thread, and notes when each event came."""

    def __init__(self, visitor, reply):
        self.events = []
        self.times = []
        self._thread = threading.Thread(target=self._watch, args=(visitor.events(reply),))
        self._thread.start()
        wait_until(lambda: self.events, 15, "the first event")

    def _watch(self, events):
        for event in events:
            self.times.append(time.monotonic())
            self.events.append(event)

    def longest_gap(self, since, until):
        times = [since, *(at for at in list(self.times) if since < at < until), until]
        return max(after - before for before, after in pairwise(times))

    def end(self):
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.events[-1]
