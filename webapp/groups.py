"""Groups the list of conversations by the day of their last use, as the reader counts days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from webapp.chat import Listed
from webapp.language import gettext as _
from webapp.language import month

WEEK = timedelta(days=7)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # the first years have no time in some zones


@dataclass(frozen=True, slots=True)
class Group:
    """A heading of the list, and its conversations. `key` is the same in every language."""

    key: str
    name: str
    conversations: tuple[Listed, ...]


def grouped(listed: Iterable[Listed], now: datetime, *, is_start: bool = True) -> list[Group]:
    """The groups of a page of the list: pinned, today, yesterday, the seven days before today, then months.

    The days are those of the time zone of `now`. The first page has a group for today, if only an empty one.
    """
    today = now.date()
    groups = [
        Group(key, _name(key), tuple(members)) for key, members in groupby(listed, lambda one: _key(one, now, today))
    ]
    if is_start and all(group.key != "today" for group in groups):
        has_pinned = bool(groups) and groups[0].key == "pinned"
        groups.insert(has_pinned, Group("today", _name("today"), ()))
    return groups


def _key(one: Listed, now: datetime, today: date) -> str:
    day = max(one.updated_at, EARLIEST).astimezone(now.tzinfo).date()
    if one.pinned:
        return "pinned"
    if day >= today:  # or later, where a clock was set back
        return "today"
    if day == today - timedelta(days=1):
        return "yesterday"
    return "week" if day >= today - WEEK else day.isoformat()[:7]


def _name(key: str) -> str:
    names = {"pinned": _("Pinned"), "today": _("Today"), "yesterday": _("Yesterday"), "week": _("Previous 7 days")}
    return names.get(key) or month(date.fromisoformat(f"{key}-01"))
