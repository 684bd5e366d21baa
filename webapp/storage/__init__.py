"""The database: SQLite by default, PostgreSQL by its URL. Every query names the owner first.

A write transaction on SQLite begins IMMEDIATE (https://sqlite.org/lang_transaction.html). It waits for other writers
with sleeps in Python: a wait inside SQLite would stop every stream of a gevent worker. Frequent queries are built once
(`@cache`, or a constant): building one takes longer than running it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from webapp.errors import ConfigError, StorageConflict, StorageFull, StorageUnavailable
from webapp.language import gettext as _
from webapp.loop import apart
from webapp.storage import files
from webapp.storage.group_commit import GroupCommit

WAIT_SECONDS = 8.0  # a send that cannot be stored is refused within 10 s
READ_WAIT_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.1
IDS_PER_QUERY = 500  # below every database's limit of variables

# A deadlock, and a serialisation failure: https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html
CONFLICTS = ("40P01", "40001")

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Storage:
    """Two engines on one database: commits of `_durable` survive a power cut, those of `_cheap` cost less.

    Raises ConfigError if the driver of PostgreSQL is needed and not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            files.make_private(self.url.database)
        self.is_closed = False
        self._writers = threading.Lock()
        self._durable = self._engine(durable=True)
        self._cheap = self._engine(durable=False)
        self._group = GroupCommit(self._writers, lambda seconds: self._transaction(self._durable, seconds), _renewed)
        self._joined: ContextVar[Connection | None] = ContextVar("joined", default=None)

    @contextmanager
    def begin(self, *, wait_seconds: float = WAIT_SECONDS, durable: bool = True) -> Iterator[Connection]:
        """Open one write transaction; commit it at the end of the block, roll it back on an error.

        Raises StorageUnavailable when no transaction begins within `wait_seconds`, StorageFull when the disk is
        full. With `durable=False` a power cut (not a crash) may lose the transaction.
        """
        engine, deadline = self._durable if durable else self._cheap, time.monotonic() + wait_seconds
        with self._turn(wait_seconds), self._transaction(engine, deadline - time.monotonic()) as connection:
            yield connection

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Call `work` in a durable write transaction; return its result. Raises as `begin`.

        Calls it once more after a conflict with another transaction: PostgreSQL has rolled this one back. On SQLite,
        callers who wait at the same time share a transaction.
        """
        if self.is_sqlite:
            try:
                result: Result = self._group.run(work, WAIT_SECONDS)
            except TimeoutError:
                raise _busy() from None
            return result
        try:
            with self.begin() as tx:
                return work(tx)
        except StorageConflict:
            with self.begin() as tx:
                return work(tx)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one read transaction, or join that of `reads`. Raises StorageUnavailable."""
        if joined := self._joined.get():
            with _translated():
                yield joined
            return
        # A reader waits only while another process recovers or closes the database.
        with _translated(), self._begin(self._cheap, READ_WAIT_SECONDS, read=True) as connection:
            yield connection

    @contextmanager
    def reads(self) -> Iterator[None]:
        """Let each `read` inside of the block join one transaction. Raises StorageUnavailable."""
        with self.read() as connection:
            outer = self._joined.set(connection)
            try:
                yield
            finally:
                self._joined.reset(outer)

    def close(self) -> None:
        """Close every idle connection."""
        self.is_closed = True
        self._durable.dispose()
        self._cheap.dispose()

    @contextmanager
    def _turn(self, wait_seconds: float) -> Iterator[None]:
        """Wait until no other thread of this process writes to the SQLite file. Raises StorageUnavailable."""
        if not self.is_sqlite:
            yield
            return
        if not self._writers.acquire(timeout=wait_seconds):
            raise _busy()
        try:
            yield
        finally:
            self._writers.release()

    @contextmanager
    def _transaction(self, engine: Engine, wait_seconds: float) -> Iterator[Connection]:
        with _translated(), self._begin(engine, wait_seconds) as connection:
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _begin(self, engine: Engine, wait_seconds: float, *, read: bool = False) -> Connection:
        deadline = time.monotonic() + wait_seconds
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            try:
                return self._connected(engine, read=read)
            except DBAPIError as error:
                if not _is_locked(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def _connected(self, engine: Engine, *, read: bool) -> Connection:
        connection = engine.connect().execution_options(read=read)  # a new one reads the file too
        try:
            connection.begin()
            if read and self.is_sqlite:
                connection.exec_driver_sql("SELECT 1 FROM sqlite_schema LIMIT 1")  # BEGIN alone reads nothing
        except DBAPIError:
            connection.close()
            raise
        return connection

    def _engine(self, *, durable: bool) -> Engine:
        if self.is_sqlite:
            return _sqlite_engine(self.url, durable=durable)
        try:
            from webapp.storage import postgresql  # with its driver: most installations use SQLite
        except ImportError as error:
            raise ConfigError(
                f"LOCKCHAT_DATABASE_URL names a PostgreSQL server, whose driver cannot be loaded ({error})."
                " Install it: .venv/bin/pip install -r webapp/storage/requirements.txt"
            ) from None
        return postgresql.engine(self.url, durable=durable)


def insert_or_keep(tx: Connection, table: Table) -> Any:
    """An INSERT statement that skips rows whose key exists."""
    return _keeping(tx.dialect.name, table)


@cache
def _keeping(dialect: str, table: Table) -> Any:
    return insert_into(dialect, table).on_conflict_do_nothing()


def insert_into(dialect: str, table: Table) -> Any:
    """An INSERT statement of this database, to which ON CONFLICT can be added."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def insert_missing(tx: Connection, table: Table, **values: Any) -> bool:
    """Insert a row unless its key exists; return whether it was inserted."""
    return tx.execute(insert_or_keep(tx, table), values, execution_options={"preserve_rowcount": True}).rowcount == 1


class _PatientConnection(sqlite3.Connection):
    """Commits apart from the loop: a commit may wait for the disk, and a checkpoint in it does."""

    def commit(self) -> None:
        if self.in_transaction:
            apart(super().commit)


def _sqlite_engine(url: Any, *, durable: bool) -> Engine:
    # timeout=0: Storage._begin does the waiting. The pool never waits either: no greenlet switch happens in a query.
    arguments = {"timeout": 0, "factory": _PatientConnection}
    # hide_parameters: no message reaches the log with an error.
    engine = create_engine(url, connect_args=arguments, max_overflow=-1, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transaction by itself
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # deleted text is overwritten
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("read", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into ours. Logs their text without the statement's values."""
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeoutError:
        raise _busy() from None
    except DBAPIError as error:
        log.warning("database: %s", error.orig)
        if _is_full(error):
            raise _full() from None
        raise _busy(
            StorageConflict if getattr(error.orig, "sqlstate", None) in CONFLICTS else StorageUnavailable
        ) from None


def _renewed(error: Exception) -> Exception:
    """The same error once more, in the language of the user who gets it."""
    if isinstance(error, StorageFull):
        return _full()
    return _busy(type(error)) if isinstance(error, StorageUnavailable) else error


def _full() -> StorageFull:
    return StorageFull(_("The server's disk is full. An administrator has to make room."))


def _busy(kind: type[StorageUnavailable] = StorageUnavailable) -> StorageUnavailable:
    return kind(_("The database is busy. Try again in a moment."))


def _is_locked(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _is_full(error: DBAPIError) -> bool:
    disk_full = getattr(error.orig, "sqlstate", None) == "53100"
    return disk_full or getattr(error.orig, "sqlite_errorname", "") == "SQLITE_FULL"
