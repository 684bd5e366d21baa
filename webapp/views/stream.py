"""The event stream of one reply: a snapshot, then changes, then its end.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html. Each new follower first gets the whole reply so
far (`reset`), so a broken connection neither loses nor doubles a token.
"""

from __future__ import annotations

import threading
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
from webapp.rendering.notes import scoped, scoped_patches
from webapp.views.chat import said
from webapp.views.http import hold_open
from webapp.views.parts import parts
from webapp.views.visitor import current_user

RETRY_MILLISECONDS = 1000
PIECE_CHARS = 1_000
CHEAP_SECONDS = 0.002  # of processor time, for one piece: ordinary answers take a tenth of it
COSTLY_PIECES = 2  # in a row, before a reader takes turns: a garbage collection may meet one
REST = 9  # times as long as a costly piece took: costly texts take a tenth of the loop, all readers together
LATE_SECONDS = 5.0  # a costly text that waits longer than this for its turns goes on as plain text

blueprint = Blueprint("stream", __name__)


@blueprint.get("/m/<id:message_id>/stream")
def show_stream(message_id: str) -> ResponseReturnValue:
    message = parts().conversations.message(current_user().id, message_id)
    if message.status != "streaming":
        return "", 204, {"Cache-Control": "no-store"}
    return hold_open(events(parts().following.follow(message), message_id), "text/event-stream; charset=utf-8")


def events(steps: Iterator[Delta | Message], message_id: str) -> Iterator[bytes]:
    """Yield the encoded events of one follower; `steps` as `Following.follow` yields them."""
    state: dict[str, str | None] = {"state": "queued", "activity": None}
    feed, is_first = _Feed(), True
    for step in steps:
        if isinstance(step, Message):
            give_way()
            if step.html is not None and (patches := feed.live.finish(step.html)):
                yield _event("patch", scoped_patches(patches, message_id))
            yield _end(step)
            return
        before, state = state, _state(state, step)
        reasoning = step.reasoning
        if step.was_reasoning:
            reasoning, feed = feed.live.text + reasoning, _Feed()
        patches = feed.feed(step.text)
        if is_first or step.was_reasoning:
            snapshot = {"html": scoped(feed.live.html, message_id), **state, "thought": reasoning}
            yield _event("reset", snapshot, retry=RETRY_MILLISECONDS)
            is_first = False
            continue
        if state != before:
            yield _event("status", state)
        if step.reasoning:
            yield _event("thought", step.reasoning)
        if patches:
            yield _event("patch", scoped_patches(patches, message_id))
        if not step.text and not step.reasoning:
            yield sse.encode("", event="beat")


class _Feed:
    """The live renderer of one reader. The costly pieces of all readers take turns."""

    _turns = threading.Lock()

    def __init__(self) -> None:
        self.live = LiveRenderer()
        self._costly_pieces = 0  # in a row

    def feed(self, text: str) -> list[Patch]:
        """Feed a text piece by piece and return the patches."""
        patches: list[Patch] = []
        began = time.monotonic()
        for start in range(0, max(len(text), 1), PIECE_CHARS):
            piece = text[start : start + PIECE_CHARS]
            if self._costly_pieces < COSTLY_PIECES:
                if start:
                    give_way()
                patches += self._feed(piece)[0]
                continue
            with self._turns:  # held while it rests, so that nobody begins meanwhile
                new, seconds = self._feed(piece)
                time.sleep(seconds * REST)
            patches += new
            if self._costly_pieces and time.monotonic() - began > LATE_SECONDS:
                patches += self.live.give_up()
        return patches

    def _feed(self, piece: str) -> tuple[list[Patch], float]:
        """Return the patches, and the seconds of processor time that they took."""
        began = time.thread_time()
        patches = self.live.feed(piece)
        seconds = time.thread_time() - began
        self._costly_pieces = self._costly_pieces + 1 if seconds > CHEAP_SECONDS else 0
        return patches, seconds


def _end(message: Message) -> bytes:
    outcome = message.outcome or Outcome("interrupted")
    why = "length" if outcome.status == "done" and outcome.finish_reason == "length" else outcome.status
    footer = render_template("_footer.html", message=message)
    return _event("end", {"why": why, "html": footer, "message": said(message), "lang": foreign(message.text)})


def _state(before: dict[str, str | None], delta: Delta) -> dict[str, str | None]:
    """What the reader is told: how far the reply is, and what the upstream does that brings no text."""
    state = before["state"]
    if delta.text:
        state = "answering"
    elif delta.was_reasoning or (delta.reasoning and state != "answering"):
        state = "thinking"
    return {"state": state, "activity": delta.activity}


def _event(name: str, data: object, retry: int | None = None) -> bytes:
    return sse.encode(orjson.dumps(data).decode(), event=name, retry=retry)
