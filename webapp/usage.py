"""What was used of the models in a number of days: by day, by user and by model, for administrators.

The figures are counted when replies end. They hold no text, and are kept when chats are deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from webapp.storage import Storage, accounts, spending
from webapp.storage.spending import Figures

PERIODS = (7, 30, 90, 365)  # days
MOST_ROWS = 200  # of a table: the users and models that used most


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of each day of a period, the first day first; of users by name and of models, the most used first.

    The name of users without an account is empty.
    """

    days: Sequence[tuple[date, Figures]]
    users: Sequence[tuple[str, Figures]]
    models: Sequence[tuple[str, Figures]]
    total: Figures


class Usage:
    """The usage of one instance. `way` is how its users sign in."""

    def __init__(self, storage: Storage, way: str) -> None:
        self._storage = storage
        self._way = way

    def report(self, days: int) -> Report:
        """The figures of the last `days` days in UTC, with today."""
        today = datetime.now(UTC).date()
        period = [today - timedelta(days=back) for back in reversed(range(days))]
        since = period[0].isoformat()
        with self._storage.read() as tx:
            by_day = spending.figures(tx, "day", since)
            by_user = spending.figures(tx, "user_id", since)
            by_model = spending.figures(tx, "model", since)
            names = {account.user_id: account.name for account in accounts.all_of(tx, self._way)}
        known = [(names[user_id], figures) for user_id, figures in by_user.items() if user_id in names]
        gone = [figures for user_id, figures in by_user.items() if user_id not in names]
        return Report(
            days=[(day, by_day.get(day.isoformat(), Figures())) for day in period],
            users=_most_used([*known, *([("", sum(gone, Figures()))] if gone else [])]),
            models=_most_used(list(by_model.items())),
            total=sum(by_day.values(), Figures()),
        )


def _most_used(rows: list[tuple[str, Figures]]) -> list[tuple[str, Figures]]:
    return sorted(rows, key=lambda row: (-row[1].tokens, -row[1].messages, row[0]))[:MOST_ROWS]
