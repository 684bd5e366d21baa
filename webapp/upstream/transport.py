"""Connections to the upstream. Stop and deadlines cut them at any moment, and no log or error shows the key.

`requests` gives access to the socket only after the answer's headers. Many upstreams send no headers until they
have read the whole prompt. So urllib3 gets connection classes that give their socket to a `Lifeline`.
"""

from __future__ import annotations

import http.client
import queue
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import DecodeError, NewConnectionError

from webapp.errors import UpstreamError
from webapp.upstream import chunked
from webapp.upstream.lifeline import Lifeline

USER_AGENT = "lockchat-webapp/1"
POOL_SIZE = 100
READ_BYTES = 16384  # this much of the smallest events takes some 20 ms
BYTES_PER_READ = 512  # one read costs as much time as this many bytes
# Seconds between two reads of one stream, and what each stream adds: much while there are few, which cost little.
LEAST_PACE_SECONDS, MOST_PACE_SECONDS = 0.033, 0.45
FEW_SECONDS, MANY_SECONDS = 0.0017, 0.000345
MANY_PACE_SECONDS = 0.0775
READ_HEADERS = ("content-encoding", "retry-after")
PAUSE_SECONDS = 0.001  # not 0: gevent checks its timers only after 50 sleeps of 0 seconds


class Passing(UpstreamError):
    """A transient failure, worth retrying."""


def open_session(ca_bundle: str | None = None, proxy: str | None = None) -> requests.Session:
    """Return a session for many threads. It keeps no cookies, ignores the environment and always verifies TLS."""
    session = requests.Session()
    session.headers.clear()
    session.headers.update({"user-agent": USER_AGENT})  # http.client adds `Accept-Encoding: identity`
    session.trust_env = False
    session.verify = ca_bundle or True
    session.proxies = {"http": proxy, "https": proxy} if proxy else {}
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("http://", _Adapter())
    session.mount("https://", _Adapter())
    return session


class Response:
    """The head of an answer, and its body unread. What `requests` and urllib3 keep beside them is let go."""

    def __init__(self, given: requests.Response) -> None:
        self.status_code = given.status_code
        self.headers = {name: given.headers[name] for name in READ_HEADERS if name in given.headers}
        # Only an upstream that ignores `Accept-Encoding: identity` compresses its answer; urllib3 decompresses it.
        self.raw: Any = given.raw if "content-encoding" in self.headers else _Body(given.raw)

    def close(self) -> None:
        """Close the connection, unless the body is read to its end: then it can be used again."""
        self.raw.close()
        self.raw.release_conn()


def send(session: requests.Session, line: Lifeline, method: str, url: str, **options: Any) -> Response:
    """Send a request and return the response with its body unread.

    Raises UpstreamError, or Passing where a retry may succeed.
    """
    return _sent(line, lambda: session.request(method, url, stream=True, allow_redirects=False, **options))


def send_prepared(
    session: requests.Session,
    line: Lifeline,
    prepare: Callable[[], requests.PreparedRequest],
    timeout: tuple[float, float | None],
) -> Response:
    """The same for a request that `prepare` returns."""
    return _sent(line, lambda: session.send(prepare(), stream=True, allow_redirects=False, timeout=timeout))


def _sent(line: Lifeline, work: Callable[[], requests.Response]) -> Response:
    line.reused = False
    token = _current.set(line)
    try:
        return Response(work())
    except Exception as error:
        failure = _failure_of(error, line)
    finally:
        _current.reset(token)
    # Raised outside of `except`, so that its context is not the exception of requests, which holds the key.
    raise failure


def read(response: Response, is_paced: Callable[[], bool] = lambda: False) -> Iterator[bytes]:
    """Yield the bytes of each read, to the end. Raises UpstreamError("cut_off") when the connection breaks.

    Once `is_paced()` returns True, sleeps after each read: `pace_seconds`. Meanwhile the kernel collects tokens, so
    that one read returns several.

    A read of bytes that have already arrived does not wait, so gevent runs no other stream and no deadline.
    So this also sleeps after every READ_BYTES.
    """
    global _streams
    decode = "content-encoding" in response.headers
    turn_bytes = 0
    _streams += 1
    try:
        while True:
            failure = ""
            try:
                block = response.raw.read1(READ_BYTES, decode_content=decode)
            except DecodeError:
                failure = "protocol"
            except Exception:
                failure = "cut_off"
            if failure:
                raise UpstreamError(failure)
            if not block:
                return
            yield block
            turn_bytes += len(block) + BYTES_PER_READ
            block = b""  # frees memory during the rest
            if turn_bytes > READ_BYTES:
                time.sleep(PAUSE_SECONDS)
                turn_bytes = 0
            elif is_paced():
                time.sleep(pace_seconds(_streams))
                turn_bytes = 0
    finally:
        _streams -= 1


