"""A request that changes something comes from our own page, or from no browser."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.visitor import Visitor, text_of

OURS, FOREIGN = "same", "https://evil.example"


def post(visitor, origin: str | None, fetch_site: str | None):
    headers = {}
    if origin:
        headers["Origin"] = visitor.base_url if origin == OURS else origin
    if fetch_site:
        headers["Sec-Fetch-Site"] = fetch_site
    return visitor.post("/conversations", data={"text": "Hello"}, headers=headers, allow_redirects=False)


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        (OURS, "same-origin"),
        (None, "none"),
        (OURS, None),
        (None, None),
        (None, "same-origin"),
        ("https://chat.example.org", "same-origin"),  # a proxy changed the Host header: only the browser knows
    ],
)
def test_our_own_page_and_curl_may_write(alice, origin, fetch_site):
    assert post(alice, origin, fetch_site).status_code == 303


@pytest.mark.parametrize(
    ("origin", "fetch_site"),
    [
        (FOREIGN, "cross-site"),
        (OURS, "cross-site"),
        (OURS, "same-site"),
        (FOREIGN, None),
        (FOREIGN, "none"),
        ("null", None),
        ("null", "same-origin"),
        ("ftp://evil.example", "same-origin"),
        ("http:", "same-origin"),
        ("http://127.0.0.1:1", None),
        ("not an origin", None),
        ("http://[", None),
        (None, "cross-site"),
    ],
)
def test_another_site_may_not_write(alice, upstream, origin, fetch_site):
    answer = post(alice, origin, fetch_site)

    assert answer.status_code == 403
    assert "comes from another site" in answer.text
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://{host}"}, 403),
        ({"Origin": "https://{host}", "Sec-Fetch-Site": "same-origin"}, 303),  # a browser compares schemes itself
        ({"Origin": "https://{host}", "X-Forwarded-For": "::1"}, 303),  # a proxy may speak TLS and not say so
        ({"Origin": "https://{host}", "X-Forwarded-Proto": "http"}, 403),
        ({"Origin": "ftp://{host}", "X-Forwarded-For": "::1"}, 403),
    ],
)
def test_the_scheme_is_ours_too_where_it_is_known(make_visitor, headers, status):
    visitor = make_visitor(allow_open=frozenset({"proxy"}))
    headers = {name: value.format(host=visitor.base_url.removeprefix("http://")) for name, value in headers.items()}

    answer = visitor.post("/conversations", data={"text": "Hi"}, headers=headers, allow_redirects=False)

    assert answer.status_code == status


@pytest.mark.parametrize(("scheme", "status"), [("https", 303), ("http", 403)])
def test_behind_a_proxy_that_speaks_tls_the_page_is_https(start_server, scheme, status):
    with Visitor(start_server(ALLOW_OPEN="proxy").url) as visitor:
        origin = visitor.base_url.replace("http", scheme, 1)
        headers = {"Origin": origin, "X-Forwarded-Proto": "https"}

        answer = visitor.post("/conversations", data={"text": "Hi"}, headers=headers, allow_redirects=False)

    assert answer.status_code == status


@pytest.mark.parametrize("path", ["/preferences", "/m/x/stop", "/c/x/messages"])
def test_every_form_is_guarded(alice, path):
    assert alice.post(path, headers={"Origin": FOREIGN}).status_code == 403


def test_another_site_may_link_to_a_page(alice):
    assert alice.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "settings"),
    [
        ({}, {"hosts": frozenset({"chat.example.org"})}),
        ({"X-Forwarded-For": "10.0.0.9"}, {}),
        ({"X-Forwarded-Host": "chat.example.org"}, {}),
    ],
)
def test_a_proxy_that_changes_the_name_is_named(make_visitor, caplog, headers, settings):
    visitor = make_visitor(allow_open=frozenset({"proxy"}), **settings)

    answer = visitor.post("/preferences", headers=headers | {"Origin": "https://chat.example.org"})

    assert answer.status_code == 403
    said = text_of(answer.text)
    assert "your browser asked https://chat.example.org, and the request arrived for 127.0.0.1:" in said
    assert "proxy_set_header Host $http_host;" in said
    host = urlsplit(visitor.base_url).netloc
    log = f"a proxy changes the name of the host: a form of https://chat.example.org arrived for {host}"
    assert log in caplog.messages


def test_a_proxy_that_changes_no_name_is_not_blamed_for_another_scheme(make_visitor, caplog):
    visitor = make_visitor(allow_open=frozenset({"proxy"}), hosts=frozenset({"chat.example.org"}))
    headers = {"Host": "chat.example.org", "X-Forwarded-Host": "Chat.example.org", "X-Forwarded-Proto": "http"}

    answer = visitor.post("/preferences", headers=headers | {"Origin": "https://Chat.example.org"})

    assert answer.status_code == 403
    assert "comes from another site" in answer.text
    assert "changes the name" not in caplog.text


def test_a_browser_that_names_another_site_is_believed(make_visitor):
    answer = post(make_visitor(hosts=frozenset({"chat.example.org"})), "https://chat.example.org", "cross-site")

    assert answer.status_code == 403
    assert "comes from another site" in answer.text


def test_a_name_that_a_proxy_changed_to_an_unknown_one_is_named(make_visitor):
    visitor = make_visitor(allow_open=frozenset({"proxy"}), hosts=frozenset({"chat.example.org"}))

    answer = visitor.get("/", headers={"Host": "lockchat:8000", "X-Forwarded-Host": "chat.example.org"})

    assert answer.status_code == 421
    assert "your browser asked chat.example.org, and the request arrived for lockchat:8000" in text_of(answer.text)
