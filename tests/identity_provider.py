"""A real identity provider on a local port, which can lie in every way that a test wants.

with IdentityProvider() as provider:
    provider.person = {"sub": "1", "preferred_username": "alice", "groups": ["team"]}
    provider.forge = lambda header, claims: provider.signed(header, claims | {"aud": "another"})
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT_ID = "lockchat"
CLIENT_SECRET = "s3cret/with+odd:letters"  # which Basic has to encode


@cache
def rsa_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@cache
def ec_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


def segment(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class IdentityProvider:
    """`person` is who signs in; `forge(header, claims)` makes the token; `answers` are in place of those of a path."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"sub": "1", "preferred_username": "alice", "groups": ["team"]}
        self.more: dict[str, Any] = {}  # what only the userinfo endpoint tells
        self.key: RSAKey | ECKey = rsa_key("first")
        self.keys = [self.key.as_dict(private=False)]
        self.forge: Callable[[dict[str, Any], dict[str, Any]], str] = self.signed
        self.description: dict[str, Any] = {}  # beside what is always there
        self.answers: dict[str, Callable[[], tuple[int, bytes]]] = {}
        self.asked: Counter[str] = Counter()
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> IdentityProvider:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def signed(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        return jwt.encode(header, claims, self.key, algorithms=[header["alg"]])

    def consent(self, address: str) -> str:
        """Sign in at this address of the provider, as the person; return the address that leads back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'state': query['state'], 'code': code})}"

    def _describe(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/user",
            **self.description,
        }

    def _tokens(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        kind, _space, pair = authorization.partition(" ")
        name, _colon, secret = base64.b64decode(pair).decode().partition(":")
        if not pair:
            name, secret = form.get("client_id", ""), form.get("client_secret", "")
        if (unquote_plus(name), unquote_plus(secret) if kind else secret) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        query = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if not query or segment(digest) != query["code_challenge"] or form["redirect_uri"] != query["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "Code not valid"}
        now = int(time.time())
        claims = {
            **self.person,
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": query["nonce"],
        }
        header = {"alg": "ES256" if self.key.key_type == "EC" else "RS256", "kid": self.key.kid}
        token = self.forge(header, claims)
        return 200, {"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": token}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                provider.asked[path] += 1
                if path in provider.answers:
                    self._answer(*provider.answers[path]())
                elif self.path == "/.well-known/openid-configuration":
                    self._json(200, provider._describe())
                elif self.path == "/keys":
                    self._json(200, {"keys": provider.keys})
                elif path == "/user":
                    is_known = self.headers["Authorization"] == "Bearer opaque"
                    self._json(200 if is_known else 401, provider.person | provider.more)
                elif path == "/authorize":
                    self.send_response(302)
                    self.send_header("Location", provider.consent(self.path))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self._answer(404, b"nothing here")

            def do_POST(self) -> None:
                provider.asked[self.path] += 1
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if self.path in provider.answers:
                    self._answer(*provider.answers[self.path]())
                    return
                form = {name: values[0] for name, values in parse_qs(body).items()}
                self._json(*provider._tokens(form, self.headers.get("Authorization", "")))

            def _json(self, status: int, value: Any) -> None:
                self._answer(status, json.dumps(value).encode())

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler
