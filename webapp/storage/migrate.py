"""Bring the database to the newest schema: at start, one process at a time, after a copy of the SQLite file."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.exc import OperationalError

from webapp.errors import StorageUnavailable
from webapp.language import gettext as _
from webapp.storage import Storage, files

LOCK_SECONDS = 60.0
CONNECT_SECONDS = 5
ADVISORY_LOCK = 6_130_421  # any number, the same in every worker

log = logging.getLogger(__name__)


def migrate(storage: Storage) -> None:
    """Create or upgrade the tables; where there is nothing to do, no lock is waited for.

    Raises StorageUnavailable when the database cannot be opened, or another process holds the lock for too long.
    """
    newest = ScriptDirectory.from_config(_alembic()).get_current_head()
    try:
        with _connection(storage) as connection:
            if MigrationContext.configure(connection).get_current_revision() == newest:
                if storage.is_sqlite:
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")  # a file made of a dump has forgotten it
                return
    except OperationalError as error:
        raise StorageUnavailable(f"The database cannot be opened: {error.orig}") from None
    with _lock(storage), _connection(storage) as connection:
        if storage.is_sqlite:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            # The driver would begin no transaction before CREATE TABLE: a migration is done whole or not at all.
            connection.connection.dbapi_connection.isolation_level = None  # type: ignore[union-attr]
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        current = MigrationContext.configure(connection).get_current_revision()
        if current == newest:
            return
        if current and storage.is_sqlite:
            files.copy(Path(storage.url.database or ""), current)
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        if current and storage.is_sqlite:
            _overwrite_deleted(connection)


def _overwrite_deleted(connection: Connection) -> None:
    """Write the file anew, without what versions before 0003 deleted and left there."""
    try:
        connection.exec_driver_sql("VACUUM")
    except OperationalError as error:
        log.warning("the database cannot be written anew, deleted text may still be in its file: %s", error.orig)


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


@contextmanager
def _connection(storage: Storage) -> Iterator[Connection]:
    # An engine of its own: a migration may wait, and needs no read or write mode.
    url = storage.url if storage.is_sqlite else storage.url.set(drivername="postgresql+psycopg")
    patience = {"timeout": LOCK_SECONDS} if storage.is_sqlite else {"connect_timeout": CONNECT_SECONDS}
    engine = create_engine(url, poolclass=pool.NullPool, connect_args=patience)
    with engine.connect() as connection:
        if storage.is_sqlite:
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
        yield connection
    engine.dispose()


@contextmanager
def _lock(storage: Storage) -> Iterator[None]:
    if not storage.is_sqlite:
        with _connection(storage) as connection:
            # Released with its connection, also when the process dies.
            connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": ADVISORY_LOCK})
            yield
        return
    descriptor = os.open(f"{storage.url.database}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _wait_for(descriptor)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StorageUnavailable(_("Another process is upgrading the database. Try again later.")) from None
        time.sleep(0.05)
