"""Reads branches of a conversation, from message to message, never the whole tree.

Gives way to the other streams of the worker after every STEPS messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, String, bindparam, cast, func, literal, select

from webapp.chat import Role, Status
from webapp.loop import give_way
from webapp.storage import IDS_PER_QUERY
from webapp.storage.messages import is_of
from webapp.storage.schema import messages

STEPS = 1000  # about 5 ms


@dataclass(frozen=True, slots=True)
class Said:
    """The part of a message that the upstream reads, and its parent."""

    id: str
    parent_id: str | None
    role: Role
    text: str
    status: Status


def path(tx: Connection, user_id: str, conversation_id: str, leaf_id: str | None) -> list[str]:
    """The ids of the messages from the first one to the leaf, in one conversation of this user."""
    found: list[str] = []
    while leaf_id:
        here = {"user_id": user_id, "conversation_id": conversation_id, "message_id": leaf_id}
        rows = sorted(tx.execute(_up(), here).all(), key=itemgetter(0))
        found += [row[1] for row in rows]
        leaf_id = rows[-1][2] if rows else None
        give_way()
    return found[::-1]


@cache
def _up() -> Select[Any]:
    here: BindParameter[str] = bindparam("conversation_id")
    first = select(messages.c.id, messages.c.parent_id, literal(1).label("height"))
    up = first.where(_is_here(bindparam("user_id"), here, bindparam("message_id"))).cte("up", recursive=True)
    parent = select(messages.c.id, messages.c.parent_id, up.c.height + 1).join(up, messages.c.id == up.c.parent_id)
    up = up.union_all(parent.where(messages.c.conversation_id == here, up.c.height < STEPS))
    return select(up.c.height, up.c.id, up.c.parent_id)


def said(tx: Connection, user_id: str, conversation_id: str, leaf_id: str, max_chars: int) -> list[Said]:
    """The leaf and its ancestors, the leaf first: at most STEPS messages.

    Stops after the message with which the texts exceed `max_chars` together.
    """
    here = {"user_id": user_id, "conversation_id": conversation_id, "message_id": leaf_id, "max_chars": max_chars}
    rows = sorted(tx.execute(_said(), here).all(), key=itemgetter(0))
    return [Said(*row[1:]) for row in rows]


@cache
def _said() -> Select[Any]:
    columns = [messages.c.id, messages.c.parent_id, messages.c.role, messages.c.text, messages.c.status]
    chars = func.length(messages.c.text)
    here: BindParameter[str] = bindparam("conversation_id")
    first = select(literal(1).label("height"), *columns, chars.label("chars"))
    up = first.where(_is_here(bindparam("user_id"), here, bindparam("message_id"))).cte("up", recursive=True)
    parent = select(up.c.height + 1, *columns, up.c.chars + chars).join(up, messages.c.id == up.c.parent_id)
    is_wanted = (up.c.height < STEPS) & (up.c.chars <= bindparam("max_chars"))
    up = up.union_all(parent.where(messages.c.conversation_id == here, is_wanted))
    return select(*(column for column in up.c if column.name != "chars"))


def newest_below(tx: Connection, user_id: str, conversation_id: str, message_id: str) -> str | None:
    """The end of the newest branch through this message; None if it is not in this conversation of this user."""
    end_id: str | None = None
    while True:
        first = select(messages.c.id, literal(0).label("depth")).where(_is_here(user_id, conversation_id, message_id))
        down = first.cte("down", recursive=True)
        child = (
            select(messages.c.id)
            .where(messages.c.parent_id == down.c.id)
            .order_by(messages.c.number.desc(), messages.c.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        is_wanted = down.c.id.is_not(None) & (down.c.depth < STEPS)
        down = down.union_all(select(cast(child, String(36)), down.c.depth + 1).where(is_wanted))
        lowest = select(down.c.id).where(down.c.id.is_not(None)).order_by(down.c.depth.desc()).limit(1)
        found: str | None = tx.execute(lowest).scalar_one_or_none()
        if found in (None, end_id):
            return end_id
        end_id = message_id = found
        give_way()


def siblings(
    tx: Connection, conversation_id: str, parent_ids: Iterable[str | None]
) -> dict[str | None, tuple[str, ...]]:
    """The messages with each of these parents in one conversation, in insertion order. The caller checks the owner."""
    found: dict[str | None, list[str]] = {parent_id: [] for parent_id in parent_ids}
    known = [parent_id for parent_id in found if parent_id]
    for at in range(0, len(known), IDS_PER_QUERY):
        below = {"parent_ids": known[at : at + IDS_PER_QUERY]}
        for parent_id, message_id in tx.execute(_below(), below):
            found[parent_id].append(message_id)
    if None in found:
        found[None] += tx.execute(_beginnings(), {"conversation_id": conversation_id}).scalars()
    return {parent_id: tuple(ids) for parent_id, ids in found.items()}


@cache
def _below() -> Select[Any]:
    query = select(messages.c.parent_id, messages.c.id).order_by(messages.c.number, messages.c.id)
    return query.where(messages.c.parent_id.in_(bindparam("parent_ids", expanding=True)))


@cache
def _beginnings() -> Select[Any]:
    # Avoids the index of parents, which would read the first messages of all conversations.
    is_first = func.coalesce(messages.c.parent_id, "") == ""
    query = select(messages.c.id).order_by(messages.c.number, messages.c.id)
    return query.where(messages.c.conversation_id == bindparam("conversation_id"), is_first)


def _is_here(
    user_id: str | BindParameter[str], conversation_id: str | BindParameter[str], message_id: str | BindParameter[str]
) -> ColumnElement[bool]:
    """The condition for one message of one conversation of this user."""
    is_it = (messages.c.id == message_id) & (messages.c.conversation_id == conversation_id)
    return is_it & is_of(user_id, conversation_id)
