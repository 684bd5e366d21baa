"""What a trusted proxy says about a request: its scheme, and the path of a larger site that the page is below.

https://doc.traefik.io/traefik/middlewares/http/stripprefix/ describes X-Forwarded-Prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from webapp import addresses
from webapp.views.hosts import WSGI

PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]{1,64}){1,8}", re.ASCII)


def guard(app: WSGI, proxies: Sequence[str]) -> WSGI:
    """Believe the headers of requests that one of `proxies` sends (addresses, networks or "unix")."""

    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if addresses.is_among(environ.get("REMOTE_ADDR", ""), proxies):
            _believe(environ)
        return app(environ, start_response)

    return guarded


def _believe(environ: dict[str, Any]) -> None:
    if (scheme := environ.get("HTTP_X_FORWARDED_PROTO", "").lower()) in ("http", "https"):
        environ["wsgi.url_scheme"] = scheme
    prefix = environ.get("HTTP_X_FORWARDED_PREFIX", "").rstrip("/")
    if not PREFIX.fullmatch(prefix):
        return
    path = environ.get("PATH_INFO", "")
    environ["SCRIPT_NAME"] = prefix
    # The proxy may keep the prefix or strip it.
    if path == prefix or path.startswith(f"{prefix}/"):
        environ["PATH_INFO"] = path.removeprefix(prefix) or "/"
