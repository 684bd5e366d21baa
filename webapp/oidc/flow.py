"""The way to the identity provider and back: https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth

What belongs to one sign-in is derived from its `state`, a random word in the browser's cookie: the nonce and PKCE's
verifier (https://www.rfc-editor.org/rfc/rfc7636) are kept nowhere, and nobody without our secret can make them.
"""

from __future__ import annotations

import base64
import hmac
import logging
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

from webapp.errors import NotAdmitted, ProviderError
from webapp.language import gettext as _
from webapp.oidc import tokens
from webapp.oidc.claims import name_of, values_of
from webapp.oidc.provider import Provider
from webapp.oidc.settings import EVERYONE, OidcConfig
from webapp.team import Identity

DONE_PATH = "/sign-in/done"  # the provider knows this one address of ours, for both ways back
SCOPES = ("openid", "profile", "email")
KEPT_TOKEN_CHARS = 4000  # a longer one would not fit into the address at the sign-out, which works without it

log = logging.getLogger(__name__)


class Flow:
    """Signs users in at one provider. `secret` is this instance's own."""

    def __init__(self, config: OidcConfig, provider: Provider, secret: str) -> None:
        self._config = config
        self._provider = provider
        self._secret = secret.encode()
        self._back = config.address + DONE_PATH

    def begin(self, state: str) -> str:
        """The provider's address to send the browser to. Raises ProviderError."""
        # Okta and Authelia tell groups only to who asks for them; Keycloak refuses a scope that it does not know.
        claim = self._config.claim
        scopes = [*SCOPES, *([claim] if self._provider.supports("scopes_supported", claim) else [])]
        query = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": self._back,
            "scope": " ".join(dict.fromkeys(scopes)),
            "state": state,
            "nonce": self._derived("nonce", state),
            "code_challenge": create_s256_code_challenge(self._derived("verifier", state)),
            "code_challenge_method": "S256",
        }
        return _with_query(self._provider.endpoint("authorization_endpoint"), query)

    def finish(self, state: str, code: str, issuer: str) -> Identity:
        """Who came back with this code. `issuer` is what the provider calls itself in the address, if it does.

        Raises NotAdmitted for who may not use this server, ProviderError, Busy.
        """
        with self._provider.turn():
            if issuer and issuer != self._provider.issuer:  # https://www.rfc-editor.org/rfc/rfc9207
                raise _unusable("another issuer came back")
            answer = self._provider.redeem(code, self._back, self._derived("verifier", state))
            access_token, id_token = str(answer.get("access_token", "")), str(answer.get("id_token", ""))
            claims = self._checked(id_token, access_token, self._derived("nonce", state))
            return self._identity(self._with_more(claims, access_token), id_token)

    def end(self, id_token: str) -> str:
        """The provider's address to sign out there too; empty where it has none. Raises ProviderError.

        https://openid.net/specs/openid-connect-rpinitiated-1_0.html
        """
        place = self._provider.endpoint("end_session_endpoint")
        query = {"client_id": self._config.client_id, "post_logout_redirect_uri": self._back}
        return _with_query(place, query | ({"id_token_hint": id_token} if id_token else {})) if place else ""

    def close(self) -> None:
        """Close the idle connections."""
        self._provider.close()

    def _checked(self, id_token: str, access_token: str, nonce: str) -> dict[str, Any]:
        """The claims of the ID token; looks for new keys if it names an unknown one."""

        def check() -> dict[str, Any]:
            return tokens.claims_of(
                id_token,
                self._provider.keys(),
                issuer=self._provider.issuer,
                client_id=self._config.client_id,
                nonce=nonce,
                access_token=access_token,
            )

        try:
            try:
                return check()
            except tokens.UnknownKey:
                if not self._provider.ask_for_keys():
                    raise
                return check()
        except tokens.Refused as error:
            raise _unusable(str(error)) from None

    def _with_more(self, claims: dict[str, Any], access_token: str) -> dict[str, Any]:
        """The claims, with those that the provider tells only at its userinfo endpoint."""
        needs_values = EVERYONE not in self._config.allow or self._config.admins
        lacks_values = needs_values and values_of(claims, self._config.claim) is None
        if not lacks_values and name_of(claims) != claims["sub"]:
            return claims
        try:
            more = self._provider.user(access_token)
        except ProviderError:
            if lacks_values:
                raise
            return claims  # the name is not worth a refusal
        # https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse
        if more.get("sub") != claims["sub"]:
            return claims
        return more | claims

    def _identity(self, claims: dict[str, Any], id_token: str) -> Identity:
        config = self._config
        values = values_of(claims, config.claim)
        if EVERYONE not in config.allow and not (values or frozenset()) & (config.allow | config.admins):
            if values is None:  # a wrong setting, so the log helps
                log.warning("sign-in refused: there is no claim %r among %s", config.claim, sorted(claims)[:40])
            raise NotAdmitted(
                _("Your account at the identity provider may not use this server. Ask an administrator."),
                name_of(claims),
            )
        return Identity(
            issuer=claims["iss"],
            subject=claims["sub"],
            name=name_of(claims),
            is_admin=bool((values or frozenset()) & config.admins) if config.admins else None,
            id_token=id_token if len(id_token) <= KEPT_TOKEN_CHARS else "",
        )

    def _derived(self, purpose: str, state: str) -> str:
        digest = hmac.digest(self._secret, f"oidc {purpose} {state}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _with_query(place: str, query: dict[str, str]) -> str:
    return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}"


def _unusable(reason: str) -> ProviderError:
    log.warning("the identity provider's ID token is refused: %s", reason)
    return ProviderError(reason)
