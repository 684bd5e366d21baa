"""Requests to one identity provider: each bounded in time and bytes, its description and keys kept for a while."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlsplit

from webapp.addresses import is_loopback
from webapp.errors import Busy, ProviderError, UpstreamError
from webapp.language import gettext as _
from webapp.oidc.settings import OidcConfig
from webapp.upstream import transport
from webapp.upstream.cleaning import clean
from webapp.upstream.exchange import bounded
from webapp.upstream.lifeline import Lifeline
from webapp.upstream.payloads import load

DESCRIPTION_PATH = "/.well-known/openid-configuration"
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0  # for one answer
MOST_BYTES = 512 * 1024  # of one answer
MOST_VALUES = 20_000
FRESH_SECONDS = 3600.0
FAILED_SECONDS = 5.0  # in which nobody asks again
UNKNOWN_KEY_SECONDS = 60.0  # a token with an unknown key makes us ask for the keys, this often at most
SIGN_INS_AT_ONCE = 50
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
ENDPOINTS = (*NEEDED, "userinfo_endpoint", "end_session_endpoint")

Answer = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass
class _Kept:
    """An answer of the provider, asked for again when it is too old."""

    ask: Callable[[], Answer]
    value: Answer = field(default_factory=dict)
    stale_at: float = 0.0
    failure: ProviderError | None = None
    lock: Any = field(default_factory=threading.Lock)

    def get(self) -> Answer:
        """The answer. While the provider is away, the one from before. Raises ProviderError."""
        with self.lock:  # many sign-ins at once ask once
            if time.monotonic() >= self.stale_at:
                self._ask()
        if self.failure and not self.value:
            raise ProviderError(self.failure.reason, is_away=self.failure.is_away)
        return self.value

    def _ask(self) -> None:
        try:
            self.value, self.failure = self.ask(), None
        except ProviderError as error:
            self.failure = error
        self.stale_at = time.monotonic() + (FAILED_SECONDS if self.failure else FRESH_SECONDS)


class Provider:
    """One identity provider, for many threads. Every method raises ProviderError: see the log for its reason."""

    def __init__(self, config: OidcConfig, egress_proxy: str | None = None) -> None:
        self._config = config
        self._session = transport.open_session(config.ca_bundle, egress_proxy)
        self._session.headers["accept"] = "application/json"
        self._description = _Kept(self._ask_description)
        self._keys = _Kept(lambda: self._ask("GET", self.endpoint("jwks_uri")))
        self._asked_for_key_at = -UNKNOWN_KEY_SECONDS
        self._turns = threading.BoundedSemaphore(SIGN_INS_AT_ONCE)

    @contextmanager
    def turn(self) -> Any:
        """Limit the sign-ins that wait for the provider. Raises Busy."""
        if not self._turns.acquire(blocking=False):
            raise Busy(_("Too many people are signing in. Try again in a moment."), retry_after=5)
        try:
            yield
        finally:
            self._turns.release()

    @property
    def issuer(self) -> str:
        """The provider's own spelling of its name."""
        return str(self._description.get()["issuer"])

    def endpoint(self, name: str) -> str:
        """The address of one of ENDPOINTS; empty if the provider has none."""
        return str(self._description.get().get(name, ""))

    def supports(self, name: str, word: str, *, otherwise: bool = False) -> bool:
        """Whether a list of the description has this word; `otherwise` where there is no such list."""
        listed = self._description.get().get(name)
        return word in listed if isinstance(listed, list) else otherwise

    def keys(self) -> list[Answer]:
        """The keys that the provider signs with."""
        found = self._keys.get().get("keys")
        return [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []

    def ask_for_keys(self) -> bool:
        """Forget the keys, since a token names another one; return False if that was done a moment ago."""
        now = time.monotonic()
        if now - self._asked_for_key_at < UNKNOWN_KEY_SECONDS:
            return False
        self._asked_for_key_at, self._keys.stale_at = now, 0.0
        return True

    def redeem(self, code: str, redirect_uri: str, verifier: str) -> Answer:
        """The tokens for a code."""
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        client_id, secret = self._config.client_id, self._config.client_secret
        headers = {}
        methods = "token_endpoint_auth_methods_supported"
        if self.supports(methods, "client_secret_basic", otherwise=True):
            # https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            body |= {"client_id": client_id, "client_secret": secret}
        return self._ask("POST", self.endpoint("token_endpoint"), data=body, headers=headers)

    def user(self, access_token: str) -> Answer:
        """What the provider says of the user with this token beside the ID token; nothing where it cannot be asked."""
        place = self.endpoint("userinfo_endpoint")
        if not place or not access_token.isascii() or not access_token.isprintable():
            return {}
        return self._ask("GET", place, headers={"authorization": f"Bearer {access_token}"})

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()

    def _ask_description(self) -> Answer:
        wanted = self._config.issuer.rstrip("/")
        found = self._ask("GET", wanted + DESCRIPTION_PATH)
        if str(found.get("issuer")).rstrip("/") != wanted:
            raise _failed(f"calls itself {str(found.get('issuer'))[:200]!r}; set LOCKCHAT_OIDC_ISSUER to its own name")
        for name in ENDPOINTS:
            if name in found or name in NEEDED:
                self._check(name, found.get(name))
        return found

    def _check(self, name: str, place: object) -> None:
        """Raise ProviderError for an address that is neither TLS nor, like the issuer, this machine's."""
        try:
            parts = urlsplit(str(place))
            is_here = parts.scheme == "http" and is_loopback(parts.hostname or "")
        except ValueError:
            raise _failed(f"has no usable {name}") from None
        if parts.scheme != "https" and not (is_here and self._config.issuer.startswith("http:")):
            raise _failed(f"has no {name} with https://")

    def _ask(self, method: str, place: str, **options: Any) -> Answer:
        line = Lifeline(TOTAL_SECONDS)
        line.start("total_timeout", TOTAL_SECONDS)
        try:
            status, body = self._exchange(line, method, place, options)
        except UpstreamError as error:
            reason = line.timeout or error.reason
            raise _failed(f"cannot be used at {urlsplit(place).path}: {reason}", is_away=True) from None
        finally:
            line.end()
        answer = load(body, MOST_VALUES) if len(body) <= MOST_BYTES else None
        if status != 200 or not isinstance(answer, dict):
            raise _failed(
                f"answered {urlsplit(place).path} with status {status}{_error_in(answer, self._config.client_secret)}",
                is_away=status >= 500,
            )
        return answer

    def _exchange(self, line: Lifeline, method: str, place: str, options: Mapping[str, Any]) -> tuple[int, bytes]:
        times = (CONNECT_SECONDS, TOTAL_SECONDS)
        response = transport.send(self._session, line, method, place, timeout=times, **options)
        try:
            return response.status_code, bounded(transport.read(response), MOST_BYTES)
        finally:
            response.close()


def _error_in(answer: object, secret: str) -> str:
    """The provider's own code and sentence, for the log, without our secret."""
    if not isinstance(answer, dict) or "error" not in answer:
        return " and no JSON" if answer is None else ""
    said = f"{str(answer['error'])[:100]} {str(answer.get('error_description', ''))[:300]}"
    return f": {clean(said, (secret,))}"


def _failed(reason: str, *, is_away: bool = False) -> ProviderError:
    log.warning("the identity provider %s", reason)
    return ProviderError(reason, is_away=is_away)
