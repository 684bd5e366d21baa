"""What a page costs, counted: calls of functions, messages rendered, files compressed."""

from __future__ import annotations

import sys
import threading

import pytest
from sqlalchemy import event

from tests.history import add_turns
from webapp.views import http, pages, parts

MOST_CALLS = 25_000  # of functions, Python and C, for a page of 60 messages: 17,000; with all of them rendered, 60,000

MOST_CALLS_OF_A_SEND = 8_000  # 4,800; 11,600 with each query built anew


@pytest.fixture
def long_chat(alice, database_url):
    """Alice's conversation of more messages than one page shows."""
    alice.end(alice.new_chat("Hi"))
    add_turns(database_url, alice.conversation_id, 31)
    return alice.conversation_id


def calls_of(work) -> int:
    """How many functions are called meanwhile in this thread."""
    calls = 0

    def see(_frame, event, _argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.fixture
def browser(site, alice):
    """Alice's browser, whose requests run in the thread of the test."""
    browser = site.test_client()
    alice.get("/")
    (cookie,) = alice.cookies
    browser.set_cookie(cookie.name, cookie.value)
    return browser


def test_a_page_of_finished_messages_is_little_work(browser, long_chat):
    browser.get(f"/c/{long_chat}")

    calls = calls_of(lambda: browser.get(f"/c/{long_chat}"))

    assert calls < MOST_CALLS


def test_a_page_begins_two_transactions(site, browser, long_chat):
    threads = []
    event.listen(parts.of(site).storage._cheap, "begin", lambda _connection: threads.append(threading.get_ident()))

    browser.get(f"/c/{long_chat}")

    assert threads.count(threading.get_ident()) == 2


def test_a_send_is_little_work(browser):
    for key in ("one", "two"):
        browser.post("/conversations", data={"text": "Hi", "key": key})

    calls = calls_of(lambda: browser.post("/conversations", data={"text": "Hi", "key": "three"}))

    assert calls < MOST_CALLS_OF_A_SEND


def test_finished_messages_are_rendered_once(alice, long_chat):
    first = alice.page()
    before = pages.kept.cache_info()

    second = alice.page()

    after = pages.kept.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 60)
    assert first.split('<div class="log"')[1].split("</main>")[0].split('name="key"')[0] in second


def test_a_kept_message_changes_with_its_language_and_its_versions(alice, upstream):
    upstream.answer('data: {"choices":[{"delta":{"content":"Ho"}}]}\n\ndata: [DONE]\n\n')
    reply = alice.new_chat("Hi")
    alice.end(reply)
    assert "Retry" in alice.page()

    alice.end(alice.reply_of(alice.post_form(f"/m/{reply}/retry")))
    english = alice.page()
    russian = alice.get(f"/c/{alice.conversation_id}", headers={"Accept-Language": "ru"}).text

    assert "2/2" in english
    assert "Ещё раз" in russian.split('class="log"')[1]
    assert "Retry" not in russian.split('class="log"')[1].split("</main>")[0]


def test_a_long_message_is_not_kept(alice, database_url):
    alice.end(alice.new_chat("Hi"))
    alice.page()
    add_turns(database_url, alice.conversation_id, 1, "long " * pages.KEPT_CHARS)
    before = pages.kept.cache_info().currsize

    page = alice.page()

    assert "long long" in page
    assert pages.kept.cache_info().currsize <= before + 1  # its question


def test_a_file_is_compressed_once(alice):
    alice.get("/static/app.css")
    before = http.compressed_file.cache_info().misses

    alice.get("/static/app.css")

    assert http.compressed_file.cache_info().misses == before
