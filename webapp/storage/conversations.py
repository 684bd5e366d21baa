"""Conversations in the database. Every query names the owner, except those of the background: purging and titles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.types import NullType

from webapp.chat import Conversation, Listed
from webapp.storage import changes, folders, insert_missing, pictures, spending
from webapp.storage.schema import IS_RUNNING, conversations, foldered, messages, users
from webapp.storage.schema import folders as folders_table

Place = tuple[bool, datetime, str]  # of a conversation in the list: whether it is pinned, its last use, its id
PLACE = ("pinned", "updated_at", "id")

NAMES = [field.name for field in fields(Conversation) if not field.kw_only]
# In the order of the arguments of Conversation; the last two are named.
COLUMNS: list[ColumnElement[Any]] = [
    *(conversations.c[name] for name in NAMES),
    select(folders_table.c.name)
    .join(foldered, foldered.c.folder_id == folders_table.c.id)
    .where(foldered.c.conversation_id == conversations.c.id)
    .scalar_subquery()
    .label("folder"),
    conversations.c.options,
]
MESSAGES_AT_ONCE = 50  # purged in one transaction, so that others can write in between
EXPIRED_AT_ONCE = 100
KEPT_LISTED = 5000  # entries of the list; every page has 60

_ADDING = insert(conversations)


@dataclass(frozen=True, slots=True)
class Opening:
    """The first question and answer of a conversation, and its title."""

    conversation_id: str
    title: str
    model: str
    question: str
    answer: str


def listed(tx: Connection, user_id: str, after: Place | None, limit: int, folder_id: str = "") -> list[Listed]:
    """The user's conversations after this place in the list: pinned ones first, then the last used first.

    With `folder_id`, those in this folder. Skips deleted ones.
    """
    values = {"user_id": user_id, "folder_id": folder_id, "most": limit}
    if after:
        values |= dict(zip(PLACE, after, strict=True))
    return [_one_listed(*row) for row in tx.execute(_listed(after is not None, bool(folder_id)), values).all()]


@lru_cache(KEPT_LISTED)
def _one_listed(conversation_id: str, title: str, pinned: bool, updated_at: str | datetime) -> Listed:
    """SQLite has the time as a text in UTC."""
    at = datetime.fromisoformat(updated_at).replace(tzinfo=UTC) if isinstance(updated_at, str) else updated_at
    return Listed(conversation_id, title, pinned, at)


@cache
def _listed(is_after: bool, is_in_folder: bool) -> Select[Any]:
    table = conversations.c
    query = select(table.id, table.title, table.pinned, type_coerce(table.updated_at, NullType()))
    query = query.where(table.user_id == bindparam("user_id"), table.deleted_at.is_(None))
    if is_in_folder:
        inside = select(foldered.c.conversation_id).where(foldered.c.folder_id == bindparam("folder_id"))
        query = query.where(table.id.in_(inside))
    order = [table[name] for name in PLACE]
    if is_after:
        place = (bindparam(column.name, type_=column.type) for column in order)
        query = query.where(tuple_(*order) < tuple_(*place))
    return query.order_by(*(column.desc() for column in order)).limit(bindparam("most"))


def models(tx: Connection, user_id: str, limit: int) -> list[str]:
    """The different models of the user's last `limit` conversations, the last used first. Skips deleted ones."""
    return list(dict.fromkeys(tx.execute(_models(), {"user_id": user_id, "most": limit}).scalars()))


@cache
def _models() -> Select[Any]:
    query = select(conversations.c.model).order_by(conversations.c.updated_at.desc(), conversations.c.id)
    is_theirs = conversations.c.user_id == bindparam("user_id")
    return query.where(is_theirs, conversations.c.deleted_at.is_(None)).limit(bindparam("most"))


def ids(tx: Connection, user_id: str) -> list[str]:
    """The ids of all conversations of this user, the last used first. Skips deleted ones."""
    query = (
        select(conversations.c.id)
        .where(conversations.c.user_id == user_id, conversations.c.deleted_at.is_(None))
        .order_by(conversations.c.updated_at.desc(), conversations.c.id)
    )
    return list(tx.execute(query).scalars())


