"""Deleted text leaves the SQLite file too: its search index, and the WAL.

Every connection overwrites deleted rows (`PRAGMA secure_delete`). FTS5 only marks its entries as deleted; they go when
the whole index is merged, here in small steps: https://sqlite.org/fts5.html#the_merge_command
Its own option `secure-delete` takes 17 ms a message inside of the write lock, and SQLite 3.42.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from sqlalchemy import Connection

from webapp.storage import Storage

PAGES = 64  # of a step: some 5 ms
PAUSE_SECONDS = 0.01  # in which others may write
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
    with closing(sqlite3.connect(storage.url.database or "", timeout=0)) as connection, suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # where others read just now, the next tick does it


def _merge(storage: Storage, is_closed: Callable[[], bool]) -> bool:
    """Merge the whole search index; tell whether it was finished."""
    pages = -PAGES  # the first step takes all that is there, the others go on with it
    while not is_closed():
        with storage.begin(wait_seconds=WAIT_SECONDS, durable=False) as tx:
            before = _changes(tx)
            tx.exec_driver_sql("INSERT INTO search (search, rank) VALUES ('merge', ?)", (pages,))
            if _changes(tx) - before < 2:  # https://sqlite.org/fts5.html#the_merge_command
                return True
        pages = PAGES
        time.sleep(PAUSE_SECONDS)
    return False


def _changes(tx: Connection) -> int:
    connection: Any = tx.connection.dbapi_connection
    return int(connection.total_changes)
