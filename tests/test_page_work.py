"""What a page costs, counted: calls of functions, messages rendered, files compressed."""

from __future__ import annotations

import gzip
import re
import sys
import threading
import zlib
from random import Random

import pytest
from flask import Response
from sqlalchemy import event

from tests.history import add_turns
from webapp.views import http, kept, parts

MOST_CALLS = 9_000  # of functions, Python and C, for a page of 60 messages: 7,900; 14,400 with each part rendered anew

KEY = re.compile(rb'name="key" value="[^"]*"')  # each page has its own
CALLS_OF_PSYCOPG = 7_000  # more, which SQLite's driver makes in C: 5,400
MOST_CALLS_OF_A_SEND = 4_700  # 4,300; 11,600 with each query built anew


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


def test_a_page_of_finished_messages_is_little_work(site, browser, long_chat):
    browser.get(f"/c/{long_chat}")

    calls = calls_of(lambda: browser.get(f"/c/{long_chat}"))

    assert calls < MOST_CALLS + (0 if parts.of(site).storage.is_sqlite else CALLS_OF_PSYCOPG)


def test_a_page_begins_one_transaction(site, browser, long_chat):
    threads = []
    event.listen(parts.of(site).storage._cheap, "begin", lambda _connection: threads.append(threading.get_ident()))

    browser.get(f"/c/{long_chat}")

    assert threads.count(threading.get_ident()) == 1


def test_a_send_is_little_work(site, browser):
    for key in ("one", "two"):
        browser.post("/conversations", data={"text": "Hi", "key": key})

    calls = calls_of(lambda: browser.post("/conversations", data={"text": "Hi", "key": "three"}))

    assert calls < MOST_CALLS_OF_A_SEND + (0 if parts.of(site).storage.is_sqlite else CALLS_OF_PSYCOPG)


def test_finished_messages_are_read_rendered_and_compressed_once(site, alice, long_chat, monkeypatch):
    first = alice.page()
    read, compressed = [], []
    event.listen(parts.of(site).storage._cheap, "before_cursor_execute", lambda *seen: read.append(seen[2]))
    deflate = kept._deflated
    monkeypatch.setattr(kept, "_deflated", lambda data, *rest: compressed.append(data) or deflate(data, *rest))
    monkeypatch.setattr(kept, "_made", lambda chunks: pytest.fail("compressed again"))

    second = alice.page()

    assert first.split('<div class="log"')[1].split("</main>")[0].split('name="key"')[0] in second
    assert not [query for query in read if "messages.text, messages.status" in query]
    assert len(compressed) == 2  # what is before the messages, and what is behind


def test_a_page_in_parts_is_one_gzip_file(browser, long_chat):
    plain = browser.get(f"/c/{long_chat}").data

    answers = [browser.get(f"/c/{long_chat}", headers={"Accept-Encoding": "gzip"}) for _ in range(2)]

    for answer in answers:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert int(answer.headers["Content-Length"]) == len(answer.data)
        assert KEY.sub(b"", gzip.decompress(answer.data)) == KEY.sub(b"", plain)
        assert len(answer.data) < 1.5 * len(gzip.compress(plain, 4))


def test_a_message_too_long_to_be_kept_is_compressed_as_the_rest_of_the_page(monkeypatch):
    long, levels = kept.Chunks().add("a", "x" * (kept.CHUNK_BYTES + 1)), []
    deflate = kept._deflated
    monkeypatch.setattr(kept, "_deflated", lambda data, level, *rest: levels.append(level) or deflate(data, level))

    assert gzip.decompress(kept.compressed([b"<p>", long], 1)) == b"<p>" + long
    assert levels == [1]


@pytest.mark.parametrize(
    ("part", "level"),
    [
        (kept.Chunk(bytes(kept.CHUNK_BYTES)), 6),
        (kept.Chunk(bytes(kept.CHUNK_BYTES + 1)), 4),
        (bytes(32 * 2**10 - len("<p>")), 6),
        (bytes(32 * 2**10), 4),
        (bytes(2**19), 1),
    ],
)
def test_a_page_is_compressed_the_less_the_more_of_it_is_new(site, monkeypatch, part, level):
    levels = []
    monkeypatch.setattr(kept, "compressed", lambda _parts, level: levels.append(level) or b"")

    with site.test_request_context("/", headers={"Accept-Encoding": "gzip"}):
        http._join(Response(), [b"<p>", part])

    assert levels == [level]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 2, 3], [3, 2, 1, 0], [2, 2, 0, 1]])
def test_kept_messages_are_compressed_for_any_place(order):
    chunks = [kept.Chunk((f"message {number} " * 3000).encode()) for number in range(4)]
    kept.compressed(chunks, 6)
    shown = [chunks[number] for number in order]
    page = [b"before", *shown[:2], b"", *shown[2:], b"behind"]

    assert gzip.decompress(kept.compressed(page, 6)) == b"".join(page)