def get(tx: Connection, user_id: str, conversation_id: str, *, lock: bool = False) -> Conversation | None:
    """One conversation of this user, or None. `lock` keeps other transactions from changing it."""
    row = tx.execute(_one(lock), {"user_id": user_id, "id": conversation_id}).one_or_none()
    return _conversation(row) if row else None


@cache
def _one(lock: bool) -> Select[Any]:
    query = select(*COLUMNS).where(
        conversations.c.user_id == bindparam("user_id"),
        conversations.c.id == bindparam("id"),
        conversations.c.deleted_at.is_(None),
    )
    return query.with_for_update() if lock else query


def count(tx: Connection, user_id: str) -> int:
    """How many conversations this user has, without deleted ones."""
    return int(tx.execute(_COUNT, {"user_id": user_id}).scalar_one())


def are_more(tx: Connection, user_id: str, most: int) -> bool:
    """Whether this user has more conversations than these, without deleted ones."""
    # All of them first: to count them takes the index alone, not each row.
    return int(tx.execute(_COUNT_ALL, {"user_id": user_id}).scalar_one()) > most and count(tx, user_id) > most


_COUNT_ALL = select(func.count()).where(conversations.c.user_id == bindparam("user_id"))
_COUNT = _COUNT_ALL.where(conversations.c.deleted_at.is_(None))


def add(tx: Connection, conversation: Conversation, *, deleted_at: datetime | None = None) -> None:
    """Store a new conversation, and a new user and folder. `deleted_at` hides the conversation."""
    if deleted_at:
        insert_missing(tx, users, id=conversation.user_id, created_at=conversation.created_at)
    revision = 0 if deleted_at else changes.first_number(tx, conversation.user_id, conversation.created_at)
    others = {"options": conversation.options or None, "revision": revision, "deleted_at": deleted_at}
    tx.execute(_ADDING, {name: getattr(conversation, name) for name in NAMES} | others)
    if conversation.folder:
        folder_id = folders.named(tx, conversation.user_id, conversation.folder, conversation.created_at)
        folders.put(tx, conversation.id, folder_id)


def hide(tx: Connection, user_id: str, conversation: Conversation, deleted_at: datetime) -> bool:
    """Mark a deleted conversation as deleted at this time, with this leaf; False where there is none."""
    values = {"deleted_at": deleted_at, "leaf_id": conversation.leaf_id}
    is_deleted = conversations.c.deleted_at.is_not(None)
    hidden = tx.execute(update(conversations).where(_is(user_id, conversation.id), is_deleted).values(**values))
    return hidden.rowcount == 1


def reveal(tx: Connection, user_id: str, deleted_at: datetime) -> None:
    """Show the conversations of this user that were stored with this `deleted_at`."""
    these = (conversations.c.user_id == user_id) & (conversations.c.deleted_at == deleted_at)
    revision = changes.number(tx, user_id)
    tx.execute(update(conversations).where(these).values(deleted_at=None, revision=revision))


def change(tx: Connection, user_id: str, conversation_id: str, **values: Any) -> bool:
    """Set columns of one conversation of this user; return False if it is unknown or deleted."""
    changed = tx.execute(_CHANGING, {"its_user_id": user_id, "its_id": conversation_id} | values)
    return _numbered(tx, user_id, conversation_id, changed)


_CHANGING = changes.CHANGING_ONE.where(conversations.c.deleted_at.is_(None))


def deleted_at(tx: Connection, user_id: str, conversation_id: str, *, lock: bool = False) -> datetime | None:
    """When this user deleted a conversation; None if it is not deleted, or unknown. `lock` as in `get`."""
    query = select(conversations.c.deleted_at).where(_is(user_id, conversation_id))
    return tx.execute(query.with_for_update() if lock else query).scalar_one_or_none()


def restore(tx: Connection, user_id: str, conversation_id: str) -> bool:
    """Undo a deletion; return False if this user has no such conversation."""
    restored = tx.execute(update(conversations).where(_is(user_id, conversation_id)).values(deleted_at=None))
    return _numbered(tx, user_id, conversation_id, restored)


