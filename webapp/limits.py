"""Who may do how much at a time."""

from __future__ import annotations

import threading
from collections import Counter

from webapp.errors import Busy
from webapp.language import gettext as _

RETRY_SECONDS = 5


class Gate:
    """Lets so many in at a time, of one user and in all; whoever came in must `leave`."""

    def __init__(self, per_user: int, total: int) -> None:
        self._per_user = per_user
        self._total = total
        self._inside: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, user_id: str) -> None:
        """Come in. Raises Busy at once where there is no room."""
        with self._lock:
            if self._inside[user_id] >= self._per_user:
                raise Busy(
                    _("Too many of your answers are running. Wait for one, or stop it."), retry_after=RETRY_SECONDS
                )
            if self._inside.total() >= self._total:
                raise Busy(
                    _("This server is answering as many as it can. Try again in a moment."), retry_after=RETRY_SECONDS
                )
            self._inside[user_id] += 1

    def leave(self, user_id: str) -> None:
        """Make room."""
        with self._lock:
            self._inside[user_id] -= 1
            if not self._inside[user_id]:
                del self._inside[user_id]

    def count(self) -> int:
        """How many are inside."""
        return self._inside.total()
