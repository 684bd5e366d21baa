"""Rename, pin, delete and undo a conversation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.upstream import Wait, body, token
from tests.visitor import text_of
from webapp.chat import Message
from webapp.storage import conversations as conversations_of
from webapp.storage import messages
from webapp.storage.schema import conversations
from webapp.text import new_id


def do(visitor, action: str, **fields: object):
    return visitor.post_form(f"/c/{visitor.conversation_id}/{action}", **fields)


def test_a_conversation_can_be_renamed(alice):
    alice.new_chat("Some long question")

    answer = do(alice, "rename", title="  Queues \n & co ")

    assert answer.status_code == 303
    assert "Queues &amp; co · Lockchat</title>" in alice.page()


@pytest.mark.parametrize(("title", "status"), [(" ", 400), ("x" * 201, 413)])
def test_a_title_that_cannot_be_used_is_refused(alice, title, status):
    alice.new_chat("Before")

    assert do(alice, "rename", title=title).status_code == status
    assert "<title>Before · Lockchat</title>" in alice.page()


def test_a_pinned_conversation_stays_at_the_top(alice):
    alice.new_chat("The old one")
    do(alice, "pin", pinned="1")
    alice.new_chat("The new one")

    page = alice.get("/").text

    assert page.index("The old one") < page.index("The new one")


def test_a_new_chat_begins_with_the_model_of_the_last_used_conversation_though_another_is_pinned(alice):
    alice.new_chat("The old one", model="gpt-4")
    do(alice, "pin", pinned="1")
    alice.new_chat("The new one", model="gpt-3.5-turbo")

    assert '<option value="gpt-3.5-turbo" selected>' in alice.get("/").text


def test_a_deleted_conversation_is_gone_until_it_is_restored(alice):
    reply = alice.new_chat("Delete me")
    alice.end(reply)

    answer = do(alice, "delete")
    place = answer.headers["Location"]

    assert "Delete me" not in alice.get("/").text
    assert alice.get(f"/c/{alice.conversation_id}").status_code == 404
    assert alice.get(f"/m/{reply}/raw").status_code == 404
    assert "Undo" in text_of(alice.get(place).text)
    assert do(alice, "restore").status_code == 303
    assert "Delete me" in alice.page()


def test_only_a_deletion_that_can_be_undone_is_told(site, alice, bob):
    alice.end(alice.new_chat("Delete me"))
    told = "The conversation was deleted."
    place = f"/?deleted={alice.conversation_id}"

    before = alice.get(place).text
    do(alice, "delete")
    after, bobs = alice.get(place).text, bob.get(place).text
    do(alice, "restore")
    restored = alice.get(place).text  # as after Undo and Back
    deleted_ago(site, alice, timedelta(hours=25))
    late = alice.get(place).text

    assert told in after
    assert [told in page for page in (before, bobs, restored, late, alice.get("/?deleted=x").text)] == [False] * 5


def test_deleting_stops_what_runs(alice, upstream):
    upstream.answer(*body(token("x"), Wait()))
    alice.new_chat("Delete me")
    upstream.wait_for_requests(1)

    do(alice, "delete")

    assert upstream.client_left.wait(5)


def test_what_was_deleted_long_ago_goes_for_good_however_long_it_was(site, alice):
    alice.end(alice.new_chat("Old"))
    storage, old = site.extensions["lockchat"].storage, alice.conversation_id
    with storage.begin() as tx:
        user_id = tx.execute(select(conversations.c.user_id)).scalar_one()
        parent_id = None
        for number in range(1200):
            message = Message(new_id(), old, parent_id, "user", f"word{number}", "done", datetime.now(UTC))
            messages.add(tx, message)
            parent_id = message.id
        conversations_of.change(tx, user_id, old, deleted_at=datetime.now(UTC) - timedelta(days=2))

    site.extensions["lockchat"].upkeep.tick()

    with storage.read() as tx:
        assert messages.tree(tx, user_id, old) == []
    assert "Nothing found" in text_of(alice.get("/search?q=word7").text)


@pytest.mark.parametrize("action", ["rename", "pin", "delete", "restore"])
def test_bob_cannot_manage_what_is_alices(alice, bob, action):
    alice.new_chat("Mine")

    answer = bob.post_form(f"/c/{alice.conversation_id}/{action}", title="Bob's")

    assert answer.status_code == 404
    assert "<title>Mine · Lockchat</title>" in alice.page()


def deleted_ago(site, visitor, ago: timedelta) -> None:
    """Delete the visitor's conversation, as if that was some time ago."""
    assert do(visitor, "delete").status_code == 303
    with site.extensions["lockchat"].storage.begin() as tx:
        these = conversations.c.id == visitor.conversation_id
        tx.execute(update(conversations).where(these).values(deleted_at=datetime.now(UTC) - ago))


def test_a_conversation_can_be_restored_until_a_day_has_passed(site, alice):
    alice.end(alice.new_chat("Delete me"))
    deleted_ago(site, alice, timedelta(hours=23))

    assert do(alice, "restore").status_code == 303
    assert "Delete me" in alice.page()


def test_who_restores_after_a_day_is_told_that_it_is_too_late(site, alice):
    alice.end(alice.new_chat("Delete me"))
    deleted_ago(site, alice, timedelta(hours=25))

    answer = do(alice, "restore")

    assert answer.status_code == 410
    assert "It is too late: a deleted conversation can be restored for one day." in text_of(answer.text)
    assert alice.get(f"/c/{alice.conversation_id}").status_code == 404


def test_who_restores_a_purged_conversation_is_told_why_it_is_gone(site, alice):
    alice.end(alice.new_chat("Delete me"))
    deleted_ago(site, alice, timedelta(hours=25))
    site.extensions["lockchat"].upkeep.tick()

    answer = do(alice, "restore")

    assert answer.status_code == 404
    assert "it was deleted more than a day ago" in text_of(answer.text)


@pytest.mark.parametrize("action", ["rename", "pin", "delete"])
def test_a_deleted_conversation_cannot_be_managed(alice, action):
    alice.end(alice.new_chat("Before"))
    do(alice, "delete")

    assert do(alice, action, title="After", pinned="1").status_code == 404
    do(alice, "restore")
    assert "<title>Before · Lockchat</title>" in alice.page()