def pace_seconds(streams: int) -> float:
    """Return the seconds between two reads of one stream. They grow with the number of streams."""
    few, many = LEAST_PACE_SECONDS + streams * FEW_SECONDS, MANY_PACE_SECONDS + streams * MANY_SECONDS
    return min(few, many, MOST_PACE_SECONDS)


def _failure_of(error: Exception, line: Lifeline) -> UpstreamError:
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return UpstreamError("tls")
    if isinstance(error, requests.exceptions.ProxyError) or any(isinstance(one, NewConnectionError) for one in causes):
        return Passing("network")
    if isinstance(error, requests.ConnectTimeout):
        return Passing("connect_timeout")
    if isinstance(error, requests.ReadTimeout):
        return UpstreamError("first_token_timeout")
    if line.reused and any(isinstance(cause, ConnectionError) for cause in causes):
        return Passing("network")  # the upstream closed a pooled connection while we sent the request
    if any(isinstance(cause, http.client.HTTPException) and not isinstance(cause, ConnectionError) for cause in causes):
        return UpstreamError("protocol")
    return UpstreamError("network")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, the one that was handled when it was raised, and so on: urllib3 and requests wrap each in another."""
    while error is not None:
        yield error
        error = error.__context__


_streams = 0  # the number of streams that `read` is reading

_current: ContextVar[Lifeline | None] = ContextVar("lifeline", default=None)


class _Body:
    """The body of a response of urllib3 that needs no decoding; takes its connection over.

    urllib3 and `http.client` would keep 5 KB for each answer, and take half of the time of a read.
    """

    def __init__(self, raw: Any) -> None:
        self._fp, self._pool, self.connection = raw._fp, raw._pool, raw.connection
        self._fp.headers = self._fp.msg = None
        raw._fp = raw._pool = raw._connection = None  # else it closes them when its memory is freed

    def read1(self, size: int, decode_content: bool = False) -> bytes:
        block: bytes = self._fp.read1(size)
        if not block:
            if self._fp.length:
                raise http.client.IncompleteRead(b"", self._fp.length)
            self._fp.close()  # first: `http.client` refuses the next request while this answer is open
            self.release_conn()
        return block

    def close(self) -> None:
        self._fp.close()
        if self.connection:
            self.connection.close()

    def release_conn(self) -> None:
        if self.connection:
            self._pool._put_conn(self.connection)
            self.connection = None


class _Connection(HTTPConnection):
    """A connection that gives its socket to the current lifeline as soon as it has one."""

    response_class = chunked.Response
    line: Lifeline | None = None
    exchanges = 0
    _spare: socket.socket | None = None

    def connect(self) -> None:
        self.exchanges = 0
        try:
            super().connect()
        finally:
            self._let_go()

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        if self.line or (line := _current.get()) is None:
            return connection
        # The TLS handshake detaches the socket. A duplicate can still shut the connection down.
        self.line, self._spare = line, connection.dup()
        line.hold(self._spare)
        return connection

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is None:
            self.connect()
        if line := _current.get():
            self.line = line
            line.reused = self.exchanges > 0
            line.hold(self.sock)
        self.exchanges += 1
        super().request(*args, **options)

    def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:
        # The key is added here, after everything that could log or quote the URL.
        if self.line and self.line.query:
            url = f"{url}?{self.line.query}"
        super().putrequest(method, url, *args, **options)

    def _let_go(self) -> None:
        if self.line:
            self.line.release()
            self.line = None
        if self._spare:
            self._spare.close()
            self._spare = None


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection

    def _put_conn(self, conn: Any) -> None:
        if conn:
            # Before the pool gets it: this exchange must not cut the next one.
            conn._let_go()
        try:
            self.pool.put(conn, block=False)  # type: ignore[union-attr]
        except (AttributeError, queue.Full):  # the pool is closed or full: urllib3 would log a warning
            if conn:
                conn.close()


class _SecurePool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def __init__(self) -> None:
        super().__init__(pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager
