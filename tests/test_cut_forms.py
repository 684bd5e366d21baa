"""A multipart form that was cut in the middle says so, on every server."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from tests.visitor import Visitor

WHOLE = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nHello world\r\n--x--\r\n'
END = WHOLE.index(b"--x--") + len(b"--x--")
CUT = "Only a part of the form arrived."


@pytest.fixture(params=["test server", "gunicorn"])
def address(request):
    """The address of a server: the tests' own, or gunicorn."""
    if request.param == "gunicorn":
        return request.getfixturevalue("start_server")().url
    return request.getfixturevalue("site").extensions["url"]


def send(address: str, body: bytes, length: int) -> str:
    """Post a body by hand and end the sending side; the whole answer."""
    place = urlsplit(address)
    head = (
        f"POST /conversations HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {length}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port), 30) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_a_form_cut_anywhere_says_so(address, upstream):
    for length in [*range(5, END, 9), END - 1]:
        answer = send(address, WHOLE[:length], length)

        assert answer.split()[1] == "400", WHOLE[:length]
        assert CUT in answer
        assert "Write a message first" not in answer
        assert "<textarea" not in answer
    assert upstream.requests == []


def test_a_form_that_breaks_off_before_its_stated_length_is_not_taken(address, upstream):
    answer = send(address, WHOLE[:60], len(WHOLE))

    assert answer.split()[1] == "408"
    assert ">The form did not arrive in time. Send it again.<" in answer
    assert upstream.requests == []


def test_a_whole_form_is_taken(address):
    assert send(address, WHOLE, len(WHOLE)).split()[1] == "303"


def test_a_cut_form_is_told_to_the_script_in_plain_text(site):
    with Visitor(site.extensions["url"]) as alice:
        headers = {"Content-Type": "multipart/form-data; boundary=x", "X-Fragment": "1"}
        answer = alice.post("/conversations", data=WHOLE[:60], headers=headers)

    assert (answer.status_code, answer.text[: len(CUT)]) == (400, CUT)
