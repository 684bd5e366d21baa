"""What is Alice's is hers: for Bob it does not exist."""

from __future__ import annotations

import pytest

from tests.upstream import Wait, body, token

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def reply(alice, upstream):
    """A running reply of Alice's."""
    upstream.answer(*body(token("secret"), Wait()))
    reply = alice.new_chat("My secret question")
    upstream.wait_for_requests(1)
    return reply


@pytest.mark.parametrize(
    "path", ["/c/{conversation}", "/m/{reply}", "/m/{reply}/raw", "/m/{reply}/stream", "/m/{reply}/status"]
)
def test_bob_sees_404_for_what_is_alices(alice, bob, reply, path):
    answer = bob.get(path.format(conversation=alice.conversation_id, reply=reply))

    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_bob_cannot_stop_alices_reply(alice, bob, reply):
    assert bob.stop(reply).status_code == 404
    assert alice.status(reply) == "streaming"


def test_bob_cannot_write_into_alices_conversation_and_keeps_his_text(alice, bob, reply, upstream):
    answer = bob.post_form(f"/c/{alice.conversation_id}/messages", text="Let me in")

    assert answer.status_code == 404
    assert "Let me in</textarea>" in answer.text
    assert len(upstream.requests) == 1


def test_bobs_list_is_empty(alice, bob, reply):
    assert "secret" not in bob.get("/").text


def test_bobs_key_is_not_alices(alice, bob):
    assert alice.new_chat("One", key="same") != bob.new_chat("Two", key="same")


@pytest.mark.parametrize(
    "path", [f"/c/{UNKNOWN}", f"/m/{UNKNOWN}/stream", "/c/x", "/c/%00", "/nowhere", "/static/nothing.js"]
)
def test_what_does_not_exist_is_a_404_page(alice, path):
    answer = alice.get(path)

    assert answer.status_code == 404
    assert "<title>" in answer.text
