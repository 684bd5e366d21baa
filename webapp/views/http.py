"""What every request shares: who asks, from where, in which language; headers; and errors as pages."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any

from flask import Flask, Request, Response, current_app, g, render_template, request, session, stream_with_context
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from webapp import addresses, language
from webapp.chat import Conversation
from webapp.errors import (
    AppError,
    Busy,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    Misdirected,
    NotFound,
    StorageFull,
    StorageUnavailable,
    TooLarge,
    UpstreamError,
)
from webapp.language import gettext as _
from webapp.limits import Gate, Holder
from webapp.views import forms, hosts

STATUSES: dict[type[AppError], int] = {
    Invalid: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    TooLarge: 413,
    Misdirected: 421,
    UpstreamError: 502,
    Busy: 503,
    StorageUnavailable: 503,
    StorageFull: 507,
}

PUBLIC = frozenset({"static", "health.show_health", "health.show_readiness"})  # to whoever reaches the server
WITHOUT_USER = PUBLIC | {"health.show_metrics"}
RENEWING = frozenset({"chat.index", "chat.show_conversation"})
SEND_SECONDS = 60.0  # a browser that takes no event for so long is gone
ANSWER_SECONDS = 300.0  # for a whole page, on the slowest line
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
COMPRESSED_BYTES = 1000  # less fits one packet as it is
MOST_COMPRESSED_BYTES = 4 * 2**20  # more would hold up the other streams
COMPRESSION_LEVEL = 6
LARGE_BYTES = 256 * 2**10  # the best level takes 150 ms for a page that gives a long message back
LARGE_COMPRESSION_LEVEL = 1

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types lockchat",
    ]
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with it a browser sends `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

log = logging.getLogger(__name__)


class IdConverter(BaseConverter):
    """An id as `new_id` makes them; no other address is looked up."""

    regex = "[0-9a-f-]{36}"


class Sessions(SecureCookieSessionInterface):
    """The signed cookie, marked Secure wherever the request came over TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        return session.accessed and super().should_set_cookie(app, session)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session, however old its cookie says it is: a clock that is set back makes no new user of anyone."""
        serializer = self.get_signing_serializer(app)
        if serializer is None:
            return None
        try:
            return self.session_class(serializer.loads(request.cookies.get(self.get_cookie_name(app), "")))
        except BadSignature:
            return self.session_class()


def init_app(app: Flask) -> None:
    """Put the checks, headers and error pages around every request of the app."""
    app.url_map.converters["id"] = IdConverter
    app.session_interface = Sessions()
    app.request_class = forms.FormRequest
    app.wsgi_app = hosts.guard(app.wsgi_app)  # type: ignore[assignment, method-assign]
    app.extensions["slow_bodies"] = forms.Places()
    app.before_request(_open_request)
    app.after_request(_close_request)
    app.url_defaults(_add_version)
    app.register_error_handler(AppError, _show_error)
    app.register_error_handler(HTTPException, _show_http_error)
    app.register_error_handler(Exception, _show_bug)


def hold_open(parts: Iterator[bytes] | Iterator[str], content_type: str) -> Response:
    """Answer with parts that come while they come. Raises Busy where too many are held open already."""
    gate: Gate = current_app.extensions["followers"]
    holder = current_holder()
    gate.enter(holder)
    if "gunicorn.socket" in request.environ:
        request.environ["gunicorn.socket"].settimeout(SEND_SECONDS)
    response = Response(stream_with_context(parts), content_type=content_type)
    response.call_on_close(partial(gate.leave, holder))
    # For nginx: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Cache-Control"] = "no-store, no-transform"
    return response


def current_user_id() -> str:
    """The id of whoever asks: with open login each browser is a user of its own."""
    return str(session["user_id"])


def client_address() -> str:
    """The address of whoever asks; behind one of `LOCKCHAT_PROXIES` the one that it names."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return addresses.client(request.remote_addr or "", forwarded, current_app.extensions["proxies"])


def current_holder() -> Holder:
    """Whoever asks, as the limits count."""
    return Holder(current_user_id(), client_address())


def wants_fragment() -> bool:
    """Whether the page's script asks, for a part of the page."""
    return request.headers.get("X-Fragment") == "1"


def came_from() -> str:
    """The path and query of our own page that the request came from, wherever the header says that was; else "/"."""
    address = hosts.split_address(request.referrer or "")
    if not address.path.startswith("/") or address.path.startswith("//"):
        return "/"
    return f"{address.path}?{address.query}" if address.query else address.path


def user_tag() -> str:
    """A short sign of the user, from which nobody learns who that is; "" without one."""
    if "user_id" not in session:
        return ""
    return hmac.digest(str(current_app.secret_key).encode(), current_user_id().encode(), "sha256").hex()[:16]


