"""One message a conversation waits while an answer runs, and is sent when the answer ends.

It is stored at once. A thread of each worker sends what is due, whoever stored it, so that neither a closed page nor a
killed worker keeps a message back. The transaction that stores the question deletes the waiting message, so that
it is sent once, however many workers try, and never after it was taken back.
"""

from __future__ import annotations

import logging
from dataclasses import asdict

from sqlalchemy import Connection

from webapp.background import Background
from webapp.chat import Queued
from webapp.config import Config
from webapp.conversations import known
from webapp.errors import AppError, Busy, Conflict, Limited, NotFound, StorageUnavailable, UpstreamError
from webapp.language import gettext as _
from webapp.sends import Send, Turn, checked
from webapp.settings import SettingsCheck, Typed
from webapp.storage import Storage, conversations, messages, queued
from webapp.turns import Turns

SOON_SECONDS = 60
LOOK_SECONDS = 2.0  # without a word from this worker's pulse: another worker's reply has ended, or its worker

log = logging.getLogger(__name__)


class Queue(Background):
    """The waiting messages of all users; methods take the user first."""

    def __init__(self, config: Config, storage: Storage, check: SettingsCheck, turns: Turns) -> None:
        super().__init__("queue", LOOK_SECONDS)
        self._config = config
        self._storage = storage
        self._check = check
        self._turns = turns

    def put(self, user_id: str, conversation_id: str, send: Send) -> Queued | Turn:
        """Store a message that waits for the end of the running reply; send it at once where none runs.

        A repeated key changes nothing. Raises Conflict if another message waits, and as `Turns.send`.
        """
        send = checked(send, self._config.max_question_chars)
        self._check.changes(user_id, send.settings)
        new = self._storage.run(lambda tx: self._store(tx, user_id, conversation_id, send))
        return new or self._turns.send(user_id, conversation_id, send)

    def get(self, user_id: str, conversation_id: str) -> Queued | None:
        """The waiting message of a conversation, or None."""
        with self._storage.read() as tx:
            return queued.get(tx, user_id, conversation_id)

    def edit(self, user_id: str, conversation_id: str, key: str, send: Send) -> Queued:
        """Give the waiting message with this key the text and the key of `send`. Raises Conflict if it is gone."""
        send = checked(send, self._config.max_question_chars)

        def change(tx: Connection) -> Queued | None:
            there = queued.get(tx, user_id, conversation_id)
            values = {"text": send.text, "key": send.key, "is_held": False}
            if there and there.key in (key, send.key):
                queued.change(tx, conversation_id, there.key, **values)
            return queued.get(tx, user_id, conversation_id)

        changed = self._storage.run(change)
        if changed is None or changed.key != send.key:
            raise Conflict(_("The message was sent or changed meanwhile. Your text is below."))
        self.wake()
        return changed

    def take_back(self, user_id: str, conversation_id: str, key: str) -> str:
        """Delete the waiting message with this key and return its text. Raises NotFound if it is gone."""

        def take(tx: Connection) -> str:
            there = queued.get(tx, user_id, conversation_id)
            if there and there.key == key and queued.remove(tx, conversation_id, key):
                return there.text
            raise NotFound(_("The message was sent meanwhile."))

        return self._storage.run(take)

    def send_now(self, user_id: str, conversation_id: str) -> Turn:
        """Send the waiting message. Raises NotFound if there is none, and as `Turns.send`."""
        if there := self.get(user_id, conversation_id):
            return self._send(there)
        raise NotFound(_("The message was sent meanwhile."))

    def look(self) -> None:
        """Send every message whose reply has ended. The next look tries again what failed for now."""
        with self._storage.read() as tx:
            due = queued.due(tx)
        for one in due:
            if not self._closed.is_set():
                self._try(one)

    def _try(self, one: Queued) -> None:
        try:
            self._send(one)
        except Exception as error:
            if is_passing(error):
                log.info("a queued message of conversation %s waits: %s", one.conversation_id, type(error).__name__)
                return
            level = logging.WARNING if isinstance(error, AppError) else logging.ERROR
            log.log(level, "a queued message of conversation %s is held", one.conversation_id, exc_info=error)
            self._storage.run(lambda tx: queued.change(tx, one.conversation_id, one.key, is_held=True))

    def _send(self, one: Queued) -> Turn:
        send = Send(one.text, one.key, Typed(**one.settings), one.reply_id, one.address)
        turn = self._turns.send(one.user_id, one.conversation_id, send, is_queued=True)
        there = self.get(one.user_id, one.conversation_id)
        if there and there.key == one.key:  # the same send came by another way before
            self._storage.run(lambda tx: queued.remove(tx, one.conversation_id, one.key))
        return turn

    def _store(self, tx: Connection, user_id: str, conversation_id: str, send: Send) -> Queued | None:
        """The stored message; None if no reply runs, or if it was sent before."""
        conversation = known(conversations.get(tx, user_id, conversation_id, lock=True))
        reply = messages.get(tx, user_id, send.parent_id or conversation.leaf_id or "")
        is_running = reply and reply.conversation_id == conversation.id and reply.status == "streaming"
        if reply is None or not is_running or messages.sent_with(tx, user_id, send.key):
            return None
        settings = {name: value for name, value in asdict(send.settings).items() if value is not None}
        new = Queued(user_id, conversation.id, reply.id, send.key, send.text, settings, send.address)
        there = queued.get(tx, user_id, conversation_id)
        if there and (there.key, there.text) != (send.key, send.text):
            raise Conflict(_("Another message waits for the answer already. Edit it, or take it back."))
        queued.add(tx, new)
        return there or new


def is_passing(error: Exception) -> bool:
    """Whether trying again soon may help. The limit of a day or a month is the user's to decide on."""
    if isinstance(error, Limited):
        return (error.retry_after or 0) <= SOON_SECONDS
    return isinstance(error, Busy | StorageUnavailable | UpstreamError)
