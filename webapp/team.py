"""The values of sign-in: accounts, sign-ins, invites, keys of the API, shares, entries of the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

PASSWORD, PROXY, OIDC = "password", "proxy", "oidc"  # ways to sign in
WITH_PAGE = (PASSWORD, OIDC)  # with a page to sign in here, and a token in a cookie
MEMBER, ADMIN = "member", "admin"
ROLES = (MEMBER, ADMIN)


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in. `login` is the name in the form that is compared; it is unique for each `way`.

    `retention_days` is an exception from the setting of that name; None where the setting counts.
    """

    user_id: str
    way: str
    login: str
    name: str
    role: str
    created_at: datetime
    disabled_at: datetime | None = None
    retention_days: int | None = None
    password: str | None = field(default=None, repr=False)  # its hash

    @property
    def is_admin(self) -> bool:
        return self.role == ADMIN


@dataclass(frozen=True, slots=True)
class SignIn:
    """One browser in which somebody is signed in. `token_hash` names it in the database and nowhere else.

    `id_token` is the identity provider's; it wants it back at the sign-out.
    """

    id: str
    token_hash: str = field(repr=False)
    user_id: str
    address: str
    browser: str
    created_at: datetime
    seen_at: datetime
    id_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in at the identity provider. `is_admin` is None where the provider does not decide that.

    `issuer` and `subject` are the key; the name may change, and may be that of somebody else.
    """

    issuer: str
    subject: str
    name: str
    is_admin: bool | None
    id_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of the API. `token_hash` names it in the database and nowhere else; `ending` are its last characters."""

    id: str
    token_hash: str = field(repr=False)
    user_id: str
    name: str
    ending: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Invite:
    """A link that makes one account with this role; with `user_id`, one that sets this account's password."""

    id: str
    role: str
    expires_at: datetime
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """A conversation that the team may read, as it stood at `created_at`: its branch up to the message `message_id`.

    `owner` is the name of the user `user_id`.
    """

    id: str
    user_id: str
    owner: str
    conversation_id: str
    message_id: str
    title: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Client:
    """The browser that asks. `device` is an id in its cookie if somebody has signed in there before, else empty."""

    address: str
    browser: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, for the audit log. A stranger has no id."""

    user_id: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit log: who did what to whom, when, from which address."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    address: str
