"""Checks of the values in a file that somebody imports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from webapp.chat import Message
from webapp.errors import Invalid
from webapp.language import gettext as _
from webapp.settings import temperature_of
from webapp.text import LONGEST_TITLE_CHARS, clean, title_of
from webapp.tree import in_order

MAX_LABEL_CHARS = 200  # longer names of models and the like are cut


def ordered(messages: Sequence[Message]) -> list[Message]:
    """The messages, parents before their children. Raises Invalid where they are no tree."""
    try:
        return in_order(messages)
    except ValueError:
        raise broken() from None


def title(value: object, messages: Sequence[Message]) -> str:
    """The title on one line, or the first words of the messages."""
    line = " ".join(text(value).split())[:LONGEST_TITLE_CHARS]
    return line or title_of(next((message.text for message in messages if message.text), "")) or _("New chat")


def moment(value: Any, now: datetime) -> datetime | None:
    """A time in ISO 8601 or in seconds or smaller units since 1970, at most `now`; None for any other value."""
    while isinstance(value, (int, float)) and abs(value) > 1e11 and value < 1e20:  # in milli-, micro- or nanoseconds
        value /= 1000
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        return min(aware.astimezone(UTC), now)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def temperature(value: object) -> float | None:
    """The temperature; None for any other value."""
    with suppress(Invalid):
        return temperature_of(value)
    return None


def an_object(value: object) -> dict[str, Any]:
    """The JSON object; an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """The JSON list; an empty one for any other value."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """The cleaned text; "" for any other value."""
    return clean(value) if isinstance(value, str) else ""


def label(value: object) -> str:
    """The first MAX_LABEL_CHARS characters of a text; "" for any other value."""
    return text(value)[:MAX_LABEL_CHARS]


def broken() -> Invalid:
    """The error for messages that are no tree or lack an id or a role."""
    return Invalid(_("This file is broken: its messages do not fit together."))


def nothing_there() -> Invalid:
    """The error for a file without a conversation that can be read."""
    return Invalid(_("This file holds no conversations of Lockchat, ChatGPT, Claude, Open WebUI or LibreChat."))
