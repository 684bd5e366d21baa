"""What a hostile world does to a server, all at once and on and on; one process for all of it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from tests.bench.honest import FAILURES, visitor
from tests.faults.hostile import FORM_TYPE, FORMS, TEXTS, form, zipped
from tests.visitor import Visitor

ADDRESS = "127.9.9.9"
PAUSE_SECONDS = 1.0
DRIP_SECONDS = 2.0
SLOW_BODIES = 300
FORM = "POST /conversations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
SLOW_HEAD = f"{FORM}Content-Type: application/x-www-form-urlencoded\r\n\r\ntext=".encode()


class _Tally:
    """What came of each attack, counted."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, attack: str, what: object) -> None:
        with self._lock:
            self._counts[attack, str(what)] += 1

    def lines(self) -> list[str]:
        """A line for each attack."""
        attacks = sorted({attack for attack, _what in self._counts})
        return [f"{name}: {', '.join(f'{number} x {what}' for what, number in self._of(name))}" for name in attacks]

    def _of(self, attack: str) -> list[tuple[str, int]]:
        return [(what, number) for (name, what), number in self._counts.most_common() if name == attack]


def attack(url: str, until: float, results: Connection) -> None:
    """Attack up to that time of the monotonic clock; what came of it goes into the pipe."""
    tally = _Tally()
    jobs = [("hostile answers", _reading(name)) for name in TEXTS]
    jobs += [("imports", _import), ("form bombs", _form_bombs())]
    threads = [threading.Thread(target=_again_and_again, args=(url, until, tally, *job), daemon=True) for job in jobs]
    threads.append(threading.Thread(target=_drip, args=(url, until, tally), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0) + 60)
    results.send(tally.lines())


def _again_and_again(url: str, until: float, tally: _Tally, name: str, job: Callable[[Visitor], object]) -> None:
    with visitor(url, ADDRESS) as browser:
        while time.monotonic() < until:
            started = time.monotonic()
            try:
                tally.add(name, job(browser))
            except FAILURES as error:
                tally.add(name, type(error).__name__)
            time.sleep(max(PAUSE_SECONDS - (time.monotonic() - started), 0.1))


def _reading(name: str) -> Callable[[Visitor], object]:
    """Ask for a hostile answer, follow it to its end, and look at its page."""

    def read(browser: Visitor) -> object:
        answer = browser.post_form("/conversations", text=f"hostile {name}")
        if answer.status_code != 303:
            return answer.status_code
        end = browser.end(browser.reply_of(answer))
        browser.page()
        return end.get("why", "no end")

    return read


def _import(browser: Visitor) -> object:
    file = zipped("![" * 1000, 60)
    answer = browser.post("/import", files={"file": ("a.zip", file)}, allow_redirects=False)
    if answer.status_code == 303:
        browser.get(answer.headers["Location"])
    return answer.status_code


def _form_bombs() -> Callable[[Visitor], object]:
    """One form after the other, by somebody who keeps no cookie."""
    number = 0

    def send(browser: Visitor) -> object:
        nonlocal number
        number += 1
        browser.cookies.clear()
        bomb = form(list(FORMS)[number % len(FORMS)])
        return browser.post("/conversations", bomb, headers=FORM_TYPE).status_code

    return send


def _drip(url: str, until: float, tally: _Tally) -> None:
    """Keep hundreds of forms open that never come to their end; open another for each that is given up."""
    port = urlsplit(url).port or 80
    connections: list[socket.socket] = []
    while time.monotonic() < until:
        started = time.monotonic()
        with contextlib.suppress(OSError):
            while len(connections) < SLOW_BODIES:
                connection = socket.create_connection(("127.0.0.1", port), 2, source_address=(ADDRESS, 0))
                connections.append(connection)
                connection.sendall(SLOW_HEAD)
        for connection in list(connections):
            if not _goes_on(connection):
                tally.add("slow bodies", "given up")
                connections.remove(connection)
                connection.close()
        time.sleep(max(DRIP_SECONDS - (time.monotonic() - started), 0.1))
    for connection in connections:
        tally.add("slow bodies", "open at the end")
        connection.close()


def _goes_on(connection: socket.socket) -> bool:
    """Send one more byte; False when the server has answered or gone."""
    try:
        connection.setblocking(False)
        connection.send(b"x")
        connection.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