def test_a_new_message_refers_to_the_words_of_those_before():
    *old, new = [kept.Chunk(Random(seed).randbytes(10_000)) for seed in (1, 2, 1)]
    before = len(kept.compressed(old, 6))

    longer = kept.compressed([*old, new], 6)

    assert gzip.decompress(longer) == b"".join([*old, new])
    assert len(longer) < 1.1 * before


def test_the_messages_that_are_shown_again_stay():
    chunks = kept.Chunks()
    longest = "x" * kept.CHUNK_BYTES
    for number in range(2 * kept.MOST_BYTES // kept.CHUNK_BYTES):
        chunks.add(number, longest)
        assert chunks.get(0)
    chunks.add("long", longest + "x")

    assert chunks.get("long") is None
    assert chunks.get(1) is None
    assert chunks._bytes <= kept.MOST_BYTES < chunks._bytes + kept.CHUNK_BYTES + kept.OVERHEAD_BYTES
    assert chunks._bytes == sum(len(chunk) + kept.OVERHEAD_BYTES for chunk in chunks._chunks.values())


def test_only_new_messages_of_a_longer_row_are_compressed(monkeypatch):
    chunks = [kept.Chunk(f"<p>{number} {'some words ' * 900}</p>".encode()) for number in range(12)]
    made, compressobj = [], zlib.compressobj
    monkeypatch.setattr(kept.zlib, "compressobj", lambda *rest, **more: made.append(more) or compressobj(*rest, **more))

    for row in (chunks[:10], chunks[:11], chunks[1:12], chunks[:10]):
        assert gzip.decompress(kept.compressed(row, 6)) == b"".join(row)

    assert len(made) == 4  # for the third row two: its beginning, which followed another chunk, and its end


def test_runs_of_messages_are_kept_up_to_a_number():
    made = [kept._run_of([kept.Chunk(b"one")]) for _ in range(kept.MOST_RUNS + 1)]

    assert len(kept._runs) == kept.MOST_RUNS
    assert {run.data for run in made} == {made[0].data}


@pytest.mark.parametrize("size", [0, 1, 9, 255, 65_537, 1_000_003])
def test_the_checksum_of_a_run_can_be_put_behind_any_other(size):
    start, data = b"The beginning", bytes(size)

    moved = kept._times(kept._power(8 * size), zlib.crc32(start))

    assert moved ^ zlib.crc32(data) == zlib.crc32(start + data)


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


def test_a_conversation_that_was_shown_often_shows_what_comes_after(alice, upstream):
    upstream.answer('data: {"choices":[{"delta":{"content":"Ho"}}]}\n\ndata: [DONE]\n\n')
    first = alice.new_chat("Hi")
    alice.end(first)
    shown = [alice.page() for _ in range(3)][-1]

    alice.end(alice.say("And more"))
    longer = [alice.page() for _ in range(3)][-1]
    other = alice.reply_of(alice.post_form(f"/m/{first}/retry"))
    alice.end(other)
    retried = [alice.page() for _ in range(3)][-1]
    alice.post_form(f"/m/{first}/select")

    assert "And more" not in shown
    assert "And more" in longer
    assert f'id="m-{other}"' in retried
    assert "2/2" in retried
    assert "And more" not in retried
    assert f'id="m-{first}"' in alice.page()
    assert "1/2" in alice.page()
    assert "And more" in alice.page()


def test_a_page_of_kept_messages_asks_for_no_branch(site, browser, long_chat):
    read = []
    event.listen(parts.of(site).storage._cheap, "before_cursor_execute", lambda *seen: read.append(seen[2]))
    for _ in range(3):
        read.clear()
        browser.get(f"/c/{long_chat}")

    assert not [query for query in read if "WITH RECURSIVE" in query or "parent_id IN" in query]


@pytest.mark.parametrize("agent", ["Firefox", "Lynx/2.9.0"])  # whose page has one part
def test_a_page_that_is_too_long_is_sent_as_it_is(alice, monkeypatch, agent):
    alice.end(alice.new_chat("Hi"))
    place = f"/c/{alice.conversation_id}"
    size = len(alice.get(place, headers={"User-Agent": agent}).content)

    monkeypatch.setattr(http, "MOST_COMPRESSED_BYTES", size)
    assert alice.get(place, headers={"User-Agent": agent}).headers["Content-Encoding"] == "gzip"
    monkeypatch.setattr(http, "MOST_COMPRESSED_BYTES", size - 1)
    answer = alice.get(place, headers={"User-Agent": agent})

    assert "Content-Encoding" not in answer.headers
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_a_redirect_is_not_compressed(browser):
    answer = browser.post("/conversations", data={"text": "Hi", "key": "one"}, headers={"Accept-Encoding": "gzip"})

    assert answer.status_code == 303
    assert "Content-Encoding" not in answer.headers
    assert b"<!doctype html>" in answer.data


def test_a_file_is_compressed_once_and_a_page_is_no_file(alice):
    alice.get("/static/app.css")
    before = http.compressed_file.cache_info()

    alice.get("/static/app.css")
    alice.get("/")

    after = http.compressed_file.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 1)
