"""Honest readers: each asks, follows the answer and notes how late its words are; one process for all of them."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from tests.bench.talker import LAST_WORDS
from tests.visitor import Visitor
from webapp import sse

MARK = re.compile(r"@(\d+)\.")
ANSWER_SECONDS = 60.0
PAUSE_SECONDS = 1.0
FAILURES = (requests.RequestException, HTTPError, OSError, AssertionError)


@dataclass
class Reader:
    """What one reader saw: the lags in milliseconds, the answers that ended well, and what went wrong."""

    name: str
    lags: list[float] = field(default_factory=list)
    answers: int = 0
    wrong: list[str] = field(default_factory=list)


class _From(HTTPAdapter):
    """Connections from one of the addresses of this machine: limits count by address too."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args, **options) -> None:
        super().init_poolmanager(*args, source_address=(self._address, 0), **options)


def visitor(url: str, address: str) -> Visitor:
    """A browser at this address of the loopback network."""
    visitor = Visitor(url)
    visitor.mount("http://", _From(address))
    return visitor


def read(url: str, upstream: str, number: int, until: float, results: Connection) -> None:
    """Run so many readers up to that time of the monotonic clock, and one that asks the upstream itself."""
    readers = [Reader(f"reader {index + 1}") for index in range(number)]
    control = Reader("the upstream itself")
    threads = [
        threading.Thread(target=_read_on, args=(reader, url, index, until)) for index, reader in enumerate(readers)
    ]
    threads.append(threading.Thread(target=_read_itself, args=(control, upstream, until)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.send([control, *readers])


def _read_on(reader: Reader, url: str, index: int, until: float) -> None:
    time.sleep(index * 0.1)  # they do not all begin at once
    with visitor(url, f"127.1.0.{index + 1}") as browser:
        while (left := until - time.monotonic()) > 2 * PAUSE_SECONDS:
            try:
                browser.get("/").raise_for_status()
                _follow(reader, browser, min(ANSWER_SECONDS, left - PAUSE_SECONDS))
                reader.answers += 1
            except FAILURES as error:
                reader.wrong.append(repr(error)[:200])
                time.sleep(PAUSE_SECONDS)


def _follow(reader: Reader, browser: Visitor, seconds: float) -> None:
    reply = browser.new_chat(f"honest {seconds:.1f}")
    seen: set[str] = set()
    last = None
    for event in browser.events(reply):
        now = time.monotonic_ns() / 1e6
        for mark in MARK.findall(event.data):  # a block may be sent anew
            if mark not in seen and event.event != "reset":  # which has what was sent before the reader came
                reader.lags.append(now - int(mark))
            seen.add(mark)
        last = event
    assert last, "no event"
    assert last.event == "end", last
    assert '"why":"done"' in last.data, last.data
    assert browser.raw(reply).endswith(LAST_WORDS), "words are missing"


def _read_itself(reader: Reader, upstream: str, until: float) -> None:
    """What the machine itself adds: the same words, with nothing in between."""
    question = {"messages": [{"role": "user", "content": f"honest {until - time.monotonic() - PAUSE_SECONDS}"}]}
    with requests.post(f"{upstream}/v1/chat/completions", json=question, stream=True, timeout=30) as answer:
        for event in sse.decode(iter(lambda: answer.raw.read1(65536), b"")):
            now = time.monotonic_ns() / 1e6
            reader.lags += [now - int(mark) for mark in MARK.findall(event.data)]
    reader.answers += 1
