"""Conversations that an import brings: new ones are stored, those already here get the messages that are new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from webapp.chat import Conversation, Message
from webapp.storage import changes, conversations, messages, pictures, spending
from webapp.storage.spending import Amount


class Arrivals:
    """The conversations of one import of a user. New ones are hidden until `finish`, marked as deleted at `hidden_at`.

    Nothing that is here is changed: neither a title nor a text. The shown branch goes on where the user did not.
    `address` is the browser's, where limits hold for addresses too.
    """

    def __init__(self, user_id: str, hidden_at: datetime, address: str | None) -> None:
        self.new: list[Conversation] = []
        self.there: dict[str, Conversation] = {}
        self.grown: set[str] = set()
        self._user_id = user_id
        self._hidden_at = hidden_at
        self._address = address
        self._leaves: dict[str, str | None] = {}  # the shown messages of those that are here
        self._passed: set[str] = set()  # of these, those whose shown message is in the file too

    def take(self, tx: Connection, conversation: Conversation) -> None:
        """Store a conversation, or note that it is here. A deleted one comes back."""
        here = conversations.get(tx, self._user_id, conversation.id)
        if here:
            self.there[here.id] = conversation
            self._leaves[here.id] = here.leaf_id
        else:
            if not conversations.hide(tx, self._user_id, conversation, self._hidden_at):
                conversations.add(tx, conversation, deleted_at=self._hidden_at)
            self.new.append(conversation)

    def store(self, tx: Connection, batch: Sequence[Message]) -> list[Message]:
        """Store those messages that are not here, parents before their children; return those that lack pictures."""
        here = messages.present(tx, self._user_id, [message.id for message in batch])
        missing = [message for message in batch if message.id not in here]
        messages.add(tx, *(replace(message, is_imported=True) for message in missing), address=self._address)
        amount = Amount(stored=sum(message.size for message in missing))
        spending.add(tx, dict.fromkeys(spending.holders(self._user_id, self._address), amount), self._hidden_at)
        self._passed |= {one.conversation_id for one in batch if one.id == self._leaves.get(one.conversation_id)}
        grown = {one.conversation_id for one in missing} & self.there.keys()
        if grown:
            changes.number(tx, self._user_id)  # what is kept of these conversations is old now
        self.grown |= grown
        lacking = pictures.lacking(tx, [message.id for message in batch if message.pictures])
        return [message for message in batch if message.id in lacking]

    def finish(self, tx: Connection) -> None:
        """Show the new conversations, and the new end of those that the user did not go on with."""
        conversations.reveal(tx, self._user_id, self._hidden_at)
        for conversation_id in self.grown & self._passed:
            theirs = self.there[conversation_id]
            conversations.change(
                tx, self._user_id, conversation_id, leaf_id=theirs.leaf_id, updated_at=theirs.updated_at
            )
