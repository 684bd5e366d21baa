"""Reads the forms of requests, with limits of size, time, fields and number.

One loop serves everybody, so no form may delay others: neither a huge one, nor one that comes byte by byte.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import gevent  # type: ignore[import-untyped]
import gevent.socket  # type: ignore[import-untyped]
from flask import Request, Response, request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import BadRequest, LengthRequired, RequestEntityTooLarge, RequestTimeout, UnsupportedMediaType
from werkzeug.formparser import FormDataParser

from webapp.errors import Invalid, TooLarge
from webapp.language import gettext as _
from webapp.loop import give_way
from webapp.views import marks
from webapp.views.parts import parts
from webapp.views.places import Places

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
BYTES_PER_CHAR = 12  # an emoji, percent-encoded: twice a Cyrillic letter, so most messages that are too long fit too
OTHER_BYTES = 64 * 2**10  # for the other fields of a form
MAX_FIELDS = 100
MAX_BROKEN_ESCAPES = 1000  # a stray % is a typo in a hand-made form; more are an attack
PIECE_BYTES = 64 * 2**10
MEMORY_BYTES = 2 * 2**20  # forms stay in memory: a busy disk would stop the loop; a larger file waits on disk

QUICK_SECONDS = 1.0  # a body that takes longer needs one of the places for slow ones
RECEIVE_SECONDS = 20.0  # for a whole body, and a second more for each of the
LEAST_BYTES_PER_SECOND = 64 * 2**10  # of a poor mobile connection
LINGER_SECONDS = 1.0
# A browser shows the answer to a form that is too large only when it has sent all of it.
DISCARDED_BYTES, DISCARDED_FILE_BYTES = 16 * 2**20, 2**30

BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
BODY = "lockchat.body"


@dataclass(slots=True)
class _Body:
    """The rest of a request body. `left` is its bytes; None if the browser sends no length."""

    source: Any
    left: int | None


class Parser(FormDataParser):
    """Werkzeug's parser, with a cheap and bounded parser of urlencoded forms."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        if mimetype == URLENCODED:
            return stream, MultiDict(parse(stream.read())), MultiDict()
        opened: list[IO[bytes]] = []
        self.stream_factory = _noting(opened, self.stream_factory)
        self.silent = False  # else a broken form would count as an empty one
        files = None
        try:
            stream, form, files = super().parse(stream, mimetype, content_length, options)
            return stream, form, files
        except ValueError:
            raise Invalid(_("Only a part of the form arrived. Send it again.")) from None
        finally:
            if not files:  # Werkzeug leaves the files of a broken form open
                for file in opened:
                    file.close()


def _noting(opened: list[IO[bytes]], make: Callable[..., IO[bytes]]) -> Callable[..., IO[bytes]]:
    def note(**kinds: object) -> IO[bytes]:
        opened.append(make(**kinds))
        return opened[-1]

    return note


class FormRequest(Request):
    """A request whose form is empty until `receive` has read it."""

    form_data_parser_class = Parser
    max_form_parts = MAX_FIELDS


def form_bytes(max_question_chars: int) -> int:
    """The largest form without a file. A message somewhat too long still fits, so that the error page can show it."""
    return BYTES_PER_CHAR * max_question_chars + OTHER_BYTES


def parse(body: bytes) -> list[tuple[str, str]]:
    """The fields of an urlencoded form, as https://url.spec.whatwg.org/#urlencoded-parsing says.

    Raises RequestEntityTooLarge for more fields than any form has, BadRequest for text full of broken escapes.
    """
    if body.count(b"&") >= MAX_FIELDS:
        raise RequestEntityTooLarge
    pairs = [part.partition(b"=") for part in body.split(b"&") if part]
    return [(_decode(name), _decode(value)) for name, _equals, value in pairs]


def _decode(text: bytes) -> str:
    """The decoded text. The quoted-printable codec is thirty times as fast as urllib."""
    text, broken = BROKEN_ESCAPE.subn(b"%25", text, count=MAX_BROKEN_ESCAPES)
    if broken == MAX_BROKEN_ESCAPES:
        raise BadRequest
    quoted = text.replace(b"=", b"=3D").replace(b"%", b"=").replace(b"+", b" ")
    return binascii.a2b_qp(quoted).decode("utf-8", "replace")


def hold_back() -> None:
    """Put the body aside, unread, so that the form is empty until `receive`."""
    environ = request.environ
    is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    length = environ.pop("CONTENT_LENGTH", "")
    environ[BODY] = _Body(environ["wsgi.input"], None if is_chunked else int(length) if length.isdecimal() else 0)
    environ["wsgi.input"] = BytesIO()


