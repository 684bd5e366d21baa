"""The readers of one reply share its rendering, and a costly text takes its share of the loop and no more."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from tests.test_budget import HOSTILE
from tests.upstream import Wait, body, token
from webapp import sse
from webapp.chat import Delta, Message, Outcome
from webapp.markdown import PLAIN, render
from webapp.patches import LiveRenderer
from webapp.views import live, stream

NOW = datetime(2026, 5, 3, 23, 59, tzinfo=UTC)
# Each with a word that its readers see.
PIECES = {
    "one": "A **bold** one.\n\n",
    "two": "- a\n- `b` two",
    "three": " *c* three\n\n",
    "four": "| a |\n|-|\n| four |",
}


@pytest.fixture
def clock(monkeypatch):
    """A clock of which each look at the processor time takes `step`, and each rest what it says; both noted."""
    clock = SimpleNamespace(now=100.0, step=0.0, rests=[], looks=0)

    def thread_time():
        clock.now += clock.step
        return clock.now

    def sleep(seconds):
        clock.now += seconds
        clock.rests.append(seconds)

    monkeypatch.setattr(
        live, "time", SimpleNamespace(thread_time=thread_time, sleep=sleep, monotonic=lambda: clock.now)
    )
    monkeypatch.setattr(live, "give_way", lambda: None)
    return clock


@pytest.fixture
def feed():
    return live.Live("id")


def think(feed, reasoning):
    feed.take(Delta(reasoning=reasoning), 0, len(feed._reasoning) + len(reasoning))


def add(feed, text):
    """Let the reply grow by this text; return the new events."""
    number, chars = feed.number, feed._chars + len(text)
    feed.take(Delta(text), chars, 0)
    return feed.since(number)


def follow(steps, message_id="id"):
    return list(sse.decode(stream.events(iter(steps), message_id)))


def test_twenty_readers_cost_one_rendering(monkeypatch):
    rendered = []
    render = LiveRenderer.feed
    monkeypatch.setattr(LiveRenderer, "feed", lambda self, text: rendered.append(text) or render(self, text))
    steps = [Delta("Hello "), Delta("**you** "), Delta("there")]

    readers = [sse.decode(stream.events(iter(steps), "id")) for _ in range(20)]
    received = list(zip(*readers, strict=True))

    assert rendered == ["Hello ", "**you** ", "there"]
    assert all(len(set(events)) == 1 for events in received)
    assert [event[0].event for event in received] == ["reset", "patch", "patch"]


def parsed_for(tabs, alice, upstream, parsed):
    """The sources parsed for a reply in so many tabs. It goes on once all tabs show what came before."""
    parsed.clear()
    gates = [threading.Event() for _ in PIECES]
    steps = [step for piece, gate in zip(PIECES.values(), gates, strict=True) for step in (token(piece), Wait(gate))]
    upstream.answer(*body(*steps, token(finish="stop")))
    reply = alice.new_chat("Hi")
    streams = [alice.events(reply) for _ in range(tabs)]
    for word, gate in zip(PIECES, gates, strict=True):
        for stream_of_tab in streams:
            next(event for event in stream_of_tab if word in event.data)
        gate.set()
    assert all([*stream_of_tab][-1].event == "end" for stream_of_tab in streams)
    return list(parsed)


def test_twenty_tabs_cost_the_parsing_of_two(alice, upstream, parsed):
    for_two = parsed_for(2, alice, upstream, parsed)
    for_twenty = parsed_for(20, alice, upstream, parsed)

    assert len(for_two) >= len(PIECES)
    assert for_twenty == for_two


def test_a_reader_who_comes_later_gets_nothing_twice():
    first = sse.decode(stream.events(iter([Delta("One", "Why"), Delta(" two", " so")]), "id"))
    next(first)
    second = sse.decode(stream.events(iter([Delta("One", "Why"), Delta(" two three", " so.")]), "id"))
    next(second)

    second_news, first_news = list(second), list(first)

    assert [event.event for event in second_news] == ["thought", "patch"]
    assert [json.loads(event.data) for event in first_news] == [json.loads(event.data) for event in second_news]


def test_a_reader_behind_others_thinks_no_word_twice_after_its_text_was_reasoning():
    slow = sse.decode(stream.events(iter([Delta("One"), Delta("", " two three", was_reasoning=True)]), "id"))
    next(slow)
    follow([Delta("One two")])

    [news] = slow

    assert json.loads(news.data) | {"seconds": 0, "activity": None} == {
        "html": "",
        "state": "thinking",
        "thought": "One two three",
        "seconds": 0,
        "activity": None,
    }


def test_a_reader_who_is_far_behind_gets_the_whole_reply_once_more(monkeypatch):
    monkeypatch.setattr(live, "KEPT_BYTES", 100)
    slow = sse.decode(stream.events(iter([Delta("word"), Delta(" word" * 100)]), "id"))
    next(slow)

    follow([Delta("word"), *[Delta(" word")] * 100])
    (news,) = list(slow)

    assert news.event == "reset"
    assert json.loads(news.data)["html"].count("word") == 101


def test_what_is_kept_for_slow_readers_is_bounded(feed):
    for _ in range(2_000):
        add(feed, " word" * 10)

    assert sum(map(len, feed._kept)) <= live.KEPT_BYTES
    assert feed.since(0) is None
    assert len(feed.since(feed.number - 50) or []) == 50


def test_the_last_events_are_kept_as_far_as_they_fit_and_one_always(feed, monkeypatch):
    think(feed, "a")
    monkeypatch.setattr(live, "KEPT_BYTES", 2 * len(feed.since(0)[0]))
    think(feed, "b")
    assert len(feed.since(0)) == 2

    feed.readers = 1
    feed.since(2)  # all that there is
    feed.readers = 2
    think(feed, "c")
    think(feed, "d")
    assert len(feed.since(2)) == 2

    monkeypatch.setattr(live, "KEPT_BYTES", 1)
    think(feed, "e")
    assert feed.since(3) is None
    assert len(feed.since(4)) == 1


def test_a_cheap_piece_is_followed_by_the_next_one_at_once(clock, feed):
    clock.step = 0.001

    add(feed, "a" * 3_000)

    assert clock.rests == []
    assert "a" * 3_000 in feed.snapshot()[0]


def test_a_reader_whose_text_is_costly_rests_after_each_piece(clock, feed):
    clock.step = 0.01

    for _ in range(4):
        add(feed, "*a* ")

    assert clock.rests == [pytest.approx(0.09)] * 2
    assert feed.snapshot()[0].count("<em>a</em>") == 4


def test_one_costly_piece_costs_no_turn(clock, feed):
    for seconds in (0.01, 0.001, 0.01, 0.001):
        clock.step = seconds
        add(feed, "*a* ")

    assert clock.rests == []


def test_costly_readers_take_turns(feed):
    others = live.Live("id")
    feed._costly_pieces = others._costly_pieces = live.COSTLY_PIECES
    went_on = threading.Event()
    reader = threading.Thread(target=lambda: (add(others, "*a* "), went_on.set()))

    with live.Live._turns:
        reader.start()
        waited = not went_on.wait(0.2)
        plain = add(live.Live("id"), "words")
    reader.join(5)

    assert waited
    assert plain
    assert went_on.is_set()


def test_a_reader_who_goes_away_leaves_the_turn_to_the_next(clock, feed, monkeypatch):
    clock.step = 0.01
    add(feed, "*a* ")
    add(feed, "*a* ")
    monkeypatch.setattr(live.time, "sleep", lambda _seconds: (_ for _ in ()).throw(GeneratorExit))

    with pytest.raises(GeneratorExit):
        add(feed, "*a* ")

    assert not live.Live._turns.locked()


def test_a_text_that_comes_faster_than_it_is_rendered_goes_on_as_plain_text(clock, feed):
    clock.step = 2.0
    text = "*a* " * 2_000

    add(feed, text)

    assert feed.snapshot()[0] == f"{PLAIN}{text}</p>\n"


@pytest.mark.usefixtures("clock")
def test_at_the_end_it_is_shown_whole_all_the_same(site):
    text = HOSTILE["columns"][:40_000]
    ended = Message("m", "c", None, "assistant", text, "done", NOW, html=str(render(text)), outcome=Outcome("done"))

    with site.test_request_context():
        events = b"".join(stream.events(iter([Delta("*a* "), Delta(text), ended]), "m")).decode()

    patches = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: [[")]
    assert any(patch[0] == "=" and patch[2] == 0 for patch in patches[-1])
