"""What a trusted proxy says of a request is believed: its scheme, and the path that the page is below."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.views.forwarded import guard


def arrives(address: str | None = "10.0.0.9", proxies: tuple[str, ...] = ("10.0.0.9",), **said: str) -> tuple[str, ...]:
    """Scheme, prefix and path of such a request, as the app behind the guard gets them."""
    seen: dict[str, Any] = {}
    start = object()

    def app(environ: dict[str, Any], start_response: object) -> list[bytes]:
        seen.update(environ, start=start_response)
        return [b"answer"]

    environ = {"wsgi.url_scheme": "http", "SCRIPT_NAME": ""} | said
    if address is not None:
        environ["REMOTE_ADDR"] = address
    assert guard(app, proxies)(environ, start) == [b"answer"]
    assert seen["start"] is start
    return seen["wsgi.url_scheme"], seen["SCRIPT_NAME"], seen.get("PATH_INFO", "none")


@pytest.mark.parametrize(
    ("said", "scheme"),
    [({}, "http"), ({"HTTP_X_FORWARDED_PROTO": "HTTPS"}, "https"), ({"HTTP_X_FORWARDED_PROTO": "ftp"}, "http")],
)
def test_the_scheme_is_the_one_that_a_trusted_proxy_names(said, scheme):
    assert arrives(**said) == (scheme, "", "none")


def test_a_proxy_may_say_that_a_request_came_without_tls():
    assert arrives(**{"wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "http"})[0] == "http"


@pytest.mark.parametrize(
    ("prefix", "path", "found"),
    [
        ("/chat", "/c/1", ("/chat", "/c/1")),
        ("/chat/", "/chat/c/1", ("/chat", "/c/1")),
        ("/chat", "/chat", ("/chat", "/")),
        ("/chat", "/chat/", ("/chat", "/")),
        ("/chat", "/chatter", ("/chat", "/chatter")),
        ("/X", "/X/c/1", ("/X", "/c/1")),
        ("/chat", "/c/chat/", ("/chat", "/c/chat/")),
        ("/a/b", "/a/b/a/b", ("/a/b", "/a/b")),
        ("", "/c/1", ("", "/c/1")),
        ("//evil.example", "/c/1", ("", "/c/1")),
        ("/../up", "/c/1", ("", "/c/1")),
    ],
)
def test_the_page_is_below_the_path_that_a_trusted_proxy_names(prefix, path, found):
    assert arrives(HTTP_X_FORWARDED_PREFIX=prefix, PATH_INFO=path)[1:] == found


def test_a_request_without_a_path_stays_without_one():
    assert arrives(HTTP_X_FORWARDED_PREFIX="/chat") == ("http", "/chat", "none")


@pytest.mark.parametrize("address", ["10.0.0.8", "", None])
def test_nobody_else_is_believed(address):
    said = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_PREFIX": "/chat", "PATH_INFO": "/chat/c/1"}

    assert arrives(address, **said) == ("http", "", "/chat/c/1")


@pytest.mark.parametrize("address", ["", None])
def test_a_socket_of_this_machine_can_be_trusted(address):
    assert arrives(address, ("unix",), HTTP_X_FORWARDED_PROTO="https")[0] == "https"
