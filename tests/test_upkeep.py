"""Upkeep: a timer purges the conversations that were deleted more than a day ago, and nothing else."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.wait import wait_until
from webapp import upkeep
from webapp.background import Background
from webapp.config import Config
from webapp.errors import StorageUnavailable
from webapp.retention import Retention
from webapp.storage.schema import conversations, messages


def delete(site, visitor, hours: int) -> None:
    """Delete the visitor's last conversation, as if that was so many hours ago."""
    visitor.post_form(f"/c/{visitor.conversation_id}/delete")
    with site.extensions["lockchat"].storage.begin() as tx:
        these = conversations.c.id == visitor.conversation_id
        tx.execute(update(conversations).where(these).values(deleted_at=datetime.now(UTC) - timedelta(hours=hours)))


def titles(site) -> list[str]:
    with site.extensions["lockchat"].storage.read() as tx:
        return sorted(tx.execute(select(conversations.c.title)).scalars())


@pytest.fixture
def chats(site, alice, bob):
    """Alice deleted one conversation yesterday and one an hour ago, Bob one yesterday; each keeps one."""
    for visitor, title, hours in [
        (alice, "alice kept", None),
        (alice, "alice today", 1),
        (alice, "alice yesterday", 25),
        (bob, "bob kept", None),
        (bob, "bob yesterday", 25),
    ]:
        visitor.end(visitor.new_chat(title))
        if hours:
            delete(site, visitor, hours)


@pytest.mark.usefixtures("chats")
def test_upkeep_purges_old_deletions_of_all_users_and_nothing_else(site):
    site.extensions["lockchat"].upkeep.tick()

    assert titles(site) == ["alice kept", "alice today", "bob kept"]
    with site.extensions["lockchat"].storage.read() as tx:
        assert len(tx.execute(select(messages.c.id)).all()) == 6


@pytest.mark.usefixtures("chats")
def test_a_deletion_purges_nothing_of_anybody(site, alice):
    alice.new_chat("alice last")
    alice.post_form(f"/c/{alice.conversation_id}/delete")

    assert "alice yesterday" in titles(site)
    assert "bob yesterday" in titles(site)


@pytest.mark.usefixtures("chats")
def test_the_timer_comes_again_and_again(site, bob, monkeypatch):
    for name in ("FIRST_SECONDS", "EVERY_SECONDS", "TRIM_SECONDS"):
        monkeypatch.setattr(upkeep, name, 0.01)
    storage = site.extensions["lockchat"].storage
    timed = upkeep.Upkeep(storage, Retention(Config(), storage))
    timed.start()
    wait_until(lambda: titles(site) == ["alice kept", "alice today", "bob kept"], 20)

    bob.end(bob.new_chat("bob later"))
    delete(site, bob, 25)

    wait_until(lambda: "bob later" not in titles(site), 20)
    timed.close()


@pytest.mark.parametrize("error", [StorageUnavailable("away"), ValueError("a bug")], ids=["away", "bug"])
def test_a_look_that_fails_is_not_the_last_one(error):
    looks = threading.Semaphore(0)

    class Failing(Background):
        def look(self) -> None:
            looks.release()
            raise error

    failing = Failing("failing", look_seconds=0.001)
    failing.start()

    assert all(looks.acquire(timeout=10) for _look in range(3))
    failing.close()
