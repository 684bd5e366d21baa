"""Outlines of messages: what a page needs of those whose HTML is kept. Reading all their texts takes 1 ms and more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Text, cast, select

from webapp.chat import Message, Stamp
from webapp.storage.messages import IDS_PER_QUERY, of_ids, shown_chars
from webapp.storage.schema import messages

PageOf = Callable[[Stamp], Message | None]


def of(
    tx: Connection,
    user_id: str,
    conversation_id: str,
    message_ids: Sequence[str],
    siblings: Mapping[str | None, tuple[str, ...]],
    page_of: PageOf,
) -> list[Message]:
    """These messages of one conversation of this user, in this order, without texts and figures; skips unknown ids.

    `siblings` are the ids below each parent. Finished messages have a stamp, which begins with the id; `page_of`
    returns those whose page is kept.
    """
    found: dict[str, Message] = {}
    for start in range(0, len(message_ids), IDS_PER_QUERY):
        ids = list(message_ids[start : start + IDS_PER_QUERY])
        values = {"ids": ids, "conversation_id": conversation_id, "user_id": user_id}
        for row in tx.execute(_outlines(), values):
            id_, parent_id, role, status, created_at, *_ = row
            beside = siblings.get(parent_id, ())
            stamp = () if status == "streaming" else (*row, beside)
            found[id_] = (page_of(stamp) if stamp else None) or Message(
                id_, conversation_id, parent_id, role, "", status, created_at, siblings=beside, stamp=stamp
            )
    return [found[message_id] for message_id in message_ids if message_id in found]


@cache
def _outlines() -> Select[Any]:
    # A reply gets its text and all its figures when it ends: its seconds stand for them.
    names = ("id", "parent_id", "role", "status", "created_at", "number", "renderer", "finish_reason", "seconds")
    return of_ids(select(*(messages.c[name] for name in names), cast(messages.c.pictures, Text), shown_chars()))
