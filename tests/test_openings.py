"""Whoever is signed out or disabled reads no further, in any worker."""

from __future__ import annotations

import os
import re
import socket
import threading
from contextlib import suppress
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import insert, select, update

from tests.dialects import DONE
from tests.pictures import pictures_chunk, png
from tests.samples import some
from tests.team import PASSWORD, is_signed_in, sign_in
from tests.upstream import Wait, body, token
from tests.visitor import Visitor
from tests.wait import wait_until
from webapp.errors import StorageUnavailable
from webapp.invites import SERVER, Invites
from webapp.openings import LOOK_SECONDS
from webapp.passwords import Passwords
from webapp.storage.schema import messages
from webapp.storage.team_schema import accounts, audit

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


@pytest.mark.parametrize("end", some([disable, sign_out, sign_out_by_admin, end_elsewhere, change_password], 2))
def test_a_silent_stream_ends_with_the_sign_in(team, alice, more, end):
    reader = open_stream(alice)

    end(team, alice)
    wait_until(reader.has_ended, SECONDS, "the stream to end")
    more.set()

    assert "the rest" not in reader.text
    assert not is_signed_in(alice)


def test_a_stream_ends_where_a_server_gives_no_connection_to_cut(team, alice, more):
    reply = alice.new_chat("Hello")
    client = team.site.test_client(use_cookies=False)
    pieces = client.get(f"/m/{reply}/stream", headers={"Cookie": alice.cookie()}).iter_encoded()
    while b"beginning" not in next(pieces):
        pass

    sign_out(team, alice)
    team.parts.team.openings.look()
    more.set()

    assert b"the rest" not in b"".join(pieces)


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


class Answer:
    """An answer that is on its way over a connection; the browser does not read it."""

    def __init__(self, site, path: str, method: str = "GET", *, server: str = "werkzeug", **headers: str) -> None:
        self.ours, self._browser = socket.socketpair()
        self._browser.setblocking(False)
        client, environ = site.test_client(use_cookies=False), {f"{server}.socket": self.ours}
        self._context = copy_context()  # as each request has one
        open_here = partial(client.open, path, method=method, headers=headers, environ_overrides=environ)
        self._answer = self._context.run(open_here)
        assert self._answer.status_code == 200, self._answer.text

    def is_cut(self) -> bool:
        try:
            return self._browser.recv(1) == b""
        except BlockingIOError:
            return False

    def end(self) -> None:
        """The server has sent all of it."""
        self._context.run(self._answer.close)

    def close(self) -> None:
        self.end()
        self.ours.close()
        self._browser.close()


@pytest.fixture
def open_answer():
    """Ask for an answer and leave it on its way."""
    answers = []

    def open_answer(site, path: str, method: str = "GET", **options: str) -> Answer:
        answers.append(Answer(site, path, method, **options))
        return answers[-1]

    yield open_answer
    for answer in answers:
        answer.close()


def demote(team, alice):
    team.parts.team.users.change_role(SERVER, team.user_id("Alice"), "member")


@pytest.mark.parametrize(
    ("act", "cut"),
    [
        (sign_out, ["stream", "page", "changes", "export", "log"]),
        (disable, ["stream", "page", "changes", "export", "log"]),
        (demote, ["log"]),
        (lambda team, alice: None, []),
    ],
)
def test_the_connections_of_what_one_may_not_have_any_more_are_cut(team, carol, upstream, more, open_answer, act, cut):
    alice = team.join("Alice", "admin")
    reply = alice.new_chat("Hello")
    upstream.wait_for_requests(1)
    ask = partial(open_answer, team.site, Cookie=alice.cookie())
    answers = {
        "stream": ask(f"/m/{reply}/stream", server="gunicorn"),
        "page": ask(f"/c/{alice.conversation_id}?live"),
        "changes": ask("/changes"),
        "export": ask("/export", server="gunicorn"),
        "log": ask("/admin/log/export", "POST"),
    }
    sent, hers = ask("/export"), open_answer(team.site, "/changes", Cookie=carol.cookie())
    sent.end()

    act(team, alice)
    team.parts.team.openings.look()  # its thread may be at it too

    wait_until(lambda: [name for name, one in answers.items() if one.is_cut()] == cut, SECONDS, "the cuts")
    more.set()
    assert not sent.is_cut(), "the connection serves the next request"
    assert not hers.is_cut()


def test_a_picture_of_a_share_is_cut_when_the_share_is_revoked(make_team, upstream, open_answer):
    team = make_team(sharing="team")
    alice, bob = team.join("Alice"), team.join("Bob")
    upstream.answer(*body(token("Hi"), pictures_chunk(png(2, 2)), DONE))
    alice.end(alice.new_chat("Hello"))
    alice.post_form(f"/c/{alice.conversation_id}/share")
    [share] = team.parts.team.shares.of(team.user_id("Alice"))
    [picture] = re.findall(rf"/s/{share.id}/p/[0-9a-f-]+", bob.get(f"/s/{share.id}").text)
    answer = open_answer(team.site, picture, Cookie=bob.cookie())

    team.parts.team.openings.look()
    before = answer.is_cut()
    alice.post_form(f"/shares/{share.id}/revoke")

    wait_until(answer.is_cut, SECONDS, "the cut")
    assert not before
    assert is_signed_in(bob)


def test_what_a_user_of_a_proxy_has_open_ends_when_they_are_disabled(make_site, open_answer):
    site = make_site(login="proxy", proxies=("127.0.0.1",), login_secret="x")
    ask = partial(open_answer, site, "/changes", **{"X-Lockchat-Secret": "x"})
    answers, team = [ask(**{"Remote-User": name}) for name in ("alice", "bob")], site.extensions["lockchat"].team

    team.openings.look()
    before = [answer.is_cut() for answer in answers]
    team.users.disable(SERVER, next(one.user_id for one in team.users.all() if one.name == "alice"))
    team.openings.look()

    wait_until(answers[0].is_cut, SECONDS, "the cut")
    assert not any([*before, answers[1].is_cut()])


