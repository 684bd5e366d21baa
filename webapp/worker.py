"""gunicorn's gevent worker with changes: time-outs, buffers, turns, error pages, early closes, and how it sends.

gunicorn waits `keepalive` seconds for each request head, however many connections are open. So a few thousand silent
connections could take every place.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import Any

import gevent  # type: ignore[import-untyped]

# At its exit Python clears the newest modules first. Flask's log handler then takes a lock of this one, the older.
import gevent.thread  # type: ignore[import-untyped]
import gunicorn.http.wsgi  # type: ignore[import-untyped]
import gunicorn.util  # type: ignore[import-untyped]
from gevent.server import StreamServer  # type: ignore[import-untyped]
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

from webapp.views.headers import HEADERS, PRIVATE

LEAST_SECONDS = 0.5
LINGER_SECONDS = 1.0
QUIT_SECONDS = 0.1  # in which streams see that the worker ends
DISCARDED_PIECES = 64  # of 64 KiB
# gevent accepts 100 at a time, whose requests then run in one round of the loop: 130 ms without a stream.
StreamServer.max_accept = 1
SocketUnreader.max_body_chunk = 64 * 2**10  # bytes; with gunicorn's 1 MB, a thousand unfinished bodies take a gigabyte
SENTENCES = {
    414: "The address of this page is too long.",
    431: "Your browser sent more cookies than this server reads. Delete the cookies of this site, and of the sites"
    " that share its domain, then open the page again.",
    500: "Something went wrong in this server. The administrator can find the error in the log.",
}


class Worker(GeventWorker):  # type: ignore[misc]
    """Counts its connections. The fewer are free, the less time an idle connection or a slow request head gets."""

    open_connections = 0
    is_running = False

    def run(self) -> None:
        from webapp.loop import note_round  # now that gevent has replaced `threading`

        rounds = gevent.get_hub().loop.prepare(ref=False)
        rounds.start(note_round)
        self.is_running = True
        try:
            super().run()
        finally:
            self.is_running = False

    def handle_quit(self, sig: int, frame: Any) -> None:
        """End `run` and nothing else: Ctrl-C comes here twice, and after `run` the app saves its replies."""
        self.alive = False
        if self.is_running:
            gevent.spawn_later(QUIT_SECONDS, self._leave)

    def _leave(self) -> None:
        if self.is_running:
            sys.exit(0)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        self.open_connections += 1
        try:
            super().handle(listener, client, addr)
        finally:
            self.open_connections -= 1

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        req.body.close_connection = req.force_close  # for webapp.views.forms
        super().handle_request(listener_name, req, sock, addr)

    def timeout_ctx(self) -> gevent.Timeout:
        return gevent.Timeout(patience(self.open_connections, self.worker_connections, self.cfg.keepalive), False)


def patience(open_connections: int, most_connections: int, seconds: float) -> float:
    """The time-out of a request head: all `seconds` while half of the connections are free, then less."""
    free = 1 - open_connections / most_connections
    return max(LEAST_SECONDS, seconds * min(1.0, 2 * free))


class Response(gunicorn.http.wsgi.Response):  # type: ignore[misc]
    """Sends the head of an answer with the first part of its body: one packet, which wakes the browser once."""

    sock: Any

    def write(self, arg: bytes) -> None:
        if self.headers_sent:
            super().write(arg)
            return
        connection, self.sock = self.sock, _Pieces()
        try:
            super().write(arg)
        finally:
            pieces, self.sock = self.sock, connection
        connection.sendall(b"".join(pieces))


class _Pieces(list[bytes]):
    """What is written to a connection."""

    def sendall(self, piece: bytes) -> None:
        self.append(piece)

    def send(self, piece: bytes) -> int:
        self.append(piece)
        return len(piece)


def write_error(client: Any, status: int, reason: str, _detail: str) -> None:
    """Answer a request that never reaches the app, in place of gunicorn: with our headers, and a sentence."""
    sentence = SENTENCES.get(status, "This server cannot read the request.")
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{reason}</title>
<h1>{reason}</h1><p>{sentence}</p></html>
"""
    head = HEADERS | {
        "Cache-Control": PRIVATE,
        "Connection": "close",
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(page)),
    }
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in head.items())]
    gunicorn.util.write_nonblock(client, ("\r\n".join(lines) + "\r\n\r\n" + page).encode())
    _discard_rest(client)


def write_chunk(client: Any, data: bytes) -> None:
    """Send a chunk: what the system takes at once, nearly always all, needs none of what gevent's `sendall` asks it."""
    chunk = b"%X\r\n%b\r\n" % (len(data), data)
    if (sent := client.send(chunk)) < len(chunk):
        client.sendall(memoryview(chunk)[sent:])


def _discard_rest(client: Any) -> None:
    """Read what the browser still sends: with unread bytes, the system would reset the connection before the answer."""
    with suppress(OSError), gevent.Timeout(LINGER_SECONDS, False):
        client.shutdown(socket.SHUT_WR)
        for _piece in range(DISCARDED_PIECES):
            if not client.recv(64 * 2**10):
                break
            gevent.sleep()


gunicorn.util.write_error = write_error
gunicorn.http.wsgi.Response = Response
gunicorn.util.write_chunk = write_chunk
