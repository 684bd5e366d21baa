"""Siblings are in the order of insertion, also when the clock of the server was set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from sqlalchemy import select, text, update

from tests.test_branches import edit, question_of, retry
from tests.upstream import tokens
from tests.visitor import text_of
from webapp.storage import Storage, branches
from webapp.storage import messages as messages_of
from webapp.storage.migrate import _alembic, _connection, migrate
from webapp.storage.schema import messages


def written(site, message_id: str, *, later: timedelta) -> None:
    """The clock was ahead when this message was stored; since then it was set back."""
    with site.extensions["lockchat"].storage.begin() as tx:
        tx.execute(update(messages).where(messages.c.id == message_id).values(created_at=datetime.now(UTC) + later))


def test_the_newest_of_three_replies_is_the_third_though_the_clock_was_set_back(site, alice, upstream):
    for name in ("first", "second", "third"):
        upstream.answer(*tokens(f"{name} answer"))
    first = alice.new_chat("Why?")
    alice.end(first)
    written(site, first, later=timedelta(hours=2))
    second = retry(alice, first)
    alice.end(second)
    written(site, second, later=timedelta(hours=1))

    alice.end(retry(alice, first))

    page = text_of(alice.page())
    assert "third answer" in page
    assert "3/3" in page


def test_the_newest_branch_is_shown_though_the_clock_was_set_back(site, alice, upstream):
    alice.end(alice.new_chat("Why?"))
    question = question_of(alice.page())
    first = retry(alice, question)
    alice.end(first)
    written(site, first, later=timedelta(hours=2))
    upstream.answer(*tokens("the newest"))
    alice.end(retry(alice, question))
    alice.end(edit(alice, question, "How?"))

    alice.post_form(f"/m/{question}/select")

    assert "the newest" in text_of(alice.page())


def test_an_export_has_siblings_in_the_order_of_insertion(site, alice):
    first = alice.new_chat("Why?")
    alice.end(first)
    written(site, first, later=timedelta(hours=2))
    second = retry(alice, first)
    alice.end(second)

    exported = alice.get(f"/c/{alice.conversation_id}/export?format=json").json()["messages"]

    assert [one["id"] for one in exported if one["role"] == "assistant"] == [first, second]


@pytest.fixture
def old(empty_database_url):
    """A database of the version before, with a question and three replies, two of them of the same time."""
    storage = Storage(empty_database_url)
    with _connection(storage) as connection:
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        now = "2026-01-01 00:00:00"
        connection.execute(text("INSERT INTO users VALUES ('alice', :now)"), {"now": now})
        connection.execute(
            text(
                "INSERT INTO conversations (id, user_id, title, model, temperature, system, created_at, updated_at)"
                " VALUES ('c', 'alice', 'Title', 'm', 0.7, '', :now, :now)"
            ),
            {"now": now},
        )
        for name, parent, minute in [("q", None, 0), ("z", "q", 1), ("b", "q", 2), ("a", "q", 2)]:
            connection.execute(
                text(
                    "INSERT INTO messages (id, conversation_id, parent_id, role, text, status, created_at)"
                    " VALUES (:id, 'c', :parent, 'user', 'x', 'done', :at)"
                ),
                {"id": name, "parent": parent, "at": f"2026-01-01 00:0{minute}:00"},
            )
        connection.commit()
    yield storage
    storage.close()


def test_an_upgrade_keeps_the_order_of_the_messages(old):
    migrate(old)

    with old.read() as tx:
        assert branches.siblings(tx, "c", ["q"]) == {"q": ("z", "a", "b")}
        assert [node.id for node in messages_of.tree(tx, "alice", "c")] == ["q", "z", "a", "b"]
        assert sorted(tx.execute(select(messages.c.number)).scalars()) == [1, 2, 3, 4]
