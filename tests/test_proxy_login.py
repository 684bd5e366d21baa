"""Login by a proxy: its header says who asks, and nobody else's does."""

from __future__ import annotations

import socket

import pytest

from tests.visitor import text_of
from webapp.config import Config
from webapp.errors import ConfigError
from webapp.invites import SERVER

SECRET = "kept-between-the-two-7c1f"
HEADER = "Remote-User"


@pytest.fixture
def ask(make_site):
    """Ask as a client of the address 10.0.0.5, which is the proxy's, unless told otherwise."""
    site = make_site(login="proxy", proxies=("10.0.0.5",))
    client = site.test_client(use_cookies=False)

    def ask(path="/settings", method="GET", address="10.0.0.5", headers=(), **form):
        data = form or None
        return client.open(path, method=method, data=data, headers=headers, environ_overrides={"REMOTE_ADDR": address})

    ask.parts = site.extensions["lockchat"]
    return ask


@pytest.fixture
def gunicorn(start_server):
    """A server on this machine, whose proxy is this machine too."""
    return start_server(LOGIN="proxy", PROXIES="127.0.0.1", LOGIN_SECRET=SECRET)


def raw_request(server, *lines: str) -> str:
    """The answer to a request of exactly these header lines."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        head = ["GET /settings HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""]
        connection.sendall("\r\n".join(head).encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_the_header_of_the_proxy_makes_an_account_at_the_first_visit(ask):
    first, second = ask(headers={HEADER: "alice@example.org"}), ask(headers={HEADER: "alice@example.org"})

    assert (first.status_code, second.status_code) == (200, 200)
    assert "You are signed in as alice@example.org." in text_of(first.text)
    assert [account.name for account in ask.parts.team.users.all()] == ["alice@example.org"]


@pytest.mark.parametrize("identity", ["a", "x" * 200])
def test_a_short_and_a_long_identity_are_names(ask, identity):
    assert ask(headers={HEADER: identity}).status_code == 200
    assert [account.name for account in ask.parts.team.users.all()] == [identity]


def test_a_proxy_on_a_unix_socket_needs_the_secret_too(make_site):
    client = make_site(login="proxy", proxies=("unix",), login_secret=SECRET).test_client()

    def status(address: str, secret: str) -> int:
        headers, peer = {HEADER: "alice", "X-Lockchat-Secret": secret}, {"REMOTE_ADDR": address}
        return client.get("/", headers=headers, environ_overrides=peer).status_code

    assert [status("", SECRET), status("", "another"), status("127.0.0.1", SECRET)] == [200, 403, 403]


def test_each_identity_has_chats_of_its_own(ask):
    made = ask("/conversations", "POST", headers={HEADER: "alice"}, text="My secret")
    place = made.headers["Location"].partition("#")[0]

    assert ask(place, headers={HEADER: "alice"}).status_code == 200
    assert ask(place, headers={HEADER: "bob"}).status_code == 404
    assert ask(place, headers={HEADER: "Alice"}).status_code == 404, "the proxy's spelling counts"


@pytest.mark.parametrize("address", ["10.0.0.6", "127.0.0.1", "::1", ""])
def test_the_header_of_anybody_else_is_refused(ask, address):
    answer = ask(address=address, headers={HEADER: "alice", "X-Forwarded-For": "10.0.0.5"})

    assert answer.status_code == 403
    assert "This server can be used through its proxy only" in answer.text
    assert ask.parts.team.users.all() == []


@pytest.mark.parametrize(
    "identity", ["alice,bob", "alice, alice", ",", "a\tb", "x" * 201, "\xff\xfe", "a\u202eb".encode().decode("latin-1")]
)
def test_an_unclear_identity_is_refused(ask, identity):
    answer = ask(headers={HEADER: identity})

    assert answer.status_code == 403
    assert "The proxy in front of this server says in an unclear way who you are." in answer.text
    assert ask.parts.team.users.all() == []


def test_an_identity_beyond_ascii_is_read_as_utf_8(ask):
    ask(headers={HEADER: "Алиса".encode().decode("latin-1")})

    assert [account.name for account in ask.parts.team.users.all()] == ["Алиса"]


@pytest.mark.parametrize("headers", [{}, {HEADER: ""}, {HEADER: "  "}])
def test_without_the_header_nobody_is_let_in(ask, headers):
    answer = ask(headers=headers)

    assert answer.status_code == 401
    assert "The proxy in front of this server does not say who you are. Sign in there." in answer.text
    assert ask("/conversations", "POST", headers=headers, text="Hi").status_code == 401
    assert ask("/healthz", headers=headers).status_code == 200


def test_a_disabled_user_is_refused(ask):
    ask(headers={HEADER: "alice"})
    [account] = ask.parts.team.users.all()
    ask.parts.team.users.disable(SERVER, account.user_id)

    answer = ask(headers={HEADER: "alice"})

    assert answer.status_code == 403
    assert "Your account is disabled." in answer.text


def test_the_first_link_makes_an_administrator_of_who_came_by_the_proxy(ask):
    token = ask.parts.team.invites.first()

    shown = ask(f"/invite/{token}", headers={HEADER: "carol"})
    used = ask(f"/invite/{token}", "POST", headers={HEADER: "carol"}, x="")

    assert "This link makes you an administrator." in shown.text
    assert used.status_code == 303
    assert [(account.name, account.role) for account in ask.parts.team.users.all()] == [("carol", "admin")]
    assert ask(f"/invite/{token}", "POST", headers={HEADER: "bob"}, x="").status_code == 404
    assert ask(f"/invite/{token}", "POST", address="10.0.0.9", headers={HEADER: "bob"}, x="").status_code == 403


def test_the_chats_of_a_browser_come_along_at_the_first_visit_if_they_say_so(make_site, visit):
    opened = visit()
    opened.end(opened.new_chat("From open login"))
    site = make_site(login="proxy", proxies=("10.0.0.5",))
    client = site.test_client(use_cookies=False)

    def ask(who, path, method="GET", accept="text/html", **form):
        headers = {HEADER: who, "Cookie": opened.cookie(), "Accept": accept}
        peer = {"REMOTE_ADDR": "10.0.0.5"}
        return client.open(path, method=method, data=form or None, headers=headers, environ_overrides=peer)

    asked = ask("without", "/search?q=x")
    ask("without", "/welcome", "POST", next="/search?q=x")
    shown = ask("along", asked.headers["Location"])
    answered = ask("along", "/welcome", "POST", next="/search?q=x", take_along="1")
    late = ask("late", "/")

    assert asked.headers["Location"] == "/welcome?next=/search?q%3Dx"
    assert "Take the chats of this browser along" in shown.text
    assert answered.headers["Location"] == "/search?q=x"
    assert late.status_code == 200, "they are taken, so nobody is asked"
    has_chat = ["From open login" in ask(who, "/").text for who in ("without", "along", "late")]
    assert has_chat == [False, True, False]


def test_what_an_open_page_asks_for_makes_no_account_before_its_reader_is_asked(ask, visit):
    opened = visit()
    opened.end(opened.new_chat("From open login"))
    headers = {HEADER: "alice", "Cookie": opened.cookie()}

    told = ask("/changes?since=0", headers=headers | {"Accept": "text/event-stream"})
    sent = ask("/conversations", "POST", headers=headers | {"X-Fragment": "1"})
    shown = ask("/", headers=headers | {"Accept": "text/html"})

    assert (told.status_code, sent.status_code) == (401, 401)
    assert sent.text.startswith("Open the page again first: it asks about this browser's chats.")
    assert shown.headers["Location"] == "/welcome"


def test_a_link_for_an_administrator_waits_for_the_question_about_chats(ask, visit):
    opened = visit()
    opened.end(opened.new_chat("From open login"))
    headers = {HEADER: "carol", "Cookie": opened.cookie(), "Accept": "text/html"}
    path = f"/invite/{ask.parts.team.invites.first()}"

    first = ask(path, headers=headers)
    answered = ask("/welcome", "POST", headers=headers, next=path)
    shown = ask(answered.headers["Location"], headers=headers)
    used = ask(path, "POST", headers=headers, x="")

    assert first.headers["Location"] == f"/welcome?next={path}"
    assert "This link makes you an administrator." in shown.text
    assert "Take the chats" not in shown.text  # that was the question before
    assert used.status_code == 303
    assert [account.role for account in ask.parts.team.users.all()] == ["admin"]


def test_a_browser_without_chats_is_not_asked_about_them(make_site, visit):
    opened = visit()
    opened.get("/settings")
    client = make_site(login="proxy", proxies=("10.0.0.5",)).test_client(use_cookies=False)
    headers = {HEADER: "alice", "Cookie": opened.cookie(), "Accept": "text/html"}

    shown = client.get("/", headers=headers, environ_overrides={"REMOTE_ADDR": "10.0.0.5"})

    assert shown.status_code == 200


def test_there_is_no_page_for_passwords(ask):
    assert [ask(path, headers={HEADER: "alice"}).status_code for path in ("/sign-in", "/account")] == [404, 404]


def test_another_header_can_be_named(make_site):
    site = make_site(login="proxy", proxies=("10.0.0.5",), login_header="X-Auth-Request-Email")
    client = site.test_client()
    proxy = {"REMOTE_ADDR": "10.0.0.5"}

    assert client.get("/", headers={"X-Auth-Request-Email": "a@b"}, environ_overrides=proxy).status_code == 200
    assert client.get("/", headers={HEADER: "a@b"}, environ_overrides=proxy).status_code == 401


def test_on_this_machine_the_proxy_needs_the_secret(gunicorn):
    right, wrong = f"X-Lockchat-Secret: {SECRET}", "X-Lockchat-Secret: another"

    assert raw_request(gunicorn, f"{HEADER}: alice", right).startswith("HTTP/1.1 200 ")
    assert raw_request(gunicorn, f"{HEADER}: alice", wrong).startswith("HTTP/1.1 403 ")
    assert raw_request(gunicorn, f"{HEADER}: alice").startswith("HTTP/1.1 403 ")


def test_spellings_and_copies_of_the_header_change_nothing(gunicorn):
    secret = f"X-Lockchat-Secret: {SECRET}"

    def status(*lines: str) -> str:
        return raw_request(gunicorn, secret, *lines).split()[1]

    assert status("remote-USER: alice") == "200"
    assert status("Remote_User: alice") == "401"
    assert status("Remote-User: alice", "Remote_User: mallory") == "200"
    assert "mallory" not in raw_request(gunicorn, secret, "Remote-User: alice", "Remote_User: mallory")
    assert status("Remote-User: alice", "Remote-User: mallory") == "403"
    assert status("Remote-User: alice", "REMOTE-USER: alice") == "403"
    assert raw_request(gunicorn, f"X_Lockchat_Secret: {SECRET}", "Remote-User: alice").split()[1] == "403"


@pytest.mark.parametrize(
    ("proxies", "secret", "named"),
    [
        ("", SECRET, "LOCKCHAT_PROXIES"),
        ("127.0.0.1", "", "LOCKCHAT_LOGIN_SECRET"),
        ("unix", "", "LOCKCHAT_LOGIN_SECRET"),
        ("::1", "", "LOCKCHAT_LOGIN_SECRET"),
        ("10.0.0.5,127.0.0.0/8", "", "LOCKCHAT_LOGIN_SECRET"),
        ("0.0.0.0/0", "", "LOCKCHAT_LOGIN_SECRET"),
        ("127.0.0.1", "secret", "LOCKCHAT_LOGIN_SECRET"),
    ],
)
def test_the_start_is_refused_without_what_makes_the_header_safe(proxies, secret, named):
    with pytest.raises(ConfigError, match=named):
        Config.from_env({"LOCKCHAT_LOGIN": "proxy", "LOCKCHAT_PROXIES": proxies, "LOCKCHAT_LOGIN_SECRET": secret})


@pytest.mark.parametrize("proxies", ["10.0.0.5", "10.0.0.0/8,fd00::/8"])
def test_a_proxy_elsewhere_needs_no_secret(proxies):
    assert Config.from_env({"LOCKCHAT_LOGIN": "proxy", "LOCKCHAT_PROXIES": proxies}).login == "proxy"


@pytest.mark.parametrize("name", ["Remote_User", "Remote User", "Remote-User:"])
def test_a_header_that_could_not_arrive_is_refused_at_the_start(name):
    with pytest.raises(ConfigError, match="LOCKCHAT_LOGIN_HEADER"):
        Config.from_env({"LOCKCHAT_LOGIN_HEADER": name})
