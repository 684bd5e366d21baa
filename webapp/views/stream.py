"""The event stream of one reply: a snapshot, then changes, then its end.

The events are those of https://html.spec.whatwg.org/multipage/server-sent-events.html; each new follower first
gets the whole reply so far (`reset`), so a break can neither lose nor double a token.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import orjson
from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from webapp import sse
from webapp.chat import Delta, Message, Outcome
from webapp.language import foreign
from webapp.loop import give_way
from webapp.patches import LiveRenderer, Patch
from webapp.views.chat import said
from webapp.views.http import hold_open
from webapp.views.parts import parts
from webapp.views.visitor import current_user

RETRY_MILLISECONDS = 1000
PIECE_CHARS = 1_000
CHEAP_SECONDS = 0.003  # of processor time, for one piece: ordinary answers take a tenth of it
REST = 50  # times as long as a costly piece took
MOST_SECONDS = 0.1  # of processor time, for what came at once

blueprint = Blueprint("stream", __name__)


@blueprint.get("/m/<id:message_id>/stream")
def show_stream(message_id: str) -> ResponseReturnValue:
    message = parts().conversations.message(current_user().id, message_id)
    if message.status != "streaming":
        return "", 204, {"Cache-Control": "no-store"}
    return hold_open(events(parts().following.follow(message)), "text/event-stream; charset=utf-8")


def events(steps: Iterator[Delta | Message]) -> Iterator[bytes]:
    """Yield the encoded events of one follower; `steps` as `Following.follow` yields them."""
    state, live, is_first, rest_seconds = "queued", LiveRenderer(), True, 0.0
    for step in steps:
        if isinstance(step, Message):
            if step.html is not None and (patches := live.finish(step.html)):
                yield _event("patch", patches)
            yield _end(step)
            return
        before, state = state, _state(state, step)
        time.sleep(rest_seconds)
        patches, rest_seconds = _fed(live, step.text)
        if is_first:
            snapshot = {"html": live.html, "state": state, "thought": step.reasoning}
            yield _event("reset", snapshot, retry=RETRY_MILLISECONDS)
            is_first = False
            continue
        if state != before:
            yield _event("status", {"state": state})
        if step.reasoning:
            yield _event("thought", step.reasoning)
        if patches:
            yield _event("patch", patches)
        if not step.text and not step.reasoning:
            yield sse.encode("", event="beat")


def _fed(live: LiveRenderer, text: str) -> tuple[list[Patch], float]:
    """Feed a text piece by piece. Returns the patches, and the seconds to rest before the next text.

    Rests after costly pieces: no reader takes more than a fiftieth of a core. A text that comes faster than that
    goes on as it is written.
    """
    patches: list[Patch] = []
    spent_seconds = rest_seconds = 0.0
    for start in range(0, max(len(text), 1), PIECE_CHARS):
        time.sleep(rest_seconds) if rest_seconds else give_way()
        began = time.thread_time()
        patches += live.feed(text[start : start + PIECE_CHARS])
        seconds = time.thread_time() - began
        spent_seconds += seconds
        rest_seconds = seconds * REST if seconds > CHEAP_SECONDS else 0.0
        if spent_seconds > MOST_SECONDS:
            patches, rest_seconds = patches + live.give_up(), 0.0
    return patches, rest_seconds


def _end(message: Message) -> bytes:
    outcome = message.outcome or Outcome("interrupted")
    why = "length" if outcome.status == "done" and outcome.finish_reason == "length" else outcome.status
    footer = render_template("_footer.html", message=message)
    return _event("end", {"why": why, "html": footer, "message": said(message), "lang": foreign(message.text)})


def _state(before: str, delta: Delta) -> str:
    if delta.text or before == "answering":
        return "answering"
    return "thinking" if delta.reasoning or before == "thinking" else "queued"


def _event(name: str, data: object, retry: int | None = None) -> bytes:
    return sse.encode(orjson.dumps(data).decode(), event=name, retry=retry)
