"""Runs around every request: checks before the view, headers and compression after it, answers that stay open."""

from __future__ import annotations

import gzip
import hashlib
import re
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, g, redirect, request, session, stream_with_context
from flask.typing import ResponseReturnValue
from werkzeug.routing import BaseConverter

from webapp import language, loop
from webapp.limits import Gate
from webapp.openings import Opening
from webapp.users import Users
from webapp.views import api_errors, forms, forwarded, hosts, kept, marks, problems, visitor
from webapp.views.headers import HEADERS, ONLY_TLS, PRIVATE
from webapp.views.parts import of as parts_of
from webapp.views.parts import parts

COMMENT = re.compile(rb"^[ ]*+(?://[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)$", re.MULTILINE)
SEND_SECONDS = 60.0  # without reading, up to twice this within one event: then the browser is gone
ANSWER_SECONDS = 300.0  # for a whole page, on the slowest connection
COMPRESSED_BYTES = 300  # less hardly shrinks
MOST_COMPRESSED_BYTES = 4 * 2**20  # compressing more would delay the other streams
# The level for content of up to so many bytes, else 1. Level 6 takes 1.6 ms for a page of 60 messages, level 4 half of
# that for 5 % more bytes; level 6 takes 150 ms for a page with a long message.
LEVELS = {32 * 2**10: 6, 256 * 2**10: 4}
FILES = 64  # of ours, kept as they are sent


class IdConverter(BaseConverter):
    """An id from `new_id`; other addresses match no view."""

    regex = "[0-9a-f-]{36}"


def init_app(app: Flask) -> None:
    """Put the checks, headers and error pages around every request of the app."""
    app.url_map.converters["id"] = IdConverter
    app.session_interface = visitor.Sessions()
    app.request_class = forms.FormRequest
    app.wsgi_app = forwarded.guard(hosts.guard(app.wsgi_app), parts_of(app).config.proxies)  # type: ignore[assignment, method-assign]
    app.before_request(_open_request)
    app.after_request(_close_request)
    app.url_defaults(_add_version)
    marks.public(app.view_functions["static"])
    problems.init_app(app)


def hold_open(pieces: Iterator[bytes] | Iterator[str], content_type: str, gate: Gate | None = None) -> Response:
    """Answer with pieces as they come. Raises Busy if the gate lets no more in; by default, that of followers."""
    gate, holder = gate or parts().followers, visitor.current_user().holder
    gate.enter(holder)
    opening = _opening()
    response = streamed(_while_allowed(pieces, opening), content_type)
    response.call_on_close(partial(gate.leave, holder))
    _watch(response, opening)
    return response


def streamed(pieces: Iterator[bytes] | Iterator[str], content_type: str) -> Response:
    """The pieces as an answer, each sent as it comes."""
    if "gunicorn.socket" in request.environ:
        request.environ["gunicorn.socket"].settimeout(SEND_SECONDS)
    response = Response(stream_with_context(pieces), content_type=content_type)
    # For nginx: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Cache-Control"] = "no-store, no-transform"
    return response


def end_with_user(response: Response, is_allowed: Callable[[], bool] | None = None) -> None:
    """Cut an answer off when its user is signed out or disabled, or it is not allowed any more, while on its way."""
    _watch(response, _opening(is_allowed))


@contextmanager
def watched(abort: Callable[[], None]) -> Iterator[Opening]:
    """While the block runs, call `abort` when the program that asks leaves, or may no longer have its answer."""
    connection, user, openings = _connection(), visitor.current_user(), parts().team.openings

    def hang_up() -> None:
        try:
            if connection:
                connection.shutdown(socket.SHUT_RDWR)  # first: half an answer must not look like a whole one
        finally:
            abort()

    has_left = partial(loop.has_left, connection) if connection else bool
    opening = Opening(user.id, user.key_hash, hang_up, has_left)
    openings.add(opening)
    try:
        yield opening
    finally:
        openings.discard(opening)


def _connection() -> Any:
    return request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")


def _watch(response: Response, opening: Opening | None) -> None:
    openings = parts().team.openings
    if opening:
        openings.add(opening)
        end = partial(openings.discard, opening)
        response.call_on_close(end)
        if response.direct_passthrough:  # then a server closes the file alone
            held = ExitStack()
            held.callback(response.response.close)  # type: ignore[union-attr]
            held.callback(end)
            response.response.close = held.close  # type: ignore[union-attr]


def _opening(is_allowed: Callable[[], bool] | None = None) -> Opening | None:
    """This answer as `Openings` watches it; None with open login, which nobody can be signed out of."""
    user = visitor.current_user()
    if user.account is None:
        return None
    # Closing the connection wakes a stream that waits for the next token.
    connection = _connection()
    hang_up = partial(connection.shutdown, socket.SHUT_RDWR) if connection else lambda: None
    if marks.for_admins.is_set():
        is_allowed = partial(_is_admin, parts().team.users, user.id)
    token_hash = user.sign_in.token_hash if user.sign_in else ""
    return Opening(user.id, token_hash, hang_up, is_allowed=is_allowed)


