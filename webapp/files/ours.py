"""Our own JSON, as `transfer` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from webapp.chat import Conversation, Message, Status
from webapp.errors import Invalid
from webapp.files.values import Record, amount, an_object, broken, label, moment, ordered, text, title
from webapp.language import gettext as _
from webapp.outcomes import FIELDS, from_flat
from webapp.settings import temperature_of
from webapp.transfer import NAMES, VERSION

FINISHED: Mapping[object, Status] = {
    "done": "done",
    "stopped": "stopped",
    "interrupted": "interrupted",
    "error": "error",
    "streaming": "interrupted",  # it ran while it was exported
}


def read(value: dict[str, Any], now: datetime) -> Record:
    if value.get("version") != VERSION:
        raise Invalid(_("This file was made by another version of Lockchat."))
    created_at = moment(value.get("created_at"), now) or now
    values = value.get("messages")
    if not isinstance(values, list) or not values:
        raise broken()
    messages = ordered([_from_our_message(item, created_at, now) for item in values])
    try:
        temperature = temperature_of(value.get("temperature"))
    except Invalid:
        temperature = None
    conversation = Conversation(
        id="",
        user_id="",
        title=title(value.get("title"), messages),
        model=label(value.get("model")),
        temperature=temperature,
        system=text(value.get("system")),
        leaf_id=text(value.get("leaf")),
        created_at=created_at,
        updated_at=moment(value.get("updated_at"), now) or created_at,
        pinned=value.get("pinned") is True,
    )
    return Record(conversation, messages)


def _from_our_message(value: Any, created_at: datetime, now: datetime) -> Message:
    value = an_object(value)
    message_id, parent_id, role = value.get("id"), value.get("parent"), value.get("role")
    if not isinstance(message_id, str) or not isinstance(parent_id, str | None) or role not in ("user", "assistant"):
        raise broken()
    status = value.get("status")
    status = FINISHED.get(status, "done") if isinstance(status, str) and role == "assistant" else "done"
    outcome = {name: _field(kind, value.get(NAMES.get(name, name))) for name, kind in FIELDS.items()}
    return Message(
        id=message_id,
        conversation_id="",
        parent_id=parent_id,
        role=role,
        text=text(value.get("text")),
        status=status,
        created_at=moment(value.get("created_at"), now) or created_at,
        thought=text(value.get("thought")),
        model=label(value.get("model")),
        outcome=from_flat(outcome | {"status": status}),
    )


def _field(kind: type, value: Any) -> str | float | None:
    if kind is str:
        return label(value) or None
    found = amount(value)
    return found if found is None else kind(found)
