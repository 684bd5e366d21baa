"""Files of conversations, read in a process of their own, which `archive` starts.

A file decides how long it takes and how much memory: this process can be ended, and no stream waits for it.

Ours are as `transfer` writes them. ChatGPT's is a list of conversations, each with a `mapping` of nodes that name
their `parent`, and a `current_node`. It is not specified anywhere; whatever is missing here, or of another type, was
seen missing there.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import resource
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from webapp import language
from webapp.chat import Conversation, Message, Outcome, Status
from webapp.errors import AppError, Invalid, TooLarge
from webapp.language import gettext as _
from webapp.language import number
from webapp.outcomes import FIELDS, from_flat
from webapp.settings import temperature_of
from webapp.text import LONGEST_TITLE_CHARS, clean, new_id, title_of
from webapp.transfer import FORMAT, NAMES, VERSION
from webapp.tree import in_order

MAX_JSON_BYTES = 64 * 2**20  # of all JSON in one file, unpacked
MAX_JSON_VALUES = 4_000_000  # a small file of empty lists would take gigabytes once it is read
MAX_MEMBERS = 20_000
MAX_CONVERSATIONS = 2_000
MAX_MESSAGES = 20_000
MAX_LABEL_CHARS = 200  # of a model's name and the like, which are cut
MEMORY_BYTES = 2 * 2**30
PROCESSOR_SECONDS = 30

BATCH_MESSAGES = 50  # are stored in one transaction,
BATCH_CHARS = 100_000  # unless they are longer: the search has to read them

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others take as much memory as the file says
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
CHATGPT_NAME = re.compile(r"conversations(-\d+)?\.json")

FINISHED: Mapping[object, Status] = {
    "done": "done",
    "stopped": "stopped",
    "interrupted": "interrupted",
    "error": "error",
    "streaming": "interrupted",  # it ran while it was exported
}


@dataclass(frozen=True, slots=True)
class Record:
    """A conversation with all its messages, every branch, parents first."""

    conversation: Conversation
    messages: list[Message]


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
        return [_from_ours(value, now)]
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) and isinstance(item.get("mapping"), dict) for item in items):
        raise _nothing_there()
    return [record for item in items if (record := _from_chatgpt(item, now)).messages]


def _from_ours(value: dict[str, Any], now: datetime) -> Record:
    if value.get("version") != VERSION:
        raise Invalid(_("This file was made by another version of Lockchat."))
    created_at = _moment(value.get("created_at"), now) or now
    values = value.get("messages")
    if not isinstance(values, list) or not values:
        raise _broken()
    messages = _in_order([_from_our_message(item, created_at, now) for item in values])
    try:
        temperature = temperature_of(value.get("temperature"))
    except Invalid:
        temperature = None
    conversation = Conversation(
        id="",
        user_id="",
        title=_title(value.get("title"), messages),
        model=_label(value.get("model")),
        temperature=temperature,
        system=_text(value.get("system")),
        leaf_id=_text(value.get("leaf")),
        created_at=created_at,
        updated_at=_moment(value.get("updated_at"), now) or created_at,
        pinned=value.get("pinned") is True,
    )
    return Record(conversation, messages)


def _from_our_message(value: Any, created_at: datetime, now: datetime) -> Message:
    value = _object(value)
    message_id, parent_id, role = value.get("id"), value.get("parent"), value.get("role")
    if not isinstance(message_id, str) or not isinstance(parent_id, str | None) or role not in ("user", "assistant"):
        raise _broken()
    status = value.get("status")
    status = FINISHED.get(status, "done") if isinstance(status, str) and role == "assistant" else "done"
    outcome = {name: _field(kind, value.get(NAMES.get(name, name))) for name, kind in FIELDS.items()}
    return Message(
        id=message_id,
        conversation_id="",
        parent_id=parent_id,
        role=role,
        text=_text(value.get("text")),
        status=status,
        created_at=_moment(value.get("created_at"), now) or created_at,
        thought=_text(value.get("thought")),
        model=_label(value.get("model")),
        outcome=from_flat(outcome | {"status": status}),
    )


def _field(kind: type, value: Any) -> str | float | None:
    if kind is str:
        return _label(value) or None
    amount = _amount(value)
    return amount if amount is None else kind(amount)


def _amount(value: Any) -> float | None:
    is_amount = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if is_amount else None


def _from_chatgpt(value: dict[str, Any], now: datetime) -> Record:
    created_at = _moment(value.get("create_time"), now) or now
    nodes = {node_id: _object(node) for node_id, node in value["mapping"].items()}
    said = {
        node_id: message
        for node_id, node in nodes.items()
        if (message := _from_node(node_id, _object(node.get("message")), created_at, now))
    }
    nearest = _nearest_kept(nodes, said)
    linked = [replace(message, parent_id=nearest.get(_parent(nodes[node_id]))) for node_id, message in said.items()]
    heads, messages = _joined(_in_order(linked))
    conversation = Conversation(
        id="",
        user_id="",
        title=_title(value.get("title"), messages),
        model=_label(value.get("default_model_slug")),
        temperature=None,
        system="",
        leaf_id=heads.get(nearest.get(_text(value.get("current_node")))),
        created_at=created_at,
        updated_at=_moment(value.get("update_time"), now) or created_at,
    )
    return Record(conversation, messages)


def _from_node(node_id: str, value: dict[str, Any], created_at: datetime, now: datetime) -> Message | None:
    """The message of a node; None for what nobody said or saw: instructions, tools and what goes to them."""
    role, metadata = _object(value.get("author")).get("role"), _object(value.get("metadata"))
    if role not in ("user", "assistant") or metadata.get("is_visually_hidden_from_conversation"):
        return None
    if value.get("recipient", "all") not in ("all", None):
        return None
    text, thought = _content(_object(value.get("content")))
    if not text.strip() and not thought:
        return None
    return Message(
        id=node_id,
        conversation_id="",
        parent_id=None,
        role=role,
        text=text,
        status="done",
        created_at=_moment(value.get("create_time"), now) or created_at,
        thought=thought,
        model=_label(metadata.get("model_slug")) if role == "assistant" else "",
        outcome=Outcome("done") if role == "assistant" else None,
    )


def _content(content: dict[str, Any]) -> tuple[str, str]:
    """Text and thought of a ChatGPT message."""
    if content.get("content_type") == "thoughts":
        thoughts = content.get("thoughts")
        thoughts = [_object(thought) for thought in thoughts] if isinstance(thoughts, list) else []
        return "", "\n\n".join(_text(thought.get("content")) for thought in thoughts)
    parts = content.get("parts")
    if isinstance(parts, list):
        return "\n\n".join(filter(None, map(_part, parts))), ""
    return _text(content.get("text")), ""


def _part(part: object) -> str:
    """A part of a message; what is not text is named."""
    if isinstance(part, str):
        return clean(part)
    value = _object(part)
    if isinstance(value.get("text"), str):  # what was heard
        return clean(value["text"])
    kind = _text(value.get("content_type"))
    if "image" in kind:
        return _("[image]")
    return _("[audio]") if "audio" in kind else _("[file]")


def _nearest_kept(nodes: Mapping[str, dict[str, Any]], kept: Iterable[str]) -> dict[str | None, str | None]:
    """For each node the closest one upward that is kept, which may be itself."""
    nearest: dict[str | None, str | None] = {node_id: node_id for node_id in kept}
    for node_id in nodes:
        way: list[str] = []
        at: str | None = node_id
        while at is not None and at in nodes and at not in nearest:
            nearest[at] = None  # where a circle would end
            way.append(at)
            at = _parent(nodes[at])
        nearest |= dict.fromkeys(way, nearest.get(at))
    return nearest


def _joined(messages: Sequence[Message]) -> tuple[dict[str | None, str], list[Message]]:
    """Replies that follow upon replies made one, as ChatGPT shows them; and the id that each message went into."""
    children = Counter(message.parent_id for message in messages)
    roles = {message.id: message.role for message in messages}
    heads: dict[str | None, str] = {}
    groups: dict[str, list[Message]] = {}
    for message in messages:
        parent_id = message.parent_id
        goes_on = parent_id and message.role == roles[parent_id] == "assistant" and children[parent_id] == 1
        heads[message.id] = heads[parent_id] if goes_on else message.id
        groups.setdefault(heads[message.id], []).append(message)
    return heads, [
        replace(
            group[0],
            parent_id=heads.get(group[0].parent_id),
            text="\n\n".join(message.text for message in group if message.text),
            thought="\n\n".join(message.thought for message in group if message.thought),
            model=next((message.model for message in group if message.model), ""),
        )
        for group in groups.values()
    ]


def _in_order(messages: Sequence[Message]) -> list[Message]:
    try:
        return in_order(messages)
    except ValueError:
        raise _broken() from None


def _title(value: object, messages: Sequence[Message]) -> str:
    title = " ".join(_text(value).split())[:LONGEST_TITLE_CHARS]
    return title or title_of(next((message.text for message in messages if message.text), "")) or _("New chat")


def _moment(value: object, now: datetime) -> datetime | None:
    """A time in ISO 8601 or in seconds since 1970, not later than now; None where it is neither."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif isinstance(value, (int, float)):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(aware.astimezone(UTC), now)
    except (ValueError, OverflowError, OSError):
        return None


def _parent(node: dict[str, Any]) -> str | None:
    parent = node.get("parent")
    return parent if isinstance(parent, str) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""


def _label(value: object) -> str:
    return _text(value)[:MAX_LABEL_CHARS]


def _too_large() -> TooLarge:
    return TooLarge(
        _("What this file holds is too large: %(limit)s MB are allowed.") % {"limit": MAX_JSON_BYTES // 2**20}
    )


def _nothing_there() -> Invalid:
    return Invalid(_("This file holds no conversations of Lockchat or ChatGPT."))


def _broken() -> Invalid:
    return Invalid(_("This file is broken: its messages do not fit together."))
