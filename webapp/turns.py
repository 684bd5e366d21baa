"""The use cases that ask the upstream: send, edit, retry. A question and its reply are stored in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from webapp.chat import Conversation, Failure, Message, Outcome, Role
from webapp.config import Config
from webapp.conversations import DEFAULT_TEMPERATURE, TURN_CHARS, known, text_so_far, too_many_conversations, with_text
from webapp.errors import Busy, Conflict, Invalid, NotFound, TooLarge
from webapp.generation import Generation, Hub, Source
from webapp.language import gettext as _
from webapp.language import number
from webapp.limits import ANSWERS, Budget, Gate, Holder
from webapp.lockchat import Lockchat, Stream
from webapp.storage import Storage, branches, conversations, messages
from webapp.storage.messages import Final
from webapp.text import clean, new_id, title_of
from webapp.upstream.models import Models

log = logging.getLogger(__name__)

RESTART_SECONDS = 5
KEY_CHARS = 64
HISTORY_CHARS = 4_000_000  # what is sent at most; the largest windows of models are about as large
MESSAGE_CHARS = 30  # around each message on the wire
HISTORIES_PER_USER = 8 * HISTORY_CHARS  # of running replies, until they end
HISTORIES_PER_ADDRESS = 16 * HISTORY_CHARS
HISTORIES_TOTAL = 32 * HISTORY_CHARS


@dataclass(frozen=True, slots=True)
class Send:
    """What a user sends: the text and the settings that hold from here on. `key` names this very send.

    `parent_id` is the last message that the user saw, None for that of the branch which is shown by default.
    `address` is that of the browser: limits hold for it too.
    """

    text: str
    key: str
    parent_id: str | None = None
    model: str | None = None
    temperature: float | None = None
    system: str | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, its reply, and the conversation they stand in."""

    conversation: Conversation
    question: Message
    reply: Message


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a question stands or will stand: below `parent_id`. `asked` is the question if it is there already."""

    conversation: Conversation
    parent_id: str | None
    asked: Message | None = None


@dataclass(frozen=True, slots=True)
class _Past:
    """What is sent of the messages up to the leaf, the first one first."""

    leaf_id: str | None
    turns: list[tuple[Role, str]]
    chars: int = 0


class Turns:
    """Questions and their replies, of all users; every method is told whose."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        hub: Hub,
        upstream: Lockchat,
        models: Models,
        worker_id: str,
        stored: Budget,
    ) -> None:
        self._config = config
        self._storage = storage
        self._hub = hub
        self._upstream = upstream
        self._models = models
        self._worker_id = worker_id
        self._stored = stored
        self.gate = Gate(
            ANSWERS,
            per_user=config.streams_per_user,
            per_address=config.streams_per_address,
            total=config.streams_total,
        )
        self._histories = Gate(
            ANSWERS, per_user=HISTORIES_PER_USER, per_address=HISTORIES_PER_ADDRESS, total=HISTORIES_TOTAL
        )

    def send(self, user_id: str, conversation_id: str | None, send: Send) -> Turn:
        """Store a question with an empty reply, start the reply, and return both with their conversation.

        Without `conversation_id` a new conversation begins. The same key again changes nothing and returns
        what it made the first time. Raises Invalid, TooLarge, NotFound, Conflict, Busy, StorageUnavailable.
        """
        send = self._checked(send)

        def place(tx: Connection, lock: bool) -> _Place:
            if conversation_id is None:
                return _Place(self._new(user_id, send), None)
            conversation = known(conversations.get(tx, user_id, conversation_id, lock=lock))
            parent = messages.get(tx, user_id, send.parent_id) if send.parent_id else None
            is_here = parent is not None and parent.conversation_id == conversation.id
            return _Place(conversation, send.parent_id if is_here else conversation.leaf_id)

        return self._ask(user_id, send, place, is_new=conversation_id is None)

    def edit(self, user_id: str, message_id: str, send: Send) -> Turn:
        """Ask a question anew in other words: a sibling of the old one, which stays. Raises as `send`."""
        send = self._checked(send)

        def place(tx: Connection, lock: bool) -> _Place:
            old = _question_known(messages.get(tx, user_id, message_id))
            conversation = known(conversations.get(tx, user_id, old.conversation_id, lock=lock))
            return _Place(conversation, old.parent_id)

        return self._ask(user_id, send, place)

    def retry(self, user_id: str, message_id: str, send: Send) -> Turn:
        """Ask for another reply to the same question: a sibling of the old reply, which stays. Raises as `send`.

        The settings of `send` hold from here on. Ignores its text.
        """
        send = self._checked_settings(replace(send, text=""))

        def place(tx: Connection, lock: bool) -> _Place:
            message = messages.get(tx, user_id, message_id)
            if message and message.role == "assistant":
                message = messages.get(tx, user_id, message.parent_id or "")
            asked = _question_known(message)
            conversation = known(conversations.get(tx, user_id, asked.conversation_id, lock=lock))
            return _Place(conversation, asked.parent_id, asked)

        return self._ask(user_id, send, place)

    def _ask(
        self, user_id: str, send: Send, place: Callable[[Connection, bool], _Place], *, is_new: bool = False
    ) -> Turn:
        """Store the turn that begins with a question, new or old, and start its reply.

        `place` finds where the question stands; the second time it locks the conversation.
        """
        if self._hub.is_stopping():
            raise Busy(
                _("The server restarts. Your text is kept; send it again in a moment."), retry_after=RESTART_SECONDS
            )
        holder = Holder(user_id, send.address)
        with ExitStack() as held:
            try:
                self._enter(held, holder, send)
                past = _Past(None, []) if is_new else self._past_of(user_id, place)
                self._hold_history(held, holder, past)
                turn, source = self._store(user_id, send, place, past, is_new=is_new)
            except _SentBefore:
                return self._sent_before(user_id, send)
            on_end = partial(self._ended, turn.reply.id, holder, held.pop_all())
        self._start(turn.reply.id, source, on_end)
        return turn

    def _past_of(self, user_id: str, place: Callable[[Connection, bool], _Place]) -> _Past:
        # Read before the write transaction, during which nobody else can write.
        running = self._hub.all()
        with self._storage.read() as tx:
            here = place(tx, False)
            return self._past(tx, running, here.conversation, here.parent_id)

    def _past(
        self, tx: Connection, running: Mapping[str, Generation], conversation: Conversation, leaf_id: str | None
    ) -> _Past:
        """What is sent of a branch. Raises TooLarge for one that is longer than any model reads.

        To leave out its beginning would be an answer to another conversation than the one that the page shows.
        `running` was taken before the transaction: a reply leaves the hub after storage has it.
        """
        turns: list[tuple[Role, str]] = []
        chars, at = 0, leaf_id
        while at:
            part = branches.said(tx, conversation.user_id, conversation.id, at, HISTORY_CHARS - chars)
            for one in part:
                text = text_so_far(tx, one.id, running) if one.status == "streaming" else one.text
                turns.append((one.role, text))
                chars += len(text) + MESSAGE_CHARS
            if chars > HISTORY_CHARS:
                raise TooLarge(
                    _(
                        "This conversation is too long to be sent: %(limit)s characters are allowed."
                        " Start a new chat, or edit an earlier message."
                    )
                    % {"limit": number(HISTORY_CHARS)}
                )
            at = part[-1].parent_id if part else None
            time.sleep(0)  # the other streams have their turn
        return _Past(leaf_id, turns[::-1], chars)

    def _hold_history(self, held: ExitStack, holder: Holder, past: _Past) -> None:
        """Count the memory that the history takes until the reply ends. Raises Busy."""
        self._histories.enter(holder, past.chars)
        held.callback(self._histories.leave, holder, past.chars)

    def _store(
        self, user_id: str, send: Send, place: Callable[[Connection, bool], _Place], past: _Past, *, is_new: bool
    ) -> tuple[Turn, Stream]:
        """Store the question, unless it is there already, and its empty reply; return what will fill the reply."""
        now, running = datetime.now(UTC), self._hub.all()
        with self._storage.begin() as tx:
            here = place(tx, True)
            if is_new:
                self._add_conversation(tx, here.conversation)
            if here.parent_id != past.leaf_id:  # another tab has sent meanwhile
                past = self._past(tx, running, here.conversation, here.parent_id)
            conversation = _with_settings(here.conversation, send)
            conversation = replace(conversation, model=self._models.choose(conversation.model))
            asked = here.asked or _add_question(tx, conversation.id, here.parent_id, send.text, now)
            reply = self._add_turn(tx, conversation, asked, send.key, now)
            siblings = branches.siblings(tx, conversation.id, [asked.parent_id, asked.id])
            wire = _wire(conversation.system, [*past.turns, (asked.role, asked.text)])
            source = self._upstream.stream(wire, conversation.model, conversation.temperature)
        question = replace(asked, siblings=siblings[asked.parent_id])
        return Turn(conversation, question, replace(reply, siblings=siblings[asked.id])), source

    def _add_conversation(self, tx: Connection, conversation: Conversation) -> None:
        limit = self._config.conversations_per_user
        if conversations.count(tx, conversation.user_id) >= limit:
            raise too_many_conversations(limit)
        conversations.add(tx, conversation)

    def _ended(self, reply_id: str, holder: Holder, held: ExitStack) -> None:
        """Give back what a reply held, and charge its text."""
        held.close()
        if generation := self._hub.get(reply_id):
            whole = generation.since(0)[0]
            self._stored.charge(holder, len(whole.text) + len(whole.reasoning))

    def _start(self, reply_id: str, source: Source, on_end: Callable[[], None]) -> None:
        try:
            self._hub.start(reply_id, source, on_end)
        except RuntimeError:  # the system has no thread left
            log.exception("reply %s could not be started", reply_id)
            self._hub.discard(reply_id)
            on_end()
            ended = Outcome("error", failure=Failure("internal"))
            with self._storage.begin() as tx:
                messages.finish(tx, [Final(reply_id, "", "", None, None, ended)])

    def _enter(self, held: ExitStack, holder: Holder, send: Send) -> None:
        """Take a place and spend. Raises Busy, and _SentBefore for a repeated send where there is no room."""
        try:
            self.gate.enter(holder)
            held.callback(self.gate.leave, holder)
            self._stored.spend(holder, len(send.text) + len(send.system or "") + TURN_CHARS)
        except Busy:
            with self._storage.read() as tx:
                if messages.sent_with(tx, holder.user_id, send.key):
                    raise _SentBefore from None
            raise

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
            updated_at=now,
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
            conversation = known(conversations.get(tx, user_id, reply.conversation_id))
            return Turn(conversation, question, with_text(tx, reply, running))

    def _checked(self, send: Send) -> Send:
        text = clean(send.text)
        if not any(character.isprintable() and not character.isspace() for character in text):
            raise Invalid(_("Write a message first."))
        return self._checked_settings(replace(send, text=text))

    def _checked_settings(self, send: Send) -> Send:
        limit = self._config.max_question_chars
        if (length := max(len(send.text), len(send.system or ""))) > limit:
            raise TooLarge(
                _("The message is too long: %(length)s characters, %(limit)s are allowed.")
                % {"length": number(length), "limit": number(limit)}
            )
        self._models.check(send.model, send.temperature)
        system = clean(send.system) if send.system is not None else None
        return replace(send, system=system, key=_checked_key(send.key), parent_id=clean(send.parent_id or "") or None)

    def _new(self, user_id: str, send: Send) -> Conversation:
        now = datetime.now(UTC)
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


def _checked_key(key: str) -> str:
    if len(key) > KEY_CHARS:
        raise Invalid(_("The form is broken. Reload the page and send it again."))
    return clean(key) or new_id()


def _question_known(message: Message | None) -> Message:
    if message is None or message.role != "user":
        raise NotFound(_("This message does not exist."))
    return message


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


def _wire(system: str, turns: Iterable[tuple[Role, str]]) -> list[dict[str, str]]:
    """The branch as the upstream reads it. Replies without text are left out, and neighbours of one role joined:
    many chat templates refuse a conversation whose roles do not alternate."""
    groups: list[tuple[str, list[str]]] = []
    for role, text in [("system", system), *turns]:
        if groups and text and groups[-1][0] == role:
            groups[-1][1].append(text)
        elif text:
            groups.append((role, [text]))
    return [{"role": role, "content": "\n\n".join(texts)} for role, texts in groups]
