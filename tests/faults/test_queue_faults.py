"""A message that waits for an answer while its worker is killed: neither lost nor doubled."""

from __future__ import annotations

import signal

import pytest

from tests.upstream import Wait, body, token, tokens
from tests.visitor import Visitor
from tests.wait import wait_until

pytestmark = pytest.mark.faults

DEAD_SECONDS = 60  # a killed worker counts as dead after 12 s, of a machine that is not busy


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_it_is_sent_once_after_the_worker_ended(start_server, upstream, number):
    server = start_server()
    alice = Visitor(server.url)
    upstream.answer(*body(token("Half"), Wait()))
    upstream.always(*tokens("Whole"))
    alice.new_chat("One")
    upstream.wait_for_requests(1)
    alice.post_form(f"/c/{alice.conversation_id}/queue", text="Two", key="k")
    old = server.worker()

    old.kill() if number == signal.SIGKILL else server.signal(number)
    wait_until(lambda: not old.is_running(), DEAD_SECONDS, "the worker to end")

    wait_until(lambda: _has_answer(alice), DEAD_SECONDS, "the answer to the queued message")
    alice.close()
    asked = [request.json["messages"][-1]["content"] for request in upstream.requests]
    # The beginning of the first answer may not have been saved: then both questions stand together.
    assert asked in (["One", "Two"], ["One", "One\n\nTwo"])


def _has_answer(visitor: Visitor) -> bool:
    try:
        page = visitor.page()
    except OSError:  # between two workers
        return False
    return "Whole" in page and 'id="queued"' not in page
