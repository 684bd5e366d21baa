"""Files of conversations, read in a process of their own, which `archive` starts.

A file decides how long it takes and how much memory: this process can be ended, and no stream waits for it.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import resource
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO

from webapp import language
from webapp.chat import Conversation, Message
from webapp.errors import AppError, Invalid, TooLarge
from webapp.files import chatgpt, ours
from webapp.files.values import Record
from webapp.language import gettext as _
from webapp.language import number
from webapp.text import new_id
from webapp.transfer import FORMAT

MAX_JSON_BYTES = 64 * 2**20  # of all JSON in one file, unpacked
MAX_JSON_VALUES = 4_000_000  # a small file of empty lists would take gigabytes once it is read
MAX_MEMBERS = 20_000
MAX_CONVERSATIONS = 2_000
MAX_MESSAGES = 20_000
MEMORY_BYTES = 2 * 2**30
PROCESSOR_SECONDS = 30

BATCH_MESSAGES = 50  # are stored in one transaction,
BATCH_CHARS = 100_000  # unless they are longer: the search has to read them

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others take as much memory as the file says
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
CHATGPT_NAME = re.compile(r"conversations(-\d+)?\.json")


@dataclass(frozen=True, slots=True)
class Head:
    """What a file holds: so many conversations, and so many characters and messages in them; or why it is refused."""

    conversations: int = 0
    messages: int = 0
    chars: int = 0
    refusal: AppError | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores: messages, and the conversations that begin with them."""

    conversations: list[Conversation]
    messages: list[Message]


def main(source: str, target: str, tongue: str, max_system_chars: str, max_text_chars: str) -> None:
    """Read the file `source` and write its Head and its Batches to the file `target`, one pickle after the other."""
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
    """Yield the records in parts, in order."""
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
    """The conversations of a file: our JSON, ChatGPT's, or a zip that holds some. Ids are the file's own.

    Raises Invalid, TooLarge.
    """
    records: list[Record] = []
    for data in _documents(file):
        records += _records(data, now)
        messages_count = sum(len(record.messages) for record in records)
        if len(records) > MAX_CONVERSATIONS or messages_count > MAX_MESSAGES:
            raise TooLarge(
                _("One file may hold %(conversations)s conversations and %(messages)s messages; this one holds more.")
                % {"conversations": number(MAX_CONVERSATIONS), "messages": number(MAX_MESSAGES)}
            )
    if not records:
        raise _nothing_there()
    return records


def _check_sizes(records: Sequence[Record], max_system_chars: int, max_text_chars: int) -> None:
    """Raise TooLarge for what could not have been sent or answered here."""
    for record in records:
        if len(record.conversation.system) > max_system_chars:
            raise _too_long(max_system_chars)
        if any(len(text) > max_text_chars for one in record.messages for text in (one.text, one.thought)):
            raise _too_long(max_text_chars)


def _too_long(limit: int) -> TooLarge:
    return TooLarge(
        _("A message in this file is too long: %(limit)s characters are allowed.") % {"limit": number(limit)}
    )


def _chars(message: Message) -> int:
    return len(message.text) + len(message.thought)


def renewed(record: Record) -> Record:
    """The same conversation with new ids."""
    # In order, because siblings of the same time are shown in the order of their ids.
    new_ids = sorted(new_id() for _message in record.messages)
    ids: dict[str | None, str] = {message.id: new for message, new in zip(record.messages, new_ids, strict=True)}
    conversation = replace(
        record.conversation,
        id=new_id(),
        leaf_id=ids.get(record.conversation.leaf_id) or new_ids[-1],
    )
    return Record(
        conversation,
        [
            replace(message, id=ids[message.id], parent_id=ids.get(message.parent_id), conversation_id=conversation.id)
            for message in record.messages
        ],
    )


def _documents(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the JSON documents of a file, which is one itself or a zip."""
    is_zip = zipfile.is_zipfile(file)
    file.seek(0)
    if not is_zip:
        yield file.read()
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for member in _members(archive):
                yield archive.read(member)
    except UNREADABLE:
        raise Invalid(_("This zip file cannot be read.")) from None


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members to read, once it is certain how large they are: a zip gives no more than it says."""
    if len(archive.infolist()) > MAX_MEMBERS:
        raise _too_large()
    paths = [(PurePosixPath(member.filename), member) for member in archive.infolist()]
    # What macOS adds to a zip has the same endings.
    found = [(path, one) for path, one in paths if path.suffix == ".json" and not path.name.startswith("._")]
    # ChatGPT's zip has other JSON beside its conversations.
    chatgpt = [one for path, one in found if CHATGPT_NAME.fullmatch(path.name)]
    members = chatgpt or [one for _path, one in found]
    if any(member.compress_type not in METHODS for member in members):
        raise Invalid(_("This zip file cannot be read."))
    if sum(member.file_size for member in members) > MAX_JSON_BYTES:
        raise _too_large()
    return members


def _records(data: bytes, now: datetime) -> list[Record]:
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise _too_large()
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise _nothing_there() from None
    if isinstance(value, dict) and value.get("format") == FORMAT:
        return [ours.read(value, now)]
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) and isinstance(item.get("mapping"), dict) for item in items):
        raise _nothing_there()
    return [record for item in items if (record := chatgpt.read(item, now)).messages]


def _too_large() -> TooLarge:
    return TooLarge(
        _("What this file holds is too large: %(limit)s MB are allowed.") % {"limit": MAX_JSON_BYTES // 2**20}
    )


def _nothing_there() -> Invalid:
    return Invalid(_("This file holds no conversations of Lockchat or ChatGPT."))
