"""Shares in the database. `get` and `picture` are for every member who has the link; all else names the owner."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select

from webapp.chat import Picture
from webapp.storage.schema import IS_RUNNING, conversations, messages, pictures
from webapp.storage.team_schema import accounts, shares
from webapp.team import Share


def get(tx: Connection, share_id: str) -> Share | None:
    """One share; None if it is unknown, its conversation is deleted, or its owner is disabled."""
    row = tx.execute(_all().where(shares.c.id == share_id, accounts.c.disabled_at.is_(None))).one_or_none()
    return Share(**row._asdict()) if row else None


def of(tx: Connection, user_id: str) -> list[Share]:
    """The user's shares, the newest first."""
    query = _all().where(conversations.c.user_id == user_id).order_by(shares.c.created_at.desc(), shares.c.id)
    return [Share(**row._asdict()) for row in tx.execute(query)]


def count(tx: Connection, user_id: str) -> int:
    """How many shares this user has, also of deleted conversations."""
    query = select(func.count()).select_from(shares).join(conversations).where(conversations.c.user_id == user_id)
    return int(tx.execute(query).scalar_one())


def add(tx: Connection, share_id: str, **values: Any) -> None:
    """Store a new share. The caller has checked the owner."""
    tx.execute(insert(shares).values(id=share_id, **values))


def remove(tx: Connection, user_id: str, share_id: str) -> bool:
    """Delete one share of this user; return False if there is none."""
    theirs = select(conversations.c.id).where(conversations.c.user_id == user_id)
    gone = tx.execute(delete(shares).where(shares.c.id == share_id, shares.c.conversation_id.in_(theirs)))
    return gone.rowcount == 1


def is_running(tx: Connection, conversation_id: str) -> bool:
    """Whether a conversation has a running reply. The caller checks the owner."""
    query = select(messages.c.id).where(IS_RUNNING, messages.c.conversation_id == conversation_id)
    return tx.execute(query.limit(1)).first() is not None


def picture(tx: Connection, share: Share, picture_id: str) -> tuple[Picture, str] | None:
    """A picture of the conversation, and the id of its message; the caller checks that the share has that message."""
    query = select(pictures.c.kind, pictures.c.size, pictures.c.message_id).join(messages)
    query = query.where(pictures.c.id == picture_id, messages.c.conversation_id == share.conversation_id)
    row = tx.execute(query).one_or_none()
    return (Picture(row.kind, row.size, id=picture_id), row.message_id) if row else None


def _all() -> Select[Any]:
    """All shares of conversations that are not deleted, in the fields of `Share`."""
    query = select(*shares.c, conversations.c.user_id, accounts.c.name.label("owner")).select_from(shares)
    query = query.join(conversations, conversations.c.id == shares.c.conversation_id)
    query = query.join(accounts, accounts.c.user_id == conversations.c.user_id)
    return query.where(conversations.c.deleted_at.is_(None))
