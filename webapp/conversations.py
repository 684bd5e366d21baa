"""The use cases of a chat: list, show, send, stop, follow. Each opens its own transaction."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from webapp.chat import Conversation, Delta, Message, Outcome
from webapp.config import Config
from webapp.errors import Busy, Conflict, Invalid, NotFound, TooLarge
from webapp.generation import BEAT_SECONDS, Generation, Hub, merge
from webapp.language import gettext as _
from webapp.limits import Gate
from webapp.lockchat import Lockchat
from webapp.models import Models
from webapp.storage import Storage, conversations, messages

TITLE_CHARS = 60
KEY_CHARS = 64
RESTART_SECONDS = 5
FOLLOW_SECONDS = 0.25  # how often a reply of another worker is looked up
DEFAULT_TEMPERATURE = 0.7  # the original module's

# NUL and lone surrogates cannot be stored; other control characters cannot be seen.
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Send:
    """What a user sends: the text and the settings that hold from here on. `key` names this very send."""

    text: str
    key: str
    model: str | None = None
    temperature: float | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, its reply, and the conversation they stand in."""

    conversation: Conversation
    question: Message
    reply: Message


class Conversations:
    """The conversations of all users; every method is told whose."""

    def __init__(
        self, config: Config, storage: Storage, hub: Hub, upstream: Lockchat, models: Models, worker_id: str
    ) -> None:
        self._config = config
        self._storage = storage
        self._hub = hub
        self._upstream = upstream
        self._models = models
        self._worker_id = worker_id
        self.gate = Gate(config.streams_per_user, config.streams_total)

    def of(self, user_id: str) -> list[Conversation]:
        """The user's conversations, the last used first."""
        with self._storage.read() as tx:
            return conversations.of(tx, user_id)

    def show(self, user_id: str, conversation_id: str) -> tuple[Conversation, list[Message]]:
        """A conversation and the messages of its branch in order, running replies with their text so far.

        Raises NotFound.
        """
        running = self._hub.all()
        with self._storage.read() as tx:
            conversation = _known(conversations.get(tx, user_id, conversation_id))
            return conversation, _branch(tx, conversation, conversation.leaf_id, running)

    def message(self, user_id: str, message_id: str) -> Message:
        """One message, with its text so far. Raises NotFound."""
        running = self._hub.all()
        with self._storage.read() as tx:
            message = messages.get(tx, user_id, message_id)
            if message is None:
                raise NotFound(_("This message does not exist."))
            return _with_text(tx, message, running)

    def send(self, user_id: str, conversation_id: str | None, send: Send) -> Turn:
        """Store a question with an empty reply, start the reply, and return both with their conversation.

        Without `conversation_id` a new conversation begins. The same key again changes nothing and returns
        what it made the first time. Raises Invalid, TooLarge, NotFound, Conflict, Busy, StorageUnavailable.
        """
        send = self._checked(send)

        def question(tx: Connection, now: datetime) -> tuple[Conversation, Message]:
            if conversation_id is None:
                conversation = self._new(user_id, send, now)
                conversations.add(tx, conversation)
            else:
                conversation = _known(conversations.get(tx, user_id, conversation_id, lock=True))
            return conversation, _add_question(tx, conversation.id, conversation.leaf_id, send.text, now)

        return self._ask(user_id, send, question)

    def edit(self, user_id: str, message_id: str, send: Send) -> Turn:
        """Ask a question anew in other words: a sibling of the old one, which stays. Raises as `send`."""
        send = self._checked(send)

        def question(tx: Connection, now: datetime) -> tuple[Conversation, Message]:
            old = _question_known(messages.get(tx, user_id, message_id))
            conversation = _known(conversations.get(tx, user_id, old.conversation_id, lock=True))
            return conversation, _add_question(tx, conversation.id, old.parent_id, send.text, now)

        return self._ask(user_id, send, question)

    def retry(self, user_id: str, message_id: str, key: str) -> Turn:
        """Ask for another reply to the same question: a sibling of the old reply, which stays. Raises as `send`."""

        def question(tx: Connection, now: datetime) -> tuple[Conversation, Message]:
            message = messages.get(tx, user_id, message_id)
            if message and message.role == "assistant":
                message = messages.get(tx, user_id, message.parent_id or "")
            asked = _question_known(message)
            return _known(conversations.get(tx, user_id, asked.conversation_id, lock=True)), asked

        return self._ask(user_id, Send("", key=_checked_key(key)), question)

    def stop(self, user_id: str, message_id: str) -> Message:
        """End a running reply, in whichever worker it runs; its text so far stands. Raises NotFound.

        A finished reply stays as it is.
        """
        message = self.message(user_id, message_id)
        if not self._hub.stop(message_id) and message.status == "streaming":
            with self._storage.begin() as tx:
                messages.request_stop(tx, message_id)
        return message

    def follow(self, reply_id: str) -> Iterator[Delta | Outcome]:
        """Yield the text of a reply: what there is at once, then what comes, its outcome at last.

        Yields an empty delta each beat of silence. The caller has checked whose reply it is.
        """
        generation = self._hub.get(reply_id)
        return generation.follow() if generation else self._follow_stored(reply_id)

    def _follow_stored(self, reply_id: str) -> Iterator[Delta | Outcome]:
        """Follow a reply that another worker runs, by what that worker saves."""
        number, text_length, thought_length, silent_since = 0, 0, 0, time.monotonic()
        is_first = True
        while True:
            with self._storage.read() as tx:
                message = messages.find(tx, reply_id)
                new = messages.pieces_after(tx, reply_id, number)
            if message.outcome:
                yield Delta(message.text[text_length:], message.thought[thought_length:])
                yield message.outcome
                return
            delta = merge([piece for _number, piece in new])
            is_silent = time.monotonic() - silent_since >= BEAT_SECONDS
            if is_first or new or is_silent:
                yield delta
                is_first, silent_since = False, time.monotonic()
            number = new[-1][0] if new else number
            text_length, thought_length = text_length + len(delta.text), thought_length + len(delta.reasoning)
            time.sleep(FOLLOW_SECONDS)

    def _ask(
        self, user_id: str, send: Send, question: Callable[[Connection, datetime], tuple[Conversation, Message]]
    ) -> Turn:
        """Store the turn that begins with a question, new or old, and start its reply."""
        if self._hub.is_closed:
            raise Busy(
                _("The server restarts. Your text is kept; send it again in a moment."), retry_after=RESTART_SECONDS
            )
        self.gate.enter(user_id)
        try:
            now, running = datetime.now(UTC), self._hub.all()
            with self._storage.begin() as tx:
                conversation, asked = question(tx, now)
                conversation = _with_settings(conversation, send)
                branch = _branch(tx, conversation, asked.parent_id, running)
                reply = self._add_turn(tx, conversation, asked, send.key, now)
            source = self._upstream.stream(
                _wire(conversation, [*branch, asked]), conversation.model, conversation.temperature
            )
        except _SentBefore:
            self.gate.leave(user_id)
            return self._sent_before(user_id, send)
        except BaseException:
            self.gate.leave(user_id)
            raise
        self._hub.start(reply.id, source, partial(self.gate.leave, user_id))
        return Turn(conversation, asked, reply)

    def _add_turn(
        self, tx: Connection, conversation: Conversation, question: Message, key: str, now: datetime
    ) -> Message:
        reply = _reply(conversation, question.id, now)
        messages.add(tx, reply, worker_id=self._worker_id)
        if not messages.claim_key(tx, conversation.user_id, key, reply.id):
            raise _SentBefore
        conversations.change(
            tx,
            conversation.user_id,
            conversation.id,
            now,
            leaf_id=reply.id,
            model=conversation.model,
            temperature=conversation.temperature,
            system=conversation.system,
        )
        return reply

    def _sent_before(self, user_id: str, send: Send) -> Turn:
        running = self._hub.all()
        with self._storage.read() as tx:
            reply_id = messages.sent_with(tx, user_id, send.key)
            reply = messages.get(tx, user_id, reply_id) if reply_id else None
            question = messages.get(tx, user_id, reply.parent_id) if reply and reply.parent_id else None
            if not reply or not question or (send.text and question.text.strip() != send.text.strip()):
                # An old form, brought back by the Back button, with something new in it.
                raise Conflict(_("This form was sent before, with another text. Nothing is lost: send it again."))
            conversation = _known(conversations.get(tx, user_id, reply.conversation_id))
            return Turn(conversation, question, _with_text(tx, reply, running))

    def _checked(self, send: Send) -> Send:
        text = clean(send.text)
        if not text.strip():
            raise Invalid(_("Write a message first."))
        limit = self._config.max_question_chars
        if max(len(text), len(send.system or "")) > limit:
            raise TooLarge(
                _("The message is too long: %(length)s characters, %(limit)s are allowed.")
                % {"length": max(len(text), len(send.system or "")), "limit": limit}
            )
        if send.model is not None and send.model not in self._models.names():
            raise Invalid(
                _("The model %(model)s is not offered here. Choose another one.") % {"model": send.model[:80]}
            )
        if send.temperature is not None and not 0 <= send.temperature <= 2:
            raise Invalid(_("The temperature is a number from 0 to 2."))
        system = clean(send.system) if send.system is not None else None
        return replace(send, text=text, system=system, key=_checked_key(send.key))

    def _new(self, user_id: str, send: Send, now: datetime) -> Conversation:
        return Conversation(
            id=new_id(),
            user_id=user_id,
            title=title_of(send.text),
            model=send.model or self._models.names()[0],
            temperature=DEFAULT_TEMPERATURE if send.temperature is None else send.temperature,
            system=send.system or "",
            leaf_id=None,
            created_at=now,
            updated_at=now,
        )


