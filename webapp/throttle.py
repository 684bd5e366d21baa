"""Slows down guessing: attempts to sign in are limited for each name and each address, the same for unknown names.

A stranger cannot lock somebody out: a browser in which that person was signed in before has an allowance of its own,
and one address takes only a part of what a name allows from all addresses.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from webapp.errors import Throttled
from webapp.language import gettext as _
from webapp.limits import HOUR_SECONDS, wait
from webapp.storage import throttles
from webapp.team import Client

PER_ADDRESS = 100  # an hour: an office may have one address
PER_NAME = 1000
PER_NAME_AND_ADDRESS = 10
PER_DEVICE = 10


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in: the keys that it counts for, each with how many an hour allows."""

    most: dict[str, int]
    own: str  # the key that counts for nobody else

    @classmethod
    def of(cls, login: str, client: Client) -> Attempt:
        if client.device:
            own = _key("device", login, client.device)
            return cls({own: PER_DEVICE}, own)
        own = _key("name and address", login, client.address)
        return cls(
            {own: PER_NAME_AND_ADDRESS, _key("address", client.address): PER_ADDRESS, _key("name", login): PER_NAME},
            own,
        )

    @classmethod
    def of_stranger(cls, client: Client) -> Attempt:
        """An attempt before anybody knows whose it is."""
        return cls({_key("address", client.address): PER_ADDRESS}, "")


def begin(tx: Connection, attempt: Attempt, now: datetime) -> None:
    """Count an attempt before it is checked, so that many at once are no way around. Raises Throttled."""
    full: dict[str, float] = {}
    for key, level in _levels(tx, attempt, now).items():
        most = attempt.most[key]
        if (excess := level + 1 - most) > 0:
            seconds = excess / most * HOUR_SECONDS
            sentence = f"{_('Too many attempts to sign in.')} {wait(seconds)}"
            raise Throttled(sentence, retry_after=int(seconds) + 1)
        full[key] = level + 1
    throttles.put(tx, full, now)


def forgive(tx: Connection, attempt: Attempt, now: datetime) -> None:
    """Take back an attempt that was right."""
    levels = _levels(tx, attempt, now)
    throttles.put(tx, {key: 0.0 if key == attempt.own else max(level - 1, 0.0) for key, level in levels.items()}, now)


def _levels(tx: Connection, attempt: Attempt, now: datetime) -> dict[str, float]:
    """How many attempts each key still counts: they drain evenly, all that an hour allows in an hour."""
    levels = {}
    for key, (level, at) in throttles.levels(tx, attempt.most, now).items():
        hours = max((now - at).total_seconds(), 0.0) / HOUR_SECONDS
        levels[key] = max(level - hours * attempt.most[key], 0.0)
    return levels


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
