"""Outlines of messages: what a page needs of those whose HTML is kept. Reading all their texts takes 1 ms and more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Text, cast, select

from webapp.chat import Message, Stamp
from webapp.storage import IDS_PER_QUERY
from webapp.storage.messages import of_ids, shown_chars
from webapp.storage.schema import messages

PageOf = Callable[[Stamp], Message | None]


class Outline(NamedTuple):
    """A message without its texts. `stamp` begins with the id, and is empty while the reply runs."""

    id: str
    stamp: Stamp
    kept: Message | None  # the whole message, if its HTML is kept


def of(
    tx: Connection,
    user_id: str,
    conversation_id: str,
    message_ids: Sequence[str],
    siblings: Mapping[str | None, tuple[str, ...]],
    page_of: PageOf,
) -> list[Outline]:
    """These messages of one conversation of this user, in this order; skips unknown ids.

    `siblings` are the ids below each parent. `page_of` returns the finished messages whose HTML is kept.
    """
    found: dict[str, Outline] = {}
    for start in range(0, len(message_ids), IDS_PER_QUERY):
        ids = list(message_ids[start : start + IDS_PER_QUERY])
        values = {"ids": ids, "conversation_id": conversation_id, "user_id": user_id}
        for row in tx.execute(_outlines(), values).all():
            stamp = () if row[2] == "streaming" else (*row, siblings.get(row[1], ()))
            found[row[0]] = Outline(row[0], stamp, page_of(stamp) if stamp else None)
    return [found[message_id] for message_id in message_ids if message_id in found]


@cache
def _outlines() -> Select[Any]:
    # A reply gets its text and all its figures when it ends: its seconds stand for them.
    names = ("id", "parent_id", "status", "number", "renderer", "finish_reason", "seconds")
    return of_ids(select(*(messages.c[name] for name in names), cast(messages.c.pictures, Text), shown_chars()))
