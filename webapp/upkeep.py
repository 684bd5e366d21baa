"""Upkeep: purges deleted conversations, ended sign-ins, old keys and copies once an hour, and returns freed memory.

Once a day it also deletes the conversations that are kept no longer.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from webapp.accounts import IDLE, LONGEST
from webapp.background import Background
from webapp.conversations import UNDO_TIME
from webapp.retention import Retention
from webapp.storage import (
    Storage,
    accounts,
    api_keys,
    audit,
    conversations,
    files,
    forgetting,
    invites,
    sign_ins,
    throttles,
)

FIRST_SECONDS = 60.0  # after the start
EVERY_SECONDS = 3600.0
EXPIRE_SECONDS = 24 * 3600.0
TRIM_SECONDS = 10.0
LEFT_TIME = timedelta(hours=1)  # a request that began before its user left has ended by then
ALL_ATTEMPTS = timedelta(hours=1)  # in which the throttle forgets every attempt


class Upkeep(Background):
    """Purges one database. Several workers may do it at the same time."""

    def __init__(self, storage: Storage, retention: Retention, audit_days: int = 365) -> None:
        super().__init__("upkeep", TRIM_SECONDS)
        self._storage = storage
        self._retention = retention
        self._expire_at = time.monotonic()
        self._tick_at = self._expire_at + FIRST_SECONDS
        self._audit_time = timedelta(days=audit_days)

    def tick(self) -> None:
        """Purge conversations deleted more than UNDO_TIME ago, and old copies. Raises StorageUnavailable."""
        if self._storage.is_sqlite:
            files.remove_old_copies(self._storage.url.database)
        if time.monotonic() >= self._expire_at:
            self.prune()
            self._expire_at = time.monotonic() + EXPIRE_SECONDS
        else:
            self._purge_conversations()
        self._purge_people(datetime.now(UTC))

    def prune(self) -> int:
        """Delete the conversations that are kept no longer, and purge; return how many. Raises StorageUnavailable."""
        count = self._retention.expire(self._closed.is_set)
        self._purge_conversations()
        return count

    def _purge_conversations(self) -> None:
        now = datetime.now(UTC)
        self._in_steps(partial(conversations.delete_some_of_left, deleted_at=now - UNDO_TIME - LEFT_TIME))
        self._in_steps(partial(conversations.purge_some, before=now - UNDO_TIME))
        with self._storage.begin(wait_seconds=forgetting.WAIT_SECONDS) as tx:
            accounts.purge_left(tx, now - LEFT_TIME)
        forgetting.forget(self._storage, self._closed.is_set)

    def _in_steps(self, step: Callable[[Connection], bool]) -> None:
        """Call a step in one short transaction after the other, until it finds nothing."""
        while not self._closed.is_set():
            with self._storage.begin(wait_seconds=forgetting.WAIT_SECONDS) as tx:
                if not step(tx):
                    break
            self._closed.wait(forgetting.PAUSE_SECONDS)

    def _purge_people(self, now: datetime) -> None:
        with self._storage.begin(wait_seconds=forgetting.WAIT_SECONDS) as tx:
            sign_ins.purge(tx, begun_before=now - LONGEST, seen_before=now - IDLE)
            invites.purge(tx, now)
            api_keys.purge(tx, now)
            throttles.purge(tx, now - ALL_ATTEMPTS)
            audit.purge(tx, now - self._audit_time)

    def wake(self) -> None:
        """Let the thread tick at once."""
        self._tick_at = 0.0
        super().wake()

    def look(self) -> None:
        """Return memory, and tick once an hour."""
        return_memory()
        if time.monotonic() >= self._tick_at:
            self._tick_at = time.monotonic() + EVERY_SECONDS
            self.tick()


def return_memory() -> None:
    """Return freed memory to the system; glibc keeps what lies below the top of its heap. Takes under 1 ms.

    https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    """
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
