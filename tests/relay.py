"""A wire between browser and server that a test can cut, silence, and refuse.

with Relay(server.port) as relay:
    page.goto(relay.url)
    relay.cut_all()
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType

JOIN_SECONDS = 10.0
HARD = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Relay:
    """Passes bytes between its own port and another one of this machine."""

    def __init__(self, port: int) -> None:
        self.refuse = False  # reset each new connection at once
        self._server_port = port
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._passing = threading.Event()  # unset: nothing that the server says arrives
        self._passing.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def cut_all(self) -> None:
        """Break every connection with a reset."""
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD)
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it, which closes it

    def silence(self) -> None:
        """Keep every connection, and let nothing that the server says arrive any more."""
        self._passing.clear()

    def speak(self) -> None:
        """Let what was held back arrive, and what comes."""
        self._passing.set()

    def __enter__(self) -> Relay:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.speak()
        self.cut_all()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def _start(self, target, *arguments) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                browser, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, browser)

    def _serve(self, browser: socket.socket) -> None:
        """Pass both ways until one end closes."""
        with browser, contextlib.suppress(OSError):
            if self.refuse:
                browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD)
                return
            with socket.create_connection(("127.0.0.1", self._server_port)) as server:
                self._open |= {browser, server}
                if self.refuse:  # since the look above
                    browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD)
                    return
                up = threading.Thread(target=self._pass_on, args=(browser, server), daemon=True)
                up.start()
                self._pass_on(server, browser, self._passing)
                up.join()
                self._open -= {browser, server}

    def _pass_on(self, source: socket.socket, target: socket.socket, passing: threading.Event | None = None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if passing:
                    passing.wait()
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