class _SentBefore(Exception):
    """The key of this send is known already."""


def new_id() -> str:
    """A random id."""
    return str(uuid.uuid4())


def clean(text: str) -> str:
    """The text with LF line ends and without what no database stores."""
    return UNSTORABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def title_of(text: str) -> str:
    """A title made of the first words of a text, one line of at most TITLE_CHARS characters."""
    line = " ".join(text.split())
    if len(line) <= TITLE_CHARS:
        return line
    cut = line[:TITLE_CHARS]
    return (cut.rpartition(" ")[0] or cut) + "…"


def _checked_key(key: str) -> str:
    if len(key) > KEY_CHARS:
        raise Invalid(_("The form is broken. Reload the page and send it again."))
    return clean(key) or new_id()


def _question_known(message: Message | None) -> Message:
    if message is None or message.role != "user":
        raise NotFound(_("This message does not exist."))
    return message


def _known(conversation: Conversation | None) -> Conversation:
    if conversation is None:
        raise NotFound(_("This conversation does not exist."))
    return conversation


def _with_settings(conversation: Conversation, send: Send) -> Conversation:
    return replace(
        conversation,
        model=send.model or conversation.model,
        temperature=conversation.temperature if send.temperature is None else send.temperature,
        system=conversation.system if send.system is None else send.system,
    )


