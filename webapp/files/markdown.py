"""A conversation as Markdown, for people to read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from webapp.chat import Message
from webapp.files.record import Record, data_url
from webapp.language import gettext as _

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)


def write(record: Record, note: Callable[[Message], str]) -> Iterator[str]:
    """Yield the shown branch in parts. `note` returns a sentence about how a reply ended, or ""."""
    conversation = record.conversation
    yield f"# {conversation.title}\n\n*{conversation.model}, {conversation.created_at:%Y-%m-%d %H:%M} UTC*\n"
    if conversation.system:
        yield "\n" + "\n".join(f"> {line}".rstrip() for line in conversation.system.split("\n")) + "\n"
    for message in record.shown:
        by = _("You") if message.role == "user" else _("Assistant")
        yield f"\n## {by} ({message.model})\n" if message.model else f"\n## {by}\n"
        if message.text:
            yield f"\n{_closed(message.text)}\n"
        for number, picture in enumerate(message.pictures, 1):
            yield f"\n![{_('Picture %(num)s from the model') % {'num': number}}]("
            yield from data_url(record, picture)
            yield ")\n"
        if sentence := note(message):
            yield f"\n*{sentence}*\n"


def _closed(text: str) -> str:
    """The text; closes a code block that is open at its end, so that the next message is not part of it."""
    fence = ""
    for mark, rest in FENCE.findall(text):
        if not fence:
            fence = mark
        elif mark.startswith(fence) and not rest.strip():
            fence = ""
    return f"{text}\n{fence}" if fence else text