def expire_some(
    tx: Connection, user_ids: Sequence[str], used_before: datetime, deleted_at: datetime, *, with_pinned: bool
) -> int:
    """Mark some conversations of these users as deleted, last used before that time; return how many.

    Marks EXPIRED_AT_ONCE at most, and none with a running reply.
    """
    running = select(messages.c.conversation_id).where(IS_RUNNING)
    is_due = [
        conversations.c.updated_at < used_before,
        conversations.c.deleted_at.is_(None),
        conversations.c.id.not_in(running),
    ]
    if not with_pinned:
        is_due.append(~conversations.c.pinned)
    some = select(conversations.c.id).where(conversations.c.user_id.in_(user_ids), *is_due).limit(EXPIRED_AT_ONCE)
    ids = tx.execute(some).scalars().all()
    # PostgreSQL checks the conditions once more: somebody may have gone on with one meanwhile.
    tx.execute(update(conversations).where(conversations.c.id.in_(ids), *is_due).values(deleted_at=deleted_at))
    return len(ids)


def delete_some_of_left(tx: Connection, deleted_at: datetime) -> bool:
    """Mark some conversations of users who left as deleted at this time; return False if there is none."""
    left = select(users.c.id).where(users.c.deleted_at.is_not(None))
    is_there = conversations.c.deleted_at.is_(None) | (conversations.c.deleted_at > deleted_at)
    some = select(conversations.c.id).where(conversations.c.user_id.in_(left), is_there).limit(EXPIRED_AT_ONCE)
    marked = update(conversations).where(conversations.c.id.in_(some)).values(deleted_at=deleted_at)
    return tx.execute(marked).rowcount > 0


def purge_some(tx: Connection, before: datetime) -> bool:
    """Delete some messages or pictures of one conversation deleted before that time; return False if there is none."""
    query = select(conversations.c.id).where(conversations.c.deleted_at < before).limit(1)
    conversation_id = tx.execute(query).scalar()
    if conversation_id is None:
        return False
    some = select(messages.c.id).where(messages.c.conversation_id == conversation_id).limit(MESSAGES_AT_ONCE)
    ids = tx.execute(some).scalars().all()
    if pictures.purge_some(tx, ids):
        return True
    # SQLite limits the depth of cascades, and a chain of parents can be longer.
    tx.execute(update(messages).where(messages.c.parent_id.in_(ids)).values(parent_id=None))
    spending.give_back(tx, ids, datetime.now(UTC))
    tx.execute(delete(messages).where(messages.c.id.in_(ids)))
    if len(ids) < MESSAGES_AT_ONCE:
        tx.execute(delete(conversations).where(conversations.c.id == conversation_id))
    return True


def opening(tx: Connection, reply_id: str) -> Opening | None:
    """The opening of the conversation of this reply; None unless the reply is a finished first answer."""
    reply, question = messages.alias("reply"), messages.alias("question")
    query = (
        select(conversations.c.id, conversations.c.title, reply.c.model, question.c.text, reply.c.text.label("answer"))
        .join(reply, reply.c.conversation_id == conversations.c.id)
        .join(question, question.c.id == reply.c.parent_id)
        .where(
            reply.c.id == reply_id,
            reply.c.status == "done",
            question.c.parent_id.is_(None),
            conversations.c.deleted_at.is_(None),
        )
    )
    row = tx.execute(query).one_or_none()
    return Opening(row.id, row.title, row.model, row.text, row.answer) if row else None


def better_title(tx: Connection, conversation_id: str, old: str, new: str) -> None:
    """Replace a conversation's title, unless it has changed since."""
    changed = tx.execute(
        update(conversations)
        .where(conversations.c.id == conversation_id, conversations.c.title == old)
        .values(title=new)
        .returning(conversations.c.user_id)
    )
    for user_id in changed.scalars():
        changes.number(tx, user_id, conversation_id)


def _numbered(tx: Connection, user_id: str, conversation_id: str, changed: CursorResult[Any]) -> bool:
    """Whether a conversation was changed; then the change has a number now."""
    if changed.rowcount == 1:
        changes.number(tx, user_id, conversation_id)
    return changed.rowcount == 1


def _conversation(row: Row[Any]) -> Conversation:
    values: list[Any] = list(row[:-2])
    return Conversation(*values, folder=row.folder or "", options=row.options or {})


def _is(user_id: str, conversation_id: str) -> ColumnElement[bool]:
    return (conversations.c.user_id == user_id) & (conversations.c.id == conversation_id)
