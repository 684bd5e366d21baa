"""The use cases of invites: links that make one account, or set the password of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from webapp.accounts import actor_of, begin_sign_in, checked_name, login_of
from webapp.errors import Invalid, NotFound
from webapp.language import gettext as _
from webapp.passwords import Passwords
from webapp.storage import Storage, accounts, audit, invites, sign_ins
from webapp.team import ADMIN, PASSWORD, ROLES, Account, Actor, Client, Invite
from webapp.text import new_id
from webapp.tokens import hash_of, new_token

FIRST_ID = "00000000-0000-0000-0000-000000000000"  # of the invite of the first administrator: there is one at a time
FIRST_TIME = timedelta(hours=1)
TIME = timedelta(days=3)
INVITES = 200  # that wait to be used: one page shows all of them
SERVER = Actor("", "", "")  # who reads the log of the server, or has a shell there


class Invites:
    """The invites of one instance. `way` is how its users sign in."""

    def __init__(self, storage: Storage, passwords: Passwords, way: str) -> None:
        self._storage = storage
        self._passwords = passwords
        self._way = way

    def first(self) -> str | None:
        """The token of a new invite for the first administrator, in place of the one before; None if there is one."""
        token = new_token()

        def make(tx: Connection) -> str | None:
            if accounts.admins(tx, self._way):
                return None
            invites.remove(tx, FIRST_ID)
            invites.add(tx, Invite(FIRST_ID, ADMIN, datetime.now(UTC) + FIRST_TIME), hash_of(token))
            return token

        try:
            return self._storage.run(make)
        except IntegrityError:  # another server of this database made one at the same time
            return None

    def make_for_admin(self) -> str:
        """The token of a new invite for one more administrator, for who has a shell on the server."""
        return self._make(SERVER, Invite(new_id(), ADMIN, datetime.now(UTC) + FIRST_TIME), ADMIN)

    def make(self, actor: Actor, role: str) -> str:
        """The token of a new invite for an account with this role. Raises Invalid."""
        return self._make(actor, Invite(new_id(), checked_role(role), datetime.now(UTC) + TIME), role)

    def make_reset(self, actor: Actor, user_id: str) -> str:
        """The token of a link that sets this account's password. Raises NotFound."""
        with self._storage.read() as tx:
            account = accounts.get(tx, user_id)
        if account is None or account.way != PASSWORD:
            raise NotFound(_("This user does not exist."))
        invite = Invite(new_id(), account.role, datetime.now(UTC) + TIME, user_id)
        return self._make(actor, invite, account.name, action="reset_made")

    def pending(self) -> list[Invite]:
        """The invites that can be used, the next to expire first."""
        with self._storage.read() as tx:
            return invites.pending(tx, datetime.now(UTC))

    def withdraw(self, actor: Actor, invite_id: str) -> None:
        """Delete an unused invite. Raises NotFound."""
        with self._storage.begin() as tx:
            if not invites.remove(tx, invite_id):
                raise _unknown()
            audit.note(tx, actor, "invite_withdrawn")

    def look(self, token: str) -> tuple[Invite, str]:
        """The invite with this token, and the name of the account whose password it sets. Raises NotFound."""
        with self._storage.read() as tx:
            invite = invites.get(tx, hash_of(token), datetime.now(UTC))
            account = accounts.get(tx, invite.user_id) if invite and invite.user_id else None
        if invite is None:
            raise _unknown()
        return invite, account.name if account else ""

    def accept(self, token: str, name: str, password: str, client: Client, *, user_id: str = "") -> str:
        """Use an invite, and return the token of the sign-in.

        `user_id` is the user of open login in this browser, if their chats are to become the account's.
        Raises NotFound, Invalid, Busy.
        """
        invite, _name = self.look(token)  # strangers make no hashes
        stored = self._passwords.hash(password)
        if invite.user_id:
            return self._storage.run(lambda tx: self._reset(tx, token, stored, client))
        name = checked_name(name)

        def accept(tx: Connection) -> str:
            invite = self._used(tx, token)
            is_free = user_id and accounts.get(tx, user_id) is None
            new_user_id = user_id if is_free else new_id()
            account = Account(
                new_user_id, PASSWORD, login_of(name), name, invite.role, datetime.now(UTC), password=stored
            )
            if not accounts.add(tx, account):
                raise Invalid(_("This name is taken. Choose another one."))
            audit.note(tx, actor_of(account, client), "account_made", invite.role)
            return begin_sign_in(tx, new_user_id, client)

        return self._storage.run(accept)

    def accept_role(self, token: str, account: Account, client: Client) -> None:
        """Use an invite to get its role, for somebody who signed in at a proxy. Raises NotFound."""

        def accept(tx: Connection) -> None:
            invite = self._used(tx, token)
            accounts.change(tx, account.user_id, role=invite.role)
            audit.note(tx, actor_of(account, client), "invite_used", invite.role)

        self._storage.run(accept)

    def _make(self, actor: Actor, invite: Invite, target: str, action: str = "invite_made") -> str:
        token = new_token()
        with self._storage.begin() as tx:
            if len(invites.pending(tx, datetime.now(UTC))) >= INVITES:
                raise Invalid(_("%(count)s invitations wait to be used. Withdraw one first.") % {"count": INVITES})
            invites.add(tx, invite, hash_of(token))
            audit.note(tx, actor, action, target)
        return token

    def _used(self, tx: Connection, token: str) -> Invite:
        invite = invites.use(tx, hash_of(token), datetime.now(UTC))
        if invite is None or (invite.id == FIRST_ID and accounts.admins(tx, self._way)):
            raise _unknown()
        return invite

    def _reset(self, tx: Connection, token: str, stored: str, client: Client) -> str:
        invite = self._used(tx, token)
        account = accounts.get(tx, invite.user_id or "")
        if account is None or account.disabled_at:
            raise _unknown()
        accounts.change(tx, account.user_id, password=stored)
        sign_ins.remove_all(tx, account.user_id)
        audit.note(tx, actor_of(account, client), "password_set")
        return begin_sign_in(tx, account.user_id, client)


def checked_role(role: str) -> str:
    """The role. Raises Invalid for another word."""
    if role not in ROLES:
        raise Invalid(_("Choose a role."))
    return role


def _unknown() -> NotFound:
    return NotFound(_("This link is not valid: it was used, withdrawn, or is too old. Ask for a new one."))
