"""The record that every format reads or writes, and how a file of one is named and saved."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import IO

from webapp.chat import Conversation, Message
from webapp.loop import give_way
from webapp.text import new_id

NAME_BYTES = 150  # file systems allow 255; the date, a number and the ending are added
PART_BYTES = 128 * 1024  # takes about 10 ms to compress
UNSAFE_IN_NAMES = re.compile(r'[<>:"/\\|?*\s]+')


@dataclass(frozen=True, slots=True)
class Record:
    """A conversation with all its messages, every branch, parents first.

    `shown` are the messages of the shown branch; a record that was read has none. An export loads messages while a
    writer iterates, a few at a time, so each can be iterated once.
    """

    conversation: Conversation
    messages: Iterable[Message]
    shown: Iterable[Message] = ()


def renewed(record: Record) -> Record:
    """A copy of a record with new ids."""
    messages = list(record.messages)
    # Sorted, because storage orders messages by id where nothing else tells them apart.
    new_ids = sorted(new_id() for _message in messages)
    ids: dict[str | None, str] = {message.id: new for message, new in zip(messages, new_ids, strict=True)}
    leaf_id = ids.get(record.conversation.leaf_id) or new_ids[-1]
    conversation = replace(record.conversation, id=new_id(), leaf_id=leaf_id)
    copies = [
        replace(message, id=ids[message.id], parent_id=ids.get(message.parent_id), conversation_id=conversation.id)
        for message in messages
    ]
    return Record(conversation, copies)


def file_name(conversation: Conversation) -> str:
    """The day and the title as a name without an ending, valid on every file system."""
    title = UNSAFE_IN_NAMES.sub(" ", conversation.title)
    # No control characters and none that change the direction of text.
    title = "".join(letter for letter in title if not unicodedata.category(letter).startswith("C"))
    title = title.encode()[:NAME_BYTES].decode(errors="ignore")
    return f"{conversation.created_at.date().isoformat()} {title}".strip(" .")


def save(parts: Iterable[str], file: IO[bytes]) -> None:
    """Write the parts to a file in UTF-8, PART_BYTES at a time."""
    for part in parts:
        data = part.encode()
        for start in range(0, len(data), PART_BYTES):
            file.write(data[start : start + PART_BYTES])
            give_way()
