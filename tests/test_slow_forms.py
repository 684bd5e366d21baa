"""Forms that come slowly, and bodies that nobody wants. tests/faults/test_slow_bodies.py sends them to gunicorn."""

from __future__ import annotations

from contextlib import ExitStack

import gevent
import gevent.socket
import pytest

from webapp.views import forms
from webapp.views.places import SLOW_BODIES_PER_ADDRESS

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PIECE_SECONDS = 0.005
AT_ONCE = 0.02  # less than the many pieces of a body take
IN_TIME = 60.0  # more than they take on the busiest machine
ADDRESS = "10.0.0.9"


class Body:
    """What a browser sends, a piece at a time. `left` is what the server has not read."""

    def __init__(self, *pieces: bytes) -> None:
        self.left, self.size, self.is_closed = list(pieces), sum(map(len, pieces)), False

    def read(self, size: int) -> bytes:
        assert 0 < size <= forms.PIECE_BYTES
        gevent.sleep(PIECE_SECONDS)
        return self.left.pop(0) if self.left else self.end()

    def end(self) -> bytes:
        return b""

    def close_connection(self) -> None:
        """As the bodies of our worker."""
        self.is_closed = True


class Broken(Body):
    """A body whose connection breaks."""

    def end(self) -> bytes:
        raise ConnectionResetError


def dripping(pieces: int = 40) -> Body:
    return Body(b"text=Slow", *[b"x"] * (pieces - 1))


@pytest.fixture
def post(site, monkeypatch):
    """Post a body by a connection of gunicorn's; the status of the answer, which is read to its end.

    A body that drips is quick, however busy this machine is, unless a test says otherwise.
    """
    monkeypatch.setattr(forms, "QUICK_SECONDS", 60.0)
    monkeypatch.setattr(forms, "LINGER_SECONDS", 60.0)
    connection = gevent.socket.socket()

    def post(body: Body, path: str = "/conversations", *, size: int = 0, headers: dict[str, str] = FORM) -> int:
        environ = {"wsgi.input": body, "wsgi.input_terminated": True, "gunicorn.socket": connection}
        environ |= {"REMOTE_ADDR": ADDRESS, "CONTENT_LENGTH": str(size or body.size or "")}
        with site.test_client().post(path, headers=headers, environ_overrides=environ) as answer:
            return answer.status_code

    yield post
    connection.close()


@pytest.fixture
def taken(site):
    """Take all places that this address has for slow bodies."""
    with ExitStack() as places:
        for _ in range(SLOW_BODIES_PER_ADDRESS):
            places.enter_context(site.extensions["lockchat"].slow_bodies.take(ADDRESS))
        yield


def test_a_slow_form_arrives_whole(post, upstream, monkeypatch):
    monkeypatch.setattr(forms, "QUICK_SECONDS", AT_ONCE)

    status = post(dripping())

    upstream.wait_for_requests(1)
    assert status == 303
    assert upstream.requests[0].json["messages"][-1]["content"] == "Slow" + "x" * 39


def test_a_form_that_drips_is_given_up(post, upstream, monkeypatch):
    monkeypatch.setattr(forms, "QUICK_SECONDS", AT_ONCE)
    monkeypatch.setattr(forms, "RECEIVE_SECONDS", 0.05)
    body = dripping(400)

    assert post(body) == 408
    assert body.is_closed
    assert upstream.requests == []


@pytest.mark.parametrize("kind", [Body, Broken])
def test_a_form_whose_connection_ends_early_is_given_up(post, upstream, kind):
    body = kind(b"text=Half")

    assert post(body, size=20) == 408
    assert body.is_closed
    assert upstream.requests == []


def test_the_page_about_a_broken_form_does_not_fail_as_it_asks_for_the_form_again(post):
    assert post(Body(b"text=" + b"%" * 2000)) == 400


def test_a_form_of_nothing_is_empty_and_keeps_its_connection(post):
    body = Body()

    assert post(body) == 400
    assert not body.is_closed


def test_a_long_form_has_more_time(post, monkeypatch):
    monkeypatch.setattr(forms, "QUICK_SECONDS", AT_ONCE)
    monkeypatch.setattr(forms, "RECEIVE_SECONDS", 0.0)
    monkeypatch.setattr(forms, "LEAST_BYTES_PER_SECOND", 1)

    assert post(dripping()) == 303


def test_who_has_no_place_left_for_slow_forms_can_send_quick_ones(post, taken, monkeypatch):
    monkeypatch.setattr(forms, "QUICK_SECONDS", IN_TIME)
    quick = post(dripping())
    monkeypatch.setattr(forms, "QUICK_SECONDS", AT_ONCE)

    assert (quick, post(dripping())) == (303, 503)


def test_what_nobody_reads_is_discarded_and_the_connection_closed(post, monkeypatch):
    monkeypatch.setattr(forms, "LINGER_SECONDS", IN_TIME)
    unread, read = dripping(), dripping()

    statuses = post(unread, "/nowhere"), post(read)

    assert statuses == (404, 303)
    assert (unread.left, unread.is_closed) == ([], True)
    assert not read.is_closed


def test_what_is_not_wanted_is_discarded_for_a_moment_only(post, monkeypatch):
    monkeypatch.setattr(forms, "LINGER_SECONDS", AT_ONCE)
    body = dripping()

    assert post(body, "/nowhere") == 404
    assert body.left


def test_a_form_that_is_too_large_is_read_to_its_end_so_that_a_browser_shows_why(post, monkeypatch):
    monkeypatch.setattr(forms, "LINGER_SECONDS", AT_ONCE)
    body = dripping()

    assert post(body, size=2**30) == 413
    assert body.left == []


def test_a_form_that_is_too_large_is_not_read_for_ever(post, monkeypatch):
    monkeypatch.setattr(forms, "LINGER_SECONDS", AT_ONCE)
    monkeypatch.setattr(forms, "RECEIVE_SECONDS", 0.05)
    body = dripping()

    assert post(body, size=2**30) == 413
    assert body.left


def test_a_form_that_is_too_large_needs_a_place_too(post, taken, monkeypatch):
    monkeypatch.setattr(forms, "LINGER_SECONDS", AT_ONCE)
    body = dripping()

    assert post(body, size=2**30) == 413
    assert body.left


@pytest.mark.parametrize(("path", "left"), [("/conversations", 37), ("/import", 35)])
def test_no_more_is_discarded_than_a_form_may_have(post, monkeypatch, path, left):
    monkeypatch.setattr(forms, "LINGER_SECONDS", IN_TIME)
    monkeypatch.setattr(forms, "DISCARDED_BYTES", 3 * forms.PIECE_BYTES)
    monkeypatch.setattr(forms, "DISCARDED_FILE_BYTES", 5 * forms.PIECE_BYTES)
    body = dripping()

    assert post(body, path, size=2**31, headers={"Content-Type": "multipart/form-data; boundary=x"}) == 413
    assert len(body.left) == left
