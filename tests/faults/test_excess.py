"""More than is allowed is refused at once, what was typed is given back, and room is made again."""

from __future__ import annotations

import threading
import time

import pytest

from tests.faults.drip import Drip
from tests.faults.vitals import draft_of
from tests.upstream import Wait, body, token
from tests.visitor import text_of
from tests.wait import wait_until

pytestmark = pytest.mark.faults


@pytest.fixture
def server(start_server):
    return start_server(STREAMS_PER_USER=2, STREAMS_TOTAL=3)


@pytest.fixture
def bob(open_browser, server):
    return open_browser(server)


@pytest.fixture
def go_on(upstream):
    """Set it, and all answers come to their end."""
    go_on = threading.Event()
    upstream.always(*body(token("x"), Wait(go_on), b"data: [DONE]\n\n"))
    return go_on


def refused(visitor, path="/conversations"):
    """The answer to one more send, which comes at once."""
    started = time.monotonic()
    answer = visitor.post_form(path, text="<Typed> words", key="k")
    assert time.monotonic() - started < 5
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert draft_of(answer.text) == "<Typed> words"
    return text_of(answer.text)


def test_replies_of_one_user(alice, bob, upstream, go_on, database):
    replies = [alice.new_chat("One"), alice.new_chat("Two")]

    assert "Too many of your answers are running." in refused(alice)
    replies.append(bob.new_chat("Three"))
    go_on.set()
    for reply in replies:
        database.wait_for(reply, "done")

    again = alice.post_form("/conversations", text="<Typed> words", key="k")
    assert again.status_code == 303
    wait_until(lambda: len(upstream.requests) == 4, 60)
    assert len(database.all("user")) == 4


def test_replies_of_all_users(alice, bob, upstream, go_on):
    replies = [alice.new_chat("One"), alice.new_chat("Two"), bob.new_chat("Three")]

    assert "This server is running as many answers as it can." in refused(bob)
    alice.stop(replies[0])

    wait_until(lambda: bob.post_form("/conversations", text="Four").status_code == 303, 60, "room")


def test_followers(alice, go_on):
    """There is room for twice as many as for replies; the last fifth of it, one, is for an address that has none."""
    reply = alice.new_chat("One")
    streams = [alice.events(reply) for _ in range(5)]
    assert {next(stream).event for stream in streams} == {"reset"}

    answer = alice.get(f"/m/{reply}/stream", headers={"X-Fragment": "1"})

    assert (answer.status_code, bool(answer.headers["Retry-After"])) == (503, True)
    go_on.set()
    assert {list(stream)[-1].event for stream in streams} == {"end"}


def test_a_stream_that_was_left_makes_room(alice, upstream):
    drip = Drip()
    upstream.always(drip)
    reply = alice.new_chat("One")

    for _ in range(8):
        stream = wait_until(lambda: follow(alice, reply), 60, "a stream")
        stream.close()

    drip.finish.set()


def follow(visitor, reply):
    """One more stream of a reply, or None where there is no room."""
    answer = visitor.get(f"/m/{reply}/stream", stream=True)
    if answer.status_code == 503:
        answer.close()
        return None
    return answer
