"""Who asks: every view calls `current_user`.

With open login a user is a cookie. Else a user has an account, and is known by a sign-in or by a proxy's header.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from flask import Flask, Request, Response, current_app, g, request, session, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature, URLSafeTimedSerializer

from webapp import addresses
from webapp.accounts import actor_of
from webapp.errors import Forbidden, SignedOut
from webapp.language import gettext as _
from webapp.limits import Holder
from webapp.recent import Recent
from webapp.team import PROXY, WITH_PAGE, Account, Actor, Client, SignIn
from webapp.views import identity, marks
from webapp.views.parts import parts

KEPT_USERS = 1000  # whose cookies need not be checked again
LONGEST_COOKIE_CHARS = 2000  # of those that are kept
OFFSET_COOKIE = "offset"  # static/list.js sets it
MOST_OFFSET_MINUTES = 14 * 60
TEXT_BROWSERS = ("w3m/", "Links ", "Lynx/", "ELinks/", "edbrowse/")


@dataclass(frozen=True, slots=True)
class User:
    """The user who asks, and the browser's address. With open login there is no account."""

    id: str
    address: str
    account: Account | None = None
    sign_in: SignIn | None = None
    key_hash: str = ""  # of the key of the API, if the request came with one

    @property
    def holder(self) -> Holder:
        """The user and address, as limits count them."""
        return Holder(self.id, self.address)


OLD_COOKIE = "lockchat"  # all instances of a host had this name, and took each other's place


def cookie_name(secret_key: str) -> str:
    """The name of the cookie: browsers send cookies to every port of a host, so each instance has its own."""
    return f"lockchat_{hmac.digest(secret_key.encode(), b'cookie name', 'sha256').hex()[:8]}"


def cookie_path() -> str:
    """The path of our cookies: below a path of a larger site, its other pages do not get them."""
    return request.script_root or "/"


def _guarded(name: str) -> str:
    """The name of a cookie as this request's browser keeps it: over TLS no other site can set it.

    `__Host-` wants the path "/", so below a path it is `__Secure-`.
    See https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3.
    """
    if not request.is_secure:
        return name
    return f"__Secure-{name}" if request.script_root else f"__Host-{name}"


class _Session(SecureCookieSession):
    """A session, and the name of the cookie that it comes from, if that was set before TLS or an earlier version."""

    old_name = ""


class Sessions(SecureCookieSessionInterface):
    """Sessions in a signed cookie, marked Secure if the request came over TLS."""

    session_class = _Session
    _serializer: URLSafeTimedSerializer | None = None

    def __init__(self) -> None:
        self._payloads = Recent[bytes](KEPT_USERS)  # by cookies whose signature is right

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """The same one for each request: the key does not change."""
        self._serializer = self._serializer or super().get_signing_serializer(app)
        return self._serializer

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime:
        return datetime.now(UTC) + app.permanent_session_lifetime

    def get_cookie_name(self, app: Flask) -> str:
        return _guarded(super().get_cookie_name(app))

    def get_cookie_path(self, app: Flask) -> str:
        return cookie_path()

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        return session.accessed and super().should_set_cookie(app, session)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session, of any age: setting the clock back makes nobody a new user."""
        serializer = self.get_signing_serializer(app)
        if serializer is None:
            return None
        names = [self.get_cookie_name(app), super().get_cookie_name(app), OLD_COOKIE]
        name = next((name for name in names if name in request.cookies), names[0])
        try:
            found = self.session_class(self._read(serializer, request.cookies.get(name, "")))
        except BadSignature:
            return self.session_class()
        if name != names[0]:
            found.old_name, found.modified = name, True  # so that it is saved under the new name
        return found

    def _read(self, serializer: URLSafeTimedSerializer, cookie: str) -> dict[str, Any]:
        """The values of a cookie. Checks the signature of one cookie once. Raises BadSignature."""
        payload = self._payloads.get(cookie)
        if payload is None:
            payload = serializer.make_signer().unsign(cookie)
            if len(cookie) <= LONGEST_COOKIE_CHARS:
                self._payloads.put(cookie, payload)
        values: dict[str, Any] = serializer.load_payload(payload)
        return values

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        super().save_session(app, session, response)
        if isinstance(session, _Session) and session.old_name and self.should_set_cookie(app, session):
            response.delete_cookie(session.old_name)  # they were set for the whole host


def identify() -> None:
    """Find out who has signed in, if it is not open login. Raises as `identity.of_request`."""
    g.user = None
    login = parts().config.login
    if login in WITH_PAGE and (signed := parts().team.accounts.recognise(request.cookies.get(token_cookie(), ""))):
        g.user = User(signed.account.user_id, address(), signed.account, signed.sign_in)
    if login == PROXY:
        name, accounts = identity.of_request(), parts().team.accounts
        account = accounts.of_proxy(name)
        # A reader with chats of open login is asked about them first, whatever a page that is open already asks for.
        if account is None and not has_chats_of_open_login():
            account = accounts.make_for_proxy(name, client())
        g.user = User(account.user_id, address(), account) if account else None


def way_in(wanted: str | None) -> str:
    """The page that leads a stranger to an account, and from there to this address."""
    place = "door.show_sign_in" if parts().config.login in WITH_PAGE else "welcome.show"
    return url_for(place, next=wanted)


def identify_by_key() -> None:
    """Find out whose key of the API the request has; nothing else lets a program in. Raises SignedOut without one."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    found = parts().team.keys.recognise(token.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise SignedOut(_("The API key is missing or wrong, or it has expired or been revoked."))
    key, account = found
    g.user = User(account.user_id, address(), account, key_hash=key.token_hash)


