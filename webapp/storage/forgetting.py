"""Removes deleted text from the SQLite file: from the search index and the WAL.

Every connection overwrites deleted rows (`PRAGMA secure_delete`). FTS5 only marks its entries as deleted. Merging the
whole index, here in small steps, removes them: https://sqlite.org/fts5.html#the_merge_command
The option `secure-delete` of FTS5 holds the write lock for 17 ms a message, and needs SQLite 3.42.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import Any

from sqlalchemy import Connection

from webapp.loop import apart
from webapp.storage import Storage

PAGES = 64  # a step, about 5 ms
PAUSE_SECONDS = 0.01  # between two steps, for other writers
WAIT_SECONDS = 1.0


def forget(storage: Storage, is_closed: Callable[[], bool] = lambda: False) -> None:
    """Remove the last traces of deleted messages, until `is_closed`. Raises StorageUnavailable."""
    if not storage.is_sqlite:
        return
    with storage.read() as tx:
        deleted = tx.exec_driver_sql("SELECT times FROM search_deleted").scalar_one()
    if deleted and not _merge(storage, is_closed):
        return
    with storage.begin(wait_seconds=WAIT_SECONDS, durable=False) as tx:
        tx.exec_driver_sql("UPDATE search_deleted SET times = times - ?", (deleted,))
    with suppress(sqlite3.Error):
        apart(partial(_empty_wal, str(storage.url.database)))  # in vain while others read; the next tick tries again


def _merge(storage: Storage, is_closed: Callable[[], bool]) -> bool:
    """Merge the whole search index; return whether it was finished."""
    pages = -PAGES  # a negative number starts a merge of the whole index, a positive one continues it
    while not is_closed():
        with storage.begin(wait_seconds=WAIT_SECONDS, durable=False) as tx:
            before = _changes(tx)
            tx.exec_driver_sql("INSERT INTO search (search, rank) VALUES ('merge', ?)", (pages,))
            if _changes(tx) - before < 2:  # https://sqlite.org/fts5.html#the_merge_command
                return True
        pages = PAGES
        time.sleep(PAUSE_SECONDS)
    return False


def _empty_wal(path: str) -> None:
    with closing(sqlite3.connect(path, timeout=0)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _changes(tx: Connection) -> int:
    connection: Any = tx.connection.dbapi_connection
    return int(connection.total_changes)
