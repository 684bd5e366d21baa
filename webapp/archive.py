"""Search, export and import of conversations. Each use case opens its own transactions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import IO

from webapp.arrivals import Arrivals
from webapp.chat import Conversation, Message
from webapp.config import Config
from webapp.conversations import TURN_CHARS, known, too_many_conversations
from webapp.errors import NotFound
from webapp.files.reader import Batch, Head, Limits, reading
from webapp.files.record import Record
from webapp.following import with_text
from webapp.limits import FILES, HOUR_SECONDS, IMPORTS, Allowance, Holder
from webapp.loop import give_way
from webapp.quotas import EXPORTS, Door, SendLimits
from webapp.storage import Storage, audit, conversations, message_words, messages, pictures
from webapp.storage.message_words import Found, Wanted
from webapp.team import Actor
from webapp.tree import branch, in_order
from webapp.typesetter import Typesetter
from webapp.upstream.models import Models

TYPESET_SECONDS = 2.0  # an import waits for the HTML of its replies
READ_MESSAGES = 8  # per query: each may be as large as the largest answer
FILES_PER_USER = 2  # exports and imports at a time
FILES_PER_ADDRESS = 4
FILES_TOTAL = 8


@dataclass(frozen=True, slots=True)
class Imported:
    """The conversations that an import made; the ids of those already here, and how many of them have new messages;
    the titles of those left out.
    """

    new: list[Conversation]
    there: list[str]
    grown: int
    left_out: tuple[str, ...] = ()


class Archive:
    """The conversations of all users; every method takes the user's id or holder."""

    def __init__(
        self, config: Config, storage: Storage, models: Models, limits: SendLimits, typesetter: Typesetter
    ) -> None:
        self._config = config
        self._typesetter = typesetter
        self._storage = storage
        self._models = models
        self._stored_chars = limits.stored
        self._quotas = limits.quotas
        self._imports = Allowance(IMPORTS, config.imports_per_hour, HOUR_SECONDS)
        most = {"per_user": FILES_PER_USER, "per_address": FILES_PER_ADDRESS, "total": FILES_TOTAL}
        self.gate = Door(FILES, storage, limits.quotas, EXPORTS, **most)

    def find(self, user_id: str, wanted: Wanted, *, skip: int = 0, before: int | None = None) -> Found:
        """A page of the titles and messages with all terms; nothing without terms. See `message_words.find`."""
        with self._storage.read() as tx:
            return message_words.find(tx, user_id, wanted, skip=skip, before=before)

    def export(self, user_id: str, conversation_id: str, by: Actor | None) -> Record:
        """A whole conversation, noted as exported; running replies have their saved text. Raises NotFound."""
        record = self._record(user_id, conversation_id)
        self._note(by, "conversation_exported", conversation_id)
        return record

    def export_all(self, user_id: str, by: Actor | None) -> Iterator[Record]:
        """The user's conversations, the most recently used first, noted as exported once for all."""
        self._note(by, "conversations_exported")
        return self._all(user_id)

    def _note(self, by: Actor | None, action: str, target: str = "") -> None:
        if by:
            self._storage.run(lambda tx: audit.note(tx, by, action, target))

    def _all(self, user_id: str) -> Iterator[Record]:
        with self._storage.read() as tx:
            conversation_ids = conversations.ids(tx, user_id)
        for conversation_id in conversation_ids:
            with suppress(NotFound):  # deleted since the ids were loaded
                yield self._record(user_id, conversation_id)

    def _record(self, user_id: str, conversation_id: str) -> Record:
        with self._storage.read() as tx:
            conversation = known(conversations.get(tx, user_id, conversation_id))
            nodes = messages.tree(tx, user_id, conversation_id)
        give_way()
        ids = [node.id for node in in_order(nodes)]
        shown_ids = branch(nodes, conversation.leaf_id)
        loaded = self._load(conversation, ids), self._load(conversation, shown_ids)
        return Record(conversation, *loaded, parts=partial(pictures.parts, self._storage))

    def add(self, holder: Holder, file: IO[bytes], by: Actor | None = None) -> Imported:
        """Store the conversations of a file, each once: one that is already here gets the messages that are new.

        Raises Invalid, TooLarge, Busy; then nothing is stored.
        """
        self._imports.spend(holder, 1)
        self._storage.run(lambda tx: self._quotas.begin_import(tx, holder))
        with self._storage.read() as tx:
            there = conversations.ids(tx, holder.user_id)
        config = self._config
        limits = Limits(config.max_import_bytes, config.max_question_chars, config.max_answer_bytes)
        with reading(file, limits, holder.user_id, there) as (head, batches):
            self._check(holder, head)
            imported = self._add(holder, batches, by)
        self._typesetter.catch_up(TYPESET_SECONDS)
        return replace(imported, there=[*head.there, *imported.there], left_out=head.left_out)

    def _load(self, conversation: Conversation, message_ids: Sequence[str]) -> Iterator[Message]:
        for start in range(0, len(message_ids), READ_MESSAGES):
            ids = message_ids[start : start + READ_MESSAGES]
            with self._storage.read() as tx:
                found = messages.some(tx, conversation.user_id, conversation.id, ids, with_html=False)
                found = [with_text(tx, message, {}) for message in found]
            yield from found
            give_way()

    def _check(self, holder: Holder, head: Head) -> None:
        with self._storage.begin(durable=False) as tx:
            most = self._quotas.check_import(tx, holder, head.size)
            if conversations.count(tx, holder.user_id) + head.conversations > most:
                raise too_many_conversations(most)
        self._stored_chars.spend(holder, head.chars + head.messages * TURN_CHARS // 2)

    def _add(self, holder: Holder, batches: Iterator[Batch], by: Actor | None = None) -> Imported:
        """Store each batch in a short transaction, so that others can write in between.

        New conversations are marked as deleted until all are stored, and stay so if the worker dies. So are deleted
        ones that come back.
        """
        user_id, address = holder.user_id, self._quotas.address(holder)
        arrivals = Arrivals(user_id, datetime.now(UTC), address)
        for batch in batches:
            started = time.monotonic()
            new = [replace(one, user_id=user_id, model=self._models.choose(one.model)) for one in batch.conversations]
            with self._storage.begin(durable=False) as tx:
                for conversation in new:
                    arrivals.take(tx, conversation)
                lacking = arrivals.store(tx, batch.messages)
            for message in lacking:
                for picture in message.pictures:
                    pictures.keep(self._storage, message.id, picture)
            time.sleep(time.monotonic() - started)  # leaves half of the time to other writers
        with self._storage.begin() as tx:  # a durable commit, which covers the batches too
            arrivals.finish(tx)
            audit.note(tx, by, "conversations_imported", str(len(arrivals.new) + len(arrivals.grown)))
        return Imported(arrivals.new, list(arrivals.there), len(arrivals.grown))
