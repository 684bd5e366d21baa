"""Upgrades the database to the newest schema: at start, one process at a time, after a copy of the SQLite file."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, inspect, pool, text
from sqlalchemy.exc import DatabaseError, OperationalError

from webapp.config import Config
from webapp.errors import ConfigError, StorageUnavailable
from webapp.language import gettext as _
from webapp.storage import Storage, files

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

LOCK_SECONDS = 60.0
CONNECT_SECONDS = 5
MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 6_130_421  # any number, the same in every worker

log = logging.getLogger(__name__)


def migrate(storage: Storage) -> None:
    """Create or upgrade the tables. Takes no lock if there is nothing to do.

    Raises StorageUnavailable if the database cannot be used, or another process holds the lock for too long;
    ConfigError for the database of a newer version. Both leave the database unchanged.
    """
    database = Path(storage.url.database or "")
    try:
        if storage.is_sqlite and files.is_file_name(storage.url.database):
            files.check(database)
        if not _is_newest(storage):
            _upgrade(storage)
    except DatabaseError as error:
        if storage.is_sqlite:
            raise StorageUnavailable(files.why_unusable(database, error.orig)) from None
        if isinstance(error, OperationalError):
            raise StorageUnavailable(f"The database cannot be opened: {error.orig}") from None
        raise


def main() -> None:
    """Upgrade the database that the environment names: gunicorn's master runs this before its workers start.

    Exits with a sentence and status 1 if no worker could use the database. Ignores a database server that does not
    answer: the app waits for it.
    """
    try:
        config = Config.from_env()
        files.make_directory(config.data_dir)
        storage = Storage(config.storage_url)
        migrate(storage)
    except ConfigError as error:
        sys.exit(f"Lockchat cannot start: {error.sentence}")
    except StorageUnavailable as error:
        if storage.is_sqlite:
            sys.exit(f"Lockchat cannot start: {error.sentence}")


def _is_newest(storage: Storage) -> bool:
    """Whether the schema is the newest one. Raises ConfigError for the database of a newer version."""
    with _connection(storage) as connection:
        revision = _revision(connection)
        _refuse_newer(storage, revision)
        if revision == revisions()[-1]:
            if storage.is_sqlite:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")  # a file restored from a dump has lost it
                _check_writable(connection)
            return True
    return False


def _revision(connection: Connection) -> str | None:
    """The revision of the schema, as Alembic stored it; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def revisions() -> list[str]:
    """The revisions that this version knows, the oldest first: the file names of migrations begin with them."""
    return sorted(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _refuse_newer(storage: Storage, revision: str | None) -> None:
    known = revisions()
    if revision is None or revision in known:
        return
    if not storage.is_sqlite:
        raise ConfigError(
            f"The database {storage.url.database} was made by a newer version of Lockchat (revision {revision})."
            " Install that version, or restore a backup."
        )
    database = Path(storage.url.database or "")
    copies = [copy for name in known[::-1] if (copy := files.copy_before(database, name)).exists()]
    way_back = f"move it away and rename {copies[0]} to {database.name}" if copies else "restore a backup in its place"
    raise ConfigError(
        f"{database} was made by a newer version of Lockchat (revision {revision})."
        f" Install that version; or, to go back to the time before the upgrade, {way_back}."
    )


def _check_writable(connection: Connection) -> None:
    """Raise the driver's error for a read-only database. The connection no longer waits for other processes."""
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    dbapi = connection.connection.dbapi_connection
    try:
        # BEGIN IMMEDIATE alone reads where it cannot write; deleting no row of a read-only database is an error.
        dbapi.executescript("BEGIN IMMEDIATE; DELETE FROM alembic_version WHERE false; ROLLBACK")  # type: ignore[union-attr]
    except sqlite3.OperationalError as error:
        if not error.sqlite_errorname.startswith("SQLITE_BUSY"):  # busy: another process is writing
            raise OperationalError("BEGIN IMMEDIATE", {}, error) from None


def _upgrade(storage: Storage) -> None:
    with _lock(storage), _connection(storage) as connection:
        if storage.is_sqlite:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            # The driver begins no transaction before CREATE TABLE; with one, a migration runs whole or not at all.
            connection.connection.dbapi_connection.isolation_level = None  # type: ignore[union-attr]
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        current = _revision(connection)
        if current == revisions()[-1]:
            return
        old = current if storage.is_sqlite else None
        if old:
            files.copy(Path(storage.url.database or ""), old)
        _run_migrations(connection)
        connection.commit()
        if old:
            _overwrite_deleted(connection)


def _overwrite_deleted(connection: Connection) -> None:
    """Rewrite the file, without the deleted text that versions before 0003 left in it."""
    try:
        connection.exec_driver_sql("VACUUM")
    except OperationalError as error:
        log.warning("the database cannot be rewritten, deleted text may still be in its file: %s", error.orig)


def _run_migrations(connection: Connection) -> None:
    from alembic import command  # takes 5 MB, and nearly every start finds the newest schema

    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _alembic() -> AlembicConfig:
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


@contextmanager
def _connection(storage: Storage) -> Iterator[Connection]:
    # A separate engine: a migration may wait, and needs no read or write mode.
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
            # The server releases it with the connection, even if the process dies.
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


if __name__ == "__main__":
    main()
