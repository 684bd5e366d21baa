"""A reader who notes what came, and when."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

from tests.wait import wait_until

EVENTS = 10  # that come while a stream goes on
GAP_SECONDS = 1.5
STILL_SECONDS = 4.5  # a busy machine may stand still once, for three seconds


class Watcher:
    """Follows a reply in a thread, and notes when each event came."""

    def __init__(self, visitor, reply):
        self.events = []
        self.times = []
        self._thread = threading.Thread(target=self._watch, args=(visitor.events(reply),))
        self._thread.start()
        wait_until(lambda: self.events, 30, "the first event")

    def _watch(self, events):
        for event in events:
            self.times.append(time.monotonic())
            self.events.append(event)

    def goes_on(self):
        """Wait until more events have come."""
        so_far = len(self.events)
        wait_until(lambda: len(self.events) >= so_far + EVENTS, 30, "the stream to go on")

    def went_on(self, since, until):
        """Whether events came all the time between these times of the monotonic clock; it may stand still once."""
        times = [since, *(at for at in list(self.times) if since < at < until), until]
        gaps = sorted(after - before for before, after in pairwise(times))
        print("longest gaps", [round(gap, 2) for gap in gaps[-2:]])
        return len(gaps) > EVENTS and gaps[-1] < STILL_SECONDS and sum(gap > GAP_SECONDS for gap in gaps) <= 1

    def end(self):
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.events[-1]