def check_right() -> None:
    """Raise SignedOut or Forbidden if the view is not for this visitor."""
    if marks.for_strangers.is_set():
        return
    account = current_user().account
    if marks.for_admins.is_set() and not (account and account.is_admin):
        raise Forbidden(_("This page is for administrators."))


def greet() -> None:
    """Make a browser without a session a new user: with open login each browser is one."""
    if "user_id" not in session:
        session["user_id"] = str(uuid.uuid4())
    if marks.renews_cookie.is_set() and session.get("renewed") != (today := date.today().isoformat()):
        session["renewed"] = today  # sets the cookie again


def admit() -> None:
    """Note that the request's host and address are allowed: an error page may show the user's data."""
    g.is_admitted = True


def is_open() -> bool:
    """Whether everyone is let in."""
    return parts().config.login == "open"


def current_user() -> User:
    """The user of this request. Raises KeyError or SignedOut in views that need no user."""
    if is_open():
        return User(str(session["user_id"]), address())
    if (user := g.get("user")) is None:
        if parts().config.login == PROXY:
            raise SignedOut(_("Open the page again first: it asks about this browser's chats. Then send this again."))
        raise SignedOut(_("You are signed out. Sign in, then go back and send it again."))
    found: User = user
    return found


def known_user() -> User | None:
    """The user, for an error page; None if the request was not admitted or has no session."""
    if "is_admitted" not in g:
        return None
    if is_open():
        return current_user() if "user_id" in session else None
    found: User | None = g.get("user")
    return found


def user_of_open_login() -> str:
    """The user that this browser was with open login; empty if it was none, or that user has an account."""
    user_id = str(session.get("user_id", ""))
    return user_id if user_id and parts().team.users.get(user_id) is None else ""


def has_chats_of_open_login() -> bool:
    """Whether this browser had chats with open login, which nobody took along yet."""
    user_id = user_of_open_login()
    return bool(user_id and parts().conversations.listed(user_id).conversations)


def client() -> Client:
    """The browser that asks, as sign-ins remember it."""
    return Client(address(), request.headers.get("User-Agent", ""))


def actor() -> Actor:
    """The user of this request, as the audit log names them. Only where users have accounts."""
    found = known_actor()
    assert found is not None
    return found


def known_actor() -> Actor | None:
    """The same; None with open login."""
    account = current_user().account
    return actor_of(account, client()) if account else None


def token_cookie() -> str:
    """The name of the cookie with the token of a sign-in."""
    return _guarded(f"{current_app.config['SESSION_COOKIE_NAME']}_in")


def user_tag() -> str:
    """A short hash of the user's id, which does not reveal it; "" without a user."""
    signed_in = g.get("user")
    user_id = str(session.get("user_id", "")) if is_open() else signed_in and signed_in.id
    return _tag_of_user(str(current_app.secret_key), user_id) if user_id else ""


def tag_of(value: str) -> str:
    """A short hash that only this instance can make."""
    return _tag(str(current_app.secret_key), value)


def _tag(secret_key: str, value: str) -> str:
    return hmac.digest(secret_key.encode(), value.encode(), "sha256").hex()[:16]


_tag_of_user = lru_cache(KEPT_USERS)(_tag)


def is_text_browser() -> bool:
    """Whether the browser shows text alone: it knows no script, no style, no popover, and often follows no refresh."""
    return request.headers.get("User-Agent", "").startswith(TEXT_BROWSERS)


def wants_page() -> bool:
    """Whether a person opens a page."""
    accepted = request.accept_mimetypes
    is_html = not accepted.provided or accepted["text/html"] > 0
    return request.method in ("GET", "HEAD") and not wants_fragment() and is_html


def wants_fragment() -> bool:
    """Whether the page's script asks for a part of the page."""
    return request.headers.get("X-Fragment") == "1"


def local_now() -> datetime:
    """Now, by the clock of the reader's time zone if the page's script has told it, else in UTC."""
    minutes = request.cookies.get(OFFSET_COOKIE, 0, type=int)  # as JavaScript counts: from local time to UTC
    return datetime.now(timezone(timedelta(minutes=-minutes if abs(minutes) <= MOST_OFFSET_MINUTES else 0)))


def address() -> str:
    """The browser's address; behind one of `LOCKCHAT_PROXIES`, the address that the proxy reports."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return addresses.client(request.remote_addr or "", forwarded, parts().config.proxies)
