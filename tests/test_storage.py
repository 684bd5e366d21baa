"""The database: migrations, locks, and whose rows are whose."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tests.rows import day, fill
from webapp.chat import Conversation, Picture
from webapp.errors import StorageConflict, StorageFull, StorageUnavailable
from webapp.storage import Storage, conversations, message_words, pictures, spending
from webapp.storage import migrate as migrations
from webapp.storage.forgetting import forget
from webapp.storage.migrate import migrate
from webapp.storage.schema import metadata, presets

BUSY = "The database is busy. Try again in a moment."
FULL = "The server's disk is full. An administrator has to make room."


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


def test_a_new_database_needs_no_copy(empty_database_url):
    storage = Storage(empty_database_url)
    if not storage.is_sqlite:
        pytest.skip("only SQLite's file is copied")

    migrate(storage)

    storage.close()
    assert [path.name for path in Path(storage.url.database).parent.glob("*.before-*")] == []


def test_who_waits_for_the_upgrade_of_another_makes_no_copy(storage):
    migrations._upgrade(storage)

    if storage.is_sqlite:
        assert [path.name for path in Path(storage.url.database).parent.glob("*.before-*")] == []


def test_an_upgrade_that_cannot_overwrite_deleted_text_says_so(storage, caplog):
    if not storage.is_sqlite:
        pytest.skip("PostgreSQL overwrites by itself")
    with migrations._connection(storage) as connection:
        connection.exec_driver_sql("BEGIN")

        migrations._overwrite_deleted(connection)

    said = "the database cannot be rewritten, deleted text may still be in its file"
    assert caplog.messages == [f"{said}: cannot VACUUM from within a transaction"]


def test_a_server_that_is_away_is_reported_in_the_words_of_its_driver():
    with pytest.raises(StorageUnavailable, match="The database cannot be opened: connection .* refused"):
        migrate(Storage("postgresql://127.0.0.1:1/lockchat"))


@pytest.fixture
def upgraded_by_another(empty_database_url, monkeypatch):
    """A database that another process is upgrading, which nobody waits for."""
    storage = Storage(empty_database_url)
    if not storage.is_sqlite:
        pytest.skip("PostgreSQL has a lock of its own for this")
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.0)
    with Path(f"{storage.url.database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield storage
    storage.close()


def test_a_start_gives_up_while_another_process_upgrades(upgraded_by_another):
    with pytest.raises(StorageUnavailable) as caught:
        migrate(upgraded_by_another)

    assert caught.value.sentence == "Another process is upgrading the database. Try again later."


def test_a_start_on_a_current_database_waits_for_nobody(storage, monkeypatch):
    if not storage.is_sqlite:
        pytest.skip("PostgreSQL has a lock of its own for this")
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.0)

    with Path(f"{storage.url.database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        migrate(storage)


def test_a_database_of_the_version_before_is_upgraded_and_copied(empty_database_url):
    storage, before = Storage(empty_database_url), migrations.revisions()[-2]
    with migrations._connection(storage) as connection:
        config = migrations._alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, before)
        connection.commit()

    migrate(storage)

    with storage.read() as tx:
        assert tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == migrations.revisions()[-1]
    if storage.is_sqlite:
        database = Path(storage.url.database)
        copies = [path.name for path in database.parent.glob("*.before-*")]
        assert copies == [f"{database.name}.before-{before}"]
    storage.close()


def test_the_app_may_be_in_a_directory_with_any_name(empty_database_url, tmp_path, monkeypatch):
    shutil.copytree(migrations.MIGRATIONS, tmp_path / "100% %(here)s")
    monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path / "100% %(here)s")
    storage = Storage(empty_database_url)

    migrate(storage)

    with storage.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM users").scalar() == 0
    storage.close()


def test_a_file_that_was_restored_from_a_dump_is_written_ahead_again(storage):
    if not storage.is_sqlite:
        pytest.skip("only SQLite has this mode")
    storage.close()
    with sqlite3.connect(storage.url.database) as restored:
        restored.execute("PRAGMA journal_mode = DELETE")
    restored.close()

    migrate(storage)

    with storage.read() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


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

    with storage.begin(wait_seconds=60):
        waited = time.monotonic() - started

    assert 0.2 < waited < 20


def test_a_writer_asks_less_and_less_often(storage, locked, monkeypatch):
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 7:
            locked.execute("ROLLBACK")

    monkeypatch.setattr("webapp.storage.time.sleep", pause)

    with storage.begin(wait_seconds=600):
        pass

    assert pauses == [0.005, 0.01, 0.02, 0.04, 0.08, 0.1, 0.1]


@pytest.fixture
def closed(storage, locked):
    """A connection that lets nobody else in, as while a process recovers the database."""
    locked.execute("ROLLBACK")
    storage.close()
    locked.execute("PRAGMA locking_mode = EXCLUSIVE")
    locked.execute("BEGIN IMMEDIATE")
    return locked


def test_a_new_connection_waits_while_the_database_is_closed_to_others(storage, closed, monkeypatch):
    monkeypatch.setattr("webapp.storage.READ_WAIT_SECONDS", 60.0)
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


def test_work_of_many_transactions_waits_for_the_disk_once_at_most(storage, monkeypatch):
    monkeypatch.setattr(pictures, "PART_BYTES", 1)
    with storage.begin() as tx:
        fill(tx)
        message_words.add(tx, ["a1q"])
        if storage.is_sqlite:
            tx.exec_driver_sql("UPDATE search_deleted SET times = 1")
    commits: list[Connection] = []
    event.listen(storage._durable, "commit", commits.append)

    forget(storage)
    assert len(commits) == 0

    pictures.keep(storage, "a1r", Picture("image/png", 3, data=b"abc"))
    assert len(commits) == 1


def test_no_connection_of_sqlite_waits_by_itself(storage):
    if not storage.is_sqlite:
        pytest.skip("a wait for a server lets others go on")
    with storage.begin() as tx:
        assert tx.exec_driver_sql("PRAGMA busy_timeout").scalar() == 0


def test_twenty_may_read_at_once(storage):
    with ExitStack() as stack:
        transactions = [stack.enter_context(storage.read()) for _number in range(20)]

        assert [tx.exec_driver_sql("SELECT 1").scalar() for tx in transactions] == [1] * 20


def error_of(**values):
    """An error of a driver with these values."""
    error = sqlite3.OperationalError("of the driver")
    for name, value in values.items():
        setattr(error, name, value)
    return DBAPIError("INSERT", {}, error)


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (error_of(sqlite_errorname="SQLITE_FULL"), StorageFull, FULL),
        (error_of(sqlstate="53100"), StorageFull, FULL),
        (error_of(sqlstate="40P01"), StorageConflict, BUSY),
        (error_of(sqlstate="40001"), StorageConflict, BUSY),
        (error_of(sqlite_errorname="SQLITE_BUSY"), StorageUnavailable, BUSY),
        (error_of(sqlite_errorname="SQLITE_IOERR", sqlstate=None), StorageUnavailable, BUSY),
        (error_of(), StorageUnavailable, BUSY),
        (PoolTimeoutError(), StorageUnavailable, BUSY),
    ],
    ids=["full", "full server", "deadlock", "serialisation", "busy", "broken", "other", "pool"],
)
def test_an_error_of_the_driver_becomes_a_sentence(storage, error, kind, sentence):
    with pytest.raises(StorageUnavailable) as caught, storage.begin():
        raise error

    assert type(caught.value) is kind
    assert caught.value.sentence == sentence


def test_no_error_shows_what_a_user_wrote(storage):
    row = {"id": "p", "user_id": "nobody", "name": "", "model": "", "created_at": day(8)}

    with pytest.raises(IntegrityError) as caught, storage.begin() as tx:
        tx.execute(insert(presets), row | {"system": "the words of a user"})

    assert "the words of a user" not in str(caught.value)


@pytest.mark.usefixtures("in_tokyo")
def test_times_and_days_are_those_of_utc_wherever_the_server_is(storage):
    new = Conversation("m", None, "", "a", "alice", "New", None, day(8), day(9))

    with storage.begin() as tx:
        conversations.add(tx, new)

    with storage.read() as tx:
        if not storage.is_sqlite:
            tx.exec_driver_sql("SET TIME ZONE 'Asia/Tokyo'")
        assert conversations.get(tx, "alice", "a") == new
        assert tx.exec_driver_sql("SELECT created_at FROM conversations").scalar() in (
            day(8),
            "2026-01-08 00:00:00.000000",
        )
    assert spending.day_of(day(9).replace(hour=20)) == "2026-01-09"


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
def test_a_server_that_says_nothing_is_given_up(storage, monkeypatch, caplog):
    with monkeypatch.context() as patch, pytest.raises(StorageUnavailable), storage.begin() as tx:
        patch.setattr("webapp.storage.postgresql.ANSWER_SECONDS", 0.5)
        tx.exec_driver_sql("SELECT pg_sleep(30)")

    assert "the server has said nothing for 0.5 s" in caplog.text
    with storage.begin() as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar() == 1


@pytest.mark.usefixtures("on_postgresql")
def test_a_server_that_goes_on_answering_is_waited_for(storage, monkeypatch):
    monkeypatch.setattr("webapp.storage.postgresql.ANSWER_SECONDS", 2.0)

    with storage.begin() as tx:
        tx.exec_driver_sql("SELECT pg_sleep(0.15), repeat('x', 9000)", [()] * 15)


@pytest.mark.usefixtures("on_postgresql")
def test_a_worker_that_was_cut_off_holds_no_lock_for_long(storage, monkeypatch):
    monkeypatch.setattr("webapp.storage.postgresql.IDLE_SECONDS", 1.0)
    cut_off = Storage(storage.url.render_as_string(hide_password=False))
    tables = "LOCK TABLE workers IN ACCESS EXCLUSIVE MODE"
    locked = []

    with pytest.raises(StorageUnavailable), cut_off.begin() as tx:
        tx.exec_driver_sql(tables)
        with storage.begin() as other:
            other.exec_driver_sql(tables)
            locked.append("other")

    cut_off.close()
    assert locked == ["other"]


@pytest.mark.usefixtures("on_postgresql")
def test_a_server_gives_up_before_we_do(storage):
    names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]

    with storage.begin() as tx:
        assert [tx.exec_driver_sql(f"SHOW {name}").scalar() for name in names] == ["5500ms", "5s", "8s"]


@pytest.mark.usefixtures("on_postgresql")
def test_a_connection_that_died_while_it_was_idle_is_replaced(storage):
    with storage.begin() as tx:
        pid = tx.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    with storage.begin(durable=False) as tx:
        tx.exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    with storage.begin() as tx:
        assert tx.exec_driver_sql("SELECT 1").scalar() == 1


@pytest.mark.usefixtures("on_postgresql")
def test_who_gets_no_connection_is_refused_soon(storage, monkeypatch):
    monkeypatch.setattr("webapp.storage.postgresql.ANSWER_SECONDS", 0.5)
    full, started_at = Storage(storage.url.render_as_string(hide_password=False)), time.monotonic()

    with ExitStack() as stack, pytest.raises(StorageUnavailable):
        for _number in range(21):
            stack.enter_context(full.read())

    full.close()
    assert time.monotonic() - started_at < 20  # by itself the pool would wait 30 s
