"""ChatGPT's export: a list of conversations.

Each has a `mapping` of nodes that name their `parent`, and a `current_node`. There is no specification: each value that
this module allows to be missing or of another type is so in a real export.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from webapp.chat import Conversation, Message, Outcome
from webapp.files.record import Record
from webapp.files.values import an_object, label, moment, ordered, text, title
from webapp.language import gettext as _
from webapp.text import clean


def read(value: dict[str, Any], now: datetime) -> Record | None:
    """The record of one conversation, times at most `now`; None if it has no messages. Raises Invalid."""
    created_at = moment(value.get("create_time"), now) or now
    nodes = {node_id: an_object(node) for node_id, node in value["mapping"].items()}
    said = {
        node_id: message
        for node_id, node in nodes.items()
        if (message := _from_node(node_id, an_object(node.get("message")), created_at, now))
    }
    nearest = _nearest_kept(nodes, said)
    linked = [replace(message, parent_id=nearest.get(_parent(nodes[node_id]))) for node_id, message in said.items()]
    heads, messages = _joined(ordered(linked))
    if not messages:
        return None
    conversation = Conversation(
        id="",
        user_id="",
        title=title(value.get("title"), messages),
        model=label(value.get("default_model_slug")),
        temperature=None,
        system="",
        leaf_id=heads.get(nearest.get(text(value.get("current_node")))),
        created_at=created_at,
        updated_at=moment(value.get("update_time"), now) or created_at,
    )
    return Record(conversation, messages)


def _from_node(node_id: str, value: dict[str, Any], created_at: datetime, now: datetime) -> Message | None:
    """The message of a node; None for hidden and empty ones, instructions, and messages from or to tools."""
    role, metadata = an_object(value.get("author")).get("role"), an_object(value.get("metadata"))
    is_hidden = metadata.get("is_visually_hidden_from_conversation") or value.get("recipient") not in ("all", None)
    if is_hidden or role not in ("user", "assistant"):
        return None
    said, reasoning = _content(an_object(value.get("content")))
    if not said.strip() and not reasoning:
        return None
    return Message(
        id=node_id,
        conversation_id="",
        parent_id=None,
        role=role,
        text=said,
        status="done",
        created_at=moment(value.get("create_time"), now) or created_at,
        reasoning=reasoning,
        model=label(metadata.get("model_slug")) if role == "assistant" else "",
        outcome=Outcome("done") if role == "assistant" else None,
    )


def _content(content: dict[str, Any]) -> tuple[str, str]:
    """The text and the reasoning in the content of a message."""
    if content.get("content_type") == "thoughts":
        thoughts = content.get("thoughts")
        thoughts = [an_object(one) for one in thoughts] if isinstance(thoughts, list) else []
        return "", "\n\n".join(text(one.get("content")) for one in thoughts)
    parts = content.get("parts")
    if isinstance(parts, list):
        return "\n\n".join(filter(None, map(_part, parts))), ""
    return text(content.get("text")), ""


def _part(part: object) -> str:
    """The text of a part, or the name of its kind."""
    value = an_object(part)
    said = part if isinstance(part, str) else value.get("text")  # the transcript of audio
    if isinstance(said, str):
        return clean(said)
    kind = text(value.get("content_type"))
    if "image" in kind:
        return _("[image]")
    return _("[audio]") if "audio" in kind else _("[file]")


def _nearest_kept(nodes: Mapping[str, dict[str, Any]], kept: Iterable[str]) -> dict[str | None, str | None]:
    """For each node the id of the nearest kept one among itself and its ancestors."""
    nearest: dict[str | None, str | None] = {node_id: node_id for node_id in kept}
    for node_id in nodes:
        way: list[str] = []
        at: str | None = node_id
        while at is not None and at in nodes and at not in nearest:
            nearest[at] = None  # ends a circle of parents
            way.append(at)
            at = _parent(nodes[at])
        nearest |= dict.fromkeys(way, nearest.get(at))
    return nearest


def _joined(messages: Sequence[Message]) -> tuple[dict[str | None, str], list[Message]]:
    """Join replies that directly follow replies, as ChatGPT shows them; with the id that each message is joined to."""
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
            reasoning="\n\n".join(message.reasoning for message in group if message.reasoning),
            model=next((message.model for message in group if message.model), ""),
        )
        for group in groups.values()
    ]


def _parent(node: dict[str, Any]) -> str | None:
    parent = node.get("parent")
    return parent if isinstance(parent, str) else None
