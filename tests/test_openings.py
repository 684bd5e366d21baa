"""Whoever is signed out or disabled reads no further, in any worker."""

from __future__ import annotations

import threading
import time

import pytest

from tests.team import PASSWORD, is_signed_in, sign_in
from tests.upstream import Wait, body, token
from tests.visitor import Visitor
from tests.wait import wait_until
from webapp.invites import SERVER, Invites
from webapp.openings import LOOK_SECONDS
from webapp.passwords import Passwords

SECONDS = 10 * LOOK_SECONDS  # far below the beat of a silent stream: without a cut it would end after 15 s


class Reader:
    """Reads an address that stays open, in a thread, to its end."""

    def __init__(self, visitor, path: str) -> None:
        self.text = ""
        self._answer = visitor.get(path, stream=True)
        assert self._answer.status_code == 200
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for piece in self._answer.iter_content(None):
                self.text += piece.decode()
        except OSError:
            pass  # cut

    def has_ended(self) -> bool:
        return not self._thread.is_alive()


@pytest.fixture
def alice(team):
    return team.join("Alice")


@pytest.fixture
def more(upstream):
    """Releases the rest of a reply that has begun."""
    rest = threading.Event()
    upstream.answer(*body(token("beginning"), Wait(rest), token("the rest")))
    return rest


def open_stream(visitor, path: str = "/m/{}/stream"):
    reply = visitor.new_chat("Hello")
    reader = Reader(visitor, path.format(reply) if "{" in path else f"/c/{visitor.conversation_id}?live")
    wait_until(lambda: "beginning" in reader.text, 20, "the beginning")
    return reader


def disable(team, alice):
    team.parts.team.users.disable(SERVER, team.user_id("Alice"))


def sign_out(team, alice):
    copy = team.stranger()
    copy.cookies.update(alice.cookies)
    copy.post_form("/sign-out")


def sign_out_by_admin(team, alice):
    team.parts.team.users.sign_out(SERVER, team.user_id("Alice"))


def end_elsewhere(team, alice):
    other = team.stranger()
    sign_in(other, "alice")
    other.post_form("/account/sign-ins/end")


def change_password(team, alice):
    other = team.stranger()
    sign_in(other, "alice")
    other.post_form("/account/password", current=PASSWORD, password="another password of hers")


@pytest.mark.parametrize("end", [disable, sign_out, sign_out_by_admin, end_elsewhere, change_password])
def test_a_silent_stream_ends_with_the_sign_in(team, alice, more, end):
    reader = open_stream(alice)

    end(team, alice)
    wait_until(reader.has_ended, SECONDS, "the stream to end")
    more.set()

    assert "the rest" not in reader.text
    assert not is_signed_in(alice)


def test_a_page_that_grows_ends_too(team, alice, more):
    reader = open_stream(alice, "page")

    sign_out(team, alice)

    wait_until(reader.has_ended, SECONDS, "the page to end")
    more.set()
    assert "the rest" not in reader.text


def test_others_read_on(team, alice, upstream):
    bob = team.join("Bob")
    first, second = threading.Event(), threading.Event()
    upstream.answer(*body(token("beginning"), Wait(first), token("the rest")))
    hers = open_stream(alice)
    upstream.answer(*body(token("beginning"), Wait(second), token("the rest")))
    his = open_stream(bob)

    sign_out(team, alice)
    wait_until(hers.has_ended, SECONDS, "the stream to end")
    second.set()
    wait_until(his.has_ended, 20, "the other one to end")
    first.set()

    assert "the rest" in his.text


def test_disabling_stops_the_replies_too(team, alice, upstream, more):
    open_stream(alice)

    disable(team, alice)

    wait_until(lambda: not team.parts.hub.all(), 20, "the reply to stop")


def test_a_stream_of_another_worker_ends_too(start_server, database_url, storage, upstream):
    invites = Invites(storage, Passwords(), "password")
    upstream.answer(*body(token("beginning"), Wait()))
    server = start_server(LOGIN="password", workers=2)
    with Visitor(server.url) as alice, Visitor(server.url) as carol:
        carol.post_form(f"/invite/{invites.make(SERVER, 'admin')}", name="Carol", password=PASSWORD)
        alice.post_form(f"/invite/{invites.make(SERVER, 'member')}", name="Alice", password=PASSWORD)
        reader = open_stream(alice)
        copies = [Visitor(server.url) for _ in range(4)]
        for copy in copies:  # each a connection of its own: some reach the other worker
            copy.cookies.update(alice.cookies)
            copy.get("/")
        began = time.monotonic()

        copies[-1].post_form("/sign-out")

        wait_until(reader.has_ended, SECONDS, "the stream to end")
        assert time.monotonic() - began < SECONDS
        for copy in copies:
            copy.close()
