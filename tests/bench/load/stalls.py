"""The table of stalls: how long heavy work of one person, or a slow disk, delays the running streams of all others.

A stall is the longest time that the worker's loop was kept from its other work, in processor time, as
`tests.watched` notes it; and the lag of the streams meanwhile, which on a busy machine is the machine's own too.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.bench.load.answers import GUIDE
from tests.bench.load.pages import SHORT, Browser, fill
from tests.bench.load.stage import Client, Cores, Lockchat, Upstream, compiled
from tests.faults.watchdog import longest, watched
from tests.history import add_turns

MESSAGES = 1_000
IMPORT_MESSAGES = 40  # of each conversation
QUIET_SECONDS = 4.0
SENDS = 20
SLOW_DISK_MS = 50


def table(cores: Cores, streams: int, import_mb: float) -> None:
    """Write out the table, with so many streams meanwhile."""
    print(f"\n| beside {streams} streams | took | loop held | lag p50 / p99 / max |\n|---|---|---|---|")
    with _server(cores, streams) as (server, client, database_url):
        heavy_work(server, client, database_url, import_mb)
    with slow_disk(), _server(cores, streams) as (server, client, _database_url):
        browser = Browser(server.port)
        _line(f"{SENDS} sends on a disk of {SLOW_DISK_MS} ms", server, client, lambda: _send(browser))


@contextmanager
def slow_disk():
    """Servers that start inside of the block have a disk that takes its time to confirm what is written."""
    added = {"LD_PRELOAD": str(compiled("slow_disk", "-shared", "-fPIC", "-ldl")), "SLOW_DISK_MS": str(SLOW_DISK_MS)}
    os.environ |= added
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _server(cores: Cores, streams: int):
    """A server that notes what holds its loop, and the client of its streams."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Upstream(Path(name)) as upstream:
        directory = Path(name)
        database_url = f"sqlite:///{directory}/lockchat.sqlite3"
        watch = watched(directory / "loop.log", 60)
        server = Lockchat(directory, cores, upstream, DATABASE_URL=database_url, **watch)
        try:
            asked = server.requests(streams, "Hello #n=100000000,r=30,s=-1,d=0,h=1#")
            with Client(directory, server.port, asked, upstream, server.root) as client:
                time.sleep(2)
                client.window()
                yield server, client, database_url
        finally:
            server.close()


def heavy_work(server: Lockchat, client: Client, database_url: str, import_mb: float) -> None:
    browser = Browser(server.port)
    browser.send(SHORT)
    add_turns(database_url, browser.conversation_id, MESSAGES // 2)
    page = f"/c/{browser.conversation_id}"
    fill(database_url, browser.conversation_id)
    _line("nothing", server, client, lambda: time.sleep(QUIET_SECONDS))
    _line("page of 1,000 messages", server, client, lambda: browser.get(page))
    _line("search in them", server, client, lambda: browser.get("/search?q=Question"))
    _line("export of them", server, client, lambda: browser.get("/export"))
    _line(f"import of {import_mb:g} MiB", server, client, lambda: _import(browser, import_mb))
    _line(f"{SENDS} sends", server, client, lambda: _send(browser))


def _send(browser: Browser) -> None:
    for _ in range(SENDS):
        browser.conversation_id = ""
        browser.send(SHORT)


def _import(browser: Browser, megabytes: float) -> None:
    answer = requests.post(
        browser.url("/import"),
        files={"file": ("conversations.json", _chatgpt_export(megabytes))},
        headers=browser.headers,
        timeout=600,
        allow_redirects=False,
    )
    assert answer.status_code == 303, (answer.status_code, answer.text[-500:])


def _chatgpt_export(megabytes: float) -> str:
    """A file of ChatGPT's with long answers, of so many megabytes."""
    answer = GUIDE.read_text(encoding="utf-8") * 2  # one file may hold 20,000 messages
    nodes: dict[str, Any] = {}
    for number in range(IMPORT_MESSAGES):
        parent = str(number - 1) if number else None
        content = {"content_type": "text", "parts": [answer if number % 2 else f"Question {number}"]}
        message = {"id": str(number), "author": {"role": ("user", "assistant")[number % 2]}, "content": content}
        nodes[str(number)] = {"id": str(number), "parent": parent, "children": [], "message": message}
    conversation = {"title": "Long", "create_time": 1.0, "update_time": 1.0, "mapping": nodes}
    number = int(megabytes * 2**20 / len(json.dumps(conversation)))
    return json.dumps([conversation | {"conversation_id": f"c{index}"} for index in range(number)])


def _line(name: str, server: Any, client: Client, job: Callable[[], object]) -> None:
    client.window()
    began = time.monotonic()
    job()
    seconds = time.monotonic() - began
    time.sleep(0.3)  # for what it began
    window = client.window()
    held = longest(server.loop_log, began)
    lag = f"{window['lag_p50']:.0f} / {window['lag_p99']:.0f} / {window['lag_max']:.0f} ms"
    print(f"| {name} | {seconds:.2f} s | {held.counted * 1000:.0f} ms | {lag} |", flush=True)
