"""Stop: the upstream's connection is closed at once, and the text so far stands."""

from __future__ import annotations

import pytest

from tests.upstream import Wait, body, token
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.storage import conversations


def test_stop_closes_the_upstreams_connection_and_keeps_the_text(alice, upstream):
    upstream.answer(*body(token("Half an "), Wait()))
    reply = alice.new_chat("Tell me")
    events = alice.events(reply)
    assert "Half an" in next(e.data for e in events if "Half" in e.data)

    answer = alice.stop(reply)

    assert answer.status_code == 303
    assert upstream.client_left.wait(5)
    assert [e.event for e in events][-1] == "end"
    assert alice.status(reply) == "stopped"
    assert "Half an Stopped." in text_of(alice.page())


@pytest.mark.parametrize("script", [[Wait()], [b"HTTP/1.1 200 OK\r\n", Wait()]], ids=["silent", "half a header"])
def test_stop_works_before_the_upstream_has_answered(alice, upstream, script):
    upstream.answer(*script)
    reply = alice.new_chat("Tell me")
    upstream.wait_for_requests(1)

    alice.stop(reply)

    assert upstream.client_left.wait(5)
    assert alice.end(reply).get("why", "stopped") == "stopped"
    assert alice.status(reply) == "stopped"


def test_stopping_a_finished_reply_changes_nothing(alice):
    reply = alice.new_chat("Hello")
    alice.end(reply)

    assert alice.stop(reply).status_code == 303
    assert alice.status(reply) == "done"


def test_a_conversation_goes_on_after_stop(alice, upstream):
    upstream.answer(*body(token("Half"), Wait()))
    reply = alice.new_chat("One")
    next(e for e in alice.events(reply) if "Half" in e.data)
    alice.stop(reply)

    alice.end(alice.say("Two"))

    assert [m["content"] for m in upstream.requests[1].json["messages"]] == ["One", "Half", "Two"]


def test_a_reply_that_ends_while_the_next_question_is_sent_is_part_of_the_past(site, alice, upstream, monkeypatch):
    upstream.answer(*body(token("Half"), Wait()))
    reply = alice.new_chat("One")
    next(e for e in alice.events(reply) if "Half" in e.data)
    get = conversations.get

    def get_and_end(tx, *arguments, **options):
        found = get(tx, *arguments, **options)
        if not options.get("lock"):  # what is read of the past begins here
            site.extensions["lockchat"].hub.stop(reply)
            wait_until(lambda: reply not in site.extensions["lockchat"].hub.all(), 10)
        return found

    monkeypatch.setattr(conversations, "get", get_and_end)
    alice.end(alice.say("Two"))

    assert [m["content"] for m in upstream.requests[1].json["messages"]] == ["One", "Half", "Two"]


def test_a_question_of_another_tab_meanwhile_is_part_of_the_past(alice, upstream, monkeypatch):
    """Its answer still runs."""
    alice.end(alice.new_chat("One"))
    upstream.answer(*body(token("Half"), Wait()))
    get, meanwhile = conversations.get, iter(["Two"])

    def get_and_send(tx, *arguments, **options):
        found = get(tx, *arguments, **options)
        if not options.get("lock"):  # the past is read for "Three"
            for text in meanwhile:
                reply = alice.say(text)
                wait_until(lambda reply=reply: alice.raw(reply) == "Half", 10)
        return found

    monkeypatch.setattr(conversations, "get", get_and_send)
    alice.end(alice.say("Three"))

    contents = [message["content"] for message in upstream.requests[-1].json["messages"]]
    assert contents == ["One", "Hello world", "Two", "Half", "Three"]
