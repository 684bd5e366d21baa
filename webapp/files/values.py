"""Single values of a foreign file, each checked, and the record that every format is read into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from webapp.chat import Conversation, Message
from webapp.errors import Invalid
from webapp.language import gettext as _
from webapp.text import LONGEST_TITLE_CHARS, clean, title_of
from webapp.tree import in_order

MAX_LABEL_CHARS = 200  # of a model's name and the like, which are cut


@dataclass(frozen=True, slots=True)
class Record:
    """A conversation with all its messages, every branch, parents first."""

    conversation: Conversation
    messages: list[Message]


def ordered(messages: Sequence[Message]) -> list[Message]:
    try:
        return in_order(messages)
    except ValueError:
        raise broken() from None


def title(value: object, messages: Sequence[Message]) -> str:
    title = " ".join(text(value).split())[:LONGEST_TITLE_CHARS]
    return title or title_of(next((message.text for message in messages if message.text), "")) or _("New chat")


def moment(value: object, now: datetime) -> datetime | None:
    """A time in ISO 8601 or in seconds since 1970, not later than now; None where it is neither."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif isinstance(value, (int, float)):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(aware.astimezone(UTC), now)
    except (ValueError, OverflowError, OSError):
        return None


def an_object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""


def label(value: object) -> str:
    return text(value)[:MAX_LABEL_CHARS]


def amount(value: Any) -> float | None:
    is_amount = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if is_amount else None


def broken() -> Invalid:
    return Invalid(_("This file is broken: its messages do not fit together."))
