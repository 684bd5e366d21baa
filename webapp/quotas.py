"""The limits that administrators set, for roles and for users, in the database: all workers share them.

`webapp.limits` are the outer limits, which protect the server itself. With open login these here hold for each address
too: a browser without its cookie is a new user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from webapp import language
from webapp.config import Config
from webapp.errors import Invalid, Limited, TooLarge
from webapp.language import gettext as _
from webapp.language import mark, ngettext, number
from webapp.limits import HOUR_SECONDS, RETRY_SECONDS, Allowance, Gate, Holder, Words, wait
from webapp.storage import Storage, spending
from webapp.storage.spending import Amount, Rules

MESSAGES, RUNNING = "messages_per_minute", "running_replies"
DAY_TOKENS, MONTH_TOKENS = "tokens_per_day", "tokens_per_month"
STORED, CONVERSATIONS, IMPORTS = "stored_bytes", "conversations", "imports_per_day"
EXPORTS, FOLLOWERS = "running_exports", "followers"
NAMES = (MESSAGES, RUNNING, DAY_TOKENS, MONTH_TOKENS, STORED, CONVERSATIONS, IMPORTS, EXPORTS, FOLLOWERS)
MOST = 10**15
MEGABYTE = 10**6
UNITS = {STORED: MEGABYTE}  # of the numbers that administrators type

# For the limit of the user, and of the address.
SENTENCES: Mapping[str, tuple[str, str]] = {
    MESSAGES: (
        mark("You have sent as many messages as are allowed in a minute: %(limit)s."),
        mark("Your address has sent as many messages as are allowed in a minute: %(limit)s."),
    ),
    RUNNING: (
        mark("As many of your answers are running as are allowed: %(limit)s. Wait for one, or stop it."),
        mark("As many answers are running at your address as are allowed: %(limit)s. Wait for one."),
    ),
    DAY_TOKENS: (
        mark("You have used the tokens that are allowed in a day: %(limit)s."),
        mark("Your address has used the tokens that are allowed in a day: %(limit)s."),
    ),
    MONTH_TOKENS: (
        mark("You have used the tokens that are allowed in a month: %(limit)s."),
        mark("Your address has used the tokens that are allowed in a month: %(limit)s."),
    ),
    IMPORTS: (
        mark("You have imported as many files as are allowed in a day: %(limit)s."),
        mark("Your address has imported as many files as are allowed in a day: %(limit)s."),
    ),
    EXPORTS: (
        mark("As many of your exports and imports are running as are allowed: %(limit)s. Try again in a moment."),
        mark(
            "As many exports and imports are running at your address as are allowed: %(limit)s. Try again in a moment."
        ),
    ),
    FOLLOWERS: (
        mark("You are following as many answers at once as are allowed: %(limit)s. Close another page of this chat."),
        mark("As many answers are followed at your address as are allowed: %(limit)s. Try again in a moment."),
    ),
}


@dataclass(frozen=True, slots=True)
class SendLimits:
    """The limits of all sends: running replies, memory for histories, stored characters; what administrators set."""

    replies: Gate
    histories: Gate
    stored: Allowance
    quotas: Quotas


class Quotas:
    """Counts what users do in the transaction that does it, and compares it with their limits."""

    def __init__(self, config: Config) -> None:
        self._has_addresses = config.login == "open"
        self._most_conversations = config.conversations_per_user

    def address(self, holder: Holder) -> str | None:
        """The address, if limits hold for it."""
        return holder.address or None if self._has_addresses else None

    def send(self, tx: Connection, holder: Holder, size: int) -> int:
        """Count a message of `size` bytes whose reply is stored; return how many conversations its user may have.

        The counters stay locked to the end of the transaction: of two at the last place the second sees the first.
        Raises Limited and TooLarge; then roll back.
        """
        now = datetime.now(UTC)
        counted, rules = self._count_message(tx, holder, size, now)
        for key, used in counted.items():
            _check(key, rules, RUNNING, rules.running[key] - 1, None, now)
            _check_size(rules, used.bytes)
        return self._conversations(rules)

    def ask(self, tx: Connection, holder: Holder) -> None:
        """Count a message that is not stored. Raises Limited; then roll back."""
        self._count_message(tx, holder, 0, datetime.now(UTC))

    def _count_message(
        self, tx: Connection, holder: Holder, size: int, now: datetime
    ) -> tuple[dict[str, Row[Any]], Rules]:
        counted = self._add(tx, holder, Amount(messages=1, stored=size), now)
        rules = spending.rules(tx, holder.user_id, self.address(holder))
        for key, used in counted.items():
            _check(key, rules, MESSAGES, used.messages - 1, _minute_after(now), now)
            _check(key, rules, DAY_TOKENS, used.day_tokens, _day_after(now), now)
            _check(key, rules, MONTH_TOKENS, used.month_tokens, _month_after(now), now)
        return counted, rules

    def begin_import(self, tx: Connection, holder: Holder) -> None:
        """Count an import. Raises Limited; then roll back."""
        now = datetime.now(UTC)
        counted = self._add(tx, holder, Amount(imports=1), now)
        rules = spending.rules(tx, holder.user_id, self.address(holder))
        for key, used in counted.items():
            _check(key, rules, IMPORTS, used.imports - 1, _day_after(now), now)

    def check_import(self, tx: Connection, holder: Holder, size: int) -> int:
        """Return how many conversations the user may have. Raises TooLarge if `size` more bytes are too many."""
        rules = spending.rules(tx, holder.user_id, self.address(holder))
        for used in self._add(tx, holder, Amount(), datetime.now(UTC)).values():
            _check_size(rules, used.bytes + size)
        return self._conversations(rules)

    def _add(self, tx: Connection, holder: Holder, amount: Amount, now: datetime) -> dict[str, Row[Any]]:
        keys = spending.holders(holder.user_id, self.address(holder))
        rows = spending.add(tx, dict.fromkeys(keys, amount), now)
        return {key: rows[key] for key in keys}  # the user's first: their sentence helps more

    def _conversations(self, rules: Rules) -> int:
        return min(rules.limits.get(CONVERSATIONS, self._most_conversations), self._most_conversations)


class Door(Gate):
    """A gate, with what administrators allow beside its own limits. Counts in memory: each worker on its own.

    Rows in the database would outlive a worker that dies, and cost a write for each stream.
    """

    def __init__(self, words: Words, storage: Storage, quotas: Quotas, name: str, **places: int) -> None:
        super().__init__(words, **places)
        self._storage = storage
        self._quotas = quotas
        self._name = name

    def enter(self, holder: Holder, amount: int = 1) -> None:
        """Take `amount` places. Raises Busy, Limited."""
        with self._storage.read() as tx:
            limit = spending.limit_for(tx, holder.user_id, self._name)
        super().enter(holder, amount)
        if limit is None:
            return
        keys = spending.holders(holder.user_id, self._quotas.address(holder))
        try:
            for key, taken in zip(keys, self.taken(holder), strict=False):
                _check(key, Rules({self._name: limit}, {}), self._name, taken - amount, None, datetime.now(UTC))
        except Limited:
            self.leave(holder, amount)
            raise


def said(whose: str, name: str, value: int | None) -> str:
    """A limit as the audit log names it."""
    return f"{whose}: {name} {'none' if value is None else value}"


def shown(limits: Mapping[str, int]) -> dict[str, int]:
    """Limits as the form shows them: megabytes, not bytes."""
    return {name: value // UNITS.get(name, 1) for name, value in limits.items()}


def typed(fields: Mapping[str, str]) -> dict[str, int | None]:
    """The limits in the fields of a form; None where one is empty. Raises Invalid."""
    return {name: _number(text, UNITS.get(name, 1)) for name, text in fields.items()}


def _number(text: str, unit: int) -> int | None:
    digits = re.sub(r"[\s,.']", "", text[:100])  # between thousands
    if not digits:
        return None
    if not digits.isdecimal() or (value := int(digits) * unit) > MOST:
        raise Invalid(_("A limit is a whole number, or empty: %(text)s is neither.") % {"text": text[:100]})
    return value


def _check(key: str, rules: Rules, name: str, used: int, end: datetime | None, now: datetime) -> None:
    """Raise Limited if nothing is left until `end`; without one, until an answer has ended."""
    limit = rules.limits.get(name)
    if limit is None or used < limit:
        return
    sentence = _(SENTENCES[name][key.startswith("@")]) % {"limit": number(limit)}
    if end is None:
        raise Limited(sentence, retry_after=RETRY_SECONDS)
    raise Limited(f"{sentence} {_until(end, now)}", retry_after=int((end - now).total_seconds()) + 1)


def _check_size(rules: Rules, used: int) -> None:
    limit = rules.limits.get(STORED)
    if limit is not None and used > limit:
        raise TooLarge(
            _("You may store %(limit)s MB, and this would be more. Delete conversations: a day later there is room.")
            % {"limit": number(limit / MEGABYTE, 0 if limit % MEGABYTE == 0 else 2)}
        )


def _until(end: datetime, now: datetime) -> str:
    """The sentence that says when a limit ends."""
    seconds = (end - now).total_seconds()
    if seconds < HOUR_SECONDS:
        return wait(seconds)
    hours = int(seconds / HOUR_SECONDS) + 1
    return ngettext(
        "Try again in %(num)s hour: on %(date)s at 00:00 UTC.",
        "Try again in %(num)s hours: on %(date)s at 00:00 UTC.",
        hours,
        date=language.date(end),
    )


def _minute_after(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _day_after(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _month_after(now: datetime) -> datetime:
    return _day_after((now.replace(day=1) + timedelta(days=31)).replace(day=1)) - timedelta(days=1)
