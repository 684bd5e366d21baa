"""Reads a file of conversations in a process of its own.

A hostile file may need much time and memory. The process has limits for both, and no stream of the worker waits for it.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from webapp import language
from webapp.chat import Conversation, Message
from webapp.errors import AppError, Invalid, TooLarge
from webapp.files import chatgpt, ours, zips
from webapp.files.record import Record, renewed
from webapp.language import gettext as _
from webapp.language import number

ROOT = Path(__file__).parents[2]
PROGRAM = f"import sys; from {__name__} import main; main(*sys.argv[1:])"
READ_SECONDS = 60.0  # real files take a few seconds
MEMORY_BYTES = 2 * 2**30
PROCESSOR_SECONDS = 30

MAX_JSON_VALUES = 4_000_000  # a small file of empty lists would need gigabytes of memory
MAX_CONVERSATIONS = 2_000
MAX_MESSAGES = 20_000

BATCH_MESSAGES = 50  # in one transaction
BATCH_CHARS = 100_000  # in one transaction, unless one message is longer: the search index splits them into words

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """The numbers of conversations, messages and characters in a file; or the error that refuses it."""

    conversations: int = 0
    messages: int = 0
    chars: int = 0
    refusal: AppError | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores. A conversation comes before its first message or with it."""

    conversations: list[Conversation]
    messages: list[Message]


@contextmanager
def reading(file: IO[bytes], max_system_chars: int, max_text_chars: int) -> Iterator[tuple[Head, Iterator[Batch]]]:
    """Start the process, wait for its end, and yield what it found in the file. Raises Invalid, TooLarge."""
    with TemporaryDirectory(prefix="lockchat-") as directory:
        source, target = Path(directory) / "source", Path(directory) / "target"
        with source.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        arguments = map(str, (source, target, language.current(), max_system_chars, max_text_chars))
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


def main(source: str, target: str, tongue: str, max_system_chars: str, max_text_chars: str) -> None:
    """The process: read the file `source`, write a Head and Batches to the file `target`, each as a pickle."""
    language.use(tongue)
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    with Path(source).open("rb") as file, Path(target).open("wb") as result:
        try:
            records = read(file, datetime.now(UTC))
            _check_sizes(records, int(max_system_chars), int(max_text_chars))
        except AppError as error:
            pickle.dump(Head(refusal=type(error)(error.sentence)), result)
            return
        messages = [message for record in records for message in record.messages]
        chars = sum(map(_chars, messages)) + sum(len(record.conversation.system) for record in records)
        pickle.dump(Head(len(records), len(messages), chars), result)
        for batch in batches(map(renewed, records)):
            pickle.dump(batch, result)


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


def read(file: IO[bytes], now: datetime) -> list[Record]:
    """The records of a file: our JSON, ChatGPT's, or a zip of such files. Ids are the file's own.

    Raises Invalid, TooLarge.
    """
    records: list[Record] = []
    messages_count = 0
    for data in zips.documents(file):
        found = _records(data, now)
        records += found
        messages_count += sum(1 for record in found for _message in record.messages)
        if len(records) > MAX_CONVERSATIONS or messages_count > MAX_MESSAGES:
            raise TooLarge(
                _("One file may hold %(conversations)s conversations and %(messages)s messages; this one holds more.")
                % {"conversations": number(MAX_CONVERSATIONS), "messages": number(MAX_MESSAGES)}
            )
    if not records:
        raise _nothing_there()
    return records


def _check_sizes(records: Sequence[Record], max_system_chars: int, max_text_chars: int) -> None:
    """Raise TooLarge for a text that is longer than a send or a reply may be."""
    for record in records:
        texts = [(record.conversation.system, max_system_chars)]
        texts += [(text, max_text_chars) for one in record.messages for text in (one.text, one.reasoning)]
        for text, limit in texts:
            if len(text) > limit:
                sentence = _("A message in this file is too long: %(limit)s characters are allowed.")
                raise TooLarge(sentence % {"limit": number(limit)})


def _chars(message: Message) -> int:
    return len(message.text) + len(message.reasoning)


def _records(data: bytes, now: datetime) -> list[Record]:
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise zips.too_large()
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise _nothing_there() from None
    if isinstance(value, dict) and value.get("format") == ours.FORMAT:
        return [ours.read(value, now)]
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) and isinstance(item.get("mapping"), dict) for item in items):
        raise _nothing_there()
    return [record for item in items if (record := chatgpt.read(item, now))]


def _nothing_there() -> Invalid:
    return Invalid(_("This file holds no conversations of Lockchat or ChatGPT."))
