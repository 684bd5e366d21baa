"""What a proxy in front changes: compares what a browser says with what arrives, and names the line that mends it.

The lines are those of README's blocks; `tests/test_proxying.py` and `tests/test_real_proxies.py` hold them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from webapp.language import gettext as _

NGINX, CADDY, APACHE, HAPROXY, SETTING = "nginx", "Caddy", "Apache", "HAProxy", "Lockchat"
HELD_MILLISECONDS = 1000  # a stream that arrives so much later than it was sent was held back
PORTS = {"http": ":80", "https": ":443"}

HOST = {
    NGINX: "proxy_set_header Host $http_host;",
    CADDY: "header_up Host {hostport}",
    APACHE: "ProxyPreserveHost On",
    HAPROXY: "# remove: http-request set-header Host ...",
}
SCHEME = {
    NGINX: "proxy_set_header X-Forwarded-Proto $scheme;",
    CADDY: "# remove: header_up -X-Forwarded-Proto",
    APACHE: "RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}",
    HAPROXY: "http-request set-header X-Forwarded-Proto https",
}
WRONG_SCHEME = {  # the proxy says http: another one before it speaks TLS
    NGINX: "proxy_set_header X-Forwarded-Proto https;",
    CADDY: "header_up X-Forwarded-Proto https",
    APACHE: "RequestHeader set X-Forwarded-Proto https",
    HAPROXY: "http-request set-header X-Forwarded-Proto https",
}
ADDRESS = {
    NGINX: "proxy_set_header X-Forwarded-For $remote_addr;",
    CADDY: "# remove: header_up -X-Forwarded-For",
    APACHE: "# remove: ProxyAddHeaders Off",
    HAPROXY: "http-request set-header X-Forwarded-For %[src]",
}
PREFIX = {
    NGINX: "proxy_set_header X-Forwarded-Prefix {prefix};",
    CADDY: "header_up X-Forwarded-Prefix {prefix}",
    APACHE: "RequestHeader set X-Forwarded-Prefix {prefix}",
    HAPROXY: "http-request set-header X-Forwarded-Prefix {prefix}",
}
STREAM = {
    NGINX: "proxy_buffering off;",
    CADDY: "flush_interval -1",
    APACHE: "ProxyPass / http://127.0.0.1:8000/ flushpackets=on",
    HAPROXY: "# remove: http-response wait-for-body ...",
}
COMPRESSION = {
    NGINX: "gzip off;",
    CADDY: "# remove: encode ...",
    APACHE: "SetEnv no-gzip 1",
    HAPROXY: "# remove: filter compression ...",
}
SILENCE = {
    NGINX: "proxy_read_timeout 60s;",
    CADDY: "# remove: read_timeout ...",
    APACHE: "ProxyTimeout 60",
    HAPROXY: "timeout server 60s",
}


@dataclass(frozen=True, slots=True)
class Arrived:
    """The request as it arrived. `peer` is the other end of the connection; `is_trusted` if it is a known proxy.

    `proxies` are those of the settings. Names of `headers` are in lower case.
    """

    scheme: str
    host: str
    prefix: str
    peer: str
    is_trusted: bool
    is_forwarded: bool
    proxies: Sequence[str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Browser:
    """What the browser says: the address of its page, and with script how the probe's stream arrived.

    Empty where unknown. `held` are the milliseconds that the stream was held back; None without script.
    """

    scheme: str = ""
    host: str = ""
    prefix: str | None = None
    held: int | None = None
    is_cut: bool = False
    encoding: str = ""
    server: str = ""  # its Server and Via headers


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a proxy does wrong, and the line that mends it for each proxy that it may be."""

    sentence: str
    lines: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """What is wrong, what is right, in sentences, and the name of the proxy if it can be told."""

    wrong: Sequence[Finding]
    right: Sequence[str]
    proxy: str


def check(arrived: Arrived, browser: Browser) -> Check:
    """Compare what the browser says with what arrived."""
    proxy = _proxy_of(arrived, browser)
    wrong = [*_names(arrived, browser), *_trust(arrived), *_streams(browser)]
    lines_of = [Finding(one.sentence, _lines(one.lines, proxy)) for one in wrong]
    return Check(lines_of, _right(arrived, browser), proxy)


