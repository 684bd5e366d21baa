"""The use cases of a chat: list, show, stop, follow, and what a list offers. Each opens its own transaction."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from webapp.chat import Conversation, Delta, Message, Outcome
from webapp.errors import Invalid, NotFound, StorageUnavailable, TooLarge
from webapp.generation import BEAT_SECONDS, Generation, Hub, merge
from webapp.language import gettext as _
from webapp.language import number
from webapp.storage import Storage, branches, conversations, messages
from webapp.text import LONGEST_TITLE_CHARS, clean

log = logging.getLogger(__name__)

LAST_MESSAGES = 60  # a page shows this many, and older ones when asked for
PAGE_MESSAGES = 200  # at most
PAGE_CHARS = 1_000_000  # of what a page shows; one message may have more
PAGE_READ = 4  # messages at a time, for each may be as large as an answer can be
TURN_CHARS = 2500  # what a turn takes in the database besides its text
UNDO_TIME = timedelta(days=1)
FOLLOW_SECONDS = 0.25  # how often a reply of another worker is looked up
DEFAULT_TEMPERATURE = 0.7  # the original module's


@dataclass(frozen=True, slots=True)
class Shown:
    """The part of a conversation that a page shows.

    `earlier` messages of the branch come before it, and `later` ones after it, the first of which is `later_id`.
    `leaf_id` is the last message of the branch.
    """

    conversation: Conversation
    messages: list[Message]
    earlier: int = 0
    later: int = 0
    later_id: str = ""
    leaf_id: str = ""


class Conversations:
    """The conversations of all users; every method is told whose."""

    def __init__(self, storage: Storage, hub: Hub) -> None:
        self._storage = storage
        self._hub = hub

    def of(self, user_id: str) -> list[Conversation]:
        """The user's conversations, the last used first."""
        with self._storage.read() as tx:
            return conversations.of(tx, user_id)

    def show(
        self,
        user_id: str,
        conversation_id: str,
        *,
        at: str | None = None,
        before: str | None = None,
        last: int = LAST_MESSAGES,
    ) -> Shown:
        """A conversation and the last messages of its branch, running replies with their text so far.

        `at` is a message that must be among them: its branch is shown, from that message on if need be. With
        `before`, the LAST_MESSAGES messages before that one are among them. There are at most PAGE_MESSAGES messages,
        and no more once they have PAGE_CHARS characters. Raises NotFound.
        """
        running = self._hub.all()
        with self._storage.read() as tx:
            conversation = known(conversations.get(tx, user_id, conversation_id))
            path = branches.path(tx, user_id, conversation_id, conversation.leaf_id)
            wanted = before or at
            if wanted and wanted not in path:
                end = branches.newest_below(tx, user_id, conversation_id, wanted)
                path = branches.path(tx, user_id, conversation_id, end) if end else path
            place = path.index(wanted) if wanted in path else None
            first, shown = _window(tx, conversation, path, place, min(last, PAGE_MESSAGES), is_end=bool(before))
            siblings = branches.siblings(tx, conversation_id, [message.parent_id for message in shown])
            shown = [
                replace(with_text(tx, message, running), siblings=siblings[message.parent_id]) for message in shown
            ]
        rest = path[first + len(shown) :]
        return Shown(conversation, shown, first, len(rest), rest[0] if rest else "", path[-1] if path else "")

    def message(self, user_id: str, message_id: str) -> Message:
        """One message, with its text so far. Raises NotFound."""
        running = self._hub.all()
        with self._storage.read() as tx:
            message = messages.get(tx, user_id, message_id)
            if message is None:
                raise NotFound(_("This message does not exist."))
            return with_text(tx, message, running)

    def stop(self, user_id: str, message_id: str) -> Message:
        """End a running reply, in whichever worker it runs; its text so far stands. Raises NotFound.

        A finished reply stays as it is.
        """
        message = self.message(user_id, message_id)
        if not self._hub.stop(message_id) and message.status == "streaming":
            with self._storage.begin() as tx:
                messages.request_stop(tx, message_id)
        return message

    def select(self, user_id: str, message_id: str) -> Message:
        """Show the branch that holds this message, from now on. Raises NotFound."""
        with self._storage.read() as tx:
            message = messages.get(tx, user_id, message_id)
            if message is None:
                raise NotFound(_("This message does not exist."))
            leaf_id = branches.newest_below(tx, user_id, message.conversation_id, message_id)
        self._change(user_id, message.conversation_id, leaf_id=leaf_id)
        return message

    def rename(self, user_id: str, conversation_id: str, title: str) -> None:
        """Give a conversation a title of the user's own. Raises NotFound, Invalid, TooLarge."""
        title = " ".join(clean(title).split())
        if not title:
            raise Invalid(_("Write a title first."))
        if len(title) > LONGEST_TITLE_CHARS:
            raise TooLarge(
                _("The title is too long: %(limit)s characters are allowed.") % {"limit": LONGEST_TITLE_CHARS}
            )
        self._change(user_id, conversation_id, title=title)

    def pin(self, user_id: str, conversation_id: str, pinned: bool) -> None:
        """Keep a conversation at the top of the list, or no longer. Raises NotFound."""
        self._change(user_id, conversation_id, pinned=pinned)

    def delete(self, user_id: str, conversation_id: str) -> None:
        """Delete a conversation; `restore` undoes it for a day. Running replies are stopped. Raises NotFound."""
        now = datetime.now(UTC)
        with self._storage.begin() as tx:
            known(conversations.get(tx, user_id, conversation_id))
            conversations.change(tx, user_id, conversation_id, deleted_at=now)
            replies = messages.request_stops(tx, conversation_id)
            conversations.purge(tx, user_id, now - UNDO_TIME)
        for reply_id in replies:
            self._hub.stop(reply_id)

    def restore(self, user_id: str, conversation_id: str) -> None:
        """Undo a deletion. Raises NotFound when it is too late."""
        self._change(user_id, conversation_id, deleted_at=None)

    def _change(self, user_id: str, conversation_id: str, **values: object) -> None:
        with self._storage.begin() as tx:
            if not conversations.change(tx, user_id, conversation_id, **values):
                raise NotFound(_("This conversation does not exist."))

    def follow(self, message: Message) -> Iterator[Delta | Message]:
        """Yield the text of a running reply: what there is at once, then what comes; at last the reply as it ended.

        Yields an empty delta each beat of silence. The caller has checked whose reply it is.
        """
        generation = self._hub.get(message.id)
        if generation is None:
            yield from self._follow_stored(message.id)
            return
        texts: list[str] = []
        thoughts: list[str] = []
        for step in generation.follow():
            if isinstance(step, Outcome):
                text, thought, html = "".join(texts), "".join(thoughts), generation.html
                yield replace(message, text=text, thought=thought, html=html, status=step.status, outcome=step)
            else:
                texts.append(step.text)
                thoughts.append(step.reasoning)
                yield step

    def _follow_stored(self, reply_id: str) -> Iterator[Delta | Message]:
        """Follow a reply that another worker runs, by what that worker saves."""
        number, text_length, thought_length, silent_since = 0, 0, 0, -math.inf
        while True:
            try:
                with self._storage.read() as tx:
                    message = messages.find(tx, reply_id)
                    new = messages.pieces_after(tx, reply_id, number)
            except StorageUnavailable:
                message, new = None, []  # as silence: the text is safe with the other worker
            if message and message.outcome:
                yield Delta(message.text[text_length:], message.thought[thought_length:])
                yield message
                return
            delta = merge([piece for _number, piece in new])
            if new or time.monotonic() - silent_since >= BEAT_SECONDS:
                yield delta
                silent_since = time.monotonic()
            number = new[-1][0] if new else number
            text_length, thought_length = text_length + len(delta.text), thought_length + len(delta.reasoning)
            time.sleep(FOLLOW_SECONDS)


