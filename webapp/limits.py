"""Limits for each user and each address: at a time (Gate), and in a period (Allowance).

With open login a browser without its cookie is a new user, so only the limit of its address holds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from webapp.errors import Busy
from webapp.language import gettext as _
from webapp.language import mark, ngettext

RETRY_SECONDS = 5
KEPT_SHARE = 5  # the last fifth of the places is kept for addresses with few
HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
MAX_BALANCES = 10_000  # more than that: drops balances that are full again


@dataclass(frozen=True, slots=True)
class Holder:
    """Who takes places and spends: a user, and the browser's address."""

    user_id: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of a gate or an allowance: for the limit of the user, of the address, and in total."""

    user: str
    address: str
    total: str = ""  # of a gate only


ANSWERS = Words(
    user=mark("Too many of your answers are running. Wait for one, or stop it."),
    address=mark("Too many answers are running at your address. Try again in a moment."),
    total=mark("This server is running as many answers as it can. Try again in a moment."),
)
PAGES = Words(
    user=mark("Too many of your pages are open."),
    address=mark("Too many pages are open at your address."),
    total=mark("Too many pages are open on this server."),
)
FILES = Words(
    user=mark("Another export or import of yours is running. Try again in a moment."),
    address=mark("Too many exports and imports are running at your address. Try again in a moment."),
    total=mark("This server is running as many exports and imports as it can. Try again in a moment."),
)
STORED = Words(
    user=mark("You have stored as much as is allowed in a day."),
    address=mark("Your address has stored as much as is allowed in a day."),
)
IMPORTS = Words(
    user=mark("You have imported as many files as are allowed in an hour."),
    address=mark("Your address has imported as many files as are allowed in an hour."),
)


class Gate:
    """Limits concurrent places, per user, per address and in total.

    The last fifth is for addresses with fewer places than the average. Each `enter` needs a `leave`.
    """

    def __init__(self, words: Words, *, per_user: int, per_address: int, total: int) -> None:
        self._words = words
        self._per_user = per_user
        self._per_address = per_address
        self._total = total
        self._users: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._inside = 0
        self._lock = threading.Lock()

    def enter(self, holder: Holder, amount: int = 1) -> None:
        """Take `amount` places. Raises Busy at once if they are not free."""
        with self._lock:
            if self._users[holder.user_id] + amount > self._per_user:
                raise Busy(_(self._words.user), retry_after=RETRY_SECONDS)
            if self._addresses[holder.address] + amount > self._per_address:
                raise Busy(_(self._words.address), retry_after=RETRY_SECONDS)
            if not self._has_room(holder, amount):
                raise Busy(_(self._words.total), retry_after=RETRY_SECONDS)
            self._users[holder.user_id] += amount
            self._addresses[holder.address] += amount
            self._inside += amount

    def leave(self, holder: Holder, amount: int = 1) -> None:
        """Free `amount` places."""
        with self._lock:
            for held, key in ((self._users, holder.user_id), (self._addresses, holder.address)):
                held[key] -= amount
                if not held[key]:
                    del held[key]
            self._inside -= amount

    @contextmanager
    def place(self, holder: Holder, amount: int = 1) -> Iterator[None]:
        """Take `amount` places while the block runs. Raises as `enter`."""
        self.enter(holder, amount)
        try:
            yield
        finally:
            self.leave(holder, amount)

    def count(self) -> int:
        """How many places are taken."""
        return self._inside

    def taken(self, holder: Holder) -> tuple[int, int]:
        """How many places this user and this address have."""
        return self._users[holder.user_id], self._addresses[holder.address]

    def _has_room(self, holder: Holder, amount: int) -> bool:
        inside = self._inside + amount
        if inside <= self._total - self._total // KEPT_SHARE:
            return True
        holders = sum(1 for held in self._addresses.values() if held)
        return inside <= self._total and self._addresses[holder.address] * holders < self._inside


class Allowance:
    """Limits spending per user and per address in a period. It refills evenly.

    Counts in memory: each worker process on its own, from its start.
    """

    def __init__(
        self, words: Words, amount: int, period_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._words = words
        self._amount = amount
        self._rate = amount / period_seconds
        self._clock = clock
        self._balances: dict[tuple[str, str], tuple[float, float]] = {}  # the amount left, and when
        self._lock = threading.Lock()

    def spend(self, holder: Holder, amount: int) -> None:
        """Spend `amount`. Raises Busy, and spends nothing, if the user or the address has less left."""
        with self._lock:
            for key, sentence in zip(_keys(holder), (self._words.user, self._words.address), strict=True):
                if (missing := min(amount, self._amount) - self._left(key)) > 0:
                    raise Busy(f"{_(sentence)} {wait(missing / self._rate)}", retry_after=int(missing / self._rate) + 1)
            self._take(holder, amount)

    def charge(self, holder: Holder, amount: int) -> None:
        """Spend `amount` for text that is already stored, even if less is left."""
        with self._lock:
            self._take(holder, amount)

    def _take(self, holder: Holder, amount: int) -> None:
        for key in _keys(holder):
            self._balances[key] = (self._left(key) - amount, self._clock())
        if len(self._balances) > MAX_BALANCES:
            self._balances = {key: kept for key, kept in self._balances.items() if self._left(key) < self._amount}

    def _left(self, key: tuple[str, str]) -> float:
        left, since = self._balances.get(key, (self._amount, 0.0))
        return min(left + (self._clock() - since) * self._rate, self._amount)


def _keys(holder: Holder) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("user", holder.user_id), ("address", holder.address)


def wait(seconds: float) -> str:
    """The sentence that says how long to wait."""
    minutes = int(seconds / 60) + 1
    return ngettext("Try again in %(num)s minute.", "Try again in %(num)s minutes.", minutes)
