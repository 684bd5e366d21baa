"""Who a trusted proxy says is asking: the identity header of a request.

Every process that reaches this server can send the header, so it is believed from the proxies' addresses only; and
where those are this machine's own, with a secret that only the proxy knows.
"""

from __future__ import annotations

import hmac

from flask import request

from webapp import addresses
from webapp.errors import Forbidden, SignedOut
from webapp.language import gettext as _
from webapp.views.parts import parts

SECRET_HEADER = "X-Lockchat-Secret"
LONGEST_CHARS = 200


def of_request() -> str:
    """The identity of the user, in the proxy's spelling. Raises Forbidden past the proxy, SignedOut without one."""
    config = parts().config
    is_proxy = addresses.is_among(request.remote_addr or "", config.proxies)
    secret = request.headers.get(SECRET_HEADER, "")
    if not is_proxy or not hmac.compare_digest(secret.encode(), (config.login_secret or "").encode()):
        raise Forbidden(_("This server can be used through its proxy only, and this request did not come from there."))
    value = request.headers.get(config.login_header, "").strip()
    if not value:
        raise SignedOut(_("The proxy in front of this server does not say who you are. Sign in there."))
    return _checked(value)


def _checked(value: str) -> str:
    """The identity. Raises Forbidden for one that could be two: a header that was sent twice arrives with a comma."""
    try:
        identity = value.encode("latin-1").decode()  # WSGI passes bytes on as Latin-1
    except UnicodeError:
        identity = ""
    if not identity.isprintable() or "," in identity or not 0 < len(identity) <= LONGEST_CHARS:
        raise Forbidden(_("The proxy in front of this server says in an unclear way who you are."))
    return identity