def _proxy_of(arrived: Arrived, browser: Browser) -> str:
    """The name of the proxy; empty where it cannot be told. HAProxy does not tell."""
    said = f"{browser.server} {arrived.headers.get('via', '')}".lower()
    for name in (NGINX, CADDY, APACHE):
        if name.lower() in said:
            return name
    # Apache's mod_proxy_http adds the first one and no port; Traefik adds both.
    is_apache = "x-forwarded-server" in arrived.headers and "x-forwarded-port" not in arrived.headers
    return APACHE if is_apache else ""


def _names(arrived: Arrived, browser: Browser) -> list[Finding]:
    """Whether host, scheme and path are those of the browser."""
    found = []
    if browser.host and _host_of(browser.host, browser.scheme) != _host_of(arrived.host, browser.scheme):
        sentence = _("The proxy changes the name of the host: your browser asked %(asked)s, and %(host)s arrived.")
        found.append(Finding(sentence % {"asked": browser.host, "host": arrived.host}, HOST))
    if _has_lost_scheme(arrived, browser) and (arrived.is_trusted or not arrived.is_forwarded):
        lines = WRONG_SCHEME if arrived.headers.get("x-forwarded-proto") else SCHEME
        lines = lines if arrived.is_trusted else _setting(arrived) | lines
        sentence = _("Your browser uses %(asked)s, but the request arrived as %(scheme)s.")
        found.append(Finding(sentence % {"asked": browser.scheme, "scheme": arrived.scheme}, lines))
    if browser.prefix is not None and browser.prefix != arrived.prefix and arrived.is_trusted:
        sentence = _("The proxy does not say that the page is below %(prefix)s.")
        lines = {proxy: line.format(prefix=browser.prefix) for proxy, line in PREFIX.items()}
        found.append(Finding(sentence % {"prefix": browser.prefix}, lines))
    return found


def _trust(arrived: Arrived) -> list[Finding]:
    """Whether the proxy is known, and says who asks."""
    if arrived.is_forwarded and not arrived.is_trusted:
        sentence = _(
            "The requests come from %(peer)s with the headers of a proxy, which is not in LOCKCHAT_PROXIES. So its"
            " headers are not believed: the scheme is unknown, and everybody has the same address."
        )
        return [Finding(sentence % {"peer": arrived.peer}, _setting(arrived))]
    if arrived.is_trusted and arrived.is_forwarded and not arrived.headers.get("x-forwarded-for"):
        return [Finding(_("The proxy does not say from which address a request comes."), ADDRESS)]
    return []


def _setting(arrived: Arrived) -> dict[str, str]:
    return {SETTING: f"LOCKCHAT_PROXIES={','.join([*arrived.proxies, arrived.peer])}"}


def _streams(browser: Browser) -> list[Finding]:
    """Whether the stream of the probe arrived as it was sent."""
    found = []
    if (browser.held or 0) >= HELD_MILLISECONDS:
        sentence = _("The proxy holds the stream back: answers come all at once, not word by word.")
        found.append(Finding(sentence, STREAM))
    if browser.is_cut:
        sentence = _("The proxy ends a stream that is silent for 16 seconds, as it is while a model thinks.")
        found.append(Finding(sentence, SILENCE))
    if browser.encoding not in ("", "identity"):
        sentence = _("The proxy compresses the stream (%(encoding)s), which may hold it back.")
        found.append(Finding(sentence % {"encoding": browser.encoding}, COMPRESSION))
    return found


def _right(arrived: Arrived, browser: Browser) -> list[str]:
    sentences = []
    is_same = not _names(arrived, browser) and not _has_lost_scheme(arrived, browser)
    if browser.host and is_same:
        sentences.append(_("The name of the host, the scheme and the path arrive as your browser sent them."))
    if browser.held is not None and not _streams(browser):
        sentences.append(_("The stream arrives as it is sent."))
    if is_same and not arrived.is_forwarded:
        sentences.append(_("The request has no headers of a proxy."))
    return sentences


def _has_lost_scheme(arrived: Arrived, browser: Browser) -> bool:
    return bool(browser.scheme) and browser.scheme != arrived.scheme


def _host_of(host: str, scheme: str) -> str:
    return host.lower().removesuffix(PORTS.get(scheme, ":"))


def _lines(lines: Mapping[str, str], proxy: str) -> Mapping[str, str]:
    """The line of this proxy, or of each that it may be."""
    return {name: line for name, line in lines.items() if name in (proxy, SETTING)} if proxy in lines else lines
