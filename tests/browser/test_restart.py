"""The server restarts or dies in the middle of an answer: the page tells so by itself and keeps what was said."""

from __future__ import annotations

import signal
import time

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from tests.upstream import Wait, body, token
from webapp.storage import Storage
from webapp.storage.schema import pieces

pytestmark = pytest.mark.browser

INTERRUPTED = "The answer was interrupted: the server restarted."
LEASE_MILLISECONDS = 90_000  # 8 s of lease, 4 s of grace, a look each 2 s, and the start of a worker


@pytest.fixture(autouse=True)
def _half_an_answer(upstream, network_may_fail):
    upstream.answer(*body(token("As far as "), token("this"), Wait()))


def test_a_restart_keeps_the_text_and_says_so(chat, server, start_server):
    chat.say("Tell me")
    expect(chat.answer).to_have_text("As far as this")

    server.signal(signal.SIGTERM)
    server.wait()
    start_server(port=server.port)
    chat.page.evaluate("dispatchEvent(new Event('online'))")  # after a long start, attempts are half a minute apart

    expect(chat.note).to_have_text(INTERRUPTED)
    expect(chat.answer).to_have_text("As far as this")
    expect(chat.retry_button).to_be_visible()
    chat.say("Go on")
    expect(chat.answers).to_have_text(["As far as this", "Hello world"])
    chat.page.reload()
    expect(chat.answers).to_have_text(["As far as this", "Hello world"])
    expect(chat.page.get_by_text(INTERRUPTED)).to_be_visible()


def test_a_killed_worker_keeps_the_saved_text_and_says_so(chat, server, database_url):
    chat.say("Tell me")
    expect(chat.answer).to_have_text("As far as this")
    _wait_until_saved(database_url, "As far as this")

    for worker in server.workers():
        worker.kill()

    expect(chat.note).to_have_text(INTERRUPTED, timeout=LEASE_MILLISECONDS)
    expect(chat.answer).to_have_text("As far as this")
    chat.say("Go on")
    expect(chat.answer).to_have_text("Hello world")


def _wait_until_saved(database_url: str, text: str) -> None:
    """Wait for the pulse, which saves four times a second: what is younger goes with the worker."""
    storage = Storage(database_url)
    deadline = time.monotonic() + 10
    saved = ""
    while saved != text:
        assert time.monotonic() < deadline, saved
        with storage.read() as tx:
            saved = "".join(tx.scalars(select(pieces.c.text).order_by(pieces.c.number)))
        time.sleep(0.02)
    storage.close()
