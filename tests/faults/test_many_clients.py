"""Two hundred readers are cut off at once and come back: all end with the whole text."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time

import pytest

from tests.faults.drip import Drip
from tests.faults.vitals import Vitals
from tests.wait import wait_until
from webapp import sse

pytestmark = pytest.mark.faults

REPLIES = 10
READERS = 200


class Reader(threading.Thread):
    """Follows a reply on a bare socket; the bytes of the answer's body go into `received`."""

    def __init__(self, server, cookie, reply):
        super().__init__()
        self.reply = reply
        self.received = b""
        self._connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        request = f"GET /m/{reply}/stream HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n"
        self._connection.sendall(request.encode())

    def run(self):
        with contextlib.suppress(OSError):
            while b"event: end" not in self.received and (data := self._connection.recv(65536)):
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
        events = sse.decode([self.received.partition(b"\r\n\r\n")[2]])
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
        wait_until(lambda: all(reader.received for reader in readers), 20, "all readers to be served")
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
