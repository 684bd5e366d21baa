"""Deleted text leaves the files too: the database, its WAL, its copies."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import select, update

from tests.history import add_turns
from webapp import create_app
from webapp.chat import Conversation, Message
from webapp.config import Config
from webapp.errors import StorageUnavailable
from webapp.retention import Retention
from webapp.storage import Storage, conversations, files, message_words, messages
from webapp.storage.forgetting import _empty_wal, forget
from webapp.storage.message_words import Wanted
from webapp.storage.migrate import _alembic, _connection, migrate
from webapp.storage.schema import conversations as table
from webapp.upkeep import Upkeep

DAY = 86_400
WORDS = "".join(f" {letter}{{}}" for letter in "abcdefghijklmnop")


@pytest.fixture(autouse=True)
def on_sqlite(database_url):
    if not database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL keeps its files by itself")


def bytes_of(database: Path) -> bytes:
    """All that the files of a database hold, its copies too."""
    return b"".join(path.read_bytes() for path in sorted(database.parent.glob(f"{database.name}*")))


def delete_for_good(site, conversation_id):
    """A day passes after a deletion, and the hourly upkeep comes."""
    long_ago = datetime.now(UTC) - timedelta(days=2)
    with site.extensions["lockchat"].storage.begin() as tx:
        tx.execute(update(table).where(table.c.id == conversation_id).values(deleted_at=long_ago))
    site.extensions["lockchat"].upkeep.tick()


def test_the_words_of_a_deleted_conversation_are_in_no_file(site, alice, bob, database_url, monkeypatch):
    monkeypatch.setattr("webapp.storage.forgetting.PAGES", 1)  # in several steps
    storage, database = site.extensions["lockchat"].storage, Path(site.extensions["lockchat"].storage.url.database)
    alice.end(alice.new_chat("Quokkas eat xylophones"))
    add_turns(database_url, alice.conversation_id, 300, answer="The wombat {} plays the harpsichord")
    bob.end(bob.new_chat("Bob asks of narwhals"))
    add_turns(database_url, bob.conversation_id, 300, answer="The walrus plays the trombone" + WORDS)
    assert b"ylophone" in bytes_of(database)

    delete_for_good(site, alice.conversation_id)

    left = bytes_of(database).lower()
    assert [word for word in (b"uokkas", b"ylophone", b"ombat", b"arpsichord") if word in left] == []
    assert b"narwhals" in left
    with storage.read() as tx:
        assert tx.exec_driver_sql("SELECT times FROM search_deleted").scalar() == 0
        assert tx.exec_driver_sql("SELECT count(DISTINCT segid) FROM search_idx").scalar() == 1  # merged to the end
    assert "trombone" in bob.get("/search?q=trombone").text
    assert "Nothing found" in alice.get("/search?q=harpsichord").text


def test_a_deletion_goes_for_good_without_another_one(site, alice):
    alice.end(alice.new_chat("Delete me"))

    delete_for_good(site, alice.conversation_id)

    with site.extensions["lockchat"].storage.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM messages").scalar() == 0


def test_a_deletion_of_today_can_be_undone_after_the_upkeep(site, alice):
    alice.end(alice.new_chat("Delete me"))
    alice.post_form(f"/c/{alice.conversation_id}/delete")

    site.extensions["lockchat"].upkeep.tick()

    assert alice.post_form(f"/c/{alice.conversation_id}/restore").status_code == 303
    assert "Delete me" in alice.page()


def test_the_upkeep_of_a_busy_database_waits_for_the_next_tick(site, alice):
    with site.extensions["lockchat"].storage.begin(), pytest.raises(StorageUnavailable):
        site.extensions["lockchat"].upkeep.tick()


def test_a_wal_that_cannot_be_emptied_does_not_end_the_upkeep(site, alice, monkeypatch):
    alice.end(alice.new_chat("Delete me"))
    monkeypatch.setattr("webapp.storage.forgetting._empty_wal", lambda path: sqlite3.connect("/dev/null/none"))

    delete_for_good(site, alice.conversation_id)

    with site.extensions["lockchat"].storage.read() as tx:
        assert tx.exec_driver_sql("SELECT times FROM search_deleted").scalar() == 0


def test_nobody_waits_while_a_wal_that_is_read_cannot_be_emptied(storage, monkeypatch):
    waits: list[int] = []

    class Watched(sqlite3.Connection):
        def close(self) -> None:
            waits.append(self.execute("PRAGMA busy_timeout").fetchone()[0])
            super().close()

    monkeypatch.setattr("webapp.storage.forgetting.sqlite3.connect", Watched)

    _empty_wal(storage.url.database)

    assert waits == [0]


@pytest.mark.parametrize("times", [0, 1])
def test_it_gives_up_soon_where_others_write(storage, monkeypatch, times):
    monkeypatch.setattr("webapp.storage.forgetting.WAIT_SECONDS", 0.0)
    with storage.begin() as tx:
        tx.exec_driver_sql("UPDATE search_deleted SET times = ?", (times,))
    storage._writers.acquire()
    release = threading.Timer(6, storage._writers.release)  # within the 8 s that a send would wait
    release.start()

    with pytest.raises(StorageUnavailable):
        forget(storage)

    release.cancel()


def test_a_server_that_closes_goes_on_with_it_at_the_next_start(storage):
    with storage.begin() as tx:
        tx.exec_driver_sql("UPDATE search_deleted SET times = 3")

    forget(storage, lambda: True)

    with storage.read() as tx:
        assert tx.exec_driver_sql("SELECT times FROM search_deleted").scalar() == 3
    forget(storage)
    with storage.read() as tx:
        assert tx.exec_driver_sql("SELECT times FROM search_deleted").scalar() == 0


@pytest.fixture
def old(tmp_path):
    """A database of the version before, with a message in it, and traces of a deleted one."""
    database = tmp_path / "old.sqlite3"
    storage = Storage(f"sqlite:///{database}")
    with _connection(storage) as connection:
        config: AlembicConfig = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.exec_driver_sql("PRAGMA secure_delete = OFF")
        now = "2026-01-01 00:00:00"
        connection.exec_driver_sql("INSERT INTO users VALUES ('alice', ?)", (now,))
        connection.exec_driver_sql(
            "INSERT INTO conversations VALUES ('c', 'alice', 'Title', 'm', 0.7, '', NULL, ?, ?, 0, NULL)", (now, now)
        )
        for name, text in (("kept", "The platypus stays"), ("gone", "The axolotl goes " * 900)):
            connection.exec_driver_sql(
                "INSERT INTO messages (id, conversation_id, role, text, status, created_at)"
                " VALUES (?, 'c', 'user', ?, 'done', ?)",
                (name, text, now),
            )
        connection.exec_driver_sql("DELETE FROM messages WHERE id = 'gone'")
        connection.exec_driver_sql("DELETE FROM search WHERE message_id = 'gone'")
        connection.commit()
    yield database
    storage.close()


def test_an_upgrade_finds_what_was_there_and_forgets_what_was_deleted(old):
    storage = Storage(f"sqlite:///{old}")

    migrate(storage)

    with storage.read() as tx:
        assert [hit.message_id for hit in message_words.find(tx, "alice", Wanted(["platyp"])).hits] == ["kept"]
    storage.close()
    assert b"xolotl" not in old.read_bytes()


def test_the_copy_made_before_an_upgrade_stays_for_two_weeks(old, tmp_path):
    config = Config(data_dir=tmp_path, database_url=f"sqlite:///{old}")
    copy = old.with_name(f"{old.name}.before-0002")
    older = old.with_name(f"{old.name}.before-0001")
    older.write_bytes(b"")
    os.utime(older, (0, time.time() - 15 * DAY))

    create_app(config).extensions["lockchat"].close()

    assert copy.exists()
    assert not older.exists()
    files.remove_old_copies(str(old), now=time.time() + 13 * DAY)
    assert copy.exists()
    files.remove_old_copies(str(old), now=time.time() + 15 * DAY)
    assert not copy.exists()
    assert old.exists()


def test_the_upkeep_removes_old_copies_of_a_server_that_never_restarts(site):
    database = Path(site.extensions["lockchat"].storage.url.database)
    copy = database.with_name(f"{database.name}.before-0001")
    copy.write_bytes(b"")
    os.utime(copy, (0, time.time() - 15 * DAY))

    site.extensions["lockchat"].upkeep.tick()

    assert not copy.exists()


def test_a_long_conversation_goes_in_small_steps(site, alice, database_url):
    alice.end(alice.new_chat("Long"))
    add_turns(database_url, alice.conversation_id, 100)
    storage, later = site.extensions["lockchat"].storage, datetime.now(UTC) + timedelta(days=1)
    alice.post_form(f"/c/{alice.conversation_id}/delete")

    with storage.begin() as tx:
        assert conversations.purge_some(tx, later)
        left = tx.exec_driver_sql("SELECT count(*) FROM messages").scalar()

    assert left == 202 - conversations.MESSAGES_AT_ONCE


def test_the_upkeep_removes_what_a_broken_import_left(site, alice):
    alice.end(alice.new_chat("Stays"))
    storage, long_ago = site.extensions["lockchat"].storage, datetime.now(UTC) - timedelta(days=2)
    with storage.begin() as tx:
        owner = tx.execute(select(table.c.user_id)).scalar_one()
        half = Conversation(
            id="c" * 36,
            user_id=owner,
            title="Half",
            model="gpt-4",
            temperature=1.0,
            system="",
            leaf_id=None,
            created_at=long_ago,
            updated_at=long_ago,
        )
        conversations.add(tx, half, deleted_at=long_ago)
        messages.add(tx, Message("m" * 36, half.id, None, "user", "Left", "done", long_ago))

    site.extensions["lockchat"].upkeep.tick()

    with storage.read() as tx:
        assert tx.execute(select(table.c.id)).scalars().all() == [alice.conversation_id]
        assert messages.some(tx, owner, half.id, ["m" * 36]) == []


def test_upkeep_that_is_closed_ends_at_once(site):
    storage = site.extensions["lockchat"].storage
    upkeep = Upkeep(storage, Retention(Config(), storage))
    upkeep.start()

    upkeep.close()

    assert not upkeep._thread.is_alive()
