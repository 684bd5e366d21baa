"""Requests to one upstream: its address, its keys, and its errors in words that users may read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlencode

import requests

from webapp.config import UpstreamConfig
from webapp.errors import UpstreamError
from webapp.upstream import cleaning, failures, transport
from webapp.upstream.address import parse
from webapp.upstream.lifeline import Lifeline

ERROR_BYTES = 65536


class Exchange:
    """Sends requests to one upstream, for many threads.

    Sends `auth` in the query and `api_key` in a header. No message and no log contains them.
    """

    def __init__(self, base_url: str, config: UpstreamConfig) -> None:
        self.address = parse(base_url)
        auth = urlencode({"auth": config.auth}) if config.auth else ""
        self._query = "&".join(filter(None, (self.address.query, auth)))
        self._secrets = tuple(secret for secret in (config.auth, config.api_key) if secret)
        self._session = transport.open_session(config.ca_bundle, config.proxy)
        if config.api_key and self.address.takes_api_key_header:
            self._session.headers["api-key"] = config.api_key.encode()
        elif config.api_key:
            self._session.headers["authorization"] = f"Bearer {config.api_key}".encode()
        self._requests: dict[tuple[str, str], requests.PreparedRequest] = {}
        self._connect_seconds = config.connect_seconds
        self._total_seconds = config.total_seconds

    def place(self, path: str) -> str:
        """Return the address of a request without secrets and query, for users and the log."""
        return cleaning.mask(self.address.base, self._secrets) + path

    def line(self, total_seconds: float | None = None) -> Lifeline:
        """Return a lifeline for one exchange."""
        return Lifeline(self._total_seconds if total_seconds is None else total_seconds, self._query)

    def send(self, line: Lifeline, method: str, path: str, body: bytes | None = None) -> transport.Response:
        """Send a request and return the response with its body unread. The line is started. Raises UpstreamError."""
        # The lifeline ends a read; gevent would make a timer for each.
        timeout = (self._connect_seconds, None)
        return transport.send_prepared(self._session, line, partial(self._prepared, method, path, body), timeout)

    def _prepared(self, method: str, path: str, body: bytes | None) -> requests.PreparedRequest:
        """A request, prepared once without its body: that takes as long as to send it."""
        request = self._requests.get((method, path))
        if request is None:
            headers = {"content-type": "application/json"} if body else None
            request = self._session.prepare_request(requests.Request(method, self.address.base + path, headers))
            self._requests[method, path] = request
        request = request.copy()
        if body:
            request.prepare_body(body, None)
        return request

    def shown(self, failure: UpstreamError, line: Lifeline) -> UpstreamError:
        """Return a cleaned copy of a failure, without the exception chain, for users and the caller's log."""
        if line.timeout:
            return UpstreamError(line.timeout)
        shown = UpstreamError(failure.reason, cleaning.clean(failure.detail, self._secrets), failure.retry_after)
        shown.status = failure.status
        return shown

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()


def check(response: transport.Response) -> None:
    """Raise UpstreamError unless the upstream accepts the request."""
    status = response.status_code
    if 300 <= status < 400:
        raise UpstreamError("redirect")
    if status >= 400:
        body = bytearray()
        with contextlib.suppress(UpstreamError):  # the connection broke: the part so far may be enough
            for block in transport.read(response):
                body += block
                if len(body) > ERROR_BYTES:
                    break
        retry_after = failures.seconds_of(response.headers.get("retry-after"))
        raise failures.failure_of(status, start_of(body), retry_after)


def bounded(blocks: Iterator[bytes], limit: int) -> bytes:
    """Return all the bytes, or a little more than `limit` of them."""
    body = bytearray()
    for block in blocks:
        body += block
        if len(body) > limit:
            break
    return bytes(body)


def start_of(body: bytes | bytearray) -> str:
    return body[:ERROR_BYTES].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
