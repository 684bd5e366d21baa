"""ID tokens: who signed them, and for whom. https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation

Imported only where users sign in at a provider: Authlib and the cryptography below it take 0.3 s and 13 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwk, jws, jwt
from joserfc.errors import BadSignatureError, JoseError

# Neither `none` nor the HS kind, whose key is the client's secret. Each with the type of its keys.
ALGORITHMS = {"RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "ES256": "EC", "ES384": "EC"}
LEEWAY_SECONDS = 60  # clocks differ
MOST_KEYS = 10  # tried for a token that does not name its key
MOST_TOKEN_CHARS = 65_536
MOST_HEADER_CHARS = 8192  # some providers send their certificates in it
SUBJECT_CHARS = 255


class Refused(Exception):
    """The token proves nothing. The message says why, for the log: it quotes no value of the token."""


class UnknownKey(Refused):
    """The token names a key that is none of the provider's."""


def claims_of(
    token: str, keys: Sequence[Mapping[str, Any]], *, issuer: str, client_id: str, nonce: str, access_token: str
) -> dict[str, Any]:
    """Return the claims of an ID token that one of these keys signed for this client. Raises Refused, UnknownKey.

    `keys` are the provider's, as JSON Web Keys. Keys and addresses of keys in the token itself count for nothing.
    """
    if len(token) > MOST_TOKEN_CHARS:
        raise Refused("it is too long")
    try:
        header = jws.extract_compact(token.encode(), registry=_registry()).headers()
        claims = CodeIDToken(
            _decoded(token, _fitting(keys, header)).claims,
            header,
            {
                "iss": {"essential": True, "value": issuer},
                "aud": {"essential": True, "value": client_id},
                "sub": {"essential": True},
            },
            {"nonce": nonce, "client_id": client_id, "access_token": access_token},
        )
        claims.validate(leeway=LEEWAY_SECONDS)
    except JoseError as error:
        raise Refused(f"{error.error}{f' of {name}' if (name := getattr(error, 'claim', '')) else ''}") from None
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:  # joserfc lets them through
        raise Refused(type(error).__name__) from None
    if len(claims["sub"]) > SUBJECT_CHARS:
        raise Refused("its subject is too long")
    return dict(claims)


def _registry() -> jws.JWSRegistry:
    registry = jws.JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
    registry.max_header_length = MOST_HEADER_CHARS
    return registry


def _fitting(keys: Iterable[Mapping[str, Any]], header: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The keys that can have signed the token. Raises Refused, UnknownKey."""
    algorithm, name = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise Refused(f"it is signed with {str(algorithm)[:20]!r}, not with one of {', '.join(ALGORITHMS)}")
    fitting = [
        key
        for key in keys
        if key.get("kty") == ALGORITHMS[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (name is None or key.get("kid") == name)
    ]
    if not fitting:
        raise UnknownKey("its key is none of the provider's")
    return fitting[:MOST_KEYS]


def _decoded(token: str, keys: Sequence[Mapping[str, Any]]) -> jwt.Token:
    for key in keys:
        try:
            return jwt.decode(token, jwk.import_key(dict(key)), registry=_registry())
        except BadSignatureError:
            continue
    raise Refused("its signature is wrong")
