"""The use cases of one's own account: sign in and out, see one's sign-ins, change the password."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from webapp import throttle
from webapp.errors import Forbidden, Invalid, NotFound, StorageUnavailable
from webapp.language import gettext as _
from webapp.passwords import Passwords
from webapp.storage import Storage, accounts, api_keys, audit, sign_ins
from webapp.team import MEMBER, OIDC, PASSWORD, PROXY, Account, Actor, Client, SignIn
from webapp.text import clean, new_id
from webapp.throttle import Attempt
from webapp.tokens import hash_of, new_token

NAME_CHARS = 60
LOGIN_CHARS = 200  # of a case-folded name: a letter may become three
BROWSER_CHARS = 200
LONGEST = timedelta(days=30)  # from the sign-in on
LONGEST_AT_PROVIDER = timedelta(hours=12)  # who may not sign in there any more is out here by then
IDLE = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=5)  # a note for each request would be a write for each request
SEEN_WAIT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Signed:
    """Who is signed in, and where."""

    account: Account
    sign_in: SignIn


class Accounts:
    """The accounts of one instance, as their owners use them. `way` is how its users sign in."""

    def __init__(self, storage: Storage, passwords: Passwords, way: str) -> None:
        self._storage = storage
        self._way = way
        self.longest = LONGEST_AT_PROVIDER if way == OIDC else LONGEST
        self._passwords = passwords

    def sign_in(self, name: str, password: str, client: Client, *, old_token: str = "") -> tuple[str, Account]:
        """Sign in, and return the new token and the account. Ends the sign-in that the browser had before.

        Raises Throttled, Busy, and Forbidden: with the same sentence and after the same work for a wrong password, an
        unknown name and a disabled account.
        """
        login = login_of(name)
        attempt = Attempt.of(login, client)
        now = datetime.now(UTC)
        self._storage.run(lambda tx: throttle.begin(tx, attempt, now))
        with self._storage.read() as tx:
            account = accounts.by_login(tx, PASSWORD, login)
        is_right = self._passwords.matches(account.password if account else None, password)
        if not is_right or not account or account.disabled_at or not account.password:
            self._note_failure(account, client)
            raise Forbidden(_("The name or the password is wrong."))
        new_hash = self._passwords.hash_again(password) if self._passwords.is_outdated(account.password) else None

        def begin(tx: Connection) -> str:
            if accounts.get(tx, account.user_id) != account:  # disabled or changed meanwhile
                raise Forbidden(_("The name or the password is wrong."))
            throttle.forgive(tx, attempt, now)
            if new_hash:
                accounts.change(tx, account.user_id, password=new_hash)
            sign_ins.remove_token(tx, hash_of(old_token))
            audit.note(tx, actor_of(account, client), "sign_in")
            return begin_sign_in(tx, account.user_id, client)

        return self._storage.run(begin), account

    def recognise(self, token: str) -> Signed | None:
        """Who is signed in with this token; None if nobody is, or is any more. Notes that the sign-in is in use."""
        if not token:
            return None
        now = datetime.now(UTC)
        with self._storage.read() as tx:
            found = sign_ins.find(tx, hash_of(token))
        if found is None:
            return None
        sign_in, account = found
        if account.disabled_at or account.way != self._way or self._is_over(sign_in, now):
            return None
        if now - sign_in.seen_at > SEEN_EVERY:
            # The next request tries again.
            with suppress(StorageUnavailable), self._storage.begin(wait_seconds=SEEN_WAIT_SECONDS, durable=False) as tx:
                sign_ins.note_seen(tx, sign_in.token_hash, now)
        return Signed(account, sign_in)

    def of_proxy(self, identity: str) -> Account | None:
        """The account of somebody who signed in at the proxy; None at the first visit. Raises Forbidden."""
        with self._storage.read() as tx:
            account = accounts.by_login(tx, PROXY, identity)
        if account and account.disabled_at:
            raise Forbidden(_("Your account is disabled. An administrator can enable it."))
        return account

    def make_for_proxy(self, identity: str, client: Client, *, user_id: str = "") -> Account:
        """A new account for somebody who signed in at the proxy, unless there is one.

        `user_id` is the user of open login in this browser, if their chats are to become the account's.
        """
        return self._storage.run(lambda tx: make_member(tx, PROXY, identity, identity, client, user_id=user_id))

    def sign_out(self, actor: Actor, token_hash: str) -> None:
        """End this sign-in."""
        with self._storage.begin() as tx:
            sign_ins.remove_token(tx, token_hash)
            audit.note(tx, actor, "sign_out")

    def sign_ins(self, user_id: str) -> list[SignIn]:
        """The user's sign-ins, the last used first."""
        now = datetime.now(UTC)
        with self._storage.read() as tx:
            return [sign_in for sign_in in sign_ins.of(tx, user_id) if not self._is_over(sign_in, now)]

    def end_sign_in(self, actor: Actor, sign_in_id: str) -> None:
        """Sign the user out in one browser. Raises NotFound."""
        with self._storage.begin() as tx:
            if not sign_ins.remove(tx, actor.user_id, sign_in_id):
                raise NotFound(_("This sign-in does not exist, or has ended already."))
            audit.note(tx, actor, "sign_in_ended")

    def end_others(self, actor: Actor, token_hash: str) -> None:
        """Sign the user out in all browsers but this one."""
        with self._storage.begin() as tx:
            sign_ins.remove_all(tx, actor.user_id, but=token_hash)
            audit.note(tx, actor, "sign_ins_ended")

    def change_password(
        self, account: Account, client: Client, current: str, new: str, *, revokes_keys: bool = False
    ) -> str:
        """Change the password, sign out everywhere, and return the token of a new sign-in here.

        With `revokes_keys` the keys of the API end too.

        Raises Invalid, Throttled, Busy, and Forbidden if the current password is wrong.
        """
        self.prove(account, client, current)
        stored = self._passwords.hash(new)

        def change(tx: Connection) -> str:
            accounts.change(tx, account.user_id, password=stored)
            sign_ins.remove_all(tx, account.user_id)
            audit.note(tx, actor_of(account, client), "password_changed")
            if revokes_keys and (number := api_keys.remove_all(tx, account.user_id)):
                audit.note(tx, actor_of(account, client), "keys_revoked", str(number))
            return begin_sign_in(tx, account.user_id, client)

        return self._storage.run(change)

    def prove(self, account: Account, client: Client, password: str) -> None:
        """Check the password of somebody who is signed in. Raises Throttled, Busy, and Forbidden if it is wrong."""
        attempt, now = Attempt.of(account.login, client), datetime.now(UTC)
        self._storage.run(lambda tx: throttle.begin(tx, attempt, now))
        if not self._passwords.matches(account.password, password):
            self._note_failure(account, client)
            raise Forbidden(_("The current password is wrong."))
        self._storage.run(lambda tx: throttle.forgive(tx, attempt, now))

    def _is_over(self, sign_in: SignIn, now: datetime) -> bool:
        """Whether a sign-in is too old, or was not used for too long."""
        return now - sign_in.created_at > self.longest or now - sign_in.seen_at > IDLE

    def _note_failure(self, account: Account | None, client: Client) -> None:
        # An unknown name is left out: it may be a password in the wrong field.
        target = account.name if account else ""
        with self._storage.begin() as tx:
            audit.note(tx, Actor("", "", client.address), "sign_in_failed", target)


