"""The real thing: gunicorn in a process of its own, as an administrator starts it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import requests

from tests.wait import wait_until

ROOT = Path(__file__).parent.parent
HELD_PORTS = 20  # more than are waited for at a time

_held: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody has, and that nobody else gets before it is used: neither from the system nor from here."""
    while len(_held) >= HELD_PORTS:
        _held.pop(0).close()
    _held.append(socket.socket())
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with suppress(OSError):
            _held[-1].bind(("127.0.0.1", port))  # another test that looks for a port cannot
            # A server can, as all of them set this.
            _held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return port


class Server:
    """gunicorn, on a free port unless one is given. Settings come without their prefix: `Server(path, URL=...)`."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        workers: int = 1,
        app: str = "wsgi:app",
        arguments: tuple[str, ...] = (),
        ready_seconds: float = 120,  # a busy machine has taken more than 60
        **settings: object,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "server.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCKCHAT_")}
        environment |= {f"LOCKCHAT_{name}": str(value) for name, value in settings.items()}
        environment |= {"LOCKCHAT_BIND": f"127.0.0.1:{self.port}", "WEB_CONCURRENCY": str(workers)}
        environment.setdefault("LOCKCHAT_DATA_DIR", str(directory / "data"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *arguments, app],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.master = psutil.Process(self._process.pid)
        try:
            self._wait_until_ready(workers, ready_seconds)
        except BaseException:  # the caller has no server to end
            self.kill()
            raise

    def workers(self) -> list[psutil.Process]:
        return self.master.children()

    def worker(self) -> psutil.Process:
        """The only worker."""
        [worker] = self.workers()
        return worker

    def replace_worker(self) -> None:
        """Kill the only worker, and wait for the one after it."""
        old = self.worker()
        old.kill()
        self.wait_for_worker_after(old)

    def wait_for_worker_after(self, old: psutil.Process) -> None:
        """Wait until another worker is there."""
        wait_until(lambda: [other for other in self.workers() if other.pid != old.pid], 60, "a new worker")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def terminate(self) -> None:
        """As systemd and `kill` do: tell the first process, which then tells the worker."""
        self.signal(signal.SIGTERM)

    def interrupt(self) -> None:
        """As Ctrl-C does: tell every process that the terminal knows. So a worker is told twice."""
        for process in [self.master, *self.workers()]:
            with suppress(psutil.NoSuchProcess):  # a worker that its master told first may have ended
                process.send_signal(signal.SIGINT)

    def wait(self, timeout: float = 30) -> int:
        return self._process.wait(timeout)

    def kill(self) -> None:
        """End it at once, as a power switch does."""
        if self._process.poll() is not None:
            return
        self.master.suspend()  # it must not start new workers meanwhile
        for process in [*self.workers(), self.master]:
            with suppress(psutil.NoSuchProcess):  # a worker may end by itself
                process.kill()
        self._process.wait(30)

    def _wait_until_ready(self, workers: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"the server ended: {self.log.read_text()}"
            try:
                if requests.get(f"{self.url}/readyz", timeout=5).ok and len(self.workers()) >= workers:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready within {seconds} s: {self.log.read_text()}")