def _is_admin(users: Users, user_id: str) -> bool:
    account = users.get(user_id)
    return account is not None and account.is_admin


def _while_allowed(pieces: Iterator[bytes] | Iterator[str], opening: Opening | None) -> Iterator[Any]:
    """The pieces, up to the moment when the user may no longer have them."""
    return takewhile(lambda _piece: not opening.is_over, pieces) if opening else pieces


def _open_request() -> ResponseReturnValue | None:
    loop.give_way()
    g.request_id = uuid.uuid4().hex[:12]
    # Files are small, so none is sent in parts: https://www.rfc-editor.org/rfc/rfc9110#section-14.2
    request.environ.pop("HTTP_RANGE", None)
    if "gunicorn.socket" in request.environ:
        request.environ["gunicorn.socket"].settimeout(ANSWER_SECONDS)
    forms.hold_back()
    chosen = "" if marks.without_user.is_set() or api_errors.is_api() else session.get("language", "")
    accepted = [tag for tag, quality in request.accept_languages if quality > 0]
    language.use(language.choose([chosen, *accepted]))
    _check_address()
    if api_errors.is_api():  # no browser asks: a key is no cookie, so other sites cannot send it
        visitor.identify_by_key()
        return None
    if marks.without_user.is_set():
        return None
    if request.method not in hosts.SAFE_METHODS:
        hosts.check_origin()
    is_known = request.routing_exception is None
    if not visitor.is_open():
        visitor.identify()
        if is_known and (place := _sign_in_place()):
            return redirect(place, 303)
        if is_known and (request.method != "POST" or marks.takes_file.is_set()):
            visitor.check_right()
    if request.method == "POST" and is_known:
        forms.receive()
    if visitor.is_open():
        visitor.greet()
    elif is_known:
        visitor.check_right()  # only now: an error page shows the typed text
    return None


def _sign_in_place() -> str:
    """Where to send a stranger who opens a page; empty for everyone else."""
    is_known = visitor.known_user() is not None or marks.for_strangers.is_set()
    if is_known or not visitor.wants_page():
        return ""
    return visitor.way_in(request.full_path.rstrip("?") if request.path != "/" else None)


def _check_address() -> None:
    hosts.check_form_of_host()
    if not marks.public.is_set():
        hosts.check_host()
        hosts.check_open_login()
    visitor.admit()


def _close_request(response: Response) -> Response:
    given = {name.lower() for name, _value in response.headers}  # `setdefault` would look through them for each
    for name, value in HEADERS.items():
        if name.lower() not in given:
            response.headers.add(name, value)
    if request.is_secure and not hosts.is_own_name(request.host):
        response.headers["Strict-Transport-Security"] = ONLY_TLS
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", PRIVATE)
    elif "v" not in request.args:  # without a version, the file at this address may change
        response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Request-Id"] = g.get("request_id", "")
    forms.let_go(response)
    _compress(response)
    return response


def _compress(response: Response) -> None:
    """Compress a whole answer; a stream stays as it is. See https://www.rfc-editor.org/rfc/rfc9110#section-8.4."""
    is_whole = not response.is_streamed or response.direct_passthrough  # the latter: a file
    kind = response.mimetype or ""
    is_text = kind.startswith("text/") or kind in ("application/json", "image/svg+xml")
    if not is_whole or not is_text:
        return
    response.vary.add("Accept-Encoding")
    size = response.content_length or response.calculate_content_length() or 0
    if 300 <= response.status_code < 400 or size > MOST_COMPRESSED_BYTES:
        return
    if isinstance(response.response, list) and len(response.response) > 1:
        _join(response, response.response)
        return
    response.direct_passthrough = False
    content = response.get_data()
    if request.endpoint == "static":
        content = without_comments(content)
        response.set_data(content)
    if len(content) < COMPRESSED_BYTES or not request.accept_encodings["gzip"]:
        return
    response.set_data(
        compressed_file(content) if request.endpoint == "static" else kept.zipped(content, _level(len(content)))
    )
    response.content_encoding = "gzip"
    etag, _is_weak = response.get_etag()
    if etag:
        response.set_etag(etag, weak=True)  # the plain and the compressed file share an address


def _join(response: Response, parts: list[bytes]) -> None:
    """Send the parts of a page as one, compressed if the browser wants that."""
    if request.accept_encodings["gzip"]:
        size = sum(len(part) for part in parts if not isinstance(part, kept.Chunk) or len(part) > kept.CHUNK_BYTES)
        response.set_data(kept.compressed(parts, _level(size)))
        response.content_encoding = "gzip"
    else:
        response.set_data(b"".join(parts))


def _level(size: int) -> int:
    return next((level for most, level in LEVELS.items() if size <= most), 1)


@lru_cache(FILES)
def compressed_file(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)


@lru_cache(FILES)
def without_comments(content: bytes) -> bytes:
    """One of our files without the comments that have lines of their own, a fifth of the compressed scripts."""
    return COMMENT.sub(b"", content)


def _add_version(endpoint: str, values: dict[str, Any]) -> None:
    if endpoint == "static" and "filename" in values:
        values["v"] = _version(Path(current_app.static_folder or "") / values["filename"])


@cache
def _version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
