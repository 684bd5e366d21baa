"""The record that every format reads or writes, and how a file of one is named and saved."""

from __future__ import annotations

import base64
import re
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import IO

from webapp.chat import Conversation, Message, Picture
from webapp.loop import give_way

NAME_BYTES = 150  # file systems allow 255; the date, a number and the ending are added
PART_BYTES = 128 * 1024  # takes about 10 ms to compress
UNSAFE_IN_NAMES = re.compile(r'[<>:"/\\|?*\s]+')


@dataclass(frozen=True, slots=True)
class Record:
    """A conversation with all its messages, every branch, parents first.

    `shown` are the messages of the shown branch; a record that was read has none. An export loads messages while a
    writer iterates, a few at a time, so each can be iterated once. `parts` yields the bytes of a picture, a multiple of
    three but for the last; the pictures of a record that was read have their data. `source` names the product and the
    conversation of a record that was read.
    """

    conversation: Conversation
    messages: Iterable[Message]
    shown: Iterable[Message] = ()
    source: str = ""
    parts: Callable[[Picture], Iterable[bytes]] = lambda picture: [picture.data]


def placed(record: Record, user_id: str) -> Record:
    """A copy of a record with the ids that it gets at this user's: the same each time the same source is read."""
    conversation_id = _id_of(user_id, record.source)
    messages = list(record.messages)
    ids: dict[str | None, str] = {message.id: _id_of(conversation_id, message.id) for message in messages}
    leaf_id = ids.get(record.conversation.leaf_id) or ids[messages[-1].id]
    conversation = replace(record.conversation, id=conversation_id, user_id=user_id, leaf_id=leaf_id)
    copies = [
        replace(message, id=ids[message.id], parent_id=ids.get(message.parent_id), conversation_id=conversation_id)
        for message in messages
    ]
    return Record(conversation, copies)


def _id_of(owner_id: str, name: str) -> str:
    """An id that nobody can guess who does not know the owner's, which is random."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{owner_id} {name}"))


def file_name(conversation: Conversation) -> str:
    """The day and the title as a name without an ending, valid on every file system."""
    title = UNSAFE_IN_NAMES.sub(" ", conversation.title)
    # No control characters and none that change the direction of text.
    title = "".join(letter for letter in title if not unicodedata.category(letter).startswith("C"))
    title = title.encode()[:NAME_BYTES].decode(errors="ignore")
    return f"{conversation.created_at.date().isoformat()} {title}".strip(" .")


def data_url(record: Record, picture: Picture) -> Iterator[str]:
    """Yield the `data:` URL of a picture in parts: https://www.rfc-editor.org/rfc/rfc2397"""
    yield f"data:{picture.kind};base64,"
    for part in record.parts(picture):
        yield base64.b64encode(part).decode()


def save(parts: Iterable[str], file: IO[bytes]) -> None:
    """Write the parts to a file in UTF-8, PART_BYTES at a time."""
    for part in parts:
        data = part.encode()
        for start in range(0, len(data), PART_BYTES):
            file.write(data[start : start + PART_BYTES])
            give_way()
