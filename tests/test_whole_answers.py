"""How an answer leaves gunicorn: its head with the first part of its body, later parts as they come."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from webapp.worker import Response


class Connection:
    """Keeps each piece that is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, piece: bytes) -> None:
        self.sent.append(piece)

    def send(self, piece: bytes) -> int:
        """The system takes no more than ten bytes at once."""
        self.sent.append(piece[:10])
        return len(piece[:10])


def answer(connection, *headers: tuple[str, str], method: str = "GET") -> Response:
    request = SimpleNamespace(method=method, version=(1, 1), should_close=lambda: False)
    response = Response(request, connection, SimpleNamespace(protocol="http"))
    response.start_response("200 OK", list(headers))
    return response


def test_a_page_leaves_in_one_piece():
    connection = Connection()
    response = answer(connection, ("Content-Length", "4"))

    response.write(b"page")
    response.close()

    [piece] = connection.sent
    assert piece.startswith(b"HTTP/1.1 200 OK\r\n")
    assert piece.endswith(b"\r\n\r\npage")


def test_each_event_of_a_stream_leaves_as_it_comes():
    connection = Connection()
    response = answer(connection)

    for event in (b"one", b"two", b"three"):
        response.write(event)
    response.close()

    first, second, *third, end = connection.sent
    assert first.endswith(b"\r\n\r\n3\r\none\r\n")
    assert second == b"3\r\ntwo\r\n"
    assert third == [b"5\r\nthree\r\n"]
    assert end == b"0\r\n\r\n"


def test_what_the_system_does_not_take_at_once_follows():
    connection = Connection()
    response = answer(connection)

    for event in (b"", b"an event that is long"):
        response.write(event)

    assert b"".join(connection.sent).endswith(b"\r\n\r\n15\r\nan event that is long\r\n")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_without_a_body_has_its_head(method):
    connection = Connection()
    response = answer(connection, ("Content-Length", "0"), method=method)

    response.close()

    assert b"".join(connection.sent).endswith(b"\r\n\r\n")


def test_nothing_leaves_of_an_answer_that_is_no_bytes():
    connection = Connection()
    response = answer(connection, ("Content-Length", "4"))

    with pytest.raises(TypeError):
        response.write("page")  # type: ignore[arg-type]

    assert connection.sent == []
