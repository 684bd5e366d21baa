"""gunicorn's gevent worker with four changes: time-outs, buffers, turns, and connections that close early.

gunicorn waits `keepalive` seconds for each request head, however many connections are open. So a few thousand silent
connections could take every place.
"""

from __future__ import annotations

from typing import Any

import gevent  # type: ignore[import-untyped]
from gevent.server import StreamServer  # type: ignore[import-untyped]
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

LEAST_SECONDS = 0.5
# gevent accepts 100 at a time, whose requests then run in one round of the loop: 130 ms without a stream.
StreamServer.max_accept = 1
SocketUnreader.max_body_chunk = 64 * 2**10  # bytes; with gunicorn's 1 MB, a thousand unfinished bodies take a gigabyte


class Worker(GeventWorker):  # type: ignore[misc]
    """Counts its connections. The fewer are free, the less time an idle connection or a slow request head gets."""

    open_connections = 0

    def run(self) -> None:
        from webapp.loop import note_round  # now that gevent has replaced `threading`

        rounds = gevent.get_hub().loop.prepare(ref=False)
        rounds.start(note_round)
        super().run()

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
