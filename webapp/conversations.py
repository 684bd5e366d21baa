"""The use cases of a chat: list, show, send, stop, follow. Each opens its own transaction."""

from __future__ import annotations

import logging
import math
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from webapp.chat import Conversation, Delta, Failure, Message, Node, Outcome
from webapp.config import Config
from webapp.errors import Busy, Conflict, Invalid, NotFound, StorageUnavailable, TooLarge
from webapp.generation import BEAT_SECONDS, Generation, Hub, Source, merge
from webapp.language import gettext as _
from webapp.language import number
from webapp.limits import Gate
from webapp.lockchat import Lockchat
from webapp.models import Models
from webapp.storage import Storage, conversations, messages
from webapp.storage.messages import Final

log = logging.getLogger(__name__)

TITLE_CHARS = 60
LONGEST_TITLE_CHARS = 200
LAST_MESSAGES = 60  # a page shows this many, and older ones when asked for
UNDO_TIME = timedelta(days=1)
KEY_CHARS = 64
RESTART_SECONDS = 5
FOLLOW_SECONDS = 0.25  # how often a reply of another worker is looked up
DEFAULT_TEMPERATURE = 0.7  # the original module's

# NUL and lone surrogates cannot be stored; other control characters cannot be seen.
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Send:
    """What a user sends: the text and the settings that hold from here on. `key` names this very send.

    `parent_id` is the last message that the user saw, None for that of the branch which is shown by default.
    """

    text: str
    key: str
    parent_id: str | None = None
    model: str | None = None
    temperature: float | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, its reply, and the conversation they stand in."""

    conversation: Conversation
    question: Message
    reply: Message


@dataclass(frozen=True, slots=True)
class Shown:
    """A conversation as a page shows it; `earlier` messages of the branch came before these."""

    conversation: Conversation
    messages: list[Message]
    earlier: int


class Tree:
    """The messages of a conversation as a tree: a retry or an edit makes a sibling."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._parents = {node.id: node.parent_id for node in nodes}
        self._children: dict[str | None, list[str]] = {}
        for node in nodes:
            self._children.setdefault(node.parent_id, []).append(node.id)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._parents

    def siblings(self, message_id: str) -> tuple[str, ...]:
        """All messages with the parent of this one, oldest first."""
        return tuple(self._children[self._parents[message_id]])

    def path(self, leaf_id: str | None) -> list[str]:
        """The messages from the first one to the leaf."""
        path: list[str] = []
        while leaf_id in self._parents:
            path.append(leaf_id)
            leaf_id = self._parents[leaf_id]
        return path[::-1]

    def newest_below(self, message_id: str) -> str:
        """The end of the newest branch through this message."""
        while message_id in self._children:
            message_id = self._children[message_id][-1]
        return message_id


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

    def show(self, user_id: str, conversation_id: str, *, at: str | None = None, last: int = LAST_MESSAGES) -> Shown:
        """A conversation and the last messages of its branch, running replies with their text so far.

        `at` is a message that must be among them: its branch is shown, from that message on if need be.
        Raises NotFound.
        """
        running = self._hub.all()
        with self._storage.read() as tx:
            conversation = _known(conversations.get(tx, user_id, conversation_id))
            tree = Tree(messages.tree(tx, user_id, conversation_id))
            path = tree.path(conversation.leaf_id)
            if at and at in tree and at not in path:
                path = tree.path(tree.newest_below(at))
            first = max(len(path) - last, 0)
            if at in path:
                first = min(first, path.index(at))
            shown = [
                replace(_with_text(tx, message, running), siblings=tree.siblings(message.id))
                for message in messages.some(tx, user_id, conversation_id, path[first:])
            ]
        return Shown(conversation, shown, earlier=first)

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
            parent = messages.get(tx, user_id, send.parent_id) if send.parent_id else None
            is_here = parent is not None and parent.conversation_id == conversation.id
            parent_id = send.parent_id if is_here else conversation.leaf_id
            return conversation, _add_question(tx, conversation.id, parent_id, send.text, now)

        return self._ask(user_id, send, question)

    def edit(self, user_id: str, message_id: str, send: Send) -> Turn:
        """Ask a question anew in other words: a sibling of the old one, which stays. Raises as `send`."""
        send = self._checked(send)

        def question(tx: Connection, now: datetime) -> tuple[Conversation, Message]:
            old = _question_known(messages.get(tx, user_id, message_id))
            conversation = _known(conversations.get(tx, user_id, old.conversation_id, lock=True))
            return conversation, _add_question(tx, conversation.id, old.parent_id, send.text, now)

        return self._ask(user_id, send, question)

    def retry(self, user_id: str, message_id: str, send: Send) -> Turn:
        """Ask for another reply to the same question: a sibling of the old reply, which stays. Raises as `send`.

        The settings of `send` hold from here on; its text is of no account.
        """
        send = self._checked_settings(replace(send, text=""))

        def question(tx: Connection, now: datetime) -> tuple[Conversation, Message]:
            message = messages.get(tx, user_id, message_id)
            if message and message.role == "assistant":
                message = messages.get(tx, user_id, message.parent_id or "")
            asked = _question_known(message)
            return _known(conversations.get(tx, user_id, asked.conversation_id, lock=True)), asked

        return self._ask(user_id, send, question)

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
        with self._storage.begin() as tx:
            message = messages.get(tx, user_id, message_id)
            if message is None:
                raise NotFound(_("This message does not exist."))
            tree = Tree(messages.tree(tx, user_id, message.conversation_id))
            conversations.change(tx, user_id, message.conversation_id, leaf_id=tree.newest_below(message_id))
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
            _known(conversations.get(tx, user_id, conversation_id))
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

    def _ask(
        self, user_id: str, send: Send, question: Callable[[Connection, datetime], tuple[Conversation, Message]]
    ) -> Turn:
        """Store the turn that begins with a question, new or old, and start its reply."""
        if self._hub.is_stopping():
            raise Busy(
                _("The server restarts. Your text is kept; send it again in a moment."), retry_after=RESTART_SECONDS
            )
        try:
            self._enter(user_id, send.key)
        except _SentBefore:
            return self._sent_before(user_id, send)
        try:
            now, running = datetime.now(UTC), self._hub.all()
            with self._storage.begin() as tx:
                conversation, asked = question(tx, now)
                conversation = _with_settings(conversation, send)
                conversation = replace(conversation, model=self._models.choose(conversation.model))
                reply = self._add_turn(tx, conversation, asked, send.key, now)
                tree = Tree(messages.tree(tx, user_id, conversation.id))
                branch = messages.some(tx, user_id, conversation.id, tree.path(asked.id))
                branch = [_with_text(tx, message, running) for message in branch]
                source = self._upstream.stream(
                    _wire(conversation, branch), conversation.model, conversation.temperature
                )
        except _SentBefore:
            self.gate.leave(user_id)
            return self._sent_before(user_id, send)
        except BaseException:
            self.gate.leave(user_id)
            raise
        self._start(reply.id, source, partial(self.gate.leave, user_id))
        return Turn(
            conversation,
            replace(asked, siblings=tree.siblings(asked.id)),
            replace(reply, siblings=tree.siblings(reply.id)),
        )

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

    def _enter(self, user_id: str, key: str) -> None:
        """Pass the gate. Raises Busy, and _SentBefore for a repeated send where there is no room."""
        try:
            self.gate.enter(user_id)
        except Busy:
            with self._storage.read() as tx:
                if messages.sent_with(tx, user_id, key):
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
            conversation = _known(conversations.get(tx, user_id, reply.conversation_id))
            return Turn(conversation, question, _with_text(tx, reply, running))

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


def _with_text(tx: Connection, message: Message, running: Mapping[str, Generation]) -> Message:
    """The message; a running reply with its text so far, from this worker's memory or as another one saved it."""
    if message.status != "streaming":
        return message
    if generation := running.get(message.id):
        so_far, outcome = generation.shown()
    else:
        so_far, outcome = merge([delta for _number, delta in messages.pieces_after(tx, message.id, 0)]), None
    status = outcome.status if outcome else message.status
    return replace(message, text=so_far.text, thought=so_far.reasoning, status=status, outcome=outcome)


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
