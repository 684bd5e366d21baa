"""Reads and checks the values of settings in an environment. Raises ConfigError for an invalid one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from webapp.addresses import is_address, is_proxy
from webapp.errors import ConfigError
from webapp.secret_key import MIN_CHARS, is_weak
from webapp.upstream.address import may_hold_key

PREFIX = "LOCKCHAT_"
DATABASES = ("sqlite:///", "postgresql:")
IN_MEMORY = ("sqlite:///", "sqlite:///:memory:")  # each connection would have a database to itself
HOST_NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)
HEADER_NAME = re.compile(r"[A-Za-z0-9-]+", re.ASCII)  # a name with underscores would not arrive


class _Reader:
    """Reads typed values from an environment. An empty value counts as not set."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env

    def text(self, name: str) -> str | None:
        return self.env.get(PREFIX + name, "").strip() or None

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word for part in (self.text(name) or "").split(",") if (word := part.strip()))

    def choice(self, name: str, accepted: tuple[str, ...]) -> str:
        value = self.text(name) or accepted[0]
        if value not in accepted:
            raise _refused(name, value, "one of: " + ", ".join(accepted))
        return value

    def whole(self, name: str, default: int, *, least: int = 1, most: int) -> int:
        value = self.text(name)
        try:
            number = default if value is None else int(value)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise _refused(name, value, f"a whole number from {least} to {most}")
        return number

    def seconds(self, name: str, default: float) -> float:
        value = self.text(name)
        try:
            number = default if value is None else float(value)
        except ValueError:
            number = 0.0
        if not 0 < number <= 86_400:
            raise _refused(name, value, "seconds, above 0 and up to 86400")
        return number

    def secret(self, name: str) -> str | None:
        value, path = self.text(name), self.text(name + "_FILE")
        if value and path:
            raise ConfigError(f"{PREFIX}{name} and {PREFIX}{name}_FILE are both set: keep one.")
        if path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip() or None
            except (OSError, UnicodeDecodeError):
                raise _refused(name + "_FILE", path, "the path of a text file that can be read") from None
        if value and not value.isprintable():
            raise ConfigError(f"{PREFIX}{name} holds a line end or another control character. Give it on one line.")
        return value


class Environment(_Reader):
    """Reads and checks addresses, hosts, proxies, certificates and the secret key."""

    def header(self, name: str, default: str) -> str:
        value = self.text(name) or default
        if not HEADER_NAME.fullmatch(value):
            raise _refused(name, value, "the name of a header, of letters, digits and hyphens")
        return value

    def hosts(self, name: str) -> frozenset[str]:
        words = [word.lower().strip("[]") for word in self.words(name)]
        if not all(HOST_NAME.fullmatch(word) or is_address(word) for word in words):
            raise _refused(name, self.text(name), "host names without scheme and port, with commas between")
        return frozenset(words)

    def bound_hosts(self, name: str) -> frozenset[str]:
        """Return the hosts of the addresses to listen on. The path or number of a socket has no host."""
        words = [word for word in self.words(name) if not word.startswith(("unix:", "fd:"))]
        return frozenset(word.rpartition(":")[0].lower().strip("[]") for word in words) - {""}

    def certificates(self, name: str) -> str | None:
        value = self.text(name)
        try:
            usable = not value or b"-----BEGIN CERTIFICATE-----" in Path(value).read_bytes()
        except OSError:
            usable = False
        if not usable:
            raise _refused(name, value, "the path of a PEM file with certificates")
        return value

    def proxy(self, name: str) -> str | None:
        value = self.text(name)
        if value and not value.lower().startswith(("http://", "https://")):
            raise _refused(name, None, "an http:// or https:// address")
        return value

    def proxies(self, name: str) -> tuple[str, ...]:
        values = self.words(name)
        for value in values:
            if not is_proxy(value):
                raise _refused(name, value, 'addresses or networks of proxies, such as 127.0.0.1, or "unix"')
        return values

    def database_url(self, name: str) -> str | None:
        value = self.secret(name)
        if value and (not value.startswith(DATABASES) or value.partition("?")[0] in IN_MEMORY):
            raise _refused(name, None, "sqlite:///path or postgresql://user:password@host/name")
        return value

    def secret_key(self, name: str) -> str | None:
        value = self.secret(name)
        if value and is_weak(value):
            # The message leaves out the value: it may be a password for something else.
            raise ConfigError(f"{PREFIX}{name} is too easy to guess: use {MIN_CHARS} random characters or more.")
        return value

    def upstream_url(self, name: str) -> str | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            host = parts.hostname
            _ = parts.port
        except ValueError:
            shown = "..." if "@" in value or "?" in value else value  # it may contain a key
            raise _refused(name, shown, "an http:// or https:// address") from None
        if parts.username or parts.password or may_hold_key(parts.query) or parts.fragment:
            raise ConfigError(
                f"{PREFIX}{name} holds a key, a fragment or a query other than api-version. Give the address alone,"
                f" and the key as {PREFIX}AUTH or {PREFIX}API_KEY."
            )
        if parts.scheme not in ("http", "https") or not host:
            raise _refused(name, value, "an http:// or https:// address")
        if parts.scheme == "http" and not is_private(host) and host not in self.words("ALLOW_HTTP"):
            raise ConfigError(
                f"{PREFIX}{name}={value!r} would send every message and the key unencrypted over a public network."
                f" Use https://, or allow this host by name: {PREFIX}ALLOW_HTTP={host}"
            )
        return value.rstrip("/")


def is_private(host: str) -> bool:
    """Return whether a host is on this machine or a private network, judged by its name alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        local_names = (".local", ".internal", ".lan", ".home.arpa", ".localhost", ".test", ".example")
        return host == "localhost" or "." not in host or host.endswith(local_names)
    return address.is_private or address.is_loopback or address.is_link_local


def _refused(name: str, value: str | None, accepted: str) -> ConfigError:
    """Return the error for a value. None leaves the value out, because it may contain a password."""
    shown = "" if value is None else f"={value!r}"
    return ConfigError(f"{PREFIX}{name}{shown} cannot be used. Accepted: {accepted}.")
