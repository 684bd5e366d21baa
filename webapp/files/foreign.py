"""What the readers of other products share: messages linked over gaps, and texts for what is not text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from webapp.chat import Conversation, Message, Outcome, Role
from webapp.files.record import Record
from webapp.files.values import an_object, items, label, moment, ordered, temperature, text, title
from webapp.language import gettext as _

BACKTICKS = re.compile(r"`{3,}")


def message(
    message_id: str, role: Role, said: str, created_at: datetime, *, reasoning: str = "", model: object = ""
) -> Message | None:
    """A finished message without a parent; None if it is empty."""
    if not said.strip() and not reasoning.strip():
        return None
    is_reply = role == "assistant"
    return Message(
        id=message_id,
        conversation_id="",
        parent_id=None,
        role=role,
        text=said,
        status="done",
        created_at=created_at,
        reasoning=reasoning,
        model=label(model) if is_reply else "",
        outcome=Outcome("done") if is_reply else None,
    )


def nearest_kept(parents: Mapping[str, str | None], kept: Iterable[str]) -> dict[str | None, str | None]:
    """For each node the id of the nearest kept one among itself and its ancestors."""
    nearest: dict[str | None, str | None] = {node_id: node_id for node_id in kept}
    for node_id in parents:
        way: list[str] = []
        at: str | None = node_id
        while at is not None and at in parents and at not in nearest:
            nearest[at] = None  # ends a circle of parents
            way.append(at)
            at = parents[at]
        nearest |= dict.fromkeys(way, nearest.get(at))
    return nearest


def record(
    messages: Iterable[Message | None],
    parents: Mapping[str, str | None],
    *,
    name: object,
    leaf: object,
    times: tuple[object, object],
    now: datetime,
    model: object = "",
    options: Mapping[str, Any] | None = None,
) -> Record | None:
    """The record of one conversation; None if it has no messages; skips None among them. Raises Invalid.

    A message whose parent is left out is linked to the nearest kept one above it: `parents` also holds the nodes that
    are no messages. `times` are those of the first and the last change, `options` may hold `system` and `temperature`.
    """
    kept = [one for one in messages if one]
    nearest = nearest_kept(parents, [one.id for one in kept])
    tree = ordered([replace(one, parent_id=nearest.get(parents[one.id])) for one in kept])
    if not tree:
        return None
    created_at = moment(times[0], now) or tree[0].created_at
    options = options or {}
    conversation = Conversation(
        id="",
        user_id="",
        title=title(name, tree),
        model=label(model),
        temperature=temperature(options.get("temperature")),
        system=text(options.get("system")),
        leaf_id=nearest.get(text(leaf)),
        created_at=created_at,
        updated_at=moment(times[1], now) or max(one.created_at for one in tree),
    )
    return Record(conversation, tree)


def fenced(code: str, language: str = "") -> str:
    """The text as a code block of Markdown, whatever backticks are in it."""
    longest = max(map(len, BACKTICKS.findall(code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"


def document(name: str, said: str, language: str = "") -> str:
    """A document under its name: Markdown as it is, other languages as code."""
    body = said if language in ("", "markdown") else fenced(said, language)
    return joined(f"**{name}**" if name else "", body)


def joined(*parts: str) -> str:
    """The parts that are not empty, as paragraphs."""
    return "\n\n".join(part for part in parts if part.strip())


def file_named(value: object, *keys: str) -> str:
    """The line that stands for a file: with the name under the first of these keys that has one."""
    file = an_object(value)
    name = next((found for key in keys if (found := label(file.get(key)).strip())), "")
    is_image = any(text(file.get(key)).startswith("image") for key in ("type", "mime_type", "mimeType", "file_type"))
    if not name:
        return _("[image]") if is_image else _("[file]")
    return (_("[image: %(name)s]") if is_image else _("[file: %(name)s]")) % {"name": name}


def texts_of(parts: object) -> list[str]:
    """The texts in a list of content parts, as messages to a model have them; names what is not text."""
    said = []
    for part in items(parts):
        kind, value = text(an_object(part).get("type")), an_object(part).get("text")
        if isinstance(value, dict):  # LibreChat's assistants
            value = value.get("value")
        if isinstance(part, str) or isinstance(value, str):
            said.append(text(part if isinstance(part, str) else value))
        elif "image" in kind:
            said.append(_("[image]"))
    return said
