"""The browser misbehaves: the reply goes on, and nobody else notices."""

from __future__ import annotations

import random
import socket
import time

import pytest

from tests.faults.drip import Drip
from tests.faults.vitals import Vitals
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
    wait_until(lambda: "слово40" in drip.text(), 20)
    drip.finish.set()

    assert database.wait_for(reply, "done").text == drip.text()
    before.are_back(server, upstream)


def test_reloads_lose_and_double_nothing(alice, server, upstream, database):
    seed = random.randrange(2**32)
    print("seed", seed)
    choose = random.Random(seed)
    packets = []
    left = b"".join(part for part in tokens(*(TEXT[at : at + 7] for at in range(0, len(TEXT), 7))))
    while left:
        size = choose.randrange(1, 400)
        packets, left = [*packets, left[:size], Wait(0.02)], left[size:]
    upstream.answer(*packets)

    reply, reloads = alice.new_chat("Hello"), 0
    while alice.status(reply) == "streaming":
        events = alice.events(reply)
        for _event, _ in zip(events, range(choose.randrange(1, 6)), strict=False):
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
    upstream.answer(*body(token("слово "), Wait(1.0), *map(token, parts), b"data: [DONE]\n\n"))
    before, memory = Vitals.of(server, upstream), server.worker().memory_info().rss
    reply = alice.new_chat("Huge")
    deaf = [connect(request_of(alice, f"/m/{reply}/stream"), receive_buffer=4096) for _ in range(15)]
    drip = Drip(number=60)
    upstream.always(drip)

    other = alice.new_chat("Another")
    gaps = gaps_between(alice.events(other))

    assert database.wait_for(reply, "done", 20).text == "слово " + huge
    assert database.wait_for(other, "done").text == drip.text()
    print(f"longest gap {max(gaps):.2f} s, {(server.worker().memory_info().rss - memory) / 1e6:.0f} MB more")
    assert max(gaps) < 3
    assert server.worker().memory_info().rss - memory < 300e6
    for connection in deaf:
        connection.close()
    before.are_back(server, upstream)


def gaps_between(events):
    """The seconds between events, as they come."""
    gaps, at = [], time.monotonic()
    for _event in events:
        gaps.append(time.monotonic() - at)
        at = time.monotonic()
    return gaps


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
        connection.settimeout(40)
        received = connection.recv(4096)
        assert not received or received.startswith(b"HTTP/1.1 4")
        connection.close()
