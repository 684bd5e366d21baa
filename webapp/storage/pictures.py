"""The pictures of replies in the database, in parts. They are deleted with their message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, insert, select, update

from webapp.chat import Picture
from webapp.loop import give_way
from webapp.storage import Storage
from webapp.storage.schema import conversations, messages, picture_parts, pictures
from webapp.text import new_id

PART_BYTES = 3 * 2**16  # takes under a millisecond to store; divisible by 3, so that parts in base64 can be joined
PARTS_AT_ONCE = 16  # deleted in one transaction: SQLite overwrites them, 17 ms a MiB


def keep(storage: Storage, message_id: str, new: Picture) -> Picture:
    """Store a picture of a message, each part in a short transaction; return it without its data.

    The message names it once it is whole. Raises StorageUnavailable, and IntegrityError for an unknown message.
    """
    stored = replace(new, id=new_id(), data=b"")
    row = {"id": stored.id, "message_id": message_id, "kind": stored.kind, "size": stored.size}
    with storage.begin(durable=False) as tx:
        tx.execute(insert(pictures).values(row))
    for number, start in enumerate(range(0, new.size, PART_BYTES)):
        part = {"picture_id": stored.id, "number": number, "data": new.data[start : start + PART_BYTES]}
        with storage.begin(durable=False) as tx:
            tx.execute(insert(picture_parts).values(part))
        give_way()
    storage.run(lambda tx: _name(tx, message_id, stored))
    return stored


def get(tx: Connection, user_id: str, picture_id: str) -> Picture | None:
    """One picture of this user, without its data; None if it is unknown or its conversation is deleted."""
    query = (
        select(pictures.c.kind, pictures.c.size)
        .join_from(pictures, messages)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(pictures.c.id == picture_id, conversations.c.user_id == user_id, conversations.c.deleted_at.is_(None))
    )
    row = tx.execute(query).one_or_none()
    return Picture(row.kind, row.size, id=picture_id) if row else None


def parts(storage: Storage, picture: Picture) -> Iterator[bytes]:
    """Yield the bytes of a stored picture in order, PART_BYTES at a time. The caller has checked the owner."""
    for number in range(-(-picture.size // PART_BYTES)):
        query = select(picture_parts.c.data).where(
            picture_parts.c.picture_id == picture.id, picture_parts.c.number == number
        )
        with storage.read() as tx:
            data = tx.execute(query).scalar()
        if data is None:  # deleted meanwhile
            return
        yield bytes(data)


def lacking(tx: Connection, message_ids: Sequence[str]) -> set[str]:
    """Those of these messages that have no pictures."""
    query = select(messages.c.id).where(messages.c.id.in_(message_ids), messages.c.pictures.is_(None))
    return set(tx.execute(query).scalars())


def purge_some(tx: Connection, message_ids: Sequence[str]) -> bool:
    """Delete some parts of one picture of these messages; return False if there is none."""
    query = (
        select(picture_parts.c.picture_id, picture_parts.c.number)
        .join(pictures)
        .where(pictures.c.message_id.in_(message_ids))
        .limit(PARTS_AT_ONCE)
    )
    rows = tx.execute(query).all()
    for picture_id, number in rows:
        is_part = (picture_parts.c.picture_id == picture_id) & (picture_parts.c.number == number)
        tx.execute(delete(picture_parts).where(is_part))
    return bool(rows)


def flat(picture: Picture) -> list[str | int]:
    """The picture as its message names it."""
    return [picture.id, picture.kind, picture.size, picture.width, picture.height]


def from_flat(value: Sequence[list[str | int]] | None) -> tuple[Picture, ...]:
    """The pictures that a message names."""
    return tuple(Picture(kind, size, width, height, id) for id, kind, size, width, height in value or ())  # type: ignore[arg-type]


def _name(tx: Connection, message_id: str, stored: Picture) -> None:
    known = tx.execute(select(messages.c.pictures).where(messages.c.id == message_id).with_for_update()).scalar_one()
    named = [*(known or []), flat(stored)]
    tx.execute(update(messages).where(messages.c.id == message_id).values(pictures=named))
