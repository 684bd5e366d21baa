"""The database: migrations, locks, and whose rows are whose."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from webapp.errors import StorageUnavailable
from webapp.storage import Storage
from webapp.storage.migrate import migrate
from webapp.storage.schema import metadata


def test_the_migrations_make_the_tables_of_the_schema(storage):
    with storage.read() as tx:
        # Full-text search is each database's own, so the schema does not name it.
        options = {"compare_type": True, "include_name": lambda name, *_: "search" not in (name or "")}
        context = MigrationContext.configure(tx, opts=options)

        assert compare_metadata(context, metadata) == []


def test_migrating_twice_changes_nothing(storage):
    migrate(storage)


def test_reads_in_one_block_join_one_transaction(storage):
    with storage.reads():
        with storage.read() as first:
            pass
        with storage.read() as second:
            assert second is first
            assert second.in_transaction()
    with storage.read() as third:
        assert third is not first


def test_eight_processes_may_migrate_at_once(empty_database_url):
    storages = [Storage(empty_database_url) for _ in range(8)]
    errors = []

    def run(storage):
        try:
            migrate(storage)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=[storage]) for storage in storages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for storage in storages:
        storage.close()

    assert errors == []


@pytest.fixture
def locked(storage):
    """A connection of another process that holds the write lock of the SQLite file."""
    if not storage.is_sqlite:
        pytest.skip("only SQLite locks the whole database")
    other = sqlite3.connect(storage.url.database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_a_writer_waits_for_another_one(storage, locked):
    started = time.monotonic()
    threading.Timer(0.3, locked.execute, ["ROLLBACK"]).start()

    with storage.begin(wait_seconds=10):
        waited = time.monotonic() - started

    assert 0.2 < waited < 5


@pytest.fixture
def closed(storage, locked):
    """A connection that lets nobody else in, as while a process recovers the database."""
    locked.execute("ROLLBACK")
    storage.close()
    locked.execute("PRAGMA locking_mode = EXCLUSIVE")
    locked.execute("BEGIN IMMEDIATE")
    return locked


def test_a_new_connection_waits_while_the_database_is_closed_to_others(storage, closed):
    threading.Timer(0.3, closed.close).start()

    with storage.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM users").scalar() == 0


def test_a_writer_gives_up_with_a_sentence(storage, locked):
    with pytest.raises(StorageUnavailable, match="busy"), storage.begin(wait_seconds=0.1):
        pass


def test_a_reader_never_waits(storage, locked):
    with storage.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM users").scalar() == 0


def test_durable_commits_are_synchronous_and_cheap_ones_are_not(storage):
    if not storage.is_sqlite:
        with storage.begin() as tx:
            assert tx.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        with storage.begin(durable=False) as tx:
            assert tx.exec_driver_sql("SHOW synchronous_commit").scalar() == "off"
        return
    with storage.begin() as tx:
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    with storage.begin(durable=False) as tx:
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 1


def test_an_error_in_the_block_rolls_back(storage):
    with pytest.raises(ZeroDivisionError), storage.begin() as tx:
        tx.exec_driver_sql("INSERT INTO workers (id, beats) VALUES ('w', 1)")
        _ = 1 / 0

    with storage.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM workers").scalar() == 0


@pytest.fixture
def on_postgresql(storage):
    if storage.is_sqlite:
        pytest.skip("a file is never silent")


@pytest.mark.usefixtures("on_postgresql")
def test_a_server_that_says_nothing_is_given_up(storage, monkeypatch):
    monkeypatch.setattr("webapp.storage.postgresql.ANSWER_SECONDS", 0.5)

    with pytest.raises(StorageUnavailable), storage.begin() as tx:
        tx.exec_driver_sql("SELECT pg_sleep(30)")

    with storage.begin() as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar() == 1


@pytest.mark.usefixtures("on_postgresql")
def test_a_server_that_goes_on_answering_is_waited_for(storage, monkeypatch):
    monkeypatch.setattr("webapp.storage.postgresql.ANSWER_SECONDS", 1.0)

    with storage.begin() as tx:
        tx.exec_driver_sql("SELECT pg_sleep(0.02), repeat('x', 9000)", [()] * 100)


@pytest.mark.usefixtures("on_postgresql")
def test_a_worker_that_was_cut_off_holds_no_lock_for_long(storage, monkeypatch):
    monkeypatch.setattr("webapp.storage.postgresql.IDLE_SECONDS", 1.0)
    cut_off = Storage(storage.url.render_as_string(hide_password=False))
    tables = "LOCK TABLE workers IN ACCESS EXCLUSIVE MODE"

    with pytest.raises(StorageUnavailable), cut_off.begin() as tx:
        tx.exec_driver_sql(tables)
        with storage.begin() as other:
            other.exec_driver_sql(tables)

    cut_off.close()
