"""gunicorn's gevent worker, changed in three places: its patience, its buffers, and how a connection ends early.

gunicorn gives each request head `keepalive` seconds, however many connections are open. A few thousand that say
nothing could so take every place.
"""

from __future__ import annotations

from typing import Any

import gevent  # type: ignore[import-untyped]
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

LEAST_SECONDS = 0.5
SocketUnreader.max_body_chunk = 64 * 2**10  # bytes; with gunicorn's 1 MB a thousand half bodies take a gigabyte


class Worker(GeventWorker):  # type: ignore[misc]
    """Counts its connections; the fewer are left, the less time an idle one or a slow head has."""

    open_connections = 0

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
    """The seconds that a request head may take: all of them while half of the connections are free."""
    free = 1 - open_connections / most_connections
    return max(LEAST_SECONDS, seconds * min(1.0, 2 * free))
