"""A reader whose text is costly to render takes its share of the loop, and no more."""

from __future__ import annotations

import json

import pytest

from tests.test_budget import HOSTILE
from webapp.chat import Delta, Message, Outcome
from webapp.markdown import PLAIN, render
from webapp.patches import LiveRenderer
from webapp.views import stream


@pytest.fixture
def rests(monkeypatch):
    """Notes the rests instead of taking them; a piece costs what the test says."""
    noted: list[float] = []
    monkeypatch.setattr(stream.time, "sleep", noted.append)
    monkeypatch.setattr(stream, "give_way", lambda: None)
    return noted


@pytest.fixture
def clock(monkeypatch):
    """The processor time: each look at it takes as long as the test says."""
    clock = {"now": 0.0, "step": 0.0}

    def thread_time():
        clock["now"] += clock["step"]
        return clock["now"]

    monkeypatch.setattr(stream.time, "thread_time", thread_time)
    return clock


def test_a_cheap_piece_is_followed_by_the_next_one_at_once(rests, clock):
    clock["step"] = 0.001

    assert stream._fed(LiveRenderer(), "a" * 3_000)[1] == 0
    assert rests == []


def test_a_costly_piece_is_followed_by_a_rest(rests, clock):
    clock["step"] = 0.01

    rest_seconds = stream._fed(LiveRenderer(), "*a* " * 500)[1]

    assert rests == [pytest.approx(0.5)]
    assert rest_seconds == pytest.approx(0.5)


def test_a_text_that_comes_faster_than_it_is_rendered_goes_on_as_it_is_written(rests, clock):
    clock["step"] = 0.03
    live = LiveRenderer()

    patches, rest_seconds = stream._fed(live, "*a* " * 2_000)

    assert live.html == f"{PLAIN}{'*a* ' * 2_000}</p>\n"
    assert ("x", 0) in patches
    assert rest_seconds == 0


@pytest.mark.usefixtures("rests")
def test_at_the_end_it_is_shown_whole_all_the_same(site):
    text = HOSTILE["columns"][:40_000]
    ended = Message("m", "c", None, "assistant", text, "done", None, html=str(render(text)), outcome=Outcome("done"))

    with site.test_request_context():
        events = b"".join(stream.events(iter([Delta("*a* "), Delta(text), ended]))).decode()

    patches = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: [[")]
    assert any(patch[0] == "=" and patch[2] == 0 for patch in patches[-1])
