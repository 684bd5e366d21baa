"""Reads the settings from the environment, once at start. All are named LOCKCHAT_...

Raises ConfigError for an invalid setting: it names the variable, its value and the accepted values.
A secret may also come from a file: LOCKCHAT_API_KEY_FILE is the path of a file with the LOCKCHAT_API_KEY.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from webapp.addresses import has_neighbours, is_loopback
from webapp.environment import PREFIX, Environment
from webapp.errors import ConfigError
from webapp.oidc import settings as oidc_settings
from webapp.oidc.settings import OidcConfig

PROXY = "proxy"  # a word of LOCKCHAT_ALLOW_OPEN, like an address
MOST_DAYS = 36_500  # a hundred years


@dataclass(frozen=True, kw_only=True)
class UpstreamConfig:
    """The settings of an upstream. Times are in seconds, sizes in bytes. `retries` are the tries after the first.

    `auth` is sent in the query, `api_key` in the Authorization header.
    """

    auth: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    connect_seconds: float = 5
    first_token_seconds: float = 120
    idle_seconds: float = 60
    total_seconds: float = 900
    retries: int = 2
    max_answer_bytes: int = 4 * 2**20
    max_line_bytes: int = 12 * 2**20  # a picture of 8 MiB in base64
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Config(UpstreamConfig):
    """All settings with their defaults. Times are in seconds, sizes in bytes unless the name says otherwise."""

    url: str | None = None
    models: tuple[str, ...] = ()
    data_dir: Path = Path("data")
    database_url: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    login: str = "open"
    login_header: str = "Remote-User"
    login_secret: str | None = field(default=None, repr=False)
    api: bool = False
    oidc: OidcConfig | None = None
    allow_open: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    metrics_token: str | None = field(default=None, repr=False)
    max_question_chars: int = 100_000
    titles: str = "words"
    notice: str | None = None  # markdown, above every page
    welcome: str | None = None  # markdown, for a user without conversations
    streams_per_user: int = 20
    streams_per_address: int = 250
    streams_total: int = 500
    stored_chars_per_day: int = 100_000_000
    max_import_bytes: int = 64 * 2**20
    imports_per_hour: int = 30
    conversations_per_user: int = 10_000
    retention_days: int = 0  # 0: for ever
    retention_pinned: str = "delete"
    sharing: str = "off"
    proxies: tuple[str, ...] = ()
    audit_days: int = 365

    @property
    def storage_url(self) -> str:
        """The database's URL: `database_url` if set, else a SQLite file in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'lockchat.sqlite3'}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show."""
        passwords = [_password_of(url) for url in (self.proxy, self.database_url) if url]
        at_provider = self.oidc.client_secret if self.oidc else None
        named = (self.auth, self.api_key, self.secret_key, self.login_secret, at_provider, self.metrics_token)
        return tuple(secret for secret in (*named, *passwords) if secret)

    def hurried(self, seconds: float, answer_bytes: int) -> Config:
        """Return these settings for a short answer: without a retry, within `seconds`."""
        return replace(self, total_seconds=min(seconds, self.total_seconds), retries=0, max_answer_bytes=answer_bytes)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Config:
        """Return the settings in an environment. Raises ConfigError for an invalid one."""
        read = Environment(env)
        streams_total = read.whole("STREAMS_TOTAL", cls.streams_total, least=1, most=100_000)
        streams_per_address = max(cls.streams_per_address, streams_total // 2)
        config = cls(
            url=read.upstream_url("URL"),
            auth=read.secret("AUTH"),
            api_key=read.secret("API_KEY"),
            models=read.words("MODELS"),
            ca_bundle=read.certificates("CA_BUNDLE"),
            proxy=read.proxy("PROXY"),
            data_dir=Path(read.text("DATA_DIR") or cls.data_dir),
            database_url=read.database_url("DATABASE_URL"),
            secret_key=read.secret_key("SECRET_KEY"),
            allow_open=frozenset(read.words("ALLOW_OPEN")),
            hosts=read.hosts("HOSTS") | read.bound_hosts("BIND"),
            metrics_token=read.secret_key("METRICS_TOKEN"),
            connect_seconds=read.seconds("CONNECT_SECONDS", cls.connect_seconds),
            first_token_seconds=read.seconds("FIRST_TOKEN_SECONDS", cls.first_token_seconds),
            idle_seconds=read.seconds("IDLE_SECONDS", cls.idle_seconds),
            total_seconds=read.seconds("TOTAL_SECONDS", cls.total_seconds),
            retries=read.whole("RETRIES", cls.retries, least=0, most=10),
            max_answer_bytes=read.whole("MAX_ANSWER_BYTES", cls.max_answer_bytes, least=1, most=2**30),
            max_line_bytes=read.whole("MAX_LINE_BYTES", cls.max_line_bytes, least=1024, most=2**30),
            max_question_chars=read.whole("MAX_QUESTION_CHARS", cls.max_question_chars, least=1, most=1_000_000),
            titles=read.choice("TITLES", ("words", "upstream")),
            notice=read.text("NOTICE"),
            welcome=read.text("WELCOME"),
            streams_per_user=read.whole("STREAMS_PER_USER", cls.streams_per_user, least=1, most=10_000),
            streams_per_address=read.whole("STREAMS_PER_ADDRESS", streams_per_address, least=1, most=100_000),
            streams_total=streams_total,
            stored_chars_per_day=read.whole("STORED_CHARS_PER_DAY", cls.stored_chars_per_day, least=1, most=10**15),
            max_import_bytes=read.whole("MAX_IMPORT_BYTES", cls.max_import_bytes, least=2**20, most=2**28),
            imports_per_hour=read.whole("IMPORTS_PER_HOUR", cls.imports_per_hour, least=1, most=1_000_000),
            conversations_per_user=read.whole("CONVERSATIONS_PER_USER", cls.conversations_per_user, most=10**7),
            proxies=read.proxies("PROXIES"),
            **_of_team(read),
        )
        config.check_login()
        if config.ca_bundle and config.url and config.url.startswith("http://"):  # no connection needs them
            raise ConfigError(f"{PREFIX}CA_BUNDLE is set, but {PREFIX}URL is not https.")
        return config

    def check_login(self) -> None:
        """Raise ConfigError for a login that others could pass off as theirs, and for what needs users who sign in."""
        if self.sharing == "team" and self.login == "open":
            raise ConfigError(
                f"{PREFIX}SHARING=team lets users who sign in read shared conversations, but {PREFIX}LOGIN=open knows"
                f" no users: set {PREFIX}LOGIN to password, proxy or oidc, or leave {PREFIX}SHARING out."
            )
        if self.api and self.login == "open":
            # A key would outlive the cookie that is its owner, and nobody could disable it.
            raise ConfigError(
                f"{PREFIX}API=1 gives users keys for programs, so it needs users who sign in:"
                f" set {PREFIX}LOGIN to password, proxy or oidc."
            )
        if self.login != "proxy":
            return
        if not self.proxies:
            raise ConfigError(
                f"{PREFIX}LOGIN=proxy believes what a proxy says about its users, so it needs the proxy's address:"
                f" set {PREFIX}PROXIES, such as {PREFIX}PROXIES=10.0.0.5"
            )
        if has_neighbours(self.proxies) and not self.login_secret:
            raise ConfigError(
                f"{PREFIX}PROXIES names this machine, where every process could say that it is the proxy. Let the proxy"
                f" send a secret in the header X-Lockchat-Secret, and set {PREFIX}LOGIN_SECRET to the same secret."
            )


def _of_team(read: Environment) -> dict[str, Any]:
    """The settings of sign-in, and of what is kept of whom."""
    return {
        "login": read.choice("LOGIN", ("open", "password", "proxy", "oidc")),
        "login_header": read.header("LOGIN_HEADER", Config.login_header),
        "login_secret": read.secret_key("LOGIN_SECRET"),
        "audit_days": read.whole("AUDIT_DAYS", Config.audit_days, least=1, most=MOST_DAYS),
        "oidc": oidc_settings.read(read) if read.text("LOGIN") == "oidc" else None,
        "api": read.choice("API", ("0", "1")) == "1",
        "sharing": read.choice("SHARING", ("off", "team")),
        "retention_days": read.whole("RETENTION_DAYS", Config.retention_days, least=0, most=MOST_DAYS),
        "retention_pinned": read.choice("RETENTION_PINNED", ("delete", "keep")),
    }


def check_bind(config: Config, hosts: list[str]) -> None:
    """Raise ConfigError for open login on an address that others can reach and that `allow_open` does not name.

    `hosts` are the addresses the server listens on; the path of a unix socket is local.
    """
    for host in hosts:
        if config.login == "open" and not is_loopback(host) and host not in config.allow_open:
            raise ConfigError(
                f"{PREFIX}LOGIN=open lets everyone who reaches {host} in, without a password."
                f" Listen on 127.0.0.1, or allow this address by name: {PREFIX}ALLOW_OPEN={host}"
            )


def _password_of(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None
