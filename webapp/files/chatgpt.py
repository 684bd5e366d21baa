"""ChatGPT's export: a list of conversations.

Each has a `mapping` of nodes that name their `parent`, and a `current_node`. There is no specification: each value that
this module allows to be missing or of another type is so in a real export.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from webapp.chat import Message
from webapp.files import foreign
from webapp.files.citations import resolved
from webapp.files.record import Record
from webapp.files.values import an_object, items, label, moment, nothing_there, text
from webapp.language import gettext as _
from webapp.text import clean

CANVAS = "canmore."
RUNNERS = ("python", "container.exec")  # tools that run code for the reader; others search


def read(value: dict[str, Any], now: datetime) -> Record | None:
    """The record of one conversation, times at most `now`; None if it has no messages. Raises Invalid."""
    if not isinstance(value["mapping"], dict):
        raise nothing_there()
    created_at = moment(value.get("create_time"), now) or now
    nodes = {node_id: an_object(node) for node_id, node in value["mapping"].items()}
    parents = {node_id: text(node.get("parent")) or None for node_id, node in nodes.items()}
    messages = [_from_node(node_id, an_object(node.get("message")), created_at, now) for node_id, node in nodes.items()]
    record = foreign.record(
        messages,
        parents,
        name=value.get("title"),
        leaf=value.get("current_node"),
        times=(value.get("create_time"), value.get("update_time")),
        now=now,
        model=value.get("default_model_slug"),
    )
    if record is None:
        return None
    heads, joined = _joined(list(record.messages))
    return Record(replace(record.conversation, leaf_id=heads.get(record.conversation.leaf_id)), joined)


def _from_node(node_id: str, value: dict[str, Any], created_at: datetime, now: datetime) -> Message | None:
    """The message of a node; None for hidden and empty ones and instructions. Output of tools is the reply's."""
    role, metadata = an_object(value.get("author")).get("role"), an_object(value.get("metadata"))
    if metadata.get("is_visually_hidden_from_conversation") or role not in ("user", "assistant", "tool"):
        return None
    content = an_object(value.get("content"))
    if role == "tool":
        said, reasoning = _tool_output(content), ""
    else:
        said, reasoning = _content(content, text(value.get("recipient")) or "all", metadata)
    if role == "assistant":
        said = resolved(said, metadata)
    return foreign.message(
        node_id,
        "user" if role == "user" else "assistant",
        said,
        moment(value.get("create_time"), now) or created_at,
        reasoning=reasoning,
        model=metadata.get("model_slug"),
    )


def _content(content: dict[str, Any], recipient: str, metadata: dict[str, Any]) -> tuple[str, str]:
    """The text and the reasoning in the content of a message to the reader or to a tool."""
    kind, said = content.get("content_type"), text(content.get("text"))
    if kind == "thoughts":
        thoughts = [an_object(thought) for thought in items(content.get("thoughts"))]
        return "", foreign.joined(*(text(one.get("content")) or text(one.get("summary")) for one in thoughts))
    if recipient.startswith(CANVAS):
        return _canvas(said or foreign.joined(*map(text, items(content.get("parts"))))), ""
    if kind == "code" and (recipient == "all" or recipient.startswith(RUNNERS)):
        return foreign.fenced(*_run(said, text(content.get("language")))) if said else "", ""
    if recipient != "all" or kind in ("user_editable_context", "model_editable_context"):
        return "", ""
    attachments = [one for one in items(metadata.get("attachments")) if isinstance(one, dict)]
    names = {text(one.get("id")) or text(one.get("name")): foreign.file_named(one, "name") for one in attachments}
    parts = [_part(part, names) for part in items(content.get("parts"))] or [said]
    return foreign.joined(*parts, *names.values()), ""


def _tool_output(content: dict[str, Any]) -> str:
    """What code printed, and the pictures that were drawn; what was searched is left out."""
    if content.get("content_type") == "execution_output":
        said = text(content.get("text"))
        return foreign.fenced(said) if said.strip() else ""
    pictures = [part for part in items(content.get("parts")) if isinstance(part, dict)]
    return foreign.joined(*(_part(part, {}) for part in pictures))


def _run(said: str, language: str) -> tuple[str, str]:
    """The code that was run, and its language. A shell gets a JSON object with its command."""
    if said.startswith("{"):
        with suppress(ValueError, RecursionError):
            command = an_object(json.loads(said)).get("cmd")
            if command and all(isinstance(word, str) for word in items(command)):
                return text(command if isinstance(command, str) else command[-1]), "bash"
    return said, "" if language == "unknown" else language


def _canvas(said: str) -> str:
    """The document in a message to the canvas: a whole one, the changes to one, or the comments on it."""
    try:
        value = an_object(json.loads(said))
    except (ValueError, RecursionError):
        return foreign.fenced(said) if said else ""
    kind, name = text(value.get("type")), label(value.get("name"))
    if body := text(value.get("content")):
        return foreign.document(name, body, kind.partition("/")[2] or ("code" if kind == "code" else ""))
    changes = map(an_object, items(value.get("updates")) + items(value.get("comments")))
    return foreign.joined(*(text(one.get("replacement")) or text(one.get("comment")) for one in changes))


def _part(part: object, names: dict[str, str]) -> str:
    """The text of a part, or the name of its file, which is taken out of `names`; else the name of its kind."""
    value = an_object(part)
    said = part if isinstance(part, str) else value.get("text")  # the transcript of audio
    if isinstance(said, str):
        return clean(said)
    if name := names.pop(text(value.get("asset_pointer")).rpartition("/")[2], ""):
        return name
    kind = text(value.get("content_type"))
    if "image" in kind:
        return _("[image]")
    return _("[audio]") if "audio" in kind else _("[file]")


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
