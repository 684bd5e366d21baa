"""Reads a file of conversations in a process of its own.

A hostile file may need much time and memory. The process has limits for both, and no stream of the worker waits for it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from webapp import language
from webapp.chat import Conversation, Message
from webapp.errors import AppError, TooLarge
from webapp.files import chatgpt, claude, librechat, openwebui, ours, zips
from webapp.files.record import Record, placed
from webapp.files.values import an_object, broken, nothing_there, text
from webapp.language import gettext as _
from webapp.language import number
from webapp.text import title_of

ROOT = Path(__file__).parents[2]
PROGRAM = f"import sys; from {__name__} import main; main(*sys.argv[1:])"
READ_SECONDS = 60.0  # real files take a few seconds
MEMORY_BYTES = 2 * 2**30
PROCESSOR_SECONDS = 30
MAX_NESTING = 20_000  # LibreChat nests each message in the one before it

MAX_JSON_VALUES = 4_000_000  # a small file of empty lists would need gigabytes of memory
MAX_CONVERSATIONS = 2_000
MAX_MESSAGES = 20_000

BATCH_MESSAGES = 50  # in one transaction
BATCH_CHARS = 100_000  # in one transaction, unless one message is longer: the search index splits them into words

# The key that only conversations of a product have, the product, the key of a conversation's id, and its reader.
READERS = (
    ("format", ours.FORMAT, "id", ours.read),
    ("mapping", "chatgpt", "conversation_id", chatgpt.read),
    ("chat_messages", "claude", "uuid", claude.read),
    ("chat", "openwebui", "id", openwebui.read),
    ("history", "openwebui", "id", openwebui.read),
    ("conversationId", "librechat", "conversationId", librechat.read),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most bytes of JSON in a file, characters of a system prompt, and characters of a message."""

    file_bytes: int
    system_chars: int
    text_chars: int


