"""The use cases that ask the upstream: send, edit, retry, extend. One transaction stores a question and its reply."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from webapp import continuing, history
from webapp.chat import Conversation, Delta, Failure, Final, Message, Outcome, Role
from webapp.config import Config
from webapp.continuing import Rest
from webapp.conversations import TURN_CHARS, known, too_many_conversations
from webapp.errors import Busy, Conflict, NotFound
from webapp.following import with_text
from webapp.generation import Generation, Hub, Source
from webapp.history import History
from webapp.language import gettext as _
from webapp.limits import Holder
from webapp.lockchat import Lockchat
from webapp.offers import Offer, Offers
from webapp.quotas import SendLimits
from webapp.sends import Send, Turn, checked, checked_key
from webapp.settings import Changes, SettingsCheck
from webapp.storage import Storage, branches, conversations, messages, queued
from webapp.text import new_id, title_of
from webapp.upstream.models import Models
from webapp.window import least_tokens

log = logging.getLogger(__name__)

RESTART_SECONDS = 5


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a question: below `parent_id`. `asked` is the question if it is already stored.

    `begun` is a reply to it whose text the new one begins with.
    """

    conversation: Conversation
    parent_id: str | None
    asked: Message | None = None
    begun: Message | None = None


@dataclass(frozen=True, slots=True)
class _Ask:
    """A checked send. `find(tx, lock)` returns its place; `lock` locks the conversation."""

    user_id: str
    send: Send
    changes: Changes
    find: Callable[[Connection, bool], _Place]
    is_new: bool = False
    is_queued: bool = False

    @property
    def holder(self) -> Holder:
        return Holder(self.user_id, self.send.address)


