"""LibreChat's export: one conversation, or a list of them.

Its `messages` are a list; a recursive export has a tree of `children` in them or in `messagesTree`:
https://github.com/danny-avila/LibreChat (client/src/hooks/Conversations/useExportConversation.ts).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from webapp.chat import Message
from webapp.files import foreign
from webapp.files.record import Record
from webapp.files.values import an_object, broken, items, moment, text

THINKING, THOUGHT = ":::thinking\n", "\n:::\n"


def read(value: dict[str, Any], now: datetime) -> Record | None:
    """The record of one conversation, times at most `now`; None if it has no messages. Raises Invalid."""
    values = value.get("messagesTree") or value.get("messages")
    if isinstance(values, dict):
        values = values.get("children")
    if not isinstance(values, list):
        raise broken()
    parents: dict[str, str | None] = {}
    messages: list[Message | None] = []
    for message_id, parent_id, item in _flat(values):
        parents[message_id] = parent_id
        messages.append(_message(message_id, item, now))
    options = an_object(value.get("options"))
    return foreign.record(
        messages,
        parents,
        name=value.get("title"),
        leaf=next(reversed(parents), ""),
        times=(value.get("createdAt"), value.get("updatedAt")),
        now=now,
        model=options.get("model") or value.get("model"),
        options={
            "system": options.get("system") or options.get("promptPrefix"),
            "temperature": options.get("temperature"),
        },
    )


def _flat(values: list[Any]) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """Yield the id, the parent's id and the object of each message, parents first."""
    waiting: list[tuple[Any, str | None]] = [(value, None) for value in reversed(values)]
    number = 0
    while waiting:
        value, above = waiting.pop()
        item = an_object(value)
        number += 1
        message_id = text(item.get("messageId")) or f"#{number}"
        yield message_id, above or text(item.get("parentMessageId")) or None, item
        waiting += [(child, message_id) for child in reversed(items(item.get("children")))]


def _message(message_id: str, value: dict[str, Any], now: datetime) -> Message | None:
    is_user = value.get("isCreatedByUser")
    if not isinstance(is_user, bool):
        is_user = text(value.get("sender")).lower() == "user"
    said, reasoning = _content(value)
    names = [foreign.file_named(file, "filename", "name") for file in items(value.get("files"))]
    return foreign.message(
        message_id,
        "user" if is_user else "assistant",
        foreign.joined(said, *names),
        moment(value.get("createdAt"), now) or now,
        reasoning=reasoning,
        model=value.get("model"),
    )


def _content(value: dict[str, Any]) -> tuple[str, str]:
    """The text and the reasoning of a message. Tool calls go."""
    parts = [an_object(part) for part in items(value.get("content"))]
    said = foreign.joined(*foreign.texts_of(value.get("content"))) or text(value.get("text"))
    thoughts = [text(part.get("think")) for part in parts]
    if said.startswith(THINKING):
        thought, _mark, said = said.removeprefix(THINKING).partition(THOUGHT)
        thoughts.append(thought)
    return said.strip(), foreign.joined(*thoughts)
