"""Nothing holds the server: not the worst answer, form, search, import or upstream.

While each of them is at work, the loop must come back to all others within 250 ms of processor time, /healthz must
answer, and the worker must live.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from itertools import chain
from pathlib import Path

import pytest
import requests
from urllib3.exceptions import HTTPError

from tests.databases import new_database
from tests.faults.hostile import FORM_TYPE, FORMS, TEXTS, form, repeated, zipped
from tests.faults.watchdog import Watchdog, watched
from tests.history import add_turns
from tests.server import Server
from tests.upstream import Upstream, Wait, body, chunk, error, head, token, tokens
from tests.visitor import Visitor
from webapp import sse

pytestmark = pytest.mark.faults

TOKEN_CHARS = 8
MOST_TOKENS = 20_000
LONGEST_TOKEN_CHARS = 100_000  # far below the longest line that the product reads
PACKETS = 500
STREAMED_SECONDS = 1.5
STREAM_SECONDS = 60.0  # what a stream may take on a busy machine
MEGABYTE = 2**20
SENDS = 6
MEMORY_BYTES = 400 * MEGABYTE  # what one request may cost the worker for a while
HEAD = head(content_type="text/event-stream", transfer_encoding="chunked")
DONE = [chunk(b"data: [DONE]\n\n"), chunk(b"")]
# Whatever is made at its first use is made by this one.
WARM_UP = """\
# A

*a* **b** `c` $x^2$ https://example.com

|a|b|
|-|-|
|c|d|

```java
int a;
```

