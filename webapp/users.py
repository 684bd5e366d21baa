"""The use cases of administrators on other people's accounts. They do not reach anybody's conversations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection

from webapp import quotas
from webapp.config import MOST_DAYS
from webapp.errors import Conflict, Invalid, NotFound
from webapp.generation import Hub
from webapp.invites import checked_role
from webapp.language import gettext as _
from webapp.language import number
from webapp.storage import Storage, accounts, audit, messages, sign_ins, spending
from webapp.team import ADMIN, ROLES, Account, Actor


class Users:
    """The accounts of one instance, as administrators see them. `way` is how its users sign in."""

    def __init__(self, storage: Storage, hub: Hub, way: str) -> None:
        self._storage = storage
        self._hub = hub
        self._way = way

    def all(self) -> list[Account]:
        """All accounts, by name."""
        with self._storage.read() as tx:
            return sorted(accounts.all_of(tx, self._way), key=lambda account: account.name.casefold())

    def last_seen(self) -> dict[str, datetime]:
        """When each user who is signed in was last there, by user id."""
        with self._storage.read() as tx:
            return sign_ins.last_seen(tx)

    def get(self, user_id: str) -> Account | None:
        """One account, or None."""
        with self._storage.read() as tx:
            return accounts.get(tx, user_id)

    def disable(self, actor: Actor, user_id: str) -> None:
        """Sign somebody out everywhere, stop their replies, and let them in no more. Raises NotFound, Conflict."""

        def disable(tx: Connection) -> list[str]:
            account = self._known(tx, user_id)
            keep_an_admin(tx, account)
            accounts.change(tx, user_id, disabled_at=datetime.now(UTC))
            sign_ins.remove_all(tx, user_id)
            audit.note(tx, actor, "disabled", account.name)
            return messages.request_stops_of(tx, user_id)

        for reply_id in self._storage.run(disable):
            self._hub.stop(reply_id)

    def enable(self, actor: Actor, user_id: str) -> None:
        """Let somebody in again. Raises NotFound."""
        with self._storage.begin() as tx:
            account = self._known(tx, user_id)
            accounts.change(tx, user_id, disabled_at=None)
            audit.note(tx, actor, "enabled", account.name)

    def change_role(self, actor: Actor, user_id: str, role: str) -> None:
        """Give somebody another role, from their next request on. Raises Invalid, NotFound, Conflict."""
        checked_role(role)

        def change(tx: Connection) -> None:
            account = self._known(tx, user_id)
            if role != ADMIN:
                keep_an_admin(tx, account)
            accounts.change(tx, user_id, role=role)
            audit.note(tx, actor, "role_changed", f"{account.name}: {role}")

        self._storage.run(change)

    def change_retention(self, actor: Actor, user_id: str, typed: str) -> None:
        """Keep somebody's conversations for so many days, 0 for ever; empty: as the setting says.

        Raises Invalid, NotFound.
        """
        typed = typed.strip()
        if typed and not (typed.isascii() and typed.isdecimal() and len(typed) <= 6 and int(typed) <= MOST_DAYS):
            raise Invalid(_("Write a number of days from 0 to %(limit)s, or nothing.") % {"limit": number(MOST_DAYS)})
        with self._storage.begin() as tx:
            account = self._known(tx, user_id)
            accounts.change(tx, user_id, retention_days=int(typed) if typed else None)
            audit.note(tx, actor, "retention_changed", f"{account.name}: {typed}")

    def sign_out(self, actor: Actor, user_id: str) -> None:
        """Sign somebody out in all browsers. Raises NotFound."""
        with self._storage.begin() as tx:
            account = self._known(tx, user_id)
            sign_ins.remove_all(tx, user_id)
            audit.note(tx, actor, "signed_out", account.name)

    def known(self, user_id: str) -> Account:
        """One account. Raises NotFound."""
        with self._storage.read() as tx:
            return self._known(tx, user_id)

    def limits(self, scope: str) -> dict[str, int]:
        """The limits of a role or of a user's id by name, as a form shows them."""
        with self._storage.read() as tx:
            return quotas.shown(spending.limits_of(tx, scope))

    def limited(self) -> set[str]:
        """The ids of the users with limits of their own."""
        with self._storage.read() as tx:
            return spending.limited(tx)

    def set_limits(self, actor: Actor, scope: str, typed: Mapping[str, str]) -> None:
        """Set the limits of a role or of a user's id; an empty one is removed. Raises Invalid, NotFound."""
        values = quotas.typed(typed)

        def change(tx: Connection) -> None:
            whose = scope if scope in ROLES else self._known(tx, scope).name
            old = spending.limits_of(tx, scope)
            for name, value in values.items():
                if value != old.get(name):
                    spending.set_limit(tx, scope, name, value)
                    audit.note(tx, actor, "limit_changed", quotas.said(whose, name, value))

        self._storage.run(change)

    def _known(self, tx: Connection, user_id: str) -> Account:
        account = accounts.get(tx, user_id)
        if account is None or account.way != self._way:
            raise NotFound(_("This user does not exist."))
        return account


def keep_an_admin(tx: Connection, account: Account) -> None:
    """Raise Conflict if this account is the last administrator."""
    if accounts.admins(tx, account.way) == [account.user_id]:
        raise Conflict(_("This is the only administrator. Make somebody else one first."))
