"""Many readers at once: all end with the whole text, cut off or beside one who does not read."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
import time
from functools import partial

import pytest

from tests.faults.drip import Drip
from tests.faults.vitals import Vitals
from tests.upstream import Wait, body, token
from tests.wait import wait_until
from webapp import sse

pytestmark = pytest.mark.faults

REPLIES = 10
READERS = 200
# Together more than the buffers of a far connection hold, and less than a text may have that is rendered live.
PIECES, PIECE_WORDS = 52, 300


class Reader(threading.Thread):
    """Follows a reply on a bare socket; the bytes of the answer's body go into `received`."""

    def __init__(self, server, cookie, reply, is_far=False):
        super().__init__()
        self.reply = reply
        self.received = bytearray()
        self._connection = socket.socket()
        self._connection.settimeout(60)
        if is_far:  # packets as on the internet, not of 64 KB: with those the server's buffer holds megabytes
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # Nor what the system has learnt of this machine as a client, which also makes the server's buffer large.
            self._connection.bind((f"127.{random.randrange(1, 255)}.{random.randrange(255)}.9", 0))
        self._connection.connect(("127.0.0.1", server.port))
        request = f"GET /m/{reply}/stream HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n"
        self._connection.sendall(request.encode())

    def run(self):
        with contextlib.suppress(OSError):
            while not self.received.endswith(b"\r\n0\r\n\r\n") and (data := self._connection.recv(65536)):
                self.received += data
        self._connection.close()

    def cut(self):
        """Break the connection, as a network that fails."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RD)

    def status(self):
        return int(self.received[9:12] or 0)

    def end(self):
        """What the `end` event says."""
        events = sse.decode([bytes(self.received).partition(b"\r\n\r\n")[2]])
        return next(json.loads(event.data) for event in events if event.event == "end")


def test_two_hundred_readers_cut_at_once(start_server, open_browser, upstream, database):
    server = start_server(STREAMS_PER_USER=1000, STREAMS_TOTAL=1000)
    alice = open_browser(server)
    before = Vitals.of(server, upstream)
    drip = Drip(seconds=0.1)
    upstream.always(lambda request: drip(request))
    replies = [alice.new_chat(f"Question {number}") for number in range(REPLIES)]
    cookie = alice.cookie()

    def open_readers():
        readers = [Reader(server, cookie, replies[number % REPLIES]) for number in range(READERS)]
        for reader in readers:
            reader.start()
        wait_until(lambda: all(reader.received for reader in readers), 60, "all readers to be served")
        return readers

    cut = open_readers()
    for reader in cut:
        reader.cut()
    for reader in cut:
        reader.join()
    started = time.monotonic()
    back = open_readers()
    seconds = time.monotonic() - started
    drip.finish.set()
    for reader in back:
        reader.join()

    print(f"{READERS} readers are back after {seconds:.2f} s")
    assert {reader.status() for reader in back} == {200}
    assert {reader.end()["why"] for reader in back} == {"done"}
    asked = {request.json["messages"][-1]["content"] for request in upstream.requests}
    assert len(asked) == len(upstream.requests) == REPLIES
    for reply in replies:
        stored = database.wait_for(reply, "done").text
        assert stored == alice.raw(reply)
        last_words = stored.split()[-1]
        assert all(last_words.encode() in reader.received for reader in back if reader.reply == reply)
    before.are_back(server, upstream)


def all_have(readers, end):
    return all(end in reader.received[-4096:] for reader in readers)


def test_one_who_does_not_read_slows_nobody(start_server, open_browser, upstream, database):
    server = start_server(STREAMS_PER_USER=1000)
    alice = open_browser(server)
    before, memory = Vitals.of(server, upstream), server.worker().memory_info().rss
    pieces = [f"{'words ' * PIECE_WORDS}end{number}.\n\n" for number in range(PIECES)]
    gates = [threading.Event() for _ in pieces]
    steps = [step for gate, piece in zip(gates, pieces, strict=True) for step in (Wait(gate), token(piece))]
    upstream.answer(*body(token("First.\n\n"), *steps, token(finish="stop")))
    reply = alice.new_chat("Hello")
    slow = Reader(server, alice.cookie(), reply, is_far=True)  # reads once it is started
    others = [Reader(server, alice.cookie(), reply) for _ in range(100)]

    for reader in others:
        reader.start()
    wait_until(lambda: all(reader.received for reader in others), 60, "all readers to be served")
    for number, gate in enumerate(gates):
        gate.set()
        wait_until(partial(all_have, others, b"end%d." % number), 60, "all to have a piece")
    for reader in others:
        reader.join()
    grown = server.worker().memory_info().rss - memory
    slow.start()
    slow.join()

    print(f"{grown / 1e6:.0f} MB more, {len(slow.received)} bytes late, {len(others[0].received)} in time")
    assert {reader.end()["why"] for reader in [*others, slow]} == {"done"}
    assert {reader.received.count(b"event: reset") for reader in others} == {1}
    assert slow.received.count(b"event: reset") > 1  # it missed so much that it got the whole reply once more
    assert all(b"end%d." % number in slow.received for number in range(PIECES))
    assert grown < 50e6
    assert database.wait_for(reply, "done").text == "First.\n\n" + "".join(pieces)
    before.are_back(server, upstream)
