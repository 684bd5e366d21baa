"""The addresses of a request: its Host, Origin and Referer headers, proxies, this machine."""

from __future__ import annotations

import hmac
import logging
import re
import socket
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

from flask import request, url_for

from webapp.addresses import is_address, is_loopback
from webapp.config import PROXY
from webapp.errors import Forbidden, Invalid, Misdirected
from webapp.language import gettext as _
from webapp.views.parts import parts

LABEL = r"[a-z0-9-]{1,63}"
HOST = re.compile(rf"({LABEL}(?:\.{LABEL})*\.?|\[[0-9a-f]*:[0-9a-f:.]+\])(?::[1-9][0-9]{{0,4}})?", re.ASCII | re.I)
PATH_CHARS = 2000
HOST_CHARS = 260  # a name of 253, and a port
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UNUSABLE_HOST = "lockchat.unusable_host"
WILDCARDS = ("0.0.0.0", "::")
# Headers that proxies add: the connection then comes from the proxy, not from the browser.
FORWARDING = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Real-IP",
)

log = logging.getLogger(__name__)

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def guard(app: WSGI) -> WSGI:
    """Replace an invalid Host header, for which Flask would raise before it can show a page."""

    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not _is_usable(environ.get("HTTP_HOST"), environ.get("SERVER_PROTOCOL", "")):
            environ |= {UNUSABLE_HOST: True, "HTTP_HOST": "localhost"}
        return app(environ, start_response)

    return guarded


def check_form_of_host() -> None:
    """Raise Invalid for an invalid Host header."""
    if UNUSABLE_HOST in request.environ:
        raise Invalid(_("The request does not say which host it is for."))


def check_host() -> None:
    """Raise Misdirected for an unknown host name.

    Another site could point its name at this machine's address, and its pages could then read and write here:
    https://en.wikipedia.org/wiki/DNS_rebinding.
    """
    name = _name_of(request.host)
    config = parts().config
    is_page = config.oidc is not None and name == config.oidc.host  # where the identity provider sends users back to
    if not (is_own_name(request.host) or is_page or name in config.hosts or name in _names_of_listener()):
        if _name_of(_forwarded_host()) in config.hosts:
            raise Misdirected(_name_sentence(_forwarded_host()))
        raise Misdirected(
            _(
                "This server does not accept the name %(host)s. To allow it, an administrator sets"
                " LOCKCHAT_HOSTS=%(host)s and restarts the server."
            )
            % {"host": name}
        )


def check_open_login() -> None:
    """Raise Forbidden if open login is reached from outside, and LOCKCHAT_ALLOW_OPEN does not allow it.

    The start refuses some cases. Another server than gunicorn, an inherited socket and a proxy show only in requests.
    """
    config, listener = parts().config, _listener()
    if config.login != "open" or listener in config.allow_open:
        return
    if listener and not is_loopback(listener):
        missing = listener
    elif is_forwarded() and PROXY not in config.allow_open:
        missing = PROXY
    else:
        return
    raise Forbidden(
        _(
            "Everyone who reaches this address could use this server without a password, so it refuses."
            " To allow it, an administrator sets LOCKCHAT_ALLOW_OPEN=%(address)s and restarts the server."
        )
        % {"address": missing}
    )


def check_origin() -> None:
    """Raise Forbidden for a form of another site. Names a proxy that makes our own forms look like one."""
    if is_same_origin():
        return
    if asked := _changed_name():
        log.warning("a proxy changes the name of the host: a form of %s arrived for %s", asked, request.host)
        raise Forbidden(_name_sentence(asked))
    raise Forbidden(_("This request comes from another site, so it was refused."))


def is_same_origin() -> bool:
    """Whether a browser says that the request comes from our own page, or no browser sent it.

    A page cannot set Sec-Fetch-Site, so "same-origin" counts even if a proxy changed the Host header since.
    See https://www.w3.org/TR/fetch-metadata/ and https://fetch.spec.whatwg.org/#origin-header.
    """
    fetch_site = request.headers.get("Sec-Fetch-Site", "none")
    if fetch_site not in ("same-origin", "none"):
        return False
    if (header := request.headers.get("Origin")) is None:
        return True
    origin = split_address(header)
    if fetch_site == "same-origin":
        return origin.scheme in ("http", "https") and bool(origin.netloc)
    if origin.netloc.lower() != request.host.lower():
        return False
    return origin.scheme == request.scheme or (
        # A proxy may use TLS without saying so: only without a proxy is plain http certain.
        (origin.scheme, request.scheme) == ("https", "http")
        and is_forwarded()
        and request.headers.get("X-Forwarded-Proto") != "http"
    )


