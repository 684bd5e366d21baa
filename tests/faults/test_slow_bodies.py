"""Bodies that drip, are never wanted, or never come: nobody else waits for them, and no half of one is taken."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest

from tests.visitor import Visitor
from tests.wait import wait_until
from webapp.views.forms import RECEIVE_SECONDS
from webapp.views.places import SLOW_BODIES_PER_ADDRESS
from webapp.worker import LEAST_SECONDS, patience

pytestmark = pytest.mark.faults

FORM = "application/x-www-form-urlencoded"
CONNECTIONS = 2050  # more than a worker takes
SECONDS = RECEIVE_SECONDS - 2  # sooner than places of slow bodies are free again


@pytest.fixture
def connect(server):
    """Open bare connections to the server, and send the same bytes on each."""
    connections = []

    def connect(sent, number=1):
        opened = []
        for _ in range(number):
            opened.append(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            connections.append(opened[-1])
            opened[-1].sendall(sent)
        return opened

    yield connect
    for connection in connections:
        connection.close()


def head(path="/conversations", method="POST", length=1000, **headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {FORM}", f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def answer_on(connection):
    """The whole answer, up to where the server closes the connection.

    A byte of ours that meets the close makes it a reset. What came before it is still read first.
    """
    received = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


@pytest.fixture
def dripping():
    """Send a byte on each of some connections again and again, as long as the test runs."""
    stop = threading.Event()
    threads = []

    def drip(connections, seconds):
        def run():
            while not stop.wait(seconds):
                for connection in connections:
                    with suppress(OSError):  # the server closed it
                        connection.send(b"a")

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield drip
    stop.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/nowhere", "POST", {}, b"404"),
        ("/settings", "POST", {}, b"405"),
        ("/conversations", "PUT", {}, b"405"),
        ("/conversations", "POST", {"Origin": "http://evil.example"}, b"403"),
        ("/conversations", "POST", {"length": 2**34}, b"413"),
        ("/settings", "GET", {}, b"200"),
    ],
)
def test_an_answer_that_needs_no_body_waits_for_none(server, connect, path, method, headers, status):
    [connection] = connect(head(path, method, **headers))

    answer = answer_on(connection)

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer


def test_who_sends_too_much_still_reads_why(server, connect):
    [connection] = connect(head(length=8_000_000) + b"text=" + b"x" * 7_999_995)

    assert answer_on(connection).startswith(b"HTTP/1.1 413")


def test_a_slow_body_arrives_whole(server, connect, database):
    text = b"text=Slow+but+whole" + b"x" * 90_000
    [connection] = connect(head(length=len(text), Connection="close"))

    for piece in (text[:9], text[9:70_000], text[70_000:]):
        time.sleep(0.9)  # so that the quick second ends in the middle
        connection.sendall(piece)

    assert answer_on(connection).startswith(b"HTTP/1.1 303")
    assert [row.text for row in database.all("user")] == ["Slow but whole" + "x" * 90_000]


def test_a_body_that_drips_is_given_up_as_a_whole(server, connect, dripping, database):
    [connection] = connect(head() + b"text=half")
    dripping([connection], 1.0)

    answer = answer_on(connection)

    assert answer.startswith(b"HTTP/1.1 408")
    assert "did not arrive in time" in answer.decode()
    assert database.all("user") == []


def test_only_so_many_slow_bodies_of_one_address_are_received(alice, connect, dripping):
    connections = connect(head() + b"text=half", SLOW_BODIES_PER_ADDRESS + 20)
    dripping(connections, 0.5)

    answers = [answer_on(connection) for connection in connections]

    statuses = [answer[9:12] for answer in answers]
    assert statuses.count(b"503") == 20
    assert statuses.count(b"408") == SLOW_BODIES_PER_ADDRESS
    assert alice.new_chat("Hello")


@pytest.mark.parametrize("sent", [head() + b"text=half", b"POST / HTT", b""], ids=["bodies", "heads", "silence"])
def test_more_slow_connections_than_there_are_places_lock_nobody_out(alice, server, connect, dripping, sent):
    connections = connect(sent, CONNECTIONS)
    dripping(connections, 2.0)

    for _ in range(3):
        with Visitor(server.url) as stranger:
            assert stranger.get("/", timeout=SECONDS).status_code == 200
            sent = stranger.post("/conversations", {"text": "Hello"}, timeout=SECONDS, allow_redirects=False)
            assert sent.status_code == 303
    wait_until(lambda: alice.get("/healthz").ok, 30, "the server to answer")


def test_the_fewer_places_are_left_the_less_time_a_head_has():
    seconds = [patience(connections, 1000, 5) for connections in (0, 500, 600, 900, 1000, 1001)]

    assert seconds[:2] == [5, 5]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[-2:] == [LEAST_SECONDS, LEAST_SECONDS]