def _add_question(tx: Connection, conversation_id: str, parent_id: str | None, text: str, now: datetime) -> Message:
    question = Message(new_id(), conversation_id, parent_id, "user", text, "done", now)
    messages.add(tx, question)
    return question


def _reply(conversation: Conversation, question_id: str, now: datetime) -> Message:
    return Message(new_id(), conversation.id, question_id, "assistant", "", "streaming", now, model=conversation.model)


def _branch(
    tx: Connection, conversation: Conversation, leaf_id: str | None, running: Mapping[str, Generation]
) -> list[Message]:
    """The messages from the first one to the leaf, running replies with their text so far."""
    every = messages.of(tx, conversation.user_id, conversation.id)
    return [_with_text(tx, message, running) for message in _path(every, leaf_id)]


def _with_text(tx: Connection, message: Message, running: Mapping[str, Generation]) -> Message:
    """The message; a running reply with its text so far, from this worker's memory or as another one saved it."""
    if message.status != "streaming":
        return message
    if generation := running.get(message.id):
        so_far, _position, outcome = generation.since(0)
    else:
        so_far, outcome = merge([delta for _number, delta in messages.pieces_after(tx, message.id, 0)]), None
    status = outcome.status if outcome else message.status
    return replace(message, text=so_far.text, thought=so_far.reasoning, status=status, outcome=outcome)


def _path(every: Sequence[Message], leaf_id: str | None) -> list[Message]:
    """The messages from the first one to the leaf."""
    by_id = {message.id: message for message in every}
    path: list[Message] = []
    message = by_id.get(leaf_id or "")
    while message:
        path.append(message)
        message = by_id.get(message.parent_id or "")
    return path[::-1]


def _wire(conversation: Conversation, branch: Sequence[Message]) -> list[dict[str, str]]:
    """The branch as the upstream reads it. Replies without text are left out, and neighbours of one role joined:
    many chat templates refuse a conversation whose roles do not alternate."""
    turns = [("system", conversation.system)] + [(message.role, message.text) for message in branch]
    wire: list[dict[str, str]] = []
    for role, text in turns:
        if wire and text and wire[-1]["role"] == role:
            wire[-1]["content"] += "\n\n" + text
        elif text:
            wire.append({"role": role, "content": text})
    return wire
