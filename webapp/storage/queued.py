"""Messages that wait for the end of a reply. Queries of users name the owner; the background reads all that are due."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from webapp.chat import Queued
from webapp.storage import insert_missing
from webapp.storage.schema import conversations, messages, queued

DUE_AT_ONCE = 100


def get(tx: Connection, user_id: str, conversation_id: str) -> Queued | None:
    """The waiting message of a conversation of this user, or None."""
    row = tx.execute(_ONE, {"user_id": user_id, "conversation_id": conversation_id}).one_or_none()
    return Queued(**row._asdict()) if row else None


def add(tx: Connection, new: Queued) -> bool:
    """Store a waiting message; False if the conversation has one. The caller has checked the owner."""
    names = [column.name for column in queued.c]
    return insert_missing(tx, queued, **{name: getattr(new, name) for name in names})


def change(tx: Connection, conversation_id: str, key: str, /, **values: Any) -> bool:
    """Change the waiting message with this key; False if there is none. The caller has checked the owner."""
    return tx.execute(update(queued).where(*_is(conversation_id, key)).values(**values)).rowcount == 1


def remove(tx: Connection, conversation_id: str, key: str) -> bool:
    """Delete the waiting message with this key; False if there is none. The caller has checked the owner."""
    return tx.execute(delete(queued).where(*_is(conversation_id, key))).rowcount == 1


def due(tx: Connection) -> list[Queued]:
    """The messages of all users whose reply has ended."""
    return [Queued(**row._asdict()) for row in tx.execute(_DUE)]


def _is(conversation_id: str, key: str) -> tuple[Any, Any]:
    return queued.c.conversation_id == conversation_id, queued.c.key == key


_ALL = (
    select(conversations.c.user_id, *queued.c)
    .select_from(queued)
    .join(conversations, conversations.c.id == queued.c.conversation_id)
    .where(conversations.c.deleted_at.is_(None))
)
_ONE = _ALL.where(
    conversations.c.user_id == bindparam("user_id"), queued.c.conversation_id == bindparam("conversation_id")
)
_DUE = (
    _ALL.join(messages, messages.c.id == queued.c.reply_id)
    .where(messages.c.status != "streaming", queued.c.is_held.is_(False))
    .limit(DUE_AT_ONCE)
)
