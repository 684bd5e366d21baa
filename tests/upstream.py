"""A real upstream on a local port, told byte by byte what to answer: nothing is patched in the way of a request.

    with Upstream() as upstream:
        upstream.answer(*tokens("Hel", "lo"))                    # for the next completion
        upstream.always(*error(503))                             # for those after it
        upstream.always(lambda request: tokens(request.json["model"]))

A script is a row of steps: bytes go out as they are, each in a packet of its own; Wait, Reset and Close do what
they say. `tokens`, `body` and `error` write whole answers in any framing.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any

PATIENCE_SECONDS = 30.0
FRAMINGS = ("chunked", "length", "close")


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for the event, for so many seconds, or (None) until the client leaves, who ends every wait."""

    until: threading.Event | float | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection with a TCP reset."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection in good order."""


Step = bytes | Wait | Reset | Close
Script = Iterable[Step]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; header names are in lower case, `connection` counts from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    repeated: list[str]  # the headers that came more than once

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def head(status: int = 200, **headers: str | int) -> bytes:
    """The status line and headers; `content_type="text/html"` names a header."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """The data as one HTTP chunk; the empty chunk ends a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def body(
    *pieces: Step,
    framing: str = "chunked",
    byte_by_byte: bool = False,
    status: int = 200,
    content_type: str = "text/event-stream",
    **headers: str | int,
) -> list[Step]:
    """An answer of these pieces, which may be steps too, in one of FRAMINGS."""
    if byte_by_byte:
        pieces = tuple(part for piece in pieces for part in (_bytes_of(piece) if isinstance(piece, bytes) else [piece]))
    headers = {"content_type": content_type, **headers}
    if framing == "chunked":
        chunks = [chunk(piece) if isinstance(piece, bytes) else piece for piece in pieces]
        return [head(status, transfer_encoding="chunked", **headers), *chunks, chunk(b"")]
    if framing == "length":
        length = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        return [head(status, content_length=length, **headers), *pieces]
    return [head(status, connection="close", **headers), *pieces, Close()]


def event(payload: Any) -> bytes:
    """One event of JSON."""
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def token(text: str | None = None, *, finish: str | None = None, **delta: Any) -> bytes:
    """One event that adds text, or what else its delta names."""
    if text is not None:
        delta["content"] = text
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def tokens(
    *texts: str,
    done: bool = True,
    finish: str | None = "stop",
    usage: dict[str, int] | None = None,
    framing: str = "chunked",
    byte_by_byte: bool = False,
) -> list[Step]:
    """A whole streamed answer."""
    events = [token(role="assistant"), *map(token, texts)]
    events += [token(finish=finish)] if finish else []
    events += [event({"choices": [], "usage": usage})] if usage else []
    events += [b"data: [DONE]\n\n"] if done else []
    return body(*events, framing=framing, byte_by_byte=byte_by_byte)


def error(status: int, said: Any = "", **headers: str | int) -> list[Step]:
    """A refusal: a string goes out as text, anything else as JSON."""
    text = said if isinstance(said, str) else json.dumps(said)
    content_type = "text/plain" if isinstance(said, str) else "application/json"
    headers = {"content_type": content_type, **headers}
    return body(text.encode(), framing="length", status=status, **headers)  # type: ignore[arg-type]


def _bytes_of(data: bytes) -> list[bytes]:
    return [data[position : position + 1] for position in range(len(data))]


class Upstream:
    """The server. `requests` are the completions asked for; `client_left` is set when one was left unfinished."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.model_requests: list[Request] = []
        self.connections = 0
        self.arrived = threading.Event()  # set by each completion request; clear it to wait for the next
        self.client_left = threading.Event()
        self._tls = tls
        self._once: deque[Script] = deque()
        self._always: Callable[[Request], Script] = lambda request: tokens("Hello", " world")
        models = {"object": "list", "data": [{"id": "gpt-4", "max_model_len": 8192}, {"id": "gpt-3.5-turbo"}]}
        self._models: Script = body(json.dumps(models).encode(), framing="length", content_type="application/json")
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme, port = ("https" if tls else "http"), self._listener.getsockname()[1]
        self.url = f"{scheme}://{'localhost' if tls else '127.0.0.1'}:{port}"

    def answer(self, *script: Step) -> None:
        """Answer one more completion so; several are used in turn."""
        self._once.append(script)

    def always(self, *script: Step | Callable[[Request], Script]) -> None:
        """Answer all other completions so; a single function writes the script for each request."""
        if len(script) == 1 and callable(script[0]):
            self._always = script[0]
        else:
            self._always = lambda request: script  # type: ignore[assignment,return-value]

    def answer_models(self, *script: Step) -> None:
        """Answer GET /v1/models so."""
        self._models = script

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def wait_for_requests(self, number: int) -> None:
        """Wait until so many completions were asked for."""
        self._wait(lambda: len(self.requests) >= number)

    def wait_for_open_connections(self, number: int) -> None:
        """Wait until just so many connections are open."""
        self._wait(lambda: self.open_connections == number)

    def __enter__(self) -> Upstream:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and break every connection."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def drop_idle(self) -> None:
        """Break every connection, as a server that restarts."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.wait_for_open_connections(0)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            self._start(self._serve, connection, self.connections)

    def _serve(self, raw: socket.socket, number: int) -> None:
        connection = raw
        try:
            if self._tls:
                connection = self._tls.wrap_socket(raw, server_side=True)
                self._open.add(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection.makefile("rb") as incoming:
                while (request := _read_request(incoming, number)) and self._perform(connection, request):
                    pass
        except OSError:
            self.client_left.set()
        finally:
            self._open.discard(raw)
            self._open.discard(connection)
            connection.close()
            raw.close()

    def _script_for(self, request: Request) -> Script:
        if request.method == "GET":
            self.model_requests.append(request)
            return self._models
        script = self._once.popleft() if self._once else self._always(request)
        self.requests.append(request)
        self.arrived.set()
        return script

    def _perform(self, connection: socket.socket, request: Request) -> bool:
        """Take the steps; False when the connection is over."""
        for step in self._script_for(request):
            if isinstance(step, bytes):
                connection.sendall(step)
            elif isinstance(step, Wait):
                if not self._wait_on(connection, step.until):
                    self.client_left.set()
                    return False
            else:
                if isinstance(step, Reset):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
        return True

    def _wait_on(self, connection: socket.socket, until: threading.Event | float | None) -> bool:
        """Wait; False when the client left (or the test is over) before that."""
        seconds = until if isinstance(until, float | int) else PATIENCE_SECONDS
        ends_at = time.monotonic() + seconds
        while not self._closing.is_set() and (left := ends_at - time.monotonic()) > 0:
            if isinstance(until, threading.Event) and until.is_set():
                return True
            readable, _, _ = select.select([connection], [], [], min(left, 0.01))
            if readable:  # a client that waits for its answer sends nothing but its end
                return False
        return isinstance(until, float | int)

    def _wait(self, condition: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + PATIENCE_SECONDS
        is_late = False
        while not condition():
            assert not is_late, "the upstream has waited in vain"
            time.sleep(0.005)
            is_late = time.monotonic() > ends_at  # one more look: the process may have stood still


def _read_request(incoming: Any, connection: int) -> Request | None:
    line = incoming.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    repeated = []
    while name_and_value := incoming.readline().decode("latin-1").strip():
        name, _, value = name_and_value.partition(":")
        repeated += [name.lower()] if name.lower() in headers else []
        headers[name.lower()] = value.strip()
    body = incoming.read(length := int(headers.get("content-length", 0)))
    return Request(line[0], line[1], headers, body, connection, repeated) if len(body) == length else None
