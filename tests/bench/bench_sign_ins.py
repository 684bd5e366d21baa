"""What sign-ins tell a stranger by their time, and how long fifty at once delay a running stream.

python -m tests.bench.bench_sign_ins

Through the real gunicorn, on a machine that is quiet. The stream is plain words, since formulas and code are shown only
when they are complete. A delay is from the moment when the upstream sends a word to the one when its reader has it.
"""

from __future__ import annotations

import random
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles

from tests.server import Server
from tests.team import PASSWORD, sign_in
from tests.upstream import Step, Upstream, Wait, body, chunk, token
from tests.visitor import Visitor
from webapp.generation import Hub
from webapp.invites import SERVER, Invites
from webapp.passwords import Passwords
from webapp.storage import Storage
from webapp.users import Users

SIGN_INS = 50
ROUNDS = 5
PAUSE_SECONDS = 1.0  # after a round, for what it leaves behind
WORD_SECONDS = 0.02
ATTEMPTS = 200  # of each kind


def main() -> None:
    """Print both measurements."""
    with tempfile.TemporaryDirectory() as name, Upstream() as upstream:
        directory = Path(name)
        server = Server(directory, LOGIN="password", PROXIES="127.0.0.1", URL=upstream.url, MODELS="gpt-4")
        try:
            with Visitor(server.url) as visitor:
                _join(directory, visitor)
                print_delays(server.url, visitor, upstream)
                print_times(server.url)
        finally:
            server.kill()


def print_delays(url: str, visitor: Visitor, upstream: Upstream) -> None:
    """Print how late words are, while nothing else happens and beside sign-ins, in turns. The first round warms up."""
    reply, sent, seen = follow(visitor, upstream)
    beside: list[float] = []
    alone: list[float] = []
    print(f"delay of words    alone: p50 / p95 / p99 / max, ms    beside {SIGN_INS} sign-ins at once")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as others:
        for number in range(ROUNDS + 1):
            began, ended, let_in = others.submit(sign_in_all, url, SIGN_INS).result()
            time.sleep(PAUSE_SECONDS)
            rest = time.monotonic()
            time.sleep(max(ended - began, PAUSE_SECONDS))
            quiet, busy = delays(sent, seen, rest, time.monotonic()), delays(sent, seen, began, ended)
            if number:
                alone, beside = alone + quiet, beside + busy
            name = f"round {number}" if number else "to warm up"
            print(f"{name:17} {said(quiet):35} {said(busy):35} {let_in} in {ended - began:.1f} s")
    print(f"{'all rounds':17} {said(alone):35} {said(beside)}")
    visitor.stop(reply)
    print(f"the slowest word came {(max(beside) - max(alone)) * 1000:+.0f} ms later beside the sign-ins")


def follow(visitor: Visitor, upstream: Upstream) -> tuple[str, list[float], list[float]]:
    """Start a stream; its reply's id, and the times when each word was sent and seen, which go on to grow."""
    sent: list[float] = []
    seen: list[float] = []

    def words() -> Iterator[Step]:
        yield body()[0]
        while True:
            sent.append(time.monotonic())
            end = "\n\n" if len(sent) % 20 == 0 else " "
            yield chunk(token(f"w{len(sent) - 1}{end}"))
            yield Wait(WORD_SECONDS)

    def read() -> None:
        for event in visitor.events(reply):
            for number in map(int, re.findall(r"w(\d+)", event.data)):
                seen.extend([time.monotonic()] * (number + 1 - len(seen)))

    upstream.always(lambda _request: words())
    reply = visitor.new_chat("Words")
    threading.Thread(target=read, daemon=True).start()
    return reply, sent, seen


def delays(sent: list[float], seen: list[float], began: float, ended: float) -> list[float]:
    """How late the words were that were sent in this time, in seconds."""
    return [after - before for before, after in zip(sent, seen, strict=False) if began <= before <= ended]


def said(seconds: list[float]) -> str:
    parts = quantiles(seconds, n=100, method="inclusive")
    return " / ".join(f"{1000 * one:.0f}" for one in (median(seconds), parts[94], parts[98], max(seconds)))


def sign_in_all(url: str, most: int) -> tuple[float, float, int]:
    """Sign in so many times at once, each from an address of its own; when that began and ended, how many got in."""
    with ThreadPoolExecutor(most) as pool:
        began = time.monotonic()
        statuses = list(pool.map(partial(_sign_in, url), range(most)))
    return began, time.monotonic(), statuses.count(303)


def print_times(url: str) -> None:
    """Print how long refused sign-ins take: of a known name, an unknown one, a disabled account with its password."""
    kinds = {"known": ("alice", "wrong"), "unknown": ("nobody", "wrong"), "disabled": ("dan", PASSWORD)}
    order = [kind for kind in kinds for _attempt in range(ATTEMPTS)]
    random.shuffle(order)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number, kind in enumerate(["known"] * 20 + order):
        name, password = kinds[kind]
        seconds = _refused_after(url, number, name, password)
        if number >= 20:  # those before warm up
            times[kind].append(seconds)
    medians = {kind: median(found) for kind, found in times.items()}
    for kind, seconds in medians.items():
        ratio = seconds / medians["known"]
        print(f"{ATTEMPTS} sign-ins, {kind:8} median {1000 * seconds:.2f} ms, {ratio:.3f} of a known name")


def _refused_after(url: str, number: int, name: str, password: str) -> float:
    """The seconds of one attempt from an address of its own, in a browser of its own."""
    with Visitor(url) as browser:
        browser.headers["X-Forwarded-For"] = _address(100_000 + number)
        browser.get("/healthz")  # opens the connection
        began = time.perf_counter()
        status = sign_in(browser, name, password).status_code
        seconds = time.perf_counter() - began
    assert status == 403, status
    return seconds


def _sign_in(url: str, number: int) -> int:
    with Visitor(url) as browser:
        browser.headers["X-Forwarded-For"] = _address(number)
        return sign_in(browser, "alice").status_code


def _address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _join(directory: Path, visitor: Visitor) -> None:
    """Alice, who is signed in, and Dan, who is disabled."""
    storage = Storage(f"sqlite:///{directory}/data/lockchat.sqlite3")
    invites = Invites(storage, Passwords(), "password")
    for name, browser in _browsers(visitor):
        browser.post_form(f"/invite/{invites.make(SERVER, 'member')}", name=name, password=PASSWORD)
    users = Users(storage, Hub(lambda text: None), "password")
    users.disable(SERVER, next(one.user_id for one in users.all() if one.name == "Dan"))
    storage.close()


def _browsers(visitor: Visitor) -> Iterable[tuple[str, Visitor]]:
    yield "Alice", visitor
    with Visitor(visitor.base_url) as other:
        yield "Dan", other


if __name__ == "__main__":
    main()
