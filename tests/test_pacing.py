"""A stream rests between reads, so that one wake-up serves several tokens; nobody waits for it to begin."""

from __future__ import annotations

import json
import sys
import threading
import tracemalloc
from contextlib import closing
from types import SimpleNamespace

import pytest

from tests.replies import stored
from tests.upstream import FRAMINGS, Upstream, Wait, body, chunk, head, token
from tests.wait import wait_until
from webapp.lockchat import Lockchat
from webapp.upstream import transport

QUESTION = [{"role": "user", "content": "hi"}]


LONG_SECONDS = 600.0  # longer than any test waits


@pytest.fixture
def long_rests(monkeypatch):
    """Each rest takes longer than the test, and so does the pulse's wait for a rendered text."""
    monkeypatch.setattr(transport, "LEAST_PACE_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(transport, "MANY_PACE_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(transport, "MOST_PACE_SECONDS", LONG_SECONDS)
    monkeypatch.setattr("webapp.pulse.RENDER_SECONDS", LONG_SECONDS)


@pytest.fixture
def rests(monkeypatch):
    """The rests in seconds of the streams that this thread reads; none is taken."""
    noted: list[float] = []
    here = threading.get_ident()

    def sleep(seconds: float) -> None:
        if threading.get_ident() == here:  # a stream of an earlier test may run on
            noted.append(seconds)

    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=transport.time.monotonic, sleep=sleep))
    return noted


@pytest.mark.parametrize("framing", FRAMINGS)
def test_nothing_rests_before_the_first_token(upstream: Upstream, rests, framing):
    silence = [b": working\n\n", token(role="assistant"), token("")]
    upstream.answer(*body(*silence, token("Hello"), token(finish="stop"), framing=framing))

    with closing(Lockchat(upstream.url).stream(QUESTION, "gpt-4")) as stream:
        first = next(stream)

    assert first.text == "Hello"
    assert rests == []


def test_a_stream_rests_after_its_tokens_and_not_after_its_finish_reason(upstream: Upstream, rests):
    steps = threading.Event(), threading.Event()
    end = token(finish="stop"), Wait(0.05), b"data: [DONE]\n\n"
    upstream.answer(*body(token("a"), Wait(steps[0]), token("b"), Wait(steps[1]), *end, framing="close"))

    stream = Lockchat(upstream.url).stream(QUESTION, "gpt-4")
    taken = []
    for step in steps:
        next(stream)
        taken.append(len(rests))
        step.set()
    list(stream)

    assert [*taken, len(rests)] == [0, 1, 2]


def test_chunks_that_are_there_are_read_at_once(upstream: Upstream, rests):
    many = b"".join(chunk(token(f" {number}")) for number in range(100))
    end = chunk(token(finish="stop")) + chunk(b"data: [DONE]\n\n") + chunk(b"")
    upstream.answer(head(content_type="text/event-stream", transfer_encoding="chunked"), many + end)

    text = "".join(delta.text for delta in Lockchat(upstream.url).stream(QUESTION, "gpt-4"))

    assert text == "".join(f" {number}" for number in range(100))
    assert len(rests) < 10  # with a chunk a read there were 100


@pytest.mark.usefixtures("rests")
def test_running_streams_are_counted(upstream: Upstream):
    before = transport._streams
    upstream.always(*body(token("a"), token(finish="stop"), framing="close"))
    streams = [Lockchat(upstream.url).stream(QUESTION, "gpt-4") for _ in range(3)]

    for stream in streams:
        next(stream)
    running = [transport._streams]
    for stream in streams:
        list(stream)
        running.append(transport._streams)

    assert [count - before for count in running] == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("streams", "seconds"), [(1, 0.0347), (20, 0.067), (100, 0.112), (500, 0.25), (1_000, 0.4225), (9_000, 0.45)]
)
def test_the_rest_has_its_bounds(streams, seconds):
    assert transport.pace_seconds(streams) == pytest.approx(seconds)


@pytest.mark.parametrize(("block_bytes", "reads", "number"), [(1, 100, 3), (transport.READ_BYTES, 100, 100)])
def test_reads_that_never_wait_still_give_way(rests, block_bytes, reads, number):
    blocks = iter([b"x" * block_bytes] * reads + [b""])
    response = SimpleNamespace(headers={}, raw=SimpleNamespace(read1=lambda size, decode_content: next(blocks)))

    list(transport.read(response))

    assert rests == [transport.PAUSE_SECONDS] * number  # one byte and its read count as 513 of 16,384


def test_a_paced_stream_rests_after_every_read(rests):
    blocks = iter([b"x"] * 5 + [b""])
    response = SimpleNamespace(headers={}, raw=SimpleNamespace(read1=lambda size, decode_content: next(blocks)))

    seconds = transport.pace_seconds(transport._streams + 1)

    list(transport.read(response, is_paced=lambda: True))

    assert rests == [seconds] * 5


def test_a_read_needs_no_timer_and_no_large_buffer(upstream: Upstream):
    upstream.answer(*body(token("Hello"), Wait()))
    exchange = Lockchat(upstream.url)._exchange
    line = exchange.line()
    line.start("idle_timeout", 30)

    response = exchange.send(line, "POST", "/chat/completions", b"{}")
    seconds = response.raw.connection.sock.gettimeout()
    file = response.raw._fp.fp
    buffer_bytes = sys.getsizeof(file) + sys.getsizeof(file._file)
    line.end()
    response.close()

    assert seconds is None  # else gevent makes a timer for each read that waits
    assert buffer_bytes < 2_048


def test_an_answer_that_does_not_begin_is_not_kept(upstream: Upstream):
    comment = b": " + b"working " * 1_000 + b"\n\n"
    upstream.answer(*body(*[comment * 10] * 20, token("Hello"), token(finish="stop")))

    tracemalloc.start()
    try:
        text = "".join(delta.text for delta in Lockchat(upstream.url).stream(QUESTION, "gpt-4"))
        _now, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert text == "Hello"
    assert most_bytes < 1_000_000  # of 1,600,000


@pytest.mark.usefixtures("long_rests")
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_first_token_and_a_stop_wait_for_no_rest(alice, upstream, framing):
    upstream.answer(*body(token(role="assistant"), token("Hello"), Wait(), framing=framing))
    reply = alice.new_chat("Hi")

    events = alice.events(reply)
    next(event for event in events if "Hello" in event.data)
    alice.stop(reply)
    wait_until(lambda: alice.status(reply) == "stopped", 20)
    *_, end = events

    assert json.loads(end.data)["why"] == "stopped"
    assert "<p" in alice.page()
    assert alice.raw(reply) == "Hello"


@pytest.mark.usefixtures("long_rests")
@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_end_that_has_come_waits_for_no_rest(alice, upstream, framing):
    last = token("Hello") + token(finish="stop") + b"data: [DONE]\n\n"
    upstream.answer(*body(token(role="assistant"), last, framing=framing))
    reply = alice.new_chat("Hi")

    wait_until(lambda: alice.status(reply) == "done", 20)

    assert alice.raw(reply) == "Hello"


@pytest.mark.usefixtures("long_rests")
def test_a_rendered_text_of_a_stopped_reply_is_stored(alice, upstream, site):
    upstream.answer(*body(token("**Hello**"), Wait()))
    reply = alice.new_chat("Hi")
    next(event for event in alice.events(reply) if "Hello" in event.data)

    alice.stop(reply)

    storage = site.extensions["lockchat"].storage
    assert "<strong>Hello</strong>" in wait_until(lambda: stored(storage, reply).html, 20)
