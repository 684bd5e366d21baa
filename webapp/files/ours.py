"""Our own JSON: one object for one conversation.

It has `format` ("lockchat"), `version` (1), the conversation's `id` (files of older versions have none), settings and
times, `leaf` (the id of the last message of the shown branch) and `messages`, parents before their children. Times are
in ISO 8601. The `pictures` of a reply are `data:` URLs.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, get_args

from webapp.chat import Conversation, Message, Option, Outcome, Picture, Status
from webapp.errors import Invalid
from webapp.files.record import Record, data_url
from webapp.files.values import an_object, broken, items, label, moment, ordered, temperature, text, title
from webapp.language import gettext as _
from webapp.outcomes import FIELDS, flat, from_flat
from webapp.pictures import MAX_PICTURES, picture_of
from webapp.settings import OPTIONS, options_of
from webapp.text import FOLDER_CHARS

FORMAT = "lockchat"
VERSION = 1
NAMES = {"failure_reason": "failure", "completion_tokens": "tokens"}  # names in the file that differ from FIELDS


def write(record: Record) -> Iterator[str]:
    """Yield the file in parts, message by message: the whole is never in memory."""
    conversation = record.conversation
    value = {
        "format": FORMAT,
        "version": VERSION,
        "id": conversation.id,
        "title": conversation.title,
        "model": conversation.model,
        "temperature": conversation.temperature,
        "system": conversation.system,
        "options": conversation.options,
        "created_at": conversation.created_at.isoformat(),
        "updated_at": conversation.updated_at.isoformat(),
        "pinned": conversation.pinned,
        "folder": conversation.folder,
        "leaf": conversation.leaf_id,
    }
    yield json.dumps(value, ensure_ascii=False, indent=1).removesuffix("\n}") + ',\n "messages": ['
    comma = ""
    for message in record.messages:
        yield f"{comma}\n  {json.dumps(_value_of(message), ensure_ascii=False).removesuffix('}')}"
        yield from _pictures_of(record, message)
        yield "}"
        comma = ","
    yield "\n ]\n}\n"


def _pictures_of(record: Record, message: Message) -> Iterator[str]:
    """Yield the field with the pictures of a message, as `data:` URLs; nothing for a message without any."""
    start = ', "pictures": ["'
    for picture in message.pictures:
        yield start
        yield from data_url(record, picture)
        start = '", "'
    if message.pictures:
        yield '"]'


def _value_of(message: Message) -> dict[str, object]:
    outcome = flat(message.outcome or Outcome(message.status))
    return {
        "id": message.id,
        "parent": message.parent_id,
        "role": message.role,
        "text": message.text,
        "thought": message.reasoning,
        "model": message.model,
        "created_at": message.created_at.isoformat(),
        "window": message.window,
        "least_tokens": message.least_tokens,
        **{NAMES.get(name, name): value for name, value in outcome.items()},
    }


def read(value: dict[str, Any], now: datetime) -> Record:
    """The record in the object of a file; ids are the file's own, times at most `now`. Raises Invalid."""
    if value.get("version") != VERSION:
        raise Invalid(_("This file was made by another version of Lockchat."))
    created_at = moment(value.get("created_at"), now) or now
    values = value.get("messages")
    if not isinstance(values, list) or not values:
        raise broken()
    messages = ordered([_message_of(item, created_at, now) for item in values])
    conversation = Conversation(
        id="",
        user_id="",
        title=title(value.get("title"), messages),
        model=label(value.get("model")),
        temperature=temperature(value.get("temperature")),
        system=text(value.get("system")),
        options=_options(value.get("options")),
        leaf_id=text(value.get("leaf")),
        created_at=created_at,
        updated_at=moment(value.get("updated_at"), now) or created_at,
        pinned=value.get("pinned") is True,
        folder=" ".join(text(value.get("folder")).split())[:FOLDER_CHARS],
    )
    return Record(conversation, messages)


def _options(value: Any) -> dict[str, Option]:
    """The options that are valid."""
    found: dict[str, Option] = {}
    for name in OPTIONS if isinstance(value, dict) else ():
        with suppress(Invalid):
            found |= options_of({name: value.get(name)})
    return found


def _message_of(value: Any, created_at: datetime, now: datetime) -> Message:
    value = an_object(value)
    message_id, parent_id, role = value.get("id"), value.get("parent"), value.get("role")
    if not isinstance(message_id, str) or not isinstance(parent_id, str | None) or role not in ("user", "assistant"):
        raise broken()
    status: Any = value.get("status") if role == "assistant" else "done"
    if status not in get_args(Status):
        status = "done"
    elif status == "streaming":  # the reply was still running during the export
        status = "interrupted"
    outcome = {name: _field(kind, value.get(NAMES.get(name, name))) for name, kind in FIELDS.items()}
    return Message(
        id=message_id,
        conversation_id="",
        parent_id=parent_id,
        role=role,
        text=text(value.get("text")),
        status=status,
        created_at=moment(value.get("created_at"), now) or created_at,
        reasoning=text(value.get("thought")),
        model=label(value.get("model")),
        outcome=from_flat(outcome | {"status": status}),
        window=_field(int, value.get("window")),
        least_tokens=_field(int, value.get("least_tokens")),
        pictures=tuple(filter(None, map(_picture, items(value.get("pictures"))[:MAX_PICTURES]))),
    )


def _picture(value: object) -> Picture | None:
    """The picture in a `data:` URL; None for any other value."""
    start, _comma, data = value.partition(";base64,") if isinstance(value, str) else ("", "", "")
    try:
        return picture_of(binascii.a2b_base64(data)) if start.startswith("data:") else None
    except ValueError:
        return None


def _field(kind: type, value: Any) -> Any:
    """The value as this kind; None for any other."""
    if kind is str:
        return label(value) or None
    if kind is list:
        return value if isinstance(value, list) else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return kind(value) if is_number and 0 <= value < 2**31 else None  # larger ones fit no column
