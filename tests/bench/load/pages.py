"""The table of pages: what each costs an idle server, and what the product adds to a first token."""

from __future__ import annotations

import contextlib
import copy
import gzip
import http.client
import importlib.metadata
import os
import re
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from sqlalchemy import insert, select

from tests.bench.load.answers import GUIDE
from tests.bench.load.stage import FORM, Cores, Lockchat, Upstream, memory_mb, processor_seconds
from tests.history import add_turns
from webapp.storage import Storage, schema
from webapp.text import new_id

TURNS = 30  # of the long chat: 60 messages
CONVERSATIONS = 1_000
SHORT = "Hi #n=3,r=1000,s=0,d=0,h=0#"
WAITED = "Hi #n=3,r=20,s=10,d=60,h=0#"  # its first token, a word, comes once the page waits for it
IDLE_SECONDS = 1.0  # gunicorn closes a silent connection after 5 s, on a full server sooner
PROBLEM = re.compile(rb'class="problem"[^<>]*>([^<>]+)<')
REPLY = re.compile(r"/c/([^#]+)#m-(.+)$")


class Browser:
    """One connection that is kept open, and one cookie."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._used_at = 0.0
        self.headers: dict[str, str] = {}
        answer, _ = self.ask("GET", "/")
        self.headers = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
        self.conversation_id = ""

    def again(self) -> Browser:
        """One more connection of this browser."""
        other = copy.copy(self)
        other._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=90)
        return other

    def close(self) -> None:
        self._connection.close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._port}{path}"

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[http.client.HTTPResponse, bytes]:
        if time.monotonic() - self._used_at > IDLE_SECONDS:
            self._connection.close()  # the next request opens it again
        self._used_at = time.monotonic()
        body = urllib.parse.urlencode(form) if form else None
        headers = self.headers | ({"Content-Type": FORM} if form else {})
        self._connection.request(method, path, body, headers | {"Accept-Encoding": "gzip"})
        answer = self._connection.getresponse()
        words = answer.read()
        return answer, gzip.decompress(words) if answer.headers["Content-Encoding"] == "gzip" else words

    def get(self, path: str) -> None:
        answer, words = self.ask("GET", path)
        assert answer.status == 200, (path, answer.status, words[:300])

    def send(self, text: str) -> str:
        """Send a message, to the last conversation if there is one; return the reply's id."""
        path = f"/c/{self.conversation_id}/messages" if self.conversation_id else "/conversations"
        answer, words = self.ask("POST", path, {"text": text, "key": os.urandom(8).hex()})
        found = REPLY.search(answer.headers["Location"] or "")
        assert found, (answer.status, PROBLEM.findall(words) or words[-500:])
        self.conversation_id = found[1]
        return found[2]

    def open_stream(self, reply_id: str) -> http.client.HTTPResponse:
        self._connection.request("GET", f"/m/{reply_id}/stream", headers=self.headers)
        return self._connection.getresponse()


def table(cores: Cores, requests: int) -> None:
    """Write out the table."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Upstream(Path(name)) as upstream:
        directory = Path(name)
        database_url = f"sqlite:///{directory}/lockchat.sqlite3"
        Lockchat(directory, cores, upstream, DATABASE_URL=database_url).close()  # makes the database
        started = time.monotonic()
        server = Lockchat(directory, cores, upstream, DATABASE_URL=database_url)
        cold_seconds = time.monotonic() - started
        try:
            browser = Browser(server.port)
            time.sleep(1)
            idle_mb = memory_mb(server.root)
            print("\n| | processor time p50 | latency p50 |\n|---|---|---|")
            browser.send(SHORT)
            fill(database_url, browser.conversation_id)
            write_costs(server, browser, requests)
            write_first_tokens(browser, upstream, requests)
        finally:
            server.close()
        print(f"| cold start, database current | | {cold_seconds:.2f} s |")
        print(f"\nIdle after the first page: {idle_mb:.0f} MB PSS. Environment: {environment_mb():.0f} MB without pip.")


def fill(database_url: str, conversation_id: str) -> None:
    """Make the chat long, and add conversations to the list of its owner."""
    add_turns(database_url, conversation_id, TURNS, GUIDE.read_text(encoding="utf-8"))
    storage, now = Storage(database_url), datetime.now(UTC)
    with storage.begin() as tx:
        owner = select(schema.conversations.c.user_id).where(schema.conversations.c.id == conversation_id)
        shared = {"user_id": tx.execute(owner).scalar_one(), "model": "gpt-4", "temperature": None, "system": ""}
        rows = [
            shared
            | {"id": new_id(), "title": f"Conversation {number}", "created_at": now}
            | {"updated_at": now - timedelta(minutes=number + 1)}
            for number in range(CONVERSATIONS)
        ]
        tx.execute(insert(schema.conversations), rows)
    storage.close()


def write_costs(server: Lockchat, browser: Browser, requests: int) -> None:
    conversation = browser.conversation_id

    def send() -> None:
        browser.conversation_id = ""
        replies.append(browser.send(SHORT))

    replies: list[str] = []
    for name, job in {
        "new chat, list of 1,000": lambda: browser.get("/"),
        "chat of 60 messages": lambda: browser.get(f"/c/{conversation}"),
        "search in 1,000": lambda: browser.get("/search?q=Conversation+77"),
        "send, until the 303": send,
    }.items():
        cpu, latency = costs(server.root, job, requests)
        print(f"| {name} | {cpu:.1f} ms | {latency:.1f} ms |", flush=True)


def costs(root: int, job: Callable[[], object], requests: int) -> tuple[float, float]:
    """The medians of processor time and latency in milliseconds; some first requests do not count."""
    for _ in range(5):
        job()
    cpus, latencies = [], []
    for _ in range(requests):
        began, used = time.monotonic(), processor_seconds(root)
        job()
        latencies.append(time.monotonic() - began)
        cpus.append(processor_seconds(root) - used)
        time.sleep(0.02)  # what a send leaves behind is not part of the next one
    return median(cpus) * 1000, median(latencies) * 1000


def write_first_tokens(browser: Browser, upstream: Upstream, requests: int) -> None:
    """What lies between a click on Send and the upstream, and between its first token and the page."""
    ways = [first_token(browser, upstream) for _ in range(requests)]
    there, back = (median(way) * 1000 for way in zip(*ways, strict=True))
    print(f"| click on Send until the upstream has the question | | {there:.2f} ms |")
    print(f"| the upstream's first token until the page has it | | {back:.2f} ms |", flush=True)


def first_token(browser: Browser, upstream: Upstream) -> tuple[float, float]:
    browser.conversation_id = ""
    clicked_at = time.monotonic()
    stream = browser.open_stream(browser.send(WAITED))
    shown_at = next(at for at, event in events(stream) if b"event: patch" in event)
    stats = upstream.stats()
    stream.read()
    return stats["asked_at"] - clicked_at, shown_at - stats["first_at"]


def events(stream: http.client.HTTPResponse) -> Iterator[tuple[float, bytes]]:
    """What comes, each with the time of the monotonic clock at which it came."""
    while data := stream.read1(65536):
        yield time.monotonic(), data


def environment_mb() -> float:
    """The size on disk of the packages that requirements.txt names."""
    lines = Path("requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", lines, re.M)
    size = 0
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # of another system
            for file in importlib.metadata.files(name) or []:
                with contextlib.suppress(OSError):
                    size += os.stat(file.locate()).st_blocks * 512
    return size / 2**20
