"""Changes of conversations in the database: each user's changes are numbered, and a conversation keeps its last number.

`webapp.storage.conversations` numbers each change in the transaction that makes it. The user's row is locked from
then to the commit, so a reader that sees a number sees all lower ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, Connection, bindparam, func, literal, null, select, union_all, update

from webapp.storage import IDS_PER_QUERY, insert_missing
from webapp.storage.schema import IS_RUNNING, conversations, messages, users

MOST_CHANGES = 200  # told at once; a page lists no more at first


@dataclass(frozen=True, slots=True)
class State:
    """The number of a user's last change, and the ids of the conversations with a running reply."""

    revision: int = 0
    running: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Changed:
    """A conversation that has changed, as it is now. `leaf_id` is the last message of its shown branch."""

    id: str
    title: str
    leaf_id: str
    is_deleted: bool


def number(tx: Connection, user_id: str, conversation_id: str = "") -> int:
    """Number a change of this user; give the number to the conversation, if there is one. Return it.

    Call it after the change itself: whoever locks a conversation and a user locks them in this order.
    """
    revision: int = tx.execute(_NEXT, {"user_id": user_id}).scalar_one()
    if conversation_id:
        tx.execute(CHANGING_ONE, {"its_user_id": user_id, "its_id": conversation_id, "revision": revision})
    return revision


def first_number(tx: Connection, user_id: str, now: datetime) -> int:
    """Number a change of a user who may be new; a new one is stored. Return the number."""
    revision = tx.execute(_NEXT, {"user_id": user_id}).scalar()
    if revision is None:
        insert_missing(tx, users, id=user_id, created_at=now)
    return number(tx, user_id) if revision is None else int(revision)


def revision(tx: Connection, user_id: str) -> int:
    """The number of the user's last change; 0 for one who has never sent anything."""
    return tx.execute(_LAST, {"user_id": user_id}).scalar() or 0


_IS_USER = users.c.id == bindparam("user_id")
_LAST = select(users.c.revision).where(_IS_USER)
_NEXT = update(users).where(_IS_USER).values(revision=users.c.revision + 1).returning(users.c.revision)
# Sets the columns of one conversation that its other parameters name.
CHANGING_ONE = update(conversations).where(
    conversations.c.user_id == bindparam("its_user_id"), conversations.c.id == bindparam("its_id")
)


def states(tx: Connection, user_ids: Sequence[str]) -> dict[str, State]:
    """The states of these users, by one query for IDS_PER_QUERY of them. Skips users who have never sent anything."""
    revisions: dict[str, int] = {}
    running: dict[str, set[str]] = {}
    for start in range(0, len(user_ids), IDS_PER_QUERY):
        for user_id, revision, conversation_id in tx.execute(_states(user_ids[start : start + IDS_PER_QUERY])):
            if conversation_id is None:
                revisions[user_id] = revision
            else:
                running.setdefault(user_id, set()).add(conversation_id)
    return {user_id: State(number, frozenset(running.get(user_id, ()))) for user_id, number in revisions.items()}


def since(tx: Connection, user_id: str, revision: int) -> list[Changed]:
    """The user's conversations that have changed after this number, deleted ones too: the last MOST_CHANGES."""
    query = (
        select(conversations.c.id, conversations.c.title, conversations.c.leaf_id, conversations.c.deleted_at)
        .where(conversations.c.user_id == user_id, conversations.c.revision > revision)
        .order_by(conversations.c.revision.desc())
        .limit(MOST_CHANGES)
    )
    rows = tx.execute(query).all()
    return [Changed(row.id, row.title, row.leaf_id or "", row.deleted_at is not None) for row in reversed(rows)]


def _states(user_ids: Sequence[str]) -> CompoundSelect[Any]:
    """The number of each user's last change, and a row for each running reply."""
    numbers = select(users.c.id, users.c.revision, null()).where(users.c.id.in_(user_ids))
    running = (
        select(conversations.c.user_id, literal(0), conversations.c.id)
        .select_from(messages)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(
            IS_RUNNING,
            # `coalesce` avoids the index of users, which would read all conversations of each.
            func.coalesce(conversations.c.user_id, "").in_(user_ids),
            conversations.c.deleted_at.is_(None),
        )
    )
    return union_all(numbers, running)
