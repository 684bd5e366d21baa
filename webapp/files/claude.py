"""Claude's export: a list of conversations, each with its `chat_messages`.

There is no specification. A message has a `sender`, `content` parts of type text, thinking, tool_use and tool_result,
the older whole `text`, and in newer exports a `parent_message_uuid`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from webapp.chat import Message, Role
from webapp.files import foreign
from webapp.files.record import Record
from webapp.files.values import an_object, broken, items, label, moment, text

ROLES: dict[object, Role] = {"human": "user", "user": "user", "assistant": "assistant"}
# What a tool was given to write or to run, by its name in the export. Other tools only look something up.
CODE_KEYS = {"repl": "code", "analysis_tool": "code", "bash_tool": "command", "create_file": "file_text"}
ARTIFACT = re.compile(r"<(/?)antArtifact\b([^<>]*)>\s?")  # in the text of the oldest exports
ATTRIBUTE = re.compile(r'\b(title|type|language)="([^"]*)"')
THINKING = re.compile(r"<antThinking>([^<]*)</antThinking>\s?")
LANGUAGES = {"repl": "javascript", "analysis_tool": "javascript", "bash_tool": "bash"}


def read(value: dict[str, Any], now: datetime) -> Record | None:
    """The record of one conversation, times at most `now`; None if it has no messages. Raises Invalid."""
    values = value.get("chat_messages")
    if not isinstance(values, list):
        raise broken()
    created_at = moment(value.get("created_at"), now) or now
    parents: dict[str, str | None] = {}
    messages: list[Message | None] = []
    last = ""
    for number, item in enumerate(map(an_object, values)):
        message_id = text(item.get("uuid")) or str(number)
        parents[message_id] = text(item.get("parent_message_uuid")) or last or None
        last = message_id
        messages.append(_message(message_id, item, moment(item.get("created_at"), now) or created_at))
    return foreign.record(
        messages,
        parents,
        name=value.get("name"),
        leaf=value.get("current_leaf_message_uuid") or last,
        times=(value.get("created_at"), value.get("updated_at")),
        now=now,
        model=value.get("model"),
    )


def _message(message_id: str, value: dict[str, Any], created_at: datetime) -> Message | None:
    role = ROLES.get(text(value.get("sender")))
    if role is None:
        return None
    parts = [an_object(part) for part in items(value.get("content"))]
    said = foreign.joined(*_shown(parts))
    if not said and not any(part.get("type") == "tool_use" for part in parts):  # else it says that it cannot show them
        said = text(value.get("text"))
    reasoning = foreign.joined(*(text(part.get("thinking")) for part in parts), *THINKING.findall(said))
    said = ARTIFACT.sub(_artifact_tag, THINKING.sub("", said)).strip() if role == "assistant" else said
    names = [_attachment(one) for one in items(value.get("attachments"))]
    names += [foreign.file_named(one, "file_name") for one in items(value.get("files"))]
    return foreign.message(
        message_id, role, foreign.joined(said, *names), created_at, reasoning=reasoning, model=value.get("model")
    )


def _artifact_tag(tag: re.Match[str]) -> str:
    if tag[1]:
        return "\n````\n"
    values = dict(ATTRIBUTE.findall(tag[2]))
    language = values.get("language") or _language(values.get("type", ""))
    return f"**{values.get('title', '')}**\n\n````{language}\n"


def _shown(parts: list[dict[str, Any]]) -> list[str]:
    """The texts of the parts: what was said, written into a document, or run with its output."""
    said = []
    name = ""
    for part in parts:
        kind, name = part.get("type"), text(part.get("name")) or name  # some results name no tool
        if kind == "tool_use":
            said.append(_written(name, an_object(part.get("input"))))
        elif kind == "tool_result" and name in LANGUAGES:
            output = foreign.joined(*foreign.texts_of(part.get("content"))) or text(part.get("content"))
            said.append(foreign.fenced(output) if output else "")
        elif kind != "tool_result":
            said.append(text(part.get("text")))
    return said


def _written(tool: str, given: dict[str, Any]) -> str:
    """What a tool was given to write or to run; "" for other tools."""
    if tool == "artifacts":
        kind = text(given.get("type"))
        said, change = text(given.get("content")), text(given.get("new_str"))
        if change:  # an update names no language
            return foreign.fenced(change)
        language = text(given.get("language")) or ("" if kind in ("", "text/markdown") else _language(kind))
        return foreign.document(label(given.get("title")), said, language) if said else ""
    said = text(given.get(CODE_KEYS.get(tool, "")))
    if tool == "create_file":
        return foreign.document(label(given.get("path")), said, "text") if said else ""
    return foreign.fenced(said, LANGUAGES[tool]) if said else ""


def _language(kind: str) -> str:
    """The language of an artifact of this type, such as text/html or application/vnd.ant.react."""
    return {"image/svg+xml": "svg"}.get(kind) or kind.rpartition("/")[2].rpartition(".")[2]


def _attachment(value: object) -> str:
    """The name of an attachment and the text that was taken from it: pasted text has no name."""
    content = text(an_object(value).get("extracted_content"))
    name = label(an_object(value).get("file_name"))
    return foreign.joined(
        foreign.file_named(value, "file_name") if name or not content else "",
        foreign.fenced(content) if content else "",
    )