```python
a
```
"""


@pytest.fixture
def log(tmp_path):
    return tmp_path / "loop.log"


@pytest.fixture
def server(start_server, log):
    return start_server(**watched(log))


@pytest.fixture
def alice(alice, upstream):
    """A member of a server that has been used before."""
    warm_up(alice, upstream)
    return alice


def warm_up(alice, upstream):
    """Use each part of the server once."""
    upstream.answer(*tokens(WARM_UP))
    alice.end(alice.new_chat("Warm up"))
    alice.page()
    alice.get("/search?q=warm")


@pytest.fixture
def watchdog(alice, server, log):
    """The watchdog of the server, once it is warm."""
    return Watchdog(server, log)


class Follower(threading.Thread):
    """Follows a reply from its beginning; `began` is set with the first event."""

    def __init__(self, alice, reply):
        super().__init__(daemon=True)
        self.began = threading.Event()
        self._ended = {}
        self._url = f"{alice.base_url}/m/{reply}/stream"
        self._cookies = dict(alice.cookies)

    def run(self):
        with (
            contextlib.suppress(requests.RequestException, HTTPError),  # a broken stream has no end
            requests.get(self._url, cookies=self._cookies, stream=True, timeout=STREAM_SECONDS) as answer,
        ):
            blocks = iter(lambda: answer.raw.read1(65536), b"")
            for event in sse.decode(blocks, max_line_bytes=64 * MEGABYTE):
                self.began.set()
                if event.event == "end":
                    self._ended = json.loads(event.data)

    def end(self):
        """What the `end` event says; nothing if none came in time."""
        self.join(STREAM_SECONDS)
        return self._ended


def answered(alice, upstream, steps):
    """Ask for an answer of these steps that a reader follows from its beginning: the reply, and how it ended."""
    go_on = threading.Event()
    upstream.answer(Wait(go_on), *steps)
    reply = alice.new_chat("Hello")
    follower = Follower(alice, reply)
    follower.start()
    follower.began.wait(STREAM_SECONDS)
    go_on.set()
    return reply, follower.end()


def whole(text):
    """The steps of an answer that comes at once."""
    return [HEAD, chunk(b"".join(map(token, cut(text, LONGEST_TOKEN_CHARS)))) + b"".join(DONE)]


def in_pieces(text):
    """The steps of an answer that comes in small tokens, over one or two seconds."""
    pieces = [token(piece) for piece in cut(text, max(TOKEN_CHARS, len(text) // MOST_TOKENS))]
    packets = [chunk(b"".join(packet)) for packet in cut(pieces, len(pieces) // PACKETS + 1)]
    pause = Wait(min(STREAMED_SECONDS / len(packets), 0.03))  # a short text comes token by token
    return [HEAD, *chain.from_iterable((packet, pause) for packet in packets), *DONE]


def cut(whole, size):
    """A text or a list in parts of this size."""
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def as_json(before, piece, after):
    """A script: a JSON answer of 24 MB, most of it the same piece again and again."""
    return body(before + piece * (24 * MEGABYTE // len(piece)) + after, content_type="application/json")


# How a hostile upstream answers: (its script, the end of the reply, its text)
UPSTREAMS = {
    "a large error": (
        lambda: error(500, {"error": {"message": repeated("model ", 24 * MEGABYTE)}}),
        "error",
        "",
    ),
    "a large error with status 200": (
        lambda: as_json(b'{"error": {"message": "', b"model ", b'"}}'),
        "error",
        "",
    ),
    "an endless line": (
        lambda: body(*[b"x" * 65536] * 400),
        "error",
        "",
    ),
    "a large answer": (
        lambda: as_json(b'{"choices": [{"message": {"content": "', b"word ", b'"}}]}'),
        "error",
        ("word " * 2**20)[: 4 * 2**20],  # up to the limit of an answer
    ),
    "a large answer of empty lists": (
        lambda: as_json(b'{"choices": [', b"[],", b"[]]}"),
        "error",
        "",
    ),
    "a large answer of half a list": (
        lambda: as_json(b'{"choices": [', b"[],", b""),
        "error",
        "",
    ),
    "a large answer that is not quite JSON": (
        lambda: as_json(b'{"choices": [', b"[],", b"NaN]}"),
        "error",
        "",
    ),
    "a million comments": (
        lambda: [HEAD, *[chunk(b":\n" * 65536)] * 16, chunk(token("x")), *DONE],
        "done",
        "x",
    ),
    "a million empty events": (
        lambda: [HEAD, *[chunk(b"data:\n\n" * 65536)] * 16, chunk(token("x")), *DONE],
        "done",
        "x",
    ),
}


class TestAnswers:
    """They share one server, which starts in two seconds: each is a new chat, and leaves the worker as it was."""

    @pytest.fixture(scope="class")
    @classmethod
    def log(cls, tmp_path_factory):
        return tmp_path_factory.mktemp("answers") / "loop.log"

    @pytest.fixture(scope="class")
    @classmethod
    def upstream(cls):
        with Upstream() as upstream:
            yield upstream

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, log, upstream, model_database_url):
        with new_database(log.parent, model_database_url) as url:
            server = Server(log.parent, URL=upstream.url, DATABASE_URL=url, **watched(log))
            yield server
            server.kill()

    @pytest.fixture(scope="class")
    @classmethod
    def alice(cls, server, upstream):
        with Visitor(server.url) as alice:
            warm_up(alice, upstream)
            yield alice

    @pytest.mark.parametrize("write", [whole, in_pieces])
    @pytest.mark.parametrize("name", TEXTS)
    def test_an_answer_holds_nobody(self, alice, watchdog, upstream, name, write):
        text = TEXTS[name]

        with watchdog:
            reply, end = answered(alice, upstream, write(text))
            stored = alice.raw(reply)
            alice.page()

        assert end["why"] == "done"
        assert stored == text

    @pytest.mark.parametrize("name", UPSTREAMS)
    def test_an_upstream_holds_nobody(self, alice, watchdog, upstream, name):
        script, why, text = UPSTREAMS[name]
        steps = script()

        with watchdog:
            reply, end = answered(alice, upstream, steps)
            stored = alice.raw(reply)

        assert end["why"] == why
        assert stored == text


ADDRESSES = ("/conversations", "/import", "/nowhere")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("name", FORMS)
def test_a_form_holds_nobody(server, watchdog, alice, name, address):
    before = server.worker().memory_info().rss

    with watchdog:
        status = post(server, address, form(name))

    assert 400 <= status < 500
    assert peak_bytes(server) - before < MEMORY_BYTES


def post(server, address, data):
    """Send a form as somebody without a cookie; the status of the answer, 413 where the connection was cut instead."""
    try:
        return requests.post(server.url + address, data, headers=FORM_TYPE, timeout=STREAM_SECONDS).status_code
    except requests.ConnectionError:  # a server need not read what it refuses
        return 413


def peak_bytes(server):
    """The most memory that the worker has ever had."""
    status = Path(f"/proc/{server.worker().pid}/status").read_text(encoding="ascii")
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)[1]) * 1024


@pytest.mark.parametrize("accents", [1, 2, 3])
def test_a_search_holds_nobody(alice, watchdog, accents):
    text = ("x" + "\u0301" * accents) * 25
    alice.end(alice.new_chat(text))
    alice.post_form(f"/c/{alice.conversation_id}/rename", title=text)

    with watchdog:
        queries = ["x." * 24 + end for end in ("", "x", "y")]
        answers = [alice.get("/search", params={"q": query}) for query in queries]

    assert {answer.status_code for answer in answers} == {200}


def test_the_page_of_an_imported_conversation_holds_nobody(alice, watchdog):
    with watchdog:
        answer = alice.post("/import", files={"file": ("a.zip", zipped("![" * 32_000, 60))}, allow_redirects=False)
        pages = [alice.get(answer.headers["Location"] + query) for query in ("", "?last=20000", "?last=20000")]

    assert answer.status_code == 303
    assert {page.status_code for page in pages} == {200}


@pytest.fixture
def ten_thousand(alice, database_url):
    """Ten thousand messages in the conversation of Alice."""
    add_turns(database_url, alice.conversation_id, 5000)


@pytest.mark.usefixtures("ten_thousand")
def test_the_page_of_ten_thousand_messages_holds_nobody(alice, watchdog):
    with watchdog:
        page = alice.get(f"/c/{alice.conversation_id}?last=20000")

    assert page.status_code == 200


@pytest.mark.usefixtures("ten_thousand")
def test_a_send_after_ten_thousand_messages_holds_nobody(alice, watchdog, upstream):
    upstream.always(HEAD, Wait(1.0), chunk(token("x")), *DONE)

    with watchdog:
        reply = alice.say("Hello")
        ends = [alice.end(reply)]
        again = alice.reply_of(alice.post_form(f"/m/{reply}/retry"))
        ends.append(alice.end(again))
        stored = alice.raw(again)

    assert {end.get("why", "done") for end in ends} == {"done"}
    assert (alice.status(again), stored) == ("done", "x")


def test_sends_into_a_large_conversation_hold_nobody_and_little_memory(alice, server, watchdog, upstream, database_url):
    add_turns(database_url, alice.conversation_id, 3, answer="word " * 200_000)
    before = server.worker().memory_info().rss
    go_on = threading.Event()
    upstream.always(HEAD, chunk(token("x")), Wait(go_on), *DONE)

    with watchdog:
        replies = [alice.say("Hello") for _ in range(SENDS)]
        upstream.wait_for_requests(1 + SENDS)
        peak = peak_bytes(server) - before
        go_on.set()
        ends = [alice.end(reply) for reply in replies]

    print(f"{peak / MEGABYTE:.0f} MB")
    assert {end.get("why", "done") for end in ends} == {"done"}
    assert peak < MEMORY_BYTES
