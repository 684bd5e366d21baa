"""What browsers are told with every answer: cookies over TLS, headers, and what signing out clears."""

from __future__ import annotations

import socket

import pytest

from tests.team import PASSWORD, is_signed_in, sign_in
from tests.visitor import Visitor
from webapp.views.headers import HEADERS

TLS = {"X-Forwarded-Proto": "https", "Host": "chat.example.org"}
BELOW = TLS | {"X-Forwarded-Prefix": "/chat"}
HOSTS = {"hosts": frozenset({"chat.example.org"}), "allow_open": frozenset({"proxy"})}
TRUSTED = HOSTS | {"proxies": ("127.0.0.1",)}


def cookies_of(answer) -> list[str]:
    return answer.raw.headers.getlist("Set-Cookie")


@pytest.mark.parametrize(
    ("headers", "name", "path"), [(TLS, "__Host-lockchat_", "/"), (BELOW, "__Secure-lockchat_", "/chat")]
)
def test_over_tls_a_cookie_is_secure_and_its_name_says_so(make_visitor, headers, name, path):
    [cookie] = cookies_of(make_visitor(**TRUSTED).get("/", headers=headers))

    assert cookie.startswith(name)
    assert cookie.endswith(f"; Secure; HttpOnly; Path={path}; SameSite=Lax")


def test_without_tls_a_cookie_is_neither(alice):
    [cookie] = cookies_of(alice.get("/"))

    assert cookie.startswith("lockchat_")
    assert "Secure" not in cookie


@pytest.mark.parametrize("settings", [HOSTS, HOSTS | {"proxies": ("10.0.0.1",)}])
def test_a_stranger_does_not_say_what_the_scheme_and_the_prefix_are(make_visitor, settings):
    answer = make_visitor(**settings).get("/", headers=BELOW)

    assert "Secure" not in cookies_of(answer)[0]
    assert "Strict-Transport-Security" not in answer.headers
    assert '"/chat' not in answer.text


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "/a/../b", "/a b", "/<b>", "/a?b", "chat", "/a,/b", "/" + "a" * 65]
)
def test_a_prefix_that_is_none_is_ignored(make_visitor, prefix):
    answer = make_visitor(**TRUSTED).get("/", headers=TLS | {"X-Forwarded-Prefix": prefix})

    assert "Path=/;" in cookies_of(answer)[0]


def test_who_came_before_tls_keeps_the_chats(make_visitor):
    visitor = make_visitor(**TRUSTED)
    visitor.new_chat("Mine")

    page = visitor.get("/", headers=TLS | {"Cookie": visitor.cookie()})

    assert "Mine" in page.text
    removed, kept = sorted(cookies_of(page), key=lambda cookie: "__Host-" in cookie)
    assert "Max-Age=0" in removed
    assert "__Host-" in kept


@pytest.mark.parametrize(
    "path", ["/", "/settings", "/nowhere", "/search", "/c/x", "/import", "/shortcuts", "/static/x"]
)
def test_the_host_makes_no_address(make_visitor, path):
    answer = make_visitor(**TRUSTED).get(path, headers=TLS, allow_redirects=False)

    assert TLS["Host"] not in answer.text
    assert TLS["Host"] not in str(answer.headers)


@pytest.mark.parametrize("path", ["/", "/sign-in?next=/settings", "/account", "/invite/x", "/admin/users", "/sign-out"])
def test_the_host_makes_no_address_where_users_sign_in(make_team, path):
    team = make_team(hosts=TRUSTED["hosts"], proxies=TRUSTED["proxies"])

    answers = [team.stranger().request(method, path, headers=TLS, allow_redirects=False) for method in ("GET", "POST")]

    assert [TLS["Host"] in answer.text + str(answer.headers) for answer in answers] == [False, False]