def begin_sign_in(tx: Connection, user_id: str, client: Client, *, id_token: str = "") -> str:
    """Store a new sign-in, and return its token."""
    token, now = new_token(), datetime.now(UTC)
    browser = clean(client.browser)[:BROWSER_CHARS]
    sign_ins.add(tx, SignIn(new_id(), hash_of(token), user_id, client.address, browser, now, now, id_token))
    return token


def actor_of(account: Account, client: Client) -> Actor:
    """The account as the audit log names it."""
    return Actor(account.user_id, account.name, client.address)


def login_of(name: str) -> str:
    """A name in the form that is compared: one for all spellings of it."""
    return unicodedata.normalize("NFKC", shown_name(name)[: NAME_CHARS + 1]).casefold()[:LOGIN_CHARS]


def shown_name(name: str) -> str:
    """A typed name without superfluous spaces."""
    return " ".join(clean(name[: 10 * NAME_CHARS]).split())


def checked_name(name: str) -> str:
    """A new name as it is shown. Raises Invalid."""
    name = unicodedata.normalize("NFKC", shown_name(name))
    if not name or not name.isprintable():
        raise Invalid(_("Choose a name of letters and digits."))
    if len(name) > NAME_CHARS:
        raise Invalid(_("The name is too long: %(limit)s characters are allowed.") % {"limit": NAME_CHARS})
    return name


def make_member(
    tx: Connection, way: str, login: str, name: str, client: Client, *, user_id: str = "", target: str = ""
) -> Account:
    """A new account for somebody who signed in elsewhere, unless another request was first.

    `user_id` is the user of open login in this browser, if their chats are to become the account's. `target` is for
    the audit log.
    """
    is_free = user_id and accounts.get(tx, user_id) is None
    account = Account(user_id if is_free else new_id(), way, login, name, MEMBER, datetime.now(UTC))
    if accounts.add(tx, account):
        audit.note(tx, actor_of(account, client), "account_made", target)
        return account
    found = accounts.by_login(tx, way, login)
    assert found is not None
    return found
