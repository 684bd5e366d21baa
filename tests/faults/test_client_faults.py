"""The browser misbehaves: the reply goes on, and nobody else notices."""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from itertools import pairwise

import pytest

from tests.faults.drip import Drip
from tests.faults.vitals import Vitals
from tests.faults.watcher import Watcher
from tests.upstream import Wait, body, token, tokens
from tests.wait import wait_until

pytestmark = pytest.mark.faults

TEXT = "Grüße aus 世界, привет 👩‍🚀 **fett** `код`\n\n" * 40


def request_of(visitor, path, method="GET", **headers):
    """The head of a request as this visitor's browser sends it."""
    cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies)
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Cookie: {cookie}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.fixture
def connect(server):
    """Open one more bare connection and send these bytes on it."""
    connections = []

    def connect(sent, receive_buffer=None):
        connections.append(socket.socket())
        if receive_buffer:
            connections[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connections[-1].connect(("127.0.0.1", server.port))
        connections[-1].sendall(sent)
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()


def test_a_reply_goes_on_when_its_reader_leaves(alice, server, upstream, database):
    drip = Drip()
    upstream.always(drip)
    before = Vitals.of(server, upstream)
    reply = alice.new_chat("Hello")
    events = alice.events(reply)
    next(event for event in events if "слово1" in event.data)

    events.close()
    wait_until(lambda: "слово40" in drip.text(), 60)
    drip.finish.set()

    assert database.wait_for(reply, "done").text == drip.text()
    before.are_back(server, upstream)


def test_reloads_lose_and_double_nothing(alice, server, upstream, database):
    seed = random.randrange(2**32)
    print("seed", seed)
    choose = random.Random(seed)
    whole = b"".join(part for part in tokens(*(TEXT[at : at + 7] for at in range(0, len(TEXT), 7))))
    shown = 0

    def script(_request):
        sent = 0
        while sent < len(whole):
            if sent > shown * len(whole) // 60:  # each event lets the next tokens out
                yield Wait(0.01)
                continue
            size = choose.randrange(1, 400)
            yield whole[sent : sent + size]
            sent += size

    upstream.always(script)

    reply, reloads = alice.new_chat("Hello"), 0
    while alice.status(reply) == "streaming":
        events = alice.events(reply)
        for _, _event in zip(range(choose.randrange(1, 6)), events, strict=False):
            shown += 1
            assert text_before_end(alice.raw(reply))
        events.close()
        reloads += 1

    assert reloads > 10
    assert alice.raw(reply) == TEXT
    assert database.wait_for(reply, "done").text.encode() == TEXT.encode()
    assert len(upstream.requests) == 1


def text_before_end(text):
    """Whether the text so far is a beginning of the whole."""
    return TEXT.startswith(text)


def test_browsers_that_do_not_read_cost_little_and_stop_nobody(alice, server, connect, upstream, database):
    huge = "слово " * 250_000  # 2.75 MB
    parts = [huge[at : at + 3000] for at in range(0, len(huge), 3000)]
    go_on = threading.Event()
    upstream.answer(*body(token("слово "), Wait(go_on), *map(token, parts), b"data: [DONE]\n\n"))
    before, memory = Vitals.of(server, upstream), server.worker().memory_info().rss
    reply = alice.new_chat("Huge")
    deaf = [connect(request_of(alice, f"/m/{reply}/stream"), receive_buffer=4096) for _ in range(15)]
    assert all(select.select([connection], [], [], 60)[0] for connection in deaf)  # they are served
    upstream.wait_for_requests(1)
    drip = Drip()
    upstream.always(drip)
    watcher = Watcher(alice, other := alice.new_chat("Another"))

    go_on.set()
    assert database.wait_for(reply, "done").text == "слово " + huge
    watcher.goes_on()
    drip.finish.set()

    assert watcher.end().event == "end"
    assert database.wait_for(other, "done").text == drip.text()
    gaps = sorted(after - before for before, after in pairwise(watcher.times))
    print(f"longest gap {gaps[-1]:.2f} s, {(server.worker().memory_info().rss - memory) / 1e6:.0f} MB more")
    assert gaps[-2] < 3
    assert gaps[-1] < 15  # the machine may stand still once
    assert server.worker().memory_info().rss - memory < 300e6
    for connection in deaf:
        connection.close()
    before.are_back(server, upstream)


def test_half_requests_block_nobody_and_send_nothing(alice, server, connect, upstream, database):
    before = Vitals.of(server, upstream)
    form = request_of(
        alice, "/conversations", "POST", Content_Length=1000, Content_Type="application/x-www-form-urlencoded"
    )
    halves = [form[:30], form, form + b"text=half+of+i"]
    half_sent = [connect(half) for half in halves * 30]

    started = time.monotonic()
    reply = alice.new_chat("Hello")
    alice.end(reply)

    assert time.monotonic() - started < 8
    assert alice.status(reply) == "done"
    for connection in half_sent:
        connection.close()
    before.are_back(server, upstream)
    assert [row.text for row in database.all("user")] == ["Hello"]
    assert len(upstream.requests) == 1


def test_a_request_that_never_ends_is_given_up(alice, connect):
    form = request_of(
        alice, "/conversations", "POST", Content_Length=1000, Content_Type="application/x-www-form-urlencoded"
    )
    half_head, half_body = connect(form[:30]), connect(form + b"text=half+of+i")

    for connection in (half_head, half_body):
        connection.settimeout(90)
        received = connection.recv(4096)
        assert not received or received.startswith(b"HTTP/1.1 4")
        connection.close()
