"""The use cases of personal keys of the API: make, list, revoke, recognise."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from webapp.accounts import SEEN_EVERY, SEEN_WAIT_SECONDS, checked_name
from webapp.errors import Invalid, NotFound, StorageUnavailable
from webapp.language import gettext as _
from webapp.storage import Storage, api_keys, audit
from webapp.team import Account, Actor, ApiKey
from webapp.text import new_id
from webapp.tokens import hash_of, new_token

PREFIX = "lockchat-"  # by it people and scanners recognise a key that leaked
ENDING_CHARS = 4
MOST_CHARS = 200
KEYS = 20  # of one user: one page shows all of them
DAYS = (7, 30, 90, 365)  # from which one chooses how long a new key lives


class Keys:
    """The keys of one instance. `way` is how its users sign in."""

    def __init__(self, storage: Storage, way: str) -> None:
        self._storage = storage
        self._way = way

    def make(self, actor: Actor, name: str, days: str) -> str:
        """Store a new key of the actor's, and return it: nothing shows it again. Raises Invalid."""
        name = checked_name(name)
        if days not in map(str, DAYS):
            raise Invalid(_("Choose how long the key lives."))
        token, now = PREFIX + new_token(), datetime.now(UTC)
        expires_at = now + timedelta(days=int(days))
        key = ApiKey(new_id(), hash_of(token), actor.user_id, name, token[-ENDING_CHARS:], now, expires_at)

        def make(tx: Connection) -> None:
            if len([one for one in api_keys.of(tx, actor.user_id) if one.expires_at > now]) >= KEYS:
                raise Invalid(_("You have %(count)s keys. Revoke one first.") % {"count": KEYS})
            api_keys.add(tx, key)
            audit.note(tx, actor, "key_made", f"{name} ({key.ending})")

        self._storage.run(make)
        return token

    def of(self, user_id: str) -> list[ApiKey]:
        """The user's keys that can be used, the newest first."""
        now = datetime.now(UTC)
        with self._storage.read() as tx:
            return [key for key in api_keys.of(tx, user_id) if key.expires_at > now]

    def revoke(self, actor: Actor, key_id: str) -> None:
        """Delete one of the actor's keys; answers that it has running end within seconds. Raises NotFound."""
        with self._storage.begin() as tx:
            name = api_keys.remove(tx, actor.user_id, key_id)
            if name is None:
                raise NotFound(_("This key does not exist, or is revoked already."))
            audit.note(tx, actor, "key_revoked", name)

    def recognise(self, token: str) -> tuple[ApiKey, Account] | None:
        """The key and the account of its owner, as it is now; None for a key that lets nobody in."""
        if not token.startswith(PREFIX) or len(token) > MOST_CHARS:
            return None
        now = datetime.now(UTC)
        with self._storage.read() as tx:
            found = api_keys.find(tx, hash_of(token))
        if found is None:
            return None
        key, account = found
        if key.expires_at <= now or account.disabled_at or account.way != self._way:
            return None
        if key.used_at is None or now - key.used_at > SEEN_EVERY:
            # The next request tries again.
            with suppress(StorageUnavailable), self._storage.begin(wait_seconds=SEEN_WAIT_SECONDS, durable=False) as tx:
                api_keys.note_used(tx, key.token_hash, now)
        return found
