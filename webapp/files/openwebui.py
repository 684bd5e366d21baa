"""Open WebUI's export: a list of chats, each with its `chat`.

A chat has `history.messages`, a tree of messages that name their `parentId`, and `history.currentId`; the oldest ones
have a list of `messages` only: https://github.com/open-webui/open-webui (backend/open_webui/models/chats.py).
"""

from __future__ import annotations

import html
import re
from datetime import datetime
from typing import Any

from webapp.chat import Message
from webapp.files import foreign
from webapp.files.record import Record
from webapp.files.values import an_object, broken, items, moment, text

OPENING = re.compile(r'<details type="(reasoning|code_interpreter|tool_calls)"[^<>]*>\s*')
CLOSING = "</details>"


def read(value: dict[str, Any], now: datetime) -> Record | None:
    """The record of one chat, times at most `now`; None if it has no messages. Raises Invalid."""
    chat = an_object(value.get("chat")) or value
    history = an_object(chat.get("history"))
    nodes = an_object(history.get("messages")) or _chain(chat.get("messages"))
    if not nodes and not isinstance(history.get("messages"), dict) and not isinstance(chat.get("messages"), list):
        raise broken()
    created_at = moment(value.get("created_at"), now) or moment(chat.get("timestamp"), now) or now
    messages = [_message(node_id, an_object(node), created_at, now) for node_id, node in nodes.items()]
    params = an_object(chat.get("params"))
    return foreign.record(
        messages,
        {node_id: text(an_object(node).get("parentId")) or None for node_id, node in nodes.items()},
        name=value.get("title") or chat.get("title"),
        leaf=history.get("currentId") or next(reversed(nodes), ""),
        times=(value.get("created_at") or chat.get("timestamp"), value.get("updated_at")),
        now=now,
        model=next(iter(items(chat.get("models"))), ""),
        options={"system": params.get("system") or chat.get("system"), "temperature": params.get("temperature")},
    )


def _chain(values: object) -> dict[str, dict[str, Any]]:
    """The nodes of a list: each message answers the one before it, unless it names another."""
    nodes: dict[str, dict[str, Any]] = {}
    last = ""
    for number, value in enumerate(map(an_object, items(values))):
        node_id = text(value.get("id")) or str(number)
        nodes[node_id] = {"parentId": last} | value
        last = node_id
    return nodes


def _message(node_id: str, value: dict[str, Any], created_at: datetime, now: datetime) -> Message | None:
    role, content = value.get("role"), value.get("content")
    if role not in ("user", "assistant"):
        return None
    output = [an_object(item) for item in items(value.get("output"))]
    content = text(content) or foreign.joined(*foreign.texts_of(content)) or _outputs(output, "message")
    said, reasoning = _parted(content) if role == "assistant" else (content, "")
    reasoning = reasoning or text(value.get("reasoning_content")) or _outputs(output, "reasoning")
    names = [foreign.file_named(an_object(file), "name", "filename") for file in items(value.get("files"))]
    return foreign.message(
        node_id,
        role,
        foreign.joined(said, *names),
        moment(value.get("timestamp"), now) or created_at,
        reasoning=reasoning,
        model=value.get("model"),
    )


def _outputs(values: list[dict[str, Any]], kind: str) -> str:
    """The texts in the outputs of this kind, which newer versions keep beside or instead of the content."""
    found = [value for value in values if value.get("type") == kind]
    return foreign.joined(
        *(part for one in found for part in foreign.texts_of(one.get("content") or one.get("summary")))
    )


def _parted(content: str) -> tuple[str, str]:
    """The text and the reasoning in the content of a reply. Code that was run stays, tool calls go."""
    said, thoughts = [], []
    *pieces, rest = content.split(CLOSING)
    for piece, end in [(piece, CLOSING) for piece in pieces] + [(rest, "")]:
        opening = OPENING.search(piece)
        if opening is None:
            said.append(piece + end)
            continue
        said.append(piece[: opening.start()])
        body = _without_summary(piece[opening.end() :])
        if opening[1] == "reasoning":
            lines = html.unescape(body).split("\n")
            thoughts.append("\n".join(line.removeprefix(">").removeprefix(" ") for line in lines).strip())
        elif opening[1] == "code_interpreter":
            said.append(html.unescape(body))
    return "".join(said).strip(), foreign.joined(*thoughts)


def _without_summary(body: str) -> str:
    summary, closing, rest = body.partition("</summary>")
    return rest.strip("\n") if closing and summary.startswith("<summary>") else body