def test_a_browser_that_does_not_read_has_a_minute_for_a_piece_and_five_for_a_page(team, alice, open_answer):
    ask = partial(open_answer, team.site, server="gunicorn", Cookie=alice.cookie())

    assert [ask(path).ours.gettimeout() for path in ("/changes", "/settings")] == [60, 300]


def test_disabling_stops_the_replies_too(team, alice, upstream, more):
    open_stream(alice)

    disable(team, alice)

    wait_until(lambda: not team.parts.hub.all(), 20, "the reply to stop")


class Slow:
    """Asks for a long answer and does not read it; `is_whole` reads what there is, and says whether that was all."""

    def __init__(self, visitor, path: str, method: str = "GET") -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(60)
        host, port = visitor.base_url.removeprefix("http://").split(":")
        self._socket.connect((host, int(port)))
        self._port = self._socket.getsockname()[1]
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", f"Cookie: {visitor.cookie()}"]
        lines += ["Content-Length: 0", "Connection: close", "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        self._start = self._socket.recv(1024)
        assert self._start.startswith(b"HTTP/1.1 200"), self._start

    def is_cut(self, server) -> bool:
        """Whether no worker has this connection any more."""
        ends = [one.raddr for worker in server.workers() for one in worker.net_connections("tcp")]
        return all(end.port != self._port for end in ends if end)

    def is_whole(self) -> bool:
        data = bytearray(self._start)
        try:
            while piece := self._socket.recv(2**20):
                data += piece
        except OSError:
            return False
        finally:
            self._socket.close()
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        return len(body) == int(length[1]) if length else body.endswith(b"0\r\n\r\n")


@pytest.fixture
def workers(start_server, storage):
    """A server of two workers, and a way for administrators to join."""
    server = start_server(LOGIN="password", workers=2)
    invites = Invites(storage, Passwords(), "password")
    visitors: list[Visitor] = []

    def join(name: str) -> Visitor:
        visitors.append(Visitor(server.url))
        visitors[-1].post_form(f"/invite/{invites.make(SERVER, 'admin')}", name=name, password=PASSWORD)
        return visitors[-1]

    yield server, join
    for visitor in visitors:
        visitor.close()


def suspend(worker, storage) -> None:
    """Suspend a worker at a time when it does not hold the only write lock of SQLite."""
    for _ in range(20):
        worker.suspend()
        with suppress(StorageUnavailable), storage.begin(wait_seconds=0.5):
            return
        worker.resume()
    raise AssertionError("the worker writes all the time")


def open_in_each(server, storage, visitor, *path: str, kind=Reader) -> list:
    """A reader of this path in each worker: while it connects, the other worker is suspended."""
    readers = []
    for other in server.workers():
        copy = Visitor(server.url)  # with a connection of its own
        copy.cookies.update(visitor.cookies)
        suspend(other, storage)
        try:
            readers.append(kind(copy, *path))
        finally:
            other.resume()
    return readers


def fill(storage, visitor, path: str) -> None:
    """Make the audit log and a conversation so long that no buffer takes them, in a zip file either."""
    now = datetime.now(UTC)
    entry = {"at": now, "actor_id": "", "actor": "x" * 200, "action": "sign_in", "target": "y" * 200, "address": ""}
    with storage.begin() as tx:
        tx.execute(insert(audit), [entry] * 12_000)
        tx.execute(update(messages).where(messages.c.id == path.split("/")[2]).values(text=os.urandom(3 * 2**20).hex()))


def by_sign_out(alice, carol, users):
    copy = Visitor(alice.base_url)
    copy.cookies.update(alice.cookies)
    copy.post_form("/sign-out")
    copy.close()


def by_disabling(alice, carol, users):
    assert carol.post_form(f"/admin/users/{users['Alice']}/disable").status_code == 303


def by_demotion(alice, carol, users):
    assert carol.post_form(f"/admin/users/{users['Alice']}/role", role="member").status_code == 303


@pytest.mark.parametrize(
    ("act", "left"),
    some([(by_sign_out, []), (by_disabling, []), (by_demotion, ["stream", "changes", "export"])], 2),
)
def test_what_is_open_ends_in_every_worker(workers, storage, upstream, act, left):
    server, join = workers
    alice, carol = join("Alice"), join("Carol")
    with storage.read() as tx:
        users = dict(tx.execute(select(accounts.c.name, accounts.c.user_id)).all())
    reply = alice.new_chat("A long one")
    alice.end(reply)
    fill(storage, alice, f"/m/{reply}")
    upstream.answer(*body(token("beginning"), Wait()))
    running = alice.new_chat("Hello")
    readers = {
        "stream": open_in_each(server, storage, alice, f"/m/{running}/stream"),
        "changes": open_in_each(server, storage, alice, "/changes"),
    }
    slow = {
        "export": [Slow(alice, "/export")],
        "log": open_in_each(server, storage, alice, "/admin/log/export", "POST", kind=Slow),
    }

    act(alice, carol, users)

    ended = [name for name in readers if name not in left]
    wait_until(lambda: all(one.has_ended() for name in ended for one in readers[name]), SECONDS, "the streams to end")
    for one in [one for name in slow if name not in left for one in slow[name]]:
        wait_until(partial(one.is_cut, server), SECONDS, "the cut of what nobody reads")
    assert [name for name, ones in readers.items() if not any(one.has_ended() for one in ones)] + [
        name for name, ones in slow.items() if any(one.is_whole() for one in ones)
    ] == left