def _changed_name() -> str:
    """The origin of a form if its page is probably ours and a proxy changed the Host header; else empty."""
    origin = split_address(request.headers.get("Origin", ""))
    if "Sec-Fetch-Site" in request.headers or not origin.netloc or origin.netloc.lower() == request.host.lower():
        return ""
    name, host = _name_of(origin.netloc), _name_of(request.host)
    is_ours = name in parts().config.hosts and name != host
    is_inside = is_forwarded() and is_own_name(request.host) and not is_own_name(origin.netloc)
    return f"{origin.scheme}://{origin.netloc}" if is_ours or is_inside or origin.netloc == _forwarded_host() else ""


def _forwarded_host() -> str:
    """The host that the browser asked for, as a proxy reports it. For sentences only."""
    return request.headers.get("X-Forwarded-Host", "").partition(",")[0].strip()


def _name_sentence(asked: str) -> str:
    return _(
        "A proxy in front of this server changes the name of the host: your browser asked %(asked)s, and the request"
        " arrived for %(host)s. Let the proxy pass the name on. nginx: %(nginx)s Apache: %(apache)s"
    ) % {
        "asked": asked,
        "host": request.host,
        "nginx": "proxy_set_header Host $http_host;",
        "apache": "ProxyPreserveHost On",
    }


def is_forwarded() -> bool:
    """Whether the request has the headers of a proxy."""
    return "PROXY_PROTOCOL" in request.environ or any(name in request.headers for name in FORWARDING)


def is_insider() -> bool:
    """Whether the request comes from this machine, or has the metrics token."""
    token = parts().config.metrics_token
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    if token and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return True
    return is_loopback(request.remote_addr or "") and not is_forwarded() and is_own_name(request.host)


def came_from() -> str:
    """The path and query of the page that the request came from, on this server; else the start page."""
    address = split_address(request.referrer or "")
    if not address.path.startswith("/") or address.path.startswith("//"):
        return url_for("chat.index")
    return f"{address.path}?{address.query}" if address.query else address.path


def local_path(value: str) -> str:
    """A path and query of this server from a form; empty for anything else.

    Browsers read a backslash as a slash, and leave out control characters: https://url.spec.whatwg.org/#url-parsing
    """
    is_local = value.startswith("/") and value[1:2] not in ("/", "\\") and value.isprintable()
    return value if is_local and len(value) <= PATH_CHARS else ""


def split_address(address: str) -> SplitResult:
    """The parts of an address from a header; empty for an invalid one."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _is_usable(host: str | None, protocol: str) -> bool:
    if host is None:
        return protocol == "HTTP/1.0"  # which has no Host header
    return len(host) <= HOST_CHARS and HOST.fullmatch(host) is not None


def _name_of(host: str) -> str:
    """The name alone: without port, brackets and final dot."""
    found = HOST.fullmatch(host)
    return found[1].strip("[]").rstrip(".").lower() if found else ""


def is_own_name(host: str) -> bool:
    """Whether the name of a host always means this machine, so that DNS cannot point it elsewhere."""
    name = _name_of(host)
    return name.endswith(".localhost") or is_loopback(name)


def _names_of_listener() -> frozenset[str]:
    """The names of the address that the server listens on; for all addresses, each of them and the machine's name."""
    listener = _listener()
    if listener not in WILDCARDS:
        return frozenset({listener} if listener else ())
    name = _name_of(request.host)
    # No other site can use this machine's address, as it can with a name of its own.
    return _machine_names() | ({name} if is_address(name) else set())


@cache
def _machine_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    return frozenset({name, f"{name}.local"})


def _listener() -> str | None:
    """The address that the server listens on; None for a unix socket."""
    connection = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
    # For a unix socket gunicorn takes the server's name from the Host header.
    if connection is not None and not isinstance(connection.getsockname(), tuple):
        return None
    return str(request.environ["SERVER_NAME"])