@pytest.mark.parametrize(
    ("headers", "name", "path", "cleared"),
    [(TLS, "__Host-lockchat_", "/", '"cache", "storage"'), (BELOW, "__Secure-lockchat_", "/chat", '"cache"')],
)
def test_signing_in_and_out_works_over_tls(make_team, headers, name, path, cleared):
    team = make_team(hosts=TRUSTED["hosts"], proxies=TRUSTED["proxies"])
    team.join("Alice")
    browser = team.stranger()
    browser.headers.update(headers)

    entered = browser.post("/sign-in", data={"name": "alice", "password": PASSWORD}, allow_redirects=False)
    browser.headers["Cookie"] = "; ".join(cookie.split(";")[0] for cookie in cookies_of(entered))
    is_in = is_signed_in(browser)
    left = browser.post_form("/sign-out")

    assert [cookie.startswith(name) for cookie in cookies_of(entered)] == [True, True]
    assert is_in
    assert not is_signed_in(browser)
    assert left.headers["Clear-Site-Data"] == cleared
    [removed] = [cookie for cookie in cookies_of(left) if "_in=;" in cookie]
    assert removed.startswith(name)
    kept = [cookie for cookie in cookies_of(entered) if "_in=" in cookie]
    for cookie in (removed, *kept):  # with another path or without "Secure" a browser would not remove it
        assert cookie.endswith(f"; Secure; HttpOnly; Path={path}; SameSite=Lax")


def test_a_sign_in_from_before_tls_ends(make_team):
    team = make_team(hosts=TRUSTED["hosts"], proxies=TRUSTED["proxies"])
    alice = team.join("Alice")

    answer = alice.get("/settings", headers=TLS | {"Cookie": alice.cookie()}, allow_redirects=False)

    assert answer.status_code == 303
    assert sign_in(team.stranger(), "alice").status_code == 303


PATHS = [("GET", "/"), ("GET", "/static/app.css"), ("GET", "/nowhere"), ("GET", "/healthz"), ("GET", "/metrics"),
         ("POST", "/m/x/stop"), ("DELETE", "/"), ("GET", "/export")]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_answer_has_the_headers(make_visitor, method, path):
    answer = make_visitor(**TRUSTED).request(method, path, headers=TLS)

    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "no-store" in answer.headers["Cache-Control"] or "static" in path


def test_a_name_of_this_machine_is_not_bound_to_tls(make_visitor):
    answer = make_visitor(**TRUSTED).get("/", headers={"X-Forwarded-Proto": "https", "Host": "localhost"})

    assert "Strict-Transport-Security" not in answer.headers


def test_nothing_is_permitted_that_a_page_does_not_use():
    features = HEADERS["Permissions-Policy"].split(", ")

    assert {"camera=()", "microphone=()", "geolocation=()", "display-capture=()"} <= set(features)
    assert all(feature.endswith("=()") for feature in features)
    assert "clipboard-write=()" not in features  # the copy buttons


def answer_to(server, request: bytes) -> str:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(request)
        pieces = iter(lambda: connection.recv(65536), b"")
        return b"".join(pieces).decode()


def test_what_never_reaches_the_app_has_the_headers_too(start_server):
    server = start_server()
    requests = {
        "400 Bad Request": b"nonsense\r\n\r\n",
        "414 URI Too Long": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "431 Request Header Fields Too Large": b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: "
        + b"a" * 17000
        + b"\r\n\r\n",
    }

    answers = {status: answer_to(server, request) for status, request in requests.items()}

    for status, answer in answers.items():
        assert answer.startswith(f"HTTP/1.1 {status}\r\n"), answer
        assert [name for name, value in HEADERS.items() if f"{name}: {value}\r\n" not in answer] == []
        assert "Cache-Control: private, no-store" in answer
    assert "Delete the cookies of this site" in answers["431 Request Header Fields Too Large"]


def test_cookies_of_a_whole_domain_are_no_reason_to_refuse(start_server):
    with Visitor(start_server().url) as visitor:
        answer = visitor.get("/", headers={"Cookie": "; ".join(f"other{number}={'x' * 1000}" for number in range(15))})

    assert answer.status_code == 200
