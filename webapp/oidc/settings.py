"""The settings of LOCKCHAT_LOGIN=oidc: LOCKCHAT_OIDC_..."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from webapp.addresses import is_loopback
from webapp.environment import Environment
from webapp.errors import ConfigError

PREFIX = "LOCKCHAT_OIDC_"
EVERYONE = "*"
NEEDED = {
    "ISSUER": "the provider's address, such as https://id.example.org/realms/team",
    "CLIENT_ID": "the id that the provider gave to Lockchat",
    "CLIENT_SECRET": "the secret that belongs to that id",
    "ADDRESS": "this page's own address, such as https://chat.example.org",
    "ALLOW": f"the groups that may use Lockchat, with commas between, or {EVERYONE} for all whom the provider lets in",
}


@dataclass(frozen=True, kw_only=True)
class OidcConfig:
    """How users sign in at an identity provider. `address` is the page's own, without a slash at its end.

    `claim` lists what a user is, such as their groups. It admits those who have one of `allow` or `admins`. With
    `admins` it also decides who is an administrator.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    address: str
    claim: str = "groups"
    allow: frozenset[str] = frozenset({EVERYONE})
    admins: frozenset[str] = frozenset()
    ca_bundle: str | None = None

    @property
    def host(self) -> str:
        """The host name of the page."""
        return urlsplit(self.address).hostname or ""


def read(reader: Environment) -> OidcConfig:
    """Return the settings. Raises ConfigError for a missing or unsafe one."""
    found = {
        name: reader.secret(f"OIDC_{name}") if "SECRET" in name else reader.text(f"OIDC_{name}") for name in NEEDED
    }
    for name, value in found.items():
        if not value:
            raise ConfigError(f"LOCKCHAT_LOGIN=oidc needs {PREFIX}{name}: {NEEDED[name]}.")
    return OidcConfig(
        issuer=_address("ISSUER", str(found["ISSUER"])),
        client_id=str(found["CLIENT_ID"]),
        client_secret=str(found["CLIENT_SECRET"]),
        address=_address("ADDRESS", str(found["ADDRESS"])).rstrip("/"),
        claim=reader.text("OIDC_CLAIM") or OidcConfig.claim,
        allow=frozenset(reader.words("OIDC_ALLOW")),
        admins=frozenset(reader.words("OIDC_ADMINS")),
        ca_bundle=reader.certificates("OIDC_CA_BUNDLE"),
    )


def _address(name: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"{PREFIX}{name}={value!r} cannot be used. Accepted: {NEEDED[name]}.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"{PREFIX}{name}={value!r} would let others on the network sign in as anybody. Use https://;"
            " http:// is for this machine alone, such as http://127.0.0.1:8080."
        )
    return value
