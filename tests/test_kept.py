"""What a running stream keeps: of its request and of what it has read, next to nothing."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
import weakref
from contextlib import closing
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import requests
import urllib3

from tests.replies import Script
from tests.upstream import Upstream, Wait, body, chunk, head, token, tokens
from tests.wait import wait_until
from webapp import sleeper
from webapp.chat import Activity, Delta
from webapp.clock import Clock
from webapp.generation import Hub
from webapp.lockchat import Lockchat
from webapp.sleeper import Sleeper
from webapp.upstream import transport

QUESTION = [{"role": "user", "content": "hi"}]
UPSTREAM = "*/webapp/upstream/*"  # the code whose memory is measured: other threads are at work too
WIDE = 200  # tokens that arrive at once


class Message(dict):  # type: ignore[type-arg]
    """A message of the request that can be looked for."""


def test_a_stream_keeps_nothing_of_its_request(upstream: Upstream):
    lockchat = Lockchat(upstream.url)
    upstream.answer(*tokens("Hello"))
    list(lockchat.stream(QUESTION, "gpt-4"))  # what all requests have in common is kept from the first one
    upstream.answer(*body(token("Hello"), Wait()))
    messages = [Message(QUESTION[0])]
    message = weakref.ref(messages[0])
    kinds = (requests.Response, requests.PreparedRequest, urllib3.HTTPResponse)
    gc.collect()
    before = {id(one) for one in gc.get_objects() if isinstance(one, kinds)}

    with closing(lockchat.stream(messages, "gpt-4")) as stream:
        next(stream)
        del messages
        gc.collect()
        kept = [one for one in gc.get_objects() if isinstance(one, kinds) and id(one) not in before]

        assert kept == []
        assert message() is None


def test_a_stream_keeps_no_block_that_it_has_read(upstream: Upstream, monkeypatch):
    """Its raw bytes, its events and their JSON are 40 KB here, the text in them 1 KB."""
    kept: list[int] = []

    def rest(_seconds: float) -> None:
        ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, UPSTREAM)])
        kept.append(sum(trace.size for trace in ours.traces))

    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=transport.time.monotonic, sleep=rest))
    many = chunk(b"".join(token(f" {number}") for number in range(WIDE)))
    first = head(content_type="text/event-stream", transfer_encoding="chunked") + chunk(token("Hello"))
    end = chunk(token(finish="stop")) + chunk(b"data: [DONE]\n\n") + chunk(b"")
    go_on = threading.Event()
    upstream.answer(first, Wait(go_on), many + end)
    stream = Lockchat(upstream.url).stream(QUESTION, "gpt-4")
    stream.listen(_ignore, lambda: None)
    next(stream)
    tracemalloc.start()
    try:
        go_on.set()
        text = "".join(delta.text for delta in stream)
    finally:
        tracemalloc.stop()

    assert text.endswith(f" {WIDE - 1}")
    assert max(kept) < 8_000


def test_another_thread_reads_on_after_the_first_delta():
    threads: list[int] = []

    class Source(Script):
        def __iter__(self):
            for _ in range(3):
                threads.append(threading.get_ident())
                yield Delta("x")

    hub = Hub(lambda text: text)

    hub.start("reply", Source(), lambda: None)
    wait_until(lambda: hub.all()["reply"].is_rendered, 15)

    first, *others = threads
    assert first not in others
    assert len(set(others)) == 1


def test_waits_of_followers_make_no_timers(monkeypatch):
    monkeypatch.setattr(sleeper, "_clock", clock := Mock())
    follower = Sleeper(beat_seconds=600)

    for _ in range(100):
        follower.wake()
        assert follower.wait()
    follower.close()

    assert [call.args[0] for call in clock.look_at.call_args_list].count(follower) == 1


def test_a_sleeper_that_is_awake_already_is_woken_once():
    follower = Sleeper(beat_seconds=600)

    follower.wake()
    follower.wake()
    was_woken, is_asleep = follower.wait(), follower._awake.locked()
    follower.close()

    assert was_woken
    assert is_asleep  # the next wait lasts until news or a beat


def test_wakes_without_news_put_off_no_beat():
    follower = Sleeper(beat_seconds=0.2)

    is_beat, woken = False, 0
    while not is_beat and woken < 1_000:
        follower.wake()
        is_beat, woken = not follower.wait(), woken + 1
        time.sleep(0.01)
    follower.close()

    assert is_beat


def test_a_clock_whose_thread_could_not_start_starts_it_later(monkeypatch):
    clock, started = Clock("test"), threading.Event()

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread_is_left)
        with pytest.raises(RuntimeError):
            clock.begin()
    clock.begin()
    clock.look_at(_Once(started), 0.0)
    has_started = started.wait(15)
    clock.end()

    assert has_started


def test_a_reply_whose_source_cannot_be_closed_ends(caplog):
    class Source(Script):
        def __iter__(self):
            yield Delta("x")

        def close(self) -> None:
            raise OSError("broken")

    hub = Hub(lambda text: text)

    hub.start("0123456789", Source(), lambda: None)
    wait_until(lambda: hub.all()["0123456789"].is_rendered, 15)

    assert hub.all()["0123456789"].since()[2].status == "done"
    assert "reply 01234567: its answer could not be closed" in caplog.messages


class _Once:
    entry = -1

    def __init__(self, started: threading.Event) -> None:
        self._started = started

    def check(self) -> None:
        self._started.set()


def _no_thread_is_left(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _ignore(_activity: Activity) -> None:
    """The upstream works."""
