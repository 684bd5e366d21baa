"""How long fifty sign-ins at once delay a running stream, through the real gunicorn, on a machine that is quiet.

python -m tests.bench.bench_sign_ins
"""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

from tests.server import Server
from tests.team import PASSWORD, sign_in
from tests.visitor import Visitor
from webapp.invites import SERVER, Invites
from webapp.passwords import Passwords
from webapp.storage import Storage

SIGN_INS = 50
QUIET_SECONDS = 3.0


def main() -> None:
    """Print the longest time without a token: while nothing else happens, and during the sign-ins."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        server = Server(directory, LOGIN="password", PROXIES="127.0.0.1")
        try:
            with Visitor(server.url) as visitor:
                _join(directory, visitor)
                quiet, busy, seconds = measure(server.url, visitor)
        finally:
            server.kill()
    print(f"longest gap of a stream: {quiet * 1000:.0f} ms alone, {busy * 1000:.0f} ms beside {SIGN_INS} sign-ins")
    print(f"the sign-ins took {seconds:.2f} s")


def measure(url: str, visitor: Visitor) -> tuple[float, float, float]:
    """The longest gaps of a stream in seconds, without and with the sign-ins, and how long those took."""
    times: list[float] = []
    reply = visitor.new_chat("/long")
    events = visitor.events(reply)
    next(events)
    threading.Thread(target=lambda: times.extend(time.monotonic() for _ in events), daemon=True).start()
    time.sleep(QUIET_SECONDS)
    began = time.monotonic()
    signing = multiprocessing.get_context("spawn").Process(target=_sign_in_all, args=(url,))
    signing.start()
    signing.join()
    ended = time.monotonic()
    visitor.stop(reply)
    quiet = [time for time in times if time < began]
    return _gap(quiet), _gap([time for time in times if began - 0.2 < time < ended]), ended - began


def _gap(times: list[float]) -> float:
    return max(after - before for before, after in pairwise(times))


def _join(directory: Path, visitor: Visitor) -> None:
    storage = Storage(f"sqlite:///{directory}/data/lockchat.sqlite3")
    token = Invites(storage, Passwords(), "password").make(SERVER, "member")
    storage.close()
    visitor.post_form(f"/invite/{token}", name="Alice", password=PASSWORD)


def _sign_in_all(url: str) -> None:
    """Sign in SIGN_INS times at once, each from an address of its own."""
    threads = [threading.Thread(target=_sign_in, args=(url, number)) for number in range(SIGN_INS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _sign_in(url: str, number: int) -> None:
    with Visitor(url) as browser:
        browser.headers["X-Forwarded-For"] = f"10.0.{number}.1"
        status = sign_in(browser, "alice").status_code
        assert status == 303, status


if __name__ == "__main__":
    main()
