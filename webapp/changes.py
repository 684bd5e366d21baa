"""Tells open pages what changes in their user's conversations: in other tabs, on other devices, in other workers.

One thread asks the database once a tick, by one query for the users of all open pages of this worker. A page waits
without a thread of its own. No page is open, no query is made.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from webapp.background import Background
from webapp.errors import StorageUnavailable
from webapp.generation import BEAT_SECONDS, Hub
from webapp.storage import Storage, changes
from webapp.storage.changes import Changed, State

TICK_SECONDS = 1.0
LONGEST_SECONDS = 900.0  # then the page asks anew, and is asked anew who it is

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class News:
    """The number of a user's last change, the conversations with a running reply, and those that have changed."""

    revision: int
    running: frozenset[str]
    changed: list[Changed]


@dataclass(slots=True, eq=False)
class _Watched:
    """A user with open pages. The state is None until the first tick."""

    pages: int = 0
    state: State | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)


class Changes(Background):
    """The open pages of one worker."""

    def __init__(self, storage: Storage, hub: Hub) -> None:
        super().__init__("changes", TICK_SECONDS)
        self._storage = storage
        self._hub = hub
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the thread, and what the pages follow."""
        super().close()
        self._wake_all()

    def revision(self, user_id: str) -> int:
        """The number of the user's last change; 0 for one who has never sent anything."""
        with self._storage.read() as tx:
            return changes.revision(tx, user_id)

    def follow(self, user_id: str, since: int | None = None) -> Iterator[News | None]:
        """Yield what has changed after the number `since` (None: nothing), then each change as it comes.

        Yields None after each `BEAT_SECONDS` without news. Ends after LONGEST_SECONDS, and when the worker stops.
        """
        ends_at = time.monotonic() + LONGEST_SECONDS
        seen: State | None = None
        with self._watching(user_id) as watched:
            self._look({user_id: watched})
            while not self._is_over() and time.monotonic() < ends_at:
                with watched.changed:
                    watched.changed.wait_for(partial(self._has_news, watched, seen), BEAT_SECONDS)
                    state = watched.state
                news = self._news(user_id, state, since) if state and state != seen else None
                yield news
                if news:
                    seen, since = state, news.revision

    def tick(self) -> None:
        """Look at the database, and wake the pages of the users with news. Never raises."""
        with self._lock:
            watched = dict(self._watched)
        if watched:
            self._look(watched)

    def _look(self, watched: Mapping[str, _Watched]) -> None:
        try:
            with self._storage.read() as tx:
                states = changes.states(tx, list(watched))
        except StorageUnavailable:
            return
        except Exception:
            log.exception("the changes could not be read")
            return
        for user_id, one in watched.items():
            state = states.get(user_id, State())
            if state != one.state:
                with one.changed:
                    one.state = state
                    one.changed.notify_all()

    def _has_news(self, watched: _Watched, seen: State | None) -> bool:
        return self._is_over() or watched.state != seen

    def _news(self, user_id: str, state: State, since: int | None) -> News | None:
        """The news after `since`; None while the database is away."""
        changed: list[Changed] = []
        if since is not None and since < state.revision:
            try:
                with self._storage.read() as tx:
                    changed = changes.since(tx, user_id, since)
            except StorageUnavailable:
                time.sleep(TICK_SECONDS)
                return None
        return News(state.revision, state.running, changed)

    @contextmanager
    def _watching(self, user_id: str) -> Iterator[_Watched]:
        with self._lock:
            watched = self._watched.setdefault(user_id, _Watched())
            watched.pages += 1
        try:
            yield watched
        finally:
            with self._lock:
                watched.pages -= 1
                if not watched.pages:
                    del self._watched[user_id]

    def look(self) -> None:
        """Tick, or end what the pages follow when the worker stops."""
        if self._hub.is_stopping():
            self._wake_all()
        else:
            self.tick()

    def _is_over(self) -> bool:
        return self._closed.is_set() or self._hub.is_stopping()

    def _wake_all(self) -> None:
        with self._lock:
            watched = list(self._watched.values())
        for one in watched:
            with one.changed:
                one.changed.notify_all()
