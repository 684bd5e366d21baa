"""What is said of a proxy that changes a request or a stream, and the line that mends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from webapp.proxying import APACHE, CADDY, HAPROXY, NGINX, Arrived, Browser, check

ALL = [NGINX, CADDY, APACHE, HAPROXY]
GOOD = Arrived(
    scheme="https",
    host="chat.example.org",
    prefix="",
    peer="127.0.0.1",
    is_trusted=True,
    is_forwarded=True,
    proxies=("127.0.0.1",),
    headers={"x-forwarded-for": "10.0.0.7", "x-forwarded-proto": "https"},
)
BROWSER = Browser(scheme="https", host="chat.example.org", prefix="", held=20, server="nginx/1.22.1 ")


def wrong(arrived: Arrived = GOOD, browser: Browser = BROWSER) -> list[tuple[str, dict[str, str]]]:
    return [(one.sentence, dict(one.lines)) for one in check(arrived, browser).wrong]


def without(name: str) -> Arrived:
    return replace(GOOD, headers={key: value for key, value in GOOD.headers.items() if key != name})


def test_of_a_proxy_that_is_right_nothing_is_wrong():
    found = check(GOOD, BROWSER)

    assert (found.wrong, found.proxy) == ([], NGINX)
    assert found.right == [
        "The name of the host, the scheme and the path arrive as your browser sent them.",
        "The stream arrives as it is sent.",
    ]


@pytest.mark.parametrize(
    ("arrived", "browser", "words", "line"),
    [
        (replace(GOOD, host="127.0.0.1:8000"), BROWSER, "changes the name", "proxy_set_header Host $http_host;"),
        (GOOD, replace(BROWSER, host="chat.example.org:8443"), "asked chat.example.org:8443", "$http_host;"),
        (
            replace(without("x-forwarded-proto"), scheme="http"),
            BROWSER,
            "arrived as http",
            "X-Forwarded-Proto $scheme;",
        ),
        (replace(GOOD, scheme="http"), BROWSER, "arrived as http", "X-Forwarded-Proto https;"),
        (without("x-forwarded-for"), BROWSER, "from which address", "X-Forwarded-For $remote_addr;"),
        (GOOD, replace(BROWSER, prefix="/chat"), "below /chat", "proxy_set_header X-Forwarded-Prefix /chat;"),
        (GOOD, replace(BROWSER, held=1000), "holds the stream back", "proxy_buffering off;"),
        (GOOD, replace(BROWSER, is_cut=True), "silent for 16 seconds", "proxy_read_timeout 60s;"),
        (GOOD, replace(BROWSER, encoding="gzip"), "compresses the stream (gzip)", "gzip off;"),
    ],
)
def test_what_is_wrong_is_said_once_with_the_line_of_this_proxy(arrived, browser, words, line):
    [(sentence, lines)] = wrong(arrived, browser)

    assert words in sentence
    assert list(lines) == [NGINX]
    assert lines[NGINX].endswith(line)


def test_of_a_proxy_that_does_not_tell_its_name_all_lines_are_shown():
    [(_sentence, lines)] = wrong(replace(GOOD, host="127.0.0.1:8000"), replace(BROWSER, server="gunicorn "))

    assert list(lines) == ALL


def test_a_proxy_that_is_not_trusted_is_named_with_the_setting():
    stranger = replace(GOOD, peer="172.18.0.3", is_trusted=False, scheme="http")

    [(sentence, lines)] = wrong(stranger)

    assert "172.18.0.3" in sentence
    assert lines == {"Lockchat": "LOCKCHAT_PROXIES=127.0.0.1,172.18.0.3"}


def test_a_proxy_that_sends_nothing_needs_the_setting_and_the_lines():
    bare = replace(GOOD, is_trusted=False, is_forwarded=False, headers={}, scheme="http", host="127.0.0.1:8000")

    host, (_sentence, scheme) = wrong(replace(bare, proxies=()))

    assert host[1] == {NGINX: "proxy_set_header Host $http_host;"}
    assert scheme == {
        "Lockchat": "LOCKCHAT_PROXIES=127.0.0.1",
        NGINX: "proxy_set_header X-Forwarded-Proto $scheme;",
    }


def test_on_loopback_without_a_proxy_nothing_is_wrong():
    here = replace(GOOD, scheme="http", host="127.0.0.1:8000", is_trusted=False, is_forwarded=False, headers={})
    browser = Browser(scheme="http", host="127.0.0.1:8000", prefix="", held=3, server=" ")

    found = check(here, browser)

    assert (found.wrong, found.proxy) == ([], "")
    assert found.right[-1] == "The request has no headers of a proxy."


@pytest.mark.parametrize(("scheme", "port"), [("https", ":443"), ("http", ":80")])
def test_the_usual_port_is_no_other_host(scheme, port):
    said = replace(GOOD, scheme=scheme, host=f"Chat.example.org{port}")

    assert wrong(said, replace(BROWSER, scheme=scheme)) == []


@pytest.mark.parametrize(
    ("server", "headers", "name"),
    [
        ("nginx/1.22.1 ", {}, NGINX),
        ("Caddy, gunicorn ", {}, CADDY),
        ("gunicorn 1.1 Caddy", {}, CADDY),
        ("Apache/2.4.57 (Debian) ", {}, APACHE),
        ("gunicorn ", {"x-forwarded-server": "chat.example.org"}, APACHE),
        ("gunicorn ", {"x-forwarded-server": "box", "x-forwarded-port": "443"}, ""),  # Traefik
        ("", {"via": "1.1 Caddy"}, CADDY),
        ("gunicorn ", {}, ""),
    ],
)
def test_a_proxy_is_known_by_what_it_adds(server, headers, name):
    arrived = replace(GOOD, headers=GOOD.headers | headers)

    assert check(arrived, replace(BROWSER, server=server)).proxy == name


def test_a_browser_that_says_nothing_is_told_nothing_of_its_host():
    found = check(GOOD, Browser())

    assert (found.wrong, found.right) == ([], [])
