"""The event stream of one reply: what its reader gets first, and for each change."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from webapp import sse
from webapp.chat import Delta, Message
from webapp.views import live
from webapp.views.stream import RETRY_MILLISECONDS, events


def sent(*steps: Delta) -> list[tuple[str, object]]:
    """The names and data of the events for these steps."""
    return [(event.event, json.loads(event.data or "null")) for event in sse.decode(events(iter(steps), "id"))]


def test_a_new_reader_gets_the_whole_reply_so_far():
    (event,) = sse.decode(events(iter([Delta("Hello **you**", "Why?")]), "id"))

    snapshot = json.loads(event.data)
    assert (event.event, event.retry) == ("reset", RETRY_MILLISECONDS)
    assert "Hello <strong>you</strong>" in snapshot.pop("html")
    assert snapshot == {"state": "answering", "activity": None, "thought": "Why?", "seconds": 0}


def test_a_reader_is_told_of_each_change_alone():
    thoughts = [Delta(reasoning="Why?"), Delta(reasoning=" So.")]
    steps = [Delta(), *thoughts, Delta("Hello"), Delta(" you", " Yes."), Delta("", " Sure.")]

    (_, snapshot), *changes = sent(*steps)
    names = [name for name, _data in changes]

    assert snapshot == {"html": "", "state": "queued", "activity": None, "thought": "", "seconds": 0}
    assert names == ["status", "thought", "thought", "status", "patch", "thought", "patch", "thought"]
    assert [data for name, data in changes if name == "thought"] == ["Why?", " So.", " Yes.", " Sure."]
    assert [data["state"] for name, data in changes if name == "status"] == ["thinking", "answering"]


def test_a_single_letter_comes_at_once():
    (_, snapshot), (name, patches), thought = sent(Delta("你", "H"), Delta("好"), Delta(reasoning="m"))

    assert ("你" in snapshot["html"], snapshot["thought"]) == (True, "H")
    assert ("好" in str(patches), name) == (True, "patch")
    assert thought == ("thought", "m")


def test_silence_is_a_beat():
    assert [name for name, _data in sent(Delta("Hello"), Delta(), Delta())] == ["reset", "beat", "beat"]


def test_what_the_upstream_does_meanwhile_is_told_until_text_comes():
    steps = [Delta(), Delta(activity="working"), Delta("Found", activity=None)]

    states = [data for name, data in sent(*steps) if name == "status"]

    assert states == [{"state": "queued", "activity": "working"}, {"state": "answering", "activity": None}]


def test_text_that_turns_out_as_reasoning_begins_the_reply_anew():
    steps = [Delta("I should", "First. "), Delta("Hello", " greet.", was_reasoning=True), Delta(" you")]

    _first, (name, snapshot), *changes = sent(*steps)

    assert name == "reset"
    assert "Hello" in snapshot["html"]
    assert "should" not in snapshot["html"]
    assert (snapshot["state"], snapshot["thought"]) == ("answering", "I should greet.")
    assert [name for name, _data in changes] == ["patch"]


def test_the_ids_of_notes_are_those_of_this_message_alone():
    text = "It is so[^1].\n\n[^1]: Says who?\n\n"

    snapshot = dict(sent(Delta(text)))["reset"]
    patches = dict(sent(Delta(), Delta(text)))["patch"]

    for html in (snapshot["html"], json.dumps(patches)):
        assert "fnref-id-" in html


def test_the_end_brings_the_html_that_is_stored():
    now = datetime(2026, 11, 1, tzinfo=UTC)
    ended = Message("ended", "c", None, "assistant", "Hello", "done", now, html="<p>Hello again</p>\n")
    stream = events(iter([Delta("Hello"), ended]), "ended")

    _reset, patch = sse.decode(next(stream) for _ in range(2))

    assert patch.event == "patch"
    assert "<p>Hello again</p>" in patch.data


def test_a_reader_far_behind_gets_the_whole_reply_at_its_end():
    ended = Message("behind", "c", None, "assistant", "", "done", datetime(2026, 11, 1, tzinfo=UTC))
    late = events(iter([Delta("Hello"), ended]), "behind")
    next(late)
    for _ in events(iter([Delta("Hello"), *map(Delta, ["word " * 200] * 20)]), "behind"):
        pass

    (event,) = sse.decode([next(late)])

    snapshot = json.loads(event.data)
    assert (event.event, snapshot["state"], snapshot["activity"]) == ("reset", "answering", None)
    assert snapshot["html"].count("word") == 4000


def test_nothing_is_kept_for_a_reader_who_is_alone():
    stream = events(iter([Delta("Hello"), *(Delta(f" {number}") for number in range(50))]), "alone")
    for _ in range(51):
        next(stream)

    shared = live.of("alone", was_reasoning=False)
    assert shared.since(shared.number - 1) is None
    stream.close()


def test_a_second_reader_and_the_first_get_all_that_comes_later():
    texts = ["Hello", *(f" {number}" for number in range(50))]
    first = events(map(Delta, texts), "shared")
    begun = [next(first) for _ in range(20)]
    second = events(iter([Delta("".join(texts[:30])), *map(Delta, texts[30:])]), "shared")

    later = [*second]
    begun += first

    assert text_of(begun) == text_of(later) == "".join(texts)


def text_of(stream: list[bytes]) -> str:
    """The text that a reader has after these events."""
    text = ""
    for event in sse.decode(stream):
        data = json.loads(event.data or "null")
        if event.event == "reset":
            text = re.sub("<[^<>]*>", "", data["html"]).strip("\n")
        elif event.event == "patch":
            text += "".join(patch[3] for patch in data)
    return text
