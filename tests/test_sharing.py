"""A reader whose text is costly to render takes its share of the loop, and no more."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest

from tests.test_budget import HOSTILE
from webapp.chat import Delta, Message, Outcome
from webapp.markdown import PLAIN, render
from webapp.views import stream


@pytest.fixture
def clock(monkeypatch):
    """A clock of which each look at the processor time takes `step`, and each rest what it says; both noted."""
    clock = SimpleNamespace(now=0.0, step=0.0, rests=[], looks=0)

    def thread_time():
        clock.now += clock.step
        return clock.now

    def sleep(seconds):
        clock.now += seconds
        clock.rests.append(seconds)

    monkeypatch.setattr(
        stream, "time", SimpleNamespace(thread_time=thread_time, sleep=sleep, monotonic=lambda: clock.now)
    )
    monkeypatch.setattr(stream, "give_way", lambda: None)
    return clock


@pytest.fixture
def feed():
    return stream._Feed()


def test_a_cheap_piece_is_followed_by_the_next_one_at_once(clock, feed):
    clock.step = 0.001

    feed.feed("a" * 3_000)

    assert clock.rests == []


def test_a_reader_whose_text_is_costly_rests_after_each_piece(clock, feed):
    clock.step = 0.01

    for _ in range(4):
        feed.feed("*a* ")

    assert clock.rests == [pytest.approx(0.09)] * 2


def test_one_costly_piece_costs_no_turn(clock, feed):
    for seconds in (0.01, 0.001, 0.01, 0.001):
        clock.step = seconds
        feed.feed("*a* ")

    assert clock.rests == []


def test_costly_readers_take_turns(feed):
    others = stream._Feed()
    feed._costly_pieces = others._costly_pieces = stream.COSTLY_PIECES
    went_on = threading.Event()
    reader = threading.Thread(target=lambda: (others.feed("*a* "), went_on.set()))

    with stream._Feed._turns:
        reader.start()
        waited = not went_on.wait(0.2)
        plain = stream._Feed().feed("words")
    reader.join(5)

    assert waited
    assert plain
    assert went_on.is_set()


def test_a_reader_who_goes_away_leaves_the_turn_to_the_next(clock, feed, monkeypatch):
    clock.step = 0.01
    feed.feed("*a* ")
    feed.feed("*a* ")
    monkeypatch.setattr(stream.time, "sleep", lambda _seconds: (_ for _ in ()).throw(GeneratorExit))

    with pytest.raises(GeneratorExit):
        feed.feed("*a* ")

    assert not stream._Feed._turns.locked()


def test_a_text_that_comes_faster_than_it_is_rendered_goes_on_as_plain_text(clock, feed):
    clock.step = 2.0
    text = "*a* " * 2_000

    patches = feed.feed(text)

    assert feed.live.html == f"{PLAIN}{text}</p>\n"
    assert ("x", 0) in patches


@pytest.mark.usefixtures("clock")
def test_at_the_end_it_is_shown_whole_all_the_same(site):
    text = HOSTILE["columns"][:40_000]
    ended = Message("m", "c", None, "assistant", text, "done", None, html=str(render(text)), outcome=Outcome("done"))

    with site.test_request_context():
        events = b"".join(stream.events(iter([Delta("*a* "), Delta(text), ended]), "m")).decode()

    patches = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: [[")]
    assert any(patch[0] == "=" and patch[2] == 0 for patch in patches[-1])