class Turns:
    """Questions and replies of all users; every method takes the user first."""

    def __init__(
        self,
        config: Config,
        storage: Storage,
        hub: Hub,
        upstream: Lockchat,
        models: Models,
        offers: Offers,
        check: SettingsCheck,
        limits: SendLimits,
        worker_id: str,
    ) -> None:
        self._config = config
        self._storage = storage
        self._hub = hub
        self._upstream = upstream
        self._models = models
        self._offers = offers
        self._check = check
        self._limits = limits
        self._worker_id = worker_id

    def send(self, user_id: str, conversation_id: str | None, send: Send, *, is_queued: bool = False) -> Turn:
        """Store a question with an empty reply, start the reply, and return both with their conversation.

        Without `conversation_id`, begins a new conversation. `is_queued`: the message was waiting, and waits no longer;
        NotFound if it was taken back or changed. A repeated key changes nothing and returns
        the turn that it made before. Raises Invalid, TooLarge, NotFound, Conflict, Busy, StorageUnavailable.
        """
        send, changes = checked(send, self._config.max_question_chars), self._check.changes(user_id, send.settings)

        def find(tx: Connection, lock: bool) -> _Place:
            if conversation_id is None:
                return _Place(self._new(user_id, send), None)
            conversation = known(conversations.get(tx, user_id, conversation_id, lock=lock))
            parent = messages.get(tx, user_id, send.parent_id) if send.parent_id else None
            is_here = parent is not None and parent.conversation_id == conversation.id
            return _Place(conversation, send.parent_id if is_here else conversation.leaf_id)

        return self._ask(_Ask(user_id, send, changes, find, is_new=conversation_id is None, is_queued=is_queued))

    def edit(self, user_id: str, message_id: str, send: Send) -> Turn:
        """Ask an edited question: a sibling of the old one, which stays. Raises as `send`."""
        send, changes = checked(send, self._config.max_question_chars), self._check.changes(user_id, send.settings)

        def find(tx: Connection, lock: bool) -> _Place:
            old = _known_question(messages.get(tx, user_id, message_id))
            conversation = known(conversations.get(tx, user_id, old.conversation_id, lock=lock))
            return _Place(conversation, old.parent_id)

        return self._ask(_Ask(user_id, send, changes, find))

    def retry(self, user_id: str, message_id: str, send: Send) -> Turn:
        """Ask for another reply to the same question: a sibling of the old reply, which stays. Raises as `send`.

        Ignores `send.text`.
        """
        return self._ask_again(user_id, message_id, send, is_rest=False)

    def extend(self, user_id: str, message_id: str, send: Send) -> Turn:
        """Ask for the rest of a reply that was cut: a sibling that begins with its text. Raises as `send`.

        Ignores `send.text`.
        """
        return self._ask_again(user_id, message_id, send, is_rest=True)

    def sent(self, user_id: str, key: str) -> Turn | None:
        """The turn that a send with this key made; None if there is none."""
        running = self._hub.all()
        with self._storage.read() as tx:
            reply_id = messages.sent_with(tx, user_id, key)
            reply = messages.get(tx, user_id, reply_id) if reply_id else None
            question = messages.get(tx, user_id, reply.parent_id) if reply and reply.parent_id else None
            if not reply or not question:
                return None
            conversation = known(conversations.get(tx, user_id, reply.conversation_id))
            return Turn(conversation, question, with_text(tx, reply, running))

    def _ask_again(self, user_id: str, message_id: str, send: Send, *, is_rest: bool) -> Turn:
        send, changes = replace(send, text="", key=checked_key(send.key)), self._check.changes(user_id, send.settings)

        def find(tx: Connection, lock: bool) -> _Place:
            message = reply = messages.get(tx, user_id, message_id)
            if message and message.role == "assistant":
                message = messages.get(tx, user_id, message.parent_id or "")
            asked = _known_question(message)
            conversation = known(conversations.get(tx, user_id, asked.conversation_id, lock=lock))
            begun = _known_beginning(reply) if is_rest else None
            return _Place(conversation, asked.parent_id, asked, begun)

        return self._ask(_Ask(user_id, send, changes, find))

    def _ask(self, ask: _Ask) -> Turn:
        """Store the turn and start its reply."""
        if self._hub.is_stopping():
            raise Busy(
                _("The server is restarting. Your text is kept; send it again in a moment."),
                retry_after=RESTART_SECONDS,
            )
        with ExitStack() as held:
            try:
                self._enter(held, ask)
                past = History() if ask.is_new else self._read_history(ask)
                self._limits.histories.enter(ask.holder, past.chars)
                held.callback(self._limits.histories.leave, ask.holder, past.chars)
                running, offer = self._hub.all(), self._offers.to(ask.user_id)
                turn, source = self._storage.run(lambda tx: self._store(tx, ask, past, running, offer))
            except _SentBefore:
                return self._sent_before(ask)
            held.pop_all()
        on_end = partial(self._ended, turn.reply.id, ask.holder, past.chars)
        self._start(turn.reply, source, on_end)
        return turn

    def _enter(self, held: ExitStack, ask: _Ask) -> None:
        """Take a place and spend. Raises Busy, or _SentBefore for a repeated send."""
        limits, send = self._limits, ask.send
        try:
            limits.replies.enter(ask.holder)
            held.callback(limits.replies.leave, ask.holder)
            limits.stored.spend(ask.holder, len(send.text) + len(send.settings.system or "") + TURN_CHARS)
        except Busy:
            with self._storage.read() as tx:
                if messages.sent_with(tx, ask.user_id, send.key):
                    raise _SentBefore from None
            raise

    def _read_history(self, ask: _Ask) -> History:
        # Before the write transaction, which blocks all other writers.
        running = self._hub.all()
        with self._storage.read() as tx:
            here = ask.find(tx, False)
            return history.read(tx, running, here.conversation, here.parent_id)

    def _store(
        self, tx: Connection, ask: _Ask, past: History, running: Mapping[str, Generation], offer: Offer
    ) -> tuple[Turn, Source]:
        """Store the question, unless it is already stored, and its empty reply; return the turn and its source."""
        now, here = datetime.now(UTC), ask.find(tx, True)
        if ask.is_queued and not queued.remove(tx, here.conversation.id, ask.send.key):
            raise _SentBefore
        address = self._limits.quotas.address(ask.holder)
        if here.parent_id != past.leaf_id:  # another tab has sent a message meanwhile
            past = history.read(tx, running, here.conversation, here.parent_id)
        conversation = replace(here.conversation, **ask.changes)
        conversation = replace(conversation, model=offer.choose(conversation.model))
        asked = here.asked or Message(new_id(), conversation.id, here.parent_id, "user", ask.send.text, "done", now)
        said = [(asked.role, asked.text), *_rest_of(here.begun)]
        tokens = past.least_tokens + sum(map(least_tokens, (conversation.system, *(text for _role, text in said))))
        reply = self._new_reply(conversation, asked, now, tokens, here.begun)
        if ask.is_new:
            conversations.add(tx, replace(conversation, leaf_id=reply.id))
        new = [reply] if here.asked else [asked, reply]
        messages.add(tx, *new, worker_id=self._worker_id, address=address, user_id=ask.user_id)
        self._claim(tx, ask, conversation, reply)
        self._spend(tx, ask)
        first = {None: (asked.id,), asked.id: (reply.id,)}
        siblings = first if ask.is_new else branches.siblings(tx, conversation.id, [asked.parent_id, asked.id])
        wire = history.wire(conversation.system, [*past.messages, *said])
        source: Source = self._upstream.stream(
            wire, conversation.model, conversation.temperature, options=conversation.options
        )
        if begun := here.begun:
            source = Rest(source, begun.text, self._config.max_answer_bytes)
            reply = replace(reply, text=begun.text, reasoning=begun.reasoning)
        question = replace(asked, siblings=siblings[asked.parent_id])
        return Turn(conversation, question, replace(reply, siblings=siblings[asked.id])), source

    def _spend(self, tx: Connection, ask: _Ask) -> None:
        """Count what was stored for the limits of its user. Comes last: others who send for them wait from here on."""
        most = self._limits.quotas.send(tx, ask.holder, len(ask.send.text.encode()))
        if ask.is_new and conversations.are_more(tx, ask.user_id, most):
            raise too_many_conversations(most)

    def _new_reply(
        self, conversation: Conversation, question: Message, now: datetime, tokens: int, begun: Message | None
    ) -> Message:
        return Message(
            new_id(),
            conversation.id,
            question.id,
            "assistant",
            "",
            "streaming",
            now,
            model=conversation.model,
            window=self._models.window(conversation.model),
            least_tokens=tokens,
            is_imported=begun is not None and begun.is_imported,
        )

    def _claim(self, tx: Connection, ask: _Ask, conversation: Conversation, reply: Message) -> None:
        if not messages.claim_key(tx, ask.user_id, ask.send.key, reply.id):
            raise _SentBefore
        if ask.is_new:
            return
        conversations.change(
            tx,
            conversation.user_id,
            conversation.id,
            updated_at=reply.created_at,
            leaf_id=reply.id,
            model=conversation.model,
            temperature=conversation.temperature,
            system=conversation.system,
            options=conversation.options or None,
        )

    def _start(self, reply: Message, source: Source, on_end: Callable[[], None]) -> None:
        try:
            self._hub.start(reply.id, source, on_end, Delta(reply.text, reply.reasoning))
        except RuntimeError:  # the system has no thread left
            log.exception("reply %s could not be started", reply.id)
            self._hub.discard(reply.id)
            on_end()
            outcome = Outcome("error", failure=Failure("internal"))
            final = Final(reply.id, reply.text, reply.reasoning, None, None, outcome)
            self._storage.run(lambda tx: messages.finish(tx, [final]))

    def _ended(self, reply_id: str, holder: Holder, history_chars: int) -> None:
        """Leave the gates and charge for the reply's text."""
        self._limits.replies.leave(holder)
        self._limits.histories.leave(holder, history_chars)
        if generation := self._hub.get(reply_id):
            whole, pictures = generation.since()[0], sum(picture.size for picture in generation.pictures())
            self._limits.stored.charge(holder, len(whole.text) + len(whole.reasoning) + pictures)

    def _sent_before(self, ask: _Ask) -> Turn:
        """The turn that the same key made before. Raises Conflict for another text, NotFound if it waits no longer."""
        turn, text = self.sent(ask.user_id, ask.send.key), ask.send.text.strip()
        if turn is None and ask.is_queued:
            raise NotFound(_("The message was taken back or changed meanwhile."))
        if turn is None or (text and turn.question.text.strip() != text):
            # An old form, reopened with the Back button and changed.
            raise Conflict(_("This form was sent before, with another text. Nothing is lost: send it again."))
        return turn

    def _new(self, user_id: str, send: Send) -> Conversation:
        now, settings = datetime.now(UTC), self._check.defaults(user_id)
        return Conversation(
            model=settings.model,
            temperature=settings.temperature,
            system=settings.system,
            id=new_id(),
            user_id=user_id,
            title=title_of(send.text),
            leaf_id=None,
            created_at=now,
            updated_at=now,
        )


class _SentBefore(Exception):
    """The key of this send was used before."""


def _known_question(message: Message | None) -> Message:
    if message is None or message.role != "user":
        raise NotFound(_("This message does not exist."))
    return message


def _known_beginning(reply: Message | None) -> Message:
    if reply is None or reply.role != "assistant" or reply.status == "streaming" or not reply.text.strip():
        raise NotFound(_("This answer has no beginning to go on from."))
    return reply


def _rest_of(begun: Message | None) -> list[tuple[Role, str]]:
    """The messages after the question that ask for the rest of a reply."""
    return [("assistant", begun.text), ("user", continuing.QUESTION)] if begun else []
