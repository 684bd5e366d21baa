"""The watch of a worker: it looks for workers that have died, and ends their replies."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable

from webapp.errors import StorageUnavailable
from webapp.generation import Hub
from webapp.storage import Storage, messages, workers

WATCH_SECONDS = 2.0
LEASE_SECONDS = 8.0  # a worker whose count stays the same for so long is suspected
GRACE_SECONDS = 4.0  # a suspect that does not count within this time is dead
WAIT_SECONDS = 0.25  # for another writer; the pulse, on the same thread, waits too

log = logging.getLogger(__name__)


class Watch:
    """Interrupts the running replies of dead workers, and keeps their saved text.

    It does the same with a reply of its own worker that never began: the send was stored, but its commit was
    not confirmed.

    A worker whose count stays the same is a suspect first. It is dead if it has still not counted after
    `grace_seconds` in which this worker could write: an outage of the database makes nobody dead.

    The workers in `dead` are known to be dead, with no need to wait. After it interrupted replies it calls those in
    `on_interrupted`, which must return at once.
    """

    def __init__(
        self,
        storage: Storage,
        hub: Hub,
        worker_id: str,
        dead: Iterable[str] = (),
        *,
        lease_seconds: float = LEASE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.on_interrupted: list[Callable[[], None]] = []
        self._storage = storage
        self._hub = hub
        self._worker_id = worker_id
        self._dead = frozenset(dead)
        self._lease_seconds = lease_seconds
        self._grace_seconds = grace_seconds
        self._seen: dict[str, tuple[int, float]] = {}
        self._suspects: dict[str, float] = {}
        self._orphans: dict[str, float] = {}

    def look(self) -> None:
        """Check the heartbeats of all workers, and the replies of this one that never began. Never raises."""
        try:
            with self._storage.read() as tx:
                counts = workers.heartbeats(tx)
                own = messages.running(tx, self._worker_id)
            orphans = own.keys() - self._hub.all().keys()
            counts.pop(self._worker_id, None)
            for worker_id in counts.keys() & self._dead:
                self._interrupt_replies_of(worker_id, counts.pop(worker_id))
            for worker_id, count in counts.items():
                self._judge(worker_id, count, time.monotonic())
            self._seen = {worker_id: self._seen[worker_id] for worker_id in counts}
            self._suspects = {worker_id: at for worker_id, at in self._suspects.items() if worker_id in counts}
            self._judge_own(orphans, time.monotonic())
        except StorageUnavailable:
            self._suspects.clear()
        except Exception:
            log.exception("the watch could not look")

    def _judge_own(self, orphans: Iterable[str], now: float) -> None:
        self._orphans = {reply_id: self._orphans.get(reply_id, now) for reply_id in orphans}
        lost = [reply_id for reply_id, since in self._orphans.items() if now - since >= self._lease_seconds]
        if lost:
            with self._storage.begin(wait_seconds=WAIT_SECONDS) as tx:
                messages.interrupt(tx, lost)
            log.warning("%d replies were stored and never began: they are interrupted", len(lost))
            self._tell(lost)

    def _judge(self, worker_id: str, count: int, now: float) -> None:
        seen_count, since = self._seen.get(worker_id, (-1, now))
        if count != seen_count:
            self._seen[worker_id] = (count, now)
            self._suspects.pop(worker_id, None)
        elif worker_id in self._suspects:
            if now - self._suspects[worker_id] >= self._grace_seconds:
                self._interrupt_replies_of(worker_id, count)
        elif now - since >= self._lease_seconds:
            with self._storage.begin(wait_seconds=WAIT_SECONDS) as tx:
                workers.count_heartbeat(tx, self._worker_id)  # fails if nobody can write now
            self._suspects[worker_id] = now

    def _interrupt_replies_of(self, worker_id: str, count: int) -> None:
        with self._storage.begin(wait_seconds=WAIT_SECONDS) as tx:
            if workers.heartbeats(tx).get(worker_id) != count:
                return
            replies = messages.running(tx, worker_id)
            messages.interrupt(tx, replies)
            workers.discard(tx, worker_id)
        log.warning("worker %s is gone: %d replies are interrupted", worker_id, len(replies))
        self._tell(replies)

    def _tell(self, replies: Collection[str]) -> None:
        if replies:
            for tell in self.on_interrupted:
                tell()
