"""Rename, pin, delete and undo a conversation."""

from __future__ import annotations

import pytest

from tests.upstream import Wait, body, token
from tests.visitor import text_of


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


def test_deleting_stops_what_runs(alice, upstream):
    upstream.answer(*body(token("x"), Wait()))
    reply = alice.new_chat("Delete me")
    next(alice.events(reply))

    do(alice, "delete")

    assert upstream.client_left.wait(2)


@pytest.mark.parametrize("action", ["rename", "pin", "delete", "restore"])
def test_bob_cannot_manage_what_is_alices(alice, bob, action):
    alice.new_chat("Mine")

    answer = bob.post_form(f"/c/{alice.conversation_id}/{action}", title="Bob's")

    assert answer.status_code == 404
    assert "<title>Mine · Lockchat</title>" in alice.page()