def known(conversation: Conversation | None) -> Conversation:
    """The conversation. Raises NotFound where there is none."""
    if conversation is None:
        raise NotFound(_("This conversation does not exist."))
    return conversation


def too_many_conversations(limit: int) -> TooLarge:
    """The error for a user who has as many conversations as are allowed."""
    return TooLarge(
        _("You may have %(limit)s conversations, and this would be more. Delete some first.") % {"limit": number(limit)}
    )


def _window(
    tx: Connection, conversation: Conversation, path: list[str], place: int | None, last: int, *, is_end: bool
) -> tuple[int, list[Message]]:
    """The messages of a branch that a page shows, and the index of the first one.

    They go on to the end of the branch, if the page has room for all of them from `place` on; else they begin there,
    or end right before it with `is_end`.
    """
    first = max(len(path) - last, 0)
    if place is not None:
        first = min(first, max(place - LAST_MESSAGES, 0) if is_end else place)
    shown = _first_of(tx, conversation, path[first:][::-1]) if len(path) - first <= PAGE_MESSAGES else []
    if place is None or len(path) - len(shown) <= max(place - is_end, 0):
        return len(path) - len(shown), shown[::-1]
    if is_end:
        shown = _first_of(tx, conversation, path[first:place][::-1])
        return place - len(shown), shown[::-1]
    return place, _first_of(tx, conversation, path[place : place + PAGE_MESSAGES])


def _first_of(tx: Connection, conversation: Conversation, message_ids: Sequence[str]) -> list[Message]:
    """The first of these messages: as many as have PAGE_CHARS characters together, but at least one."""
    shown: list[Message] = []
    chars = 0
    for start in range(0, len(message_ids), PAGE_READ):
        ids = message_ids[start : start + PAGE_READ]
        for message in messages.some(tx, conversation.user_id, conversation.id, ids):
            chars += len(message.html or message.text) + len(message.thought)
            if shown and chars > PAGE_CHARS:
                return shown
            shown.append(message)
        time.sleep(0)
    return shown


def with_text(tx: Connection, message: Message, running: Mapping[str, Generation]) -> Message:
    """The message; a running reply with its text so far, from this worker's memory or as another one saved it."""
    if message.status != "streaming":
        return message
    so_far, outcome = _so_far(tx, message.id, running)
    status = outcome.status if outcome else message.status
    return replace(message, text=so_far.text, thought=so_far.reasoning, status=status, outcome=outcome)


def text_so_far(tx: Connection, reply_id: str, running: Mapping[str, Generation]) -> str:
    """The text of a running reply."""
    return _so_far(tx, reply_id, running)[0].text


def _so_far(tx: Connection, reply_id: str, running: Mapping[str, Generation]) -> tuple[Delta, Outcome | None]:
    if generation := running.get(reply_id):
        return generation.shown()
    return merge([delta for _number, delta in messages.pieces_after(tx, reply_id, 0)]), None
