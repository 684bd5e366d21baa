"""The use case of sign-in at an identity provider: who signed in there gets an account and a sign-in here."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from webapp import throttle
from webapp.accounts import actor_of, begin_sign_in, make_member
from webapp.errors import NotAdmitted
from webapp.language import gettext as _
from webapp.storage import Storage, accounts, audit, sign_ins
from webapp.team import ADMIN, MEMBER, OIDC, Account, Actor, Client, Identity
from webapp.throttle import Attempt
from webapp.tokens import hash_of


class Identities:
    """The accounts of those who sign in at the identity provider, each keyed by issuer and subject."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def begin(self, client: Client) -> None:
        """Count an attempt before the provider is asked about it. Raises Throttled."""
        self._storage.run(lambda tx: throttle.begin(tx, Attempt.of_stranger(client), datetime.now(UTC)))

    def note_failure(self, client: Client, name: str = "") -> None:
        """Note a sign-in that was refused, with the name that the provider tells."""
        with self._storage.begin() as tx:
            audit.note(tx, Actor("", "", client.address), "sign_in_failed", name)

    def sign_in(self, identity: Identity, client: Client, *, old_token: str = "", user_id: str = "") -> str:
        """Sign in, and return the token. Makes the account at the first sign-in.

        `user_id` is the user of open login in this browser, if their chats are to become those of a new account.
        Ends the sign-in that the browser had before. Raises NotAdmitted for a disabled account.
        """

        def begin(tx: Connection) -> str:
            login = login_of(identity)
            account = accounts.by_login(tx, OIDC, login) or make_member(
                tx, OIDC, login, identity.name, client, user_id=user_id, target=MEMBER
            )
            if account.disabled_at:
                raise NotAdmitted(_("Your account is disabled. An administrator can enable it."), account.name)
            account = self._brought_up_to_date(tx, account, identity, client)
            throttle.forgive(tx, Attempt.of_stranger(client), datetime.now(UTC))
            sign_ins.remove_token(tx, hash_of(old_token))
            audit.note(tx, actor_of(account, client), "sign_in")
            return begin_sign_in(tx, account.user_id, client, id_token=identity.id_token)

        return self._storage.run(begin)

    def _brought_up_to_date(self, tx: Connection, account: Account, identity: Identity, client: Client) -> Account:
        """The account with the name and the role that the provider tells now. The last administrator stays one."""
        role = account.role
        if identity.is_admin is not None:
            is_last = account.is_admin and accounts.admins(tx, OIDC) == [account.user_id]
            role = ADMIN if identity.is_admin or is_last else MEMBER
        newer = replace(account, name=identity.name, role=role)
        if newer != account:
            accounts.change(tx, account.user_id, name=newer.name, role=newer.role)
        if role != account.role:
            audit.note(tx, actor_of(newer, client), "role_changed", f"{newer.name}: {role}")
        return newer


def login_of(identity: Identity) -> str:
    """The key of an account: neither a name nor an e-mail is part of it."""
    return hashlib.sha256(f"{identity.issuer}\0{identity.subject}".encode("utf-8", "surrogatepass")).hexdigest()
