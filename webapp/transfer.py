"""Conversations as files: Markdown to read, JSON to keep, a zip of all. `imports` reads them.

Our JSON is one object: `format` ("lockchat"), `version` (1), the conversation's settings and times, `leaf` (the id of
the last message of the branch that is shown), and `messages`, parents before their children, times in ISO 8601.

A conversation is written message by message: neither it nor its file is ever whole in memory, and the other streams
of the worker have their turn in between.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from webapp.chat import Conversation, Message, Outcome
from webapp.language import gettext as _
from webapp.loop import give_way
from webapp.outcomes import flat

FORMAT = "lockchat"
VERSION = 1
NAMES = {"failure_reason": "failure", "completion_tokens": "tokens"}  # of an outcome's values, where others

NAME_BYTES = 150  # file systems take 255, the date, a number and the ending included
PART_BYTES = 128 * 1024  # compressed in some 10 ms
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
UNSAFE_IN_NAMES = re.compile(r'[<>:"/\\|?*\s]+')


@dataclass(frozen=True, slots=True)
class Record:
    """A conversation, to be written: the ids of all messages, parents first, and of those of the shown branch.

    `read` yields the messages with these ids, in their order.
    """

    conversation: Conversation
    message_ids: Sequence[str]
    branch_ids: Sequence[str]
    read: Callable[[Sequence[str]], Iterator[Message]]


def to_json(record: Record) -> Iterator[str]:
    """Yield the whole conversation, for `imports.read`."""
    conversation = record.conversation
    value = {
        "format": FORMAT,
        "version": VERSION,
        "title": conversation.title,
        "model": conversation.model,
        "temperature": conversation.temperature,
        "system": conversation.system,
        "created_at": conversation.created_at.isoformat(),
        "updated_at": conversation.updated_at.isoformat(),
        "pinned": conversation.pinned,
        "leaf": conversation.leaf_id,
    }
    yield json.dumps(value, ensure_ascii=False, indent=1).removesuffix("\n}") + ',\n "messages": ['
    comma = ""
    for message in record.read(record.message_ids):
        yield f"{comma}\n  {json.dumps(_message_value(message), ensure_ascii=False)}"
        comma = ","
    yield "\n ]\n}\n"


def to_markdown(record: Record, note: Callable[[Message], str]) -> Iterator[str]:
    """Yield the shown branch, to be read. `note` says how a reply ended, where that has to be said."""
    conversation = record.conversation
    yield f"# {conversation.title}\n\n*{conversation.model}, {conversation.created_at:%Y-%m-%d %H:%M} UTC*\n"
    if conversation.system:
        yield "\n" + "\n".join(f"> {line}".rstrip() for line in conversation.system.split("\n")) + "\n"
    for message in record.read(record.branch_ids):
        by = _("You") if message.role == "user" else _("Assistant")
        yield f"\n## {by} ({message.model})\n" if message.model else f"\n## {by}\n"
        if message.text:
            yield f"\n{_closed(message.text)}\n"
        if sentence := note(message):
            yield f"\n*{sentence}*\n"


def _closed(text: str) -> str:
    """The text with its block of code closed, where it ends inside one: what follows must not stand in it."""
    fence = ""
    for mark, rest in FENCE.findall(text):
        if not fence:
            fence = mark
        elif mark.startswith(fence) and not rest.strip():
            fence = ""
    return f"{text}\n{fence}" if fence else text


def write_zip(records: Iterable[Record], file: IO[bytes], note: Callable[[Message], str]) -> None:
    """Write every conversation twice, as Markdown and as JSON, under names of its own."""
    taken: set[str] = set()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in records:
            name = _free(file_name(record.conversation), taken)
            for ending, parts in (("md", to_markdown(record, note)), ("json", to_json(record))):
                with archive.open(f"{name}.{ending}", "w") as member:
                    write(parts, member)


def write(parts: Iterable[str], file: IO[bytes]) -> None:
    """Write the parts in UTF-8, a little at a time."""
    for part in parts:
        data = part.encode()
        for start in range(0, len(data), PART_BYTES):
            file.write(data[start : start + PART_BYTES])
            give_way()  # the other streams of this worker have their turn


def file_name(conversation: Conversation) -> str:
    """A name that every file system takes, without its ending: the day and the title."""
    title = UNSAFE_IN_NAMES.sub(" ", conversation.title)
    # Neither control characters nor those that turn the direction of what follows.
    title = "".join(letter for letter in title if not unicodedata.category(letter).startswith("C"))
    title = title.encode()[:NAME_BYTES].decode(errors="ignore")
    return f"{conversation.created_at.date().isoformat()} {title}".strip(" .")


def _message_value(message: Message) -> dict[str, object]:
    outcome = flat(message.outcome or Outcome(message.status))
    return {
        "id": message.id,
        "parent": message.parent_id,
        "role": message.role,
        "text": message.text,
        "thought": message.thought,
        "model": message.model,
        "created_at": message.created_at.isoformat(),
        **{NAMES.get(name, name): value for name, value in outcome.items()},
    }


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where one like it is taken; some file systems see neither case nor composition."""
    tries = (name if number == 1 else f"{name} ({number})" for number in range(1, len(taken) + 2))
    free = next(one for one in tries if unicodedata.normalize("NFC", one).casefold() not in taken)
    taken.add(unicodedata.normalize("NFC", free).casefold())
    return free