def receive() -> None:
    """Read the whole form, or none of it.

    Raises RequestTimeout for a form that breaks off or takes too long, RequestEntityTooLarge, TooLarge, BadRequest,
    LengthRequired, UnsupportedMediaType, and Busy if too many slow forms are arriving.
    """
    body: _Body = request.environ[BODY]
    form_size = _form_size()
    if request.mimetype not in (URLENCODED, MULTIPART):
        return
    with SpooledTemporaryFile(MEMORY_BYTES) as file:
        _copy(body, file)
        file.seek(0)
        request.environ |= {"wsgi.input": _Piecewise(file), "CONTENT_LENGTH": str(form_size)}
        request.form  # noqa: B018 (parses it)


def receive_bytes(most: int) -> bytes:
    """Read a whole body that is no form, of at most this many bytes. Raises as `receive`."""
    if size() > most:
        raise RequestEntityTooLarge
    with SpooledTemporaryFile(MEMORY_BYTES) as file:
        _copy(request.environ[BODY], file)
        file.seek(0)
        return file.read()


def size() -> int:
    """The bytes of the body, as its sender says.

    Raises LengthRequired where it does not, and UnsupportedMediaType for a compressed body.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType  # no browser compresses a form; a small one could unpack to a huge one
    left: int | None = request.environ[BODY].left
    if left is None:
        raise LengthRequired
    return left


def _form_size() -> int:
    """The bytes of a form. Raises as `size`, and for one that is too large."""
    form_size = size()
    if request.mimetype == MULTIPART and marks.takes_file.is_set():
        limit = parts().config.max_import_bytes
        if form_size > limit + OTHER_BYTES:
            raise TooLarge(_("The file is too large: %(limit)s MB are allowed.") % {"limit": limit // 2**20})
    elif form_size > form_bytes(parts().config.max_question_chars):
        raise RequestEntityTooLarge
    return form_size


def _copy(body: _Body, file: IO[bytes]) -> None:
    """Copy the body into the file. After QUICK_SECONDS, takes a place; an interrupted read loses nothing."""
    if not isinstance(request.environ.get("gunicorn.socket"), gevent.socket.socket):
        _copy_rest(body, file)
        return
    with gevent.Timeout(QUICK_SECONDS, False):
        _copy_rest(body, file)
    if not body.left:
        return
    seconds = RECEIVE_SECONDS + (body.left or 0) / LEAST_BYTES_PER_SECOND
    with parts().slow_bodies.take(request.remote_addr or ""), gevent.Timeout(seconds, RequestTimeout):
        _copy_rest(body, file)


def _copy_rest(body: _Body, file: IO[bytes]) -> None:
    while body.left:
        try:
            piece = body.source.read(min(body.left, PIECE_BYTES))
        except OSError:
            piece = b""
        if not piece:
            raise RequestTimeout  # the browser left
        file.write(piece)
        body.left -= len(piece)
        give_way()  # a fast sender must not hold the loop


class _Piecewise:
    """A file whose reads give way to other streams."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        give_way()
        return self._file.read(size)


def let_go(response: Response) -> None:
    """Close the connection after the answer if the body was not read to its end.

    Discards the rest for a moment, else the browser would see a broken connection instead of the answer:
    https://www.rfc-editor.org/rfc/rfc9112#section-9.6. After a too large form, discards as long as for a slow one.
    """
    body: _Body = request.environ[BODY]
    close = getattr(body.source, "close_connection", None)
    if body.left == 0 or close is None:
        return
    close()
    places = parts().slow_bodies if response.status_code == RequestEntityTooLarge.code else None
    address = request.remote_addr or ""
    most = DISCARDED_FILE_BYTES if marks.takes_file.is_set() else DISCARDED_BYTES
    pieces = iter(range(most // PIECE_BYTES))
    response.call_on_close(lambda: _discard(body.source, pieces, places, address))


def _discard(source: Any, pieces: Iterator[int], places: Places | None, address: str) -> None:
    with suppress(Exception):  # the answer is sent already
        with gevent.Timeout(LINGER_SECONDS, False):
            _exhaust(source, pieces)
        if places:
            with places.take(address), gevent.Timeout(RECEIVE_SECONDS, False):
                _exhaust(source, pieces)


def _exhaust(source: Any, pieces: Iterator[int]) -> None:
    """Read up to so many pieces. One that a timeout interrupts counts too."""
    for _piece in pieces:
        if not source.read(PIECE_BYTES):
            return
        give_way()