def _open_request() -> None:
    g.request_id = uuid.uuid4().hex[:12]
    # No file here is worth a part: https://www.rfc-editor.org/rfc/rfc9110#section-14.2
    request.environ.pop("HTTP_RANGE", None)
    if "gunicorn.socket" in request.environ:
        request.environ["gunicorn.socket"].settimeout(ANSWER_SECONDS)
    forms.hold_back()
    is_without_user = request.endpoint in WITHOUT_USER
    chosen = "" if is_without_user else session.get("language", "")
    accepted = [tag for tag, quality in request.accept_languages if quality > 0]
    language.use(language.choose([chosen, *accepted]))
    _check_address()
    if is_without_user:
        return
    if request.method not in SAFE_METHODS and not hosts.is_same_origin():
        raise Forbidden(_("This request comes from another site, so it was refused."))
    if request.method == "POST" and request.routing_exception is None:
        forms.receive()
    if "user_id" not in session:
        session["user_id"] = str(uuid.uuid4())
        session.permanent = True
    if request.endpoint in RENEWING and session.get("renewed") != (today := date.today().isoformat()):
        session["renewed"] = today  # sets the cookie anew: an old one must not expire while it is used


def _check_address() -> None:
    hosts.check_form_of_host()
    if request.endpoint not in PUBLIC:
        hosts.check_host()
        hosts.check_open_login()
    g.is_admitted = True


def _close_request(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "private, no-store")
    elif "v" not in request.args:  # without its version a file may change under its address
        response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Request-Id"] = g.get("request_id", "")
    forms.let_go(response)
    _compress(response)
    return response


def _compress(response: Response) -> None:
    """Compress what is whole; a stream goes out as it comes. See https://www.rfc-editor.org/rfc/rfc9110#section-8.4."""
    is_whole = not response.is_streamed or response.direct_passthrough  # the latter: a file
    kind = response.mimetype or ""
    is_text = kind.startswith("text/") or kind == "application/json"
    if not is_whole or not is_text:
        return
    response.vary.add("Accept-Encoding")
    if response.status_code == 304 or (response.content_length or 0) > MOST_COMPRESSED_BYTES:
        return
    response.direct_passthrough = False
    content = response.get_data()
    if len(content) < COMPRESSED_BYTES or not request.accept_encodings["gzip"]:
        return
    level = COMPRESSION_LEVEL if len(content) < LARGE_BYTES else LARGE_COMPRESSION_LEVEL
    response.set_data(gzip.compress(content, level, mtime=0))
    response.content_encoding = "gzip"
    etag, _is_weak = response.get_etag()
    if etag:
        response.set_etag(etag, weak=True)  # one address, two sequences of bytes


def _show_error(error: AppError) -> ResponseReturnValue:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    # Where the database has just been waited for in vain, it is not asked once more.
    return _answer(status_of(error), error.sentence, headers, with_list=type(error) is not StorageUnavailable)


def status_of(error: AppError) -> int:
    """The HTTP status that says what the error says."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def _show_http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return _answer(status, _http_sentence(status), headers)


def _show_bug(error: Exception) -> ResponseReturnValue:
    log.exception("request %s failed", g.get("request_id"))
    return _answer(500, _http_sentence(500), {})


def _http_sentence(status: int) -> str:
    sentences = {
        400: _("The form is broken. Reload the page and send it again."),
        404: _("This page does not exist."),
        408: _("The form did not arrive in time. Send it again."),
        405: _("This address cannot be used this way."),
        411: _("The form does not say how long it is, so it was refused."),
        413: _("That is more than this server accepts in one message."),
        500: _("Something went wrong in this server. The administrator finds it in the log."),
    }
    return sentences.get(status, _("This request cannot be answered."))


def _answer(status: int, sentence: str, headers: dict[str, str], *, with_list: bool = True) -> ResponseReturnValue:
    """The sentence: as plain text for the script, as a page with what was typed for a person."""
    if wants_fragment():
        return sentence, status, {**headers, "Content-Type": "text/plain; charset=utf-8"}
    page = render_template(
        "error.html",
        status=status,
        sentence=sentence,
        conversations=_conversations() if with_list else None,
        models=(models := current_app.extensions["models"].names()),
        model=typed if (typed := _typed("model")) in models else models[0],
        draft=_typed("text"),
        temperature=_typed("temperature"),
        system=_typed("system"),
        parent=_typed("parent"),
        back=came_from() if request.method not in SAFE_METHODS and request.referrer else "",
        # Where the form cannot go again, its text begins a new conversation.
        action="/conversations" if status in (404, 405) else request.path,
    )
    return page, status, headers


def _conversations() -> list[Conversation] | None:
    """The list beside an error page; None where the database is what failed, for nobody knows then what is in it."""
    try:
        of: Callable[[str], list[Conversation]] = current_app.extensions["conversations"].of
        return of(current_user_id()) if "is_admitted" in g and "user_id" in session else []
    except AppError:
        return None


def _typed(field: str) -> str:
    try:
        return request.form.get(field, "")
    except HTTPException:  # the body itself is what went wrong
        return ""


def _add_version(endpoint: str, values: dict[str, Any]) -> None:
    if endpoint == "static" and "filename" in values:
        values["v"] = _version(Path(current_app.static_folder or "") / values["filename"])


@cache
def _version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
