"""The use cases of what was kept: search in it, take it out, put it in again. Each opens its own transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO

from sqlalchemy import Connection

from webapp import snippets, transfer
from webapp.chat import Conversation, Message
from webapp.conversations import clean
from webapp.errors import NotFound
from webapp.generation import merge
from webapp.language import gettext as _
from webapp.models import Models
from webapp.storage import Storage, conversations, messages, search
from webapp.storage import transfer as stored
from webapp.storage.search import Hit
from webapp.transfer import Record
from webapp.typesetter import Typesetter

TYPESET_SECONDS = 2.0  # how long an import waits for the HTML of its replies


class Archive:
    """The kept conversations of all users; every method is told whose."""

    def __init__(self, storage: Storage, models: Models, typesetter: Typesetter) -> None:
        self._storage = storage
        self._typesetter = typesetter
        self._models = models

    def find(self, user_id: str, query: str) -> list[Hit]:
        """The titles and messages in which all words of the query stand; nothing for an empty one."""
        with self._storage.read() as tx:
            return search.find(tx, user_id, snippets.terms_of(clean(query)))

    def get(self, user_id: str, conversation_id: str) -> Record:
        """A conversation whole, running replies with the text that is saved. Raises NotFound."""
        with self._storage.read() as tx:
            conversation = conversations.get(tx, user_id, conversation_id)
            if conversation is None:
                raise NotFound(_("This conversation does not exist."))
            every = [node.id for node in messages.tree(tx, user_id, conversation_id)]
            return Record(
                conversation, [_with_text(tx, one) for one in messages.some(tx, user_id, conversation.id, every)]
            )

    def all(self, user_id: str) -> Iterator[Record]:
        """Yield the user's conversations, the last used first, one at a time in memory."""
        with self._storage.read() as tx:
            conversation_ids = stored.ids(tx, user_id)
        for conversation_id in conversation_ids:
            try:
                record = self.get(user_id, conversation_id)
            except NotFound:  # deleted meanwhile
                continue
            yield record
            time.sleep(0)  # the streams of this worker go on between two of them

    def add(self, user_id: str, file: IO[bytes]) -> list[Conversation]:
        """Store the conversations of a file as new ones, all or none. Raises Invalid, TooLarge."""
        names = self._models.names()
        records = [transfer.renewed(record, user_id, names) for record in transfer.read(file, datetime.now(UTC))]
        with self._storage.begin() as tx:
            for record in records:
                conversations.add(tx, record.conversation)
                stored.add(tx, record.messages)
                time.sleep(0)
        self._typesetter.catch_up(TYPESET_SECONDS)
        return [record.conversation for record in records]


def _with_text(tx: Connection, message: Message) -> Message:
    if message.status != "streaming":
        return message
    so_far = merge([delta for _number, delta in messages.pieces_after(tx, message.id, 0)])
    return replace(message, text=so_far.text, thought=so_far.reasoning)
