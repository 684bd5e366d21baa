"""The event stream of one reply: a snapshot, then changes, then its end.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html. Each new follower first gets the whole reply so
far (`reset`), so a broken connection neither loses nor doubles a token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import orjson
from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from webapp import sse
from webapp.chat import Delta, Message
from webapp.language import foreign
from webapp.loop import give_way
from webapp.views import live, site
from webapp.views.http import hold_open
from webapp.views.parts import parts
from webapp.views.visitor import current_user
from webapp.views.words import said

RETRY_MILLISECONDS = 1000

blueprint = Blueprint("stream", __name__)


@blueprint.get("/m/<id:message_id>/stream")
def show_stream(message_id: str) -> ResponseReturnValue:
    message = parts().conversations.message(current_user().id, message_id)
    if message.status != "streaming":
        return "", 204, {"Cache-Control": "no-store"}
    seconds = max((datetime.now(UTC) - message.created_at).total_seconds(), 0.0)
    steps = parts().following.follow(message)
    site.offer()  # read now: the database may be away when the answer ends
    return hold_open(events(steps, message_id, int(seconds)), "text/event-stream; charset=utf-8")


def events(steps: Iterator[Delta | Message], message_id: str, seconds: int = 0) -> Iterator[bytes]:
    """Yield the encoded events of one follower; `steps` as `Following.follow` yields them.

    `seconds` are those since the question.
    """
    state: dict[str, str | None] = {"state": "queued"}
    reader: _Reader | None = None
    for step in steps:
        if isinstance(step, Message):
            give_way()
            if reader:
                yield from reader.finish(step.html, state)
            yield _end(step)
            return
        before, state = state, _state(state, step)
        if reader is None or step.was_reasoning:
            reader = _Reader(message_id, step, seconds, reader)
            yield reader.snapshot(state)
            continue
        if state != before:
            yield _event("status", state)
        yield from reader.take(step, state)
        if not step.text and not step.reasoning:
            yield sse.encode("", event="beat")


class _Reader:
    """How much one follower has of the shared rendering of a reply."""

    def __init__(self, message_id: str, step: Delta, seconds: int, before: _Reader | None = None) -> None:
        """Begin with the first step, or anew with one after which the text of `before` is reasoning."""
        thought = before._text() if before else ""
        self._seconds = seconds
        self._live = live.of(message_id, step.was_reasoning)
        self._live.readers += 1
        self._chars = self._reasoning_chars = self._number = 0
        self._add(replace(step, reasoning=thought + step.reasoning))

    def snapshot(self, state: dict[str, str | None]) -> bytes:
        html, thought, self._number = self._live.snapshot()
        give_way()  # of megabytes, each step takes its time
        return _event(
            "reset", {"html": html, **state, "thought": thought, "seconds": self._seconds}, retry=RETRY_MILLISECONDS
        )

    def take(self, step: Delta, state: dict[str, str | None]) -> list[bytes]:
        """Return the events for the next step, and for what other followers have brought."""
        self._add(step)
        return self._news(state)

    def finish(self, html: str | None, state: dict[str, str | None]) -> list[bytes]:
        if html is not None:
            self._live.finish(html)
        return self._news(state)

    def _text(self) -> str:
        return self._live.text(self._chars)

    def _add(self, step: Delta) -> None:
        self._chars += len(step.text)
        self._reasoning_chars += len(step.reasoning)
        self._live.take(step, self._chars, self._reasoning_chars)

    def _news(self, state: dict[str, str | None]) -> list[bytes]:
        news = self._live.since(self._number)
        if news is None:
            return [self.snapshot(state)]
        self._number += len(news)
        return news


def _end(message: Message) -> bytes:
    outcome = message.outcome
    assert outcome  # `Following.follow` ends with a reply that has one
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
