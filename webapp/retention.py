"""Retention: conversations are deleted some days after their last message, if a setting or an administrator says so."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from webapp.config import Config
from webapp.conversations import UNDO_TIME
from webapp.invites import SERVER
from webapp.loop import give_way
from webapp.storage import Storage, accounts, audit, conversations, forgetting
from webapp.team import Account

USERS_AT_ONCE = 500


class Retention:
    """Finds the conversations of one database that are kept no longer."""

    def __init__(self, config: Config, storage: Storage) -> None:
        self._days = config.retention_days
        self._with_pinned = config.retention_pinned == "delete"
        self._storage = storage

    def expire(self, is_closed: Callable[[], bool] = lambda: False) -> int:
        """Mark the conversations that are due as deleted for longer than UNDO_TIME; return how many. The purge follows.

        Leaves out those with a running reply. Raises StorageUnavailable.
        """
        count, last_id, now = 0, "", datetime.now(UTC)
        while not is_closed():
            with self._storage.read() as tx:
                page = accounts.retention_days(tx, last_id, USERS_AT_ONCE)
            if not page:
                break
            users = defaultdict[int, list[str]](list)
            for user_id, days in page:
                users[self._days if days is None else days].append(user_id)
            for days, user_ids in users.items():
                if days:
                    count += self._expire(user_ids, now, timedelta(days=days), is_closed)
            last_id = page[-1][0]
            give_way()
        return count

    def _expire(self, user_ids: Sequence[str], now: datetime, kept: timedelta, is_closed: Callable[[], bool]) -> int:
        count, deleted_at = 0, now - UNDO_TIME - timedelta(minutes=1)
        while not is_closed():
            with self._storage.begin(wait_seconds=forgetting.WAIT_SECONDS) as tx:
                found = conversations.expire_some(tx, user_ids, now - kept, deleted_at, with_pinned=self._with_pinned)
                if found:
                    audit.note(tx, SERVER, "conversations_expired", str(found))
            count += found
            if found < conversations.EXPIRED_AT_ONCE:
                break
            time.sleep(forgetting.PAUSE_SECONDS)
        return count


def days_of(config: Config, account: Account | None) -> int:
    """How many days the conversations of this user are kept after their last message; 0: for ever."""
    exception = account.retention_days if account else None
    return config.retention_days if exception is None else exception
