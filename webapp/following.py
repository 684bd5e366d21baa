"""The use cases of a running reply: follow, stop. Reads its text from this worker's memory, or from the database."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from sqlalchemy import Connection

from webapp.chat import Delta, Message, Outcome, merge
from webapp.errors import StorageUnavailable, existing
from webapp.generation import BEAT_SECONDS, Generation, Hub
from webapp.language import gettext as _
from webapp.storage import Storage, messages

FOLLOW_SECONDS = 0.25  # how often a reply of another worker is read


class Following:
    """The running replies of all users."""

    def __init__(self, storage: Storage, hub: Hub) -> None:
        self._storage = storage
        self._hub = hub

    def stop(self, user_id: str, message_id: str) -> Message:
        """Stop a running reply of any worker, keep its text, and return it. Raises NotFound.

        Leaves a finished reply unchanged.
        """
        running = self._hub.all()
        with self._storage.read() as tx:
            message = with_text(tx, known_message(messages.get(tx, user_id, message_id)), running)
        if not self._hub.stop(message_id) and message.status == "streaming":
            self._storage.run(lambda tx: messages.request_stop(tx, message_id))
        return message

    def follow(self, message: Message) -> Iterator[Delta | Message]:
        """Yield the text of a running reply: first the text so far, then each new piece, at last the finished reply.

        Yields an empty delta each `BEAT_SECONDS` of silence. The caller has checked the owner.
        """
        generation = self._hub.get(message.id)
        if generation is None:
            yield from self._follow_stored(message.id)
            return
        for step in generation.follow():
            if isinstance(step, Outcome):
                whole, html = generation.since()[0], generation.html
                message = replace(message, pictures=generation.pictures())
                yield replace(
                    message, text=whole.text, reasoning=whole.reasoning, html=html, status=step.status, outcome=step
                )
            else:
                yield step

    def _follow_stored(self, reply_id: str) -> Iterator[Delta | Message]:
        """Follow a reply of another worker, by the pieces that it saves."""
        number, text_length, reasoning_length, silent_since = 0, 0, 0, -math.inf
        while True:
            try:
                with self._storage.read() as tx:
                    message = messages.find(tx, reply_id)
                    new = messages.pieces_after(tx, reply_id, number)
            except StorageUnavailable:
                message, new = None, []  # treated as silence: the other worker still has the text
            if message and message.outcome:
                if was_reasoning := bool(text_length and not reasoning_length and message.reasoning):
                    text_length, reasoning_length = 0, text_length
                text, reasoning = message.text[text_length:], message.reasoning[reasoning_length:]
                yield Delta(text, reasoning, was_reasoning=was_reasoning)
                yield message
                return
            delta = merge([piece for _number, piece in new])
            if new or time.monotonic() - silent_since >= BEAT_SECONDS:
                yield delta
                silent_since = time.monotonic()
            if delta.was_reasoning:
                text_length, reasoning_length = 0, text_length
            number = new[-1][0] if new else number
            text_length, reasoning_length = text_length + len(delta.text), reasoning_length + len(delta.reasoning)
            time.sleep(FOLLOW_SECONDS)


def known_message(message: Message | None) -> Message:
    """The message. Raises NotFound for None."""
    return existing(message, _("This message does not exist."))


def with_text(tx: Connection, message: Message, running: Mapping[str, Generation]) -> Message:
    """The message; a running reply with its text so far. Take `running` before the transaction."""
    if message.status != "streaming":
        return message
    so_far, outcome = _so_far(tx, message.id, running)
    status = outcome.status if outcome else message.status
    return replace(message, text=so_far.text, reasoning=so_far.reasoning, status=status, outcome=outcome)


def text_so_far(tx: Connection, reply_id: str, running: Mapping[str, Generation]) -> str:
    """The text of a running reply."""
    return _so_far(tx, reply_id, running)[0].text


def _so_far(tx: Connection, reply_id: str, running: Mapping[str, Generation]) -> tuple[Delta, Outcome | None]:
    if generation := running.get(reply_id):
        return generation.shown()
    return merge([delta for _number, delta in messages.pieces_after(tx, reply_id, 0)]), None
