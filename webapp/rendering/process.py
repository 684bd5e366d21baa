"""Render answers in a separate process, so that no text blocks a worker.

The kernel kills that process when a text takes more than CPU_SECONDS of processor time. No thread or greenlet
could interrupt a regular expression or a library's C code.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

from webapp.markdown import MAX_TEXT_CHARS, plain, render

CPU_SECONDS = 2.0  # for one text
WALL_SECONDS = 20.0  # of waiting for one text; a busy machine needs longer than CPU_SECONDS
END_SECONDS = 1.0  # for a process to end by itself once nobody talks to it
TRIES = 2  # a process that something else has killed is replaced
MEMORY_BYTES = 2**31
NICE = 5  # streams and requests come first
START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from webapp.rendering.process import serve; serve(int(sys.argv[2]))"
)

log = logging.getLogger(__name__)


@cache
def shared() -> Renderer:
    """The renderer that all parts of this process share."""
    renderer = Renderer()
    atexit.register(renderer.close)
    return renderer


class Renderer:
    """A process that renders one text at a time; starts with the first text, and again after a kill."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def render(self, text: str) -> str | None:
        """Return the HTML that `markdown.render` makes of a text; plain text if that takes too long.

        Only the calling thread waits. Returns None if the process cannot start: retry later.
        """
        if not text:
            return ""
        if len(text) > MAX_TEXT_CHARS:
            return plain(text)
        with self._lock:
            for _try in range(TRIES):
                try:
                    line = self._connected()
                except OSError as error:
                    log.warning("no process to render in: %s", error)
                    return None
                html, is_too_long = self._ask(line, text)
                if html:
                    return html.decode()
                if is_too_long:
                    break
        log.warning("a text of %d characters could not be rendered: it is shown as it is written", len(text))
        return plain(text)

    def _ask(self, line: socket.socket, text: str) -> tuple[bytes, bool]:
        """Return the HTML; if there is none, end the process and return whether its time was up."""
        is_late = False
        try:
            _send(line, text.encode("utf-8", "surrogatepass"))
            if html := _receive(line):
                return html, False
        except OSError as error:
            is_late = isinstance(error, TimeoutError)
        return b"", self._end() == -signal.SIGVTALRM or is_late

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _connected(self) -> socket.socket:
        if self._line and self._process and self._process.poll() is None:
            return self._line
        self._end()
        self._line, there = socket.socketpair()
        self._line.settimeout(WALL_SECONDS)
        with there:
            root = str(Path(__file__).parents[2])
            command = [sys.executable, "-c", START, root, str(there.fileno())]
            # In a new session Ctrl+C reaches only the server, which then ends this process.
            self._process = subprocess.Popen(command, pass_fds=[there.fileno()], start_new_session=True)
        return self._line

    def _end(self) -> int | None:
        """End the process and return its exit status; None without a process."""
        status = None
        if self._line:
            self._line.close()
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(END_SECONDS)
            self._process.kill()
            self._process.wait()
        self._line = self._process = None
        return status


def serve(descriptor: int) -> None:
    """The process's main loop: answer each text with its HTML until the other side hangs up."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with socket.socket(fileno=descriptor) as line, contextlib.suppress(OSError):
        line.setblocking(True)  # gevent's sockets do not block, and this process has no gevent
        while text := _receive(line):
            signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)  # the timer's signal kills the process
            html = render(text.decode("utf-8", "surrogatepass")).encode()
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            _send(line, html or b"\n")


_LENGTH = struct.Struct(">I")


def _send(line: socket.socket, data: bytes) -> None:
    line.sendall(_LENGTH.pack(len(data)) + data)


def _receive(line: socket.socket) -> bytes:
    """Read one message; empty if the other side has hung up."""
    head = _read(line, _LENGTH.size)
    return _read(line, _LENGTH.unpack(head)[0]) if head else b""


def _read(line: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = line.recv(min(size - len(data), 2**20))
        if not part:
            return b""
        data += part
    return bytes(data)