@dataclass(frozen=True, slots=True)
class Head:
    """The numbers of new conversations, messages, characters and bytes in a file; or the error that refuses it.

    `there` are the ids of the user's own conversations, whose export the file is; `left_out` are the titles of those
    that cannot be read.
    """

    conversations: int = 0
    messages: int = 0
    chars: int = 0
    size: int = 0
    there: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    refusal: AppError | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores. A conversation comes before its first message or with it."""

    conversations: list[Conversation]
    messages: list[Message]


@dataclass(slots=True)
class Found:
    """What is in a file: the records by their sources, and the titles of conversations that cannot be read."""

    records: dict[str, Record] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    problems: list[AppError] = field(default_factory=list)


@contextmanager
def reading(
    file: IO[bytes], limits: Limits, user_id: str, known_ids: Collection[str]
) -> Iterator[tuple[Head, Iterator[Batch]]]:
    """Start the process, wait for its end, and yield what it found in the file. Raises Invalid, TooLarge.

    `known_ids` are the ids of the conversations that this user has.
    """
    with TemporaryDirectory(prefix="lockchat-") as directory:
        source, task, target = (Path(directory) / name for name in ("source", "task", "target"))
        with source.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        task.write_bytes(pickle.dumps((language.current(), limits, user_id, frozenset(known_ids))))
        arguments = map(str, (source, task, target))
        try:
            subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, check=True, timeout=READ_SECONDS)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            log.warning("a file could not be read: %s", error)
            raise TooLarge(_("This file takes too long to read. Import it in parts.")) from None
        with target.open("rb") as result:
            head: Head = pickle.load(result)
            if head.refusal:
                raise head.refusal
            yield head, _batches_in(result)


def _batches_in(file: IO[bytes]) -> Iterator[Batch]:
    while True:
        try:
            yield pickle.load(file)
        except EOFError:
            return


def main(source: str, task: str, target: str) -> None:
    """The process: read the file `source`, write a Head and Batches to the file `target`, each as a pickle."""
    tongue, limits, user_id, known_ids = pickle.loads(Path(task).read_bytes())
    language.use(tongue)
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    sys.setrecursionlimit(MAX_NESTING)
    with Path(source).open("rb") as file, Path(target).open("wb") as result:
        try:
            found = read(file, datetime.now(UTC), limits)
        except AppError as error:
            pickle.dump(Head(refusal=type(error)(error.sentence)), result)
            return
        own = {name: name.removeprefix(f"{ours.FORMAT}:") for name in found.records}
        there = tuple(conversation_id for conversation_id in own.values() if conversation_id in known_ids)
        records = [placed(one, user_id) for name, one in found.records.items() if own[name] not in known_ids]
        pickle.dump(_head(records, known_ids, there, found), result)
        for batch in batches(records):
            pickle.dump(batch, result)


def _head(records: list[Record], known_ids: Collection[str], there: tuple[str, ...], found: Found) -> Head:
    messages = [message for record in records for message in record.messages]
    return Head(
        conversations=sum(record.conversation.id not in known_ids for record in records),
        messages=len(messages),
        chars=sum(map(_chars, messages)) + sum(len(record.conversation.system) for record in records),
        size=sum(message.size for message in messages),
        there=there,
        left_out=tuple(found.left_out),
    )


def batches(records: Iterable[Record]) -> Iterator[Batch]:
    """Yield the records in batches, in their order."""
    batch, chars = Batch([], []), 0
    for record in records:
        batch.conversations.append(record.conversation)
        for message in record.messages:
            if batch.messages and (len(batch.messages) >= BATCH_MESSAGES or chars + _chars(message) > BATCH_CHARS):
                yield batch
                batch, chars = Batch([], []), 0
            batch.messages.append(message)
            chars += _chars(message)
    yield batch


def read(file: IO[bytes], now: datetime, limits: Limits) -> Found:
    """What is in a file: our JSON, that of another product, or a zip of such files. Ids are the file's own.

    What cannot be read is left out. Raises Invalid or TooLarge where nothing is left, or too much.
    """
    found = Found()
    conversations_count = messages_count = 0
    for name, data in zips.documents(file, limits.file_bytes):
        for place, value in enumerate(_values(name, data, limits, found), 1):
            if (record := _record(value, place, name, now, limits, found)) is None:
                continue
            conversations_count += 1
            messages_count += _length(record)
            if conversations_count > MAX_CONVERSATIONS or messages_count > MAX_MESSAGES:
                raise _too_many()
            found.records[record.source] = max(record, found.records.get(record.source, record), key=_length)
    if not found.records:
        raise found.problems[0] if found.problems else nothing_there()
    return found


def _values(name: str, data: bytes, limits: Limits, found: Found) -> list[Any]:
    """The values in a document that should be conversations."""
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise zips.too_large(limits.file_bytes)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        found.left_out.append(name)
        found.problems.append(nothing_there())
        return []
    return value if isinstance(value, list) else [value]


def _record(value: Any, place: int, file_name: str, now: datetime, limits: Limits, found: Found) -> Record | None:
    """The record of a conversation; None if it has no messages or is left out."""
    value = an_object(value)
    try:
        product, key, read_one = _reader(value)
        record = read_one(value, now)
        if record:
            _check_sizes(record, limits)
            return replace(record, source=f"{product}:{_id(value, key)}")
    except MemoryError:
        raise
    except Exception as error:
        # There is no specification of other products' files: each reader trusts some types of values.
        names = (value.get("title"), value.get("name"), file_name)
        found.left_out.append(next(filter(None, (title_of(text(name)) for name in names)), f"#{place}"))
        found.problems.append(error if isinstance(error, AppError) else broken())
    return None


def _reader(value: dict[str, Any]) -> tuple[str, str, Callable[[dict[str, Any], datetime], Record | None]]:
    for mark, product, key, read_one in READERS:
        if mark in value and (mark != "format" or value[mark] == product):
            return product, key, read_one
    raise nothing_there()


def _id(value: dict[str, Any], key: str) -> str:
    """The id of a conversation at its source; for one without, what it holds."""
    named = text(value.get(key)) or text(value.get("id"))
    return named or hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _length(record: Record) -> int:
    return sum(1 for _message in record.messages)


def _check_sizes(record: Record, limits: Limits) -> None:
    """Raise TooLarge for a text that is longer than a send or a reply may be."""
    texts = [(record.conversation.system, limits.system_chars)]
    texts += [(said, limits.text_chars) for one in record.messages for said in (one.text, one.reasoning)]
    for said, limit in texts:
        if len(said) > limit:
            sentence = _("A message in this file is too long: %(limit)s characters are allowed.")
            raise TooLarge(sentence % {"limit": number(limit)})


def _too_many() -> TooLarge:
    return TooLarge(
        _("One file may hold %(conversations)s conversations and %(messages)s messages; this one holds more.")
        % {"conversations": number(MAX_CONVERSATIONS), "messages": number(MAX_MESSAGES)}
    )


def _chars(message: Message) -> int:
    """The size of a message; that of pictures is in bytes."""
    return len(message.text) + len(message.reasoning) + sum(picture.size for picture in message.pictures)
