"""A reader who notes what came, and when."""

from __future__ import annotations

import threading
import time

from tests.wait import wait_until

EVENTS = 10  # that come while a stream goes on; a time would be that of a machine which may stand still for seconds


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
        """Whether events came between these times of the monotonic clock, too."""
        return sum(since < at < until for at in self.times) >= EVENTS

    def end(self):
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.events[-1]
