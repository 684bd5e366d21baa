"""How the account page names a browser."""

from __future__ import annotations

import pytest

from tests.visitor import text_of
from webapp.views.browsers import name_of

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox, Windows"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/142.0.0.0 Safari/537.36", "Chrome, Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0 Safari/537.36 Edg/142.0", "Edge, Windows"),
        (f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36", "Chrome, Android"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " Version/26.0 Mobile/15E148 Safari/604.1",
            "Safari, iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " Version/26.0 Safari/605.1.15",
            "Safari, macOS",
        ),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/142.0.0.0 Safari/537.36", "Chrome, ChromeOS"),
        ("Links (2.28; Linux 6.1.0 x86_64; GNU C 12.2; text)", "Links, Linux"),
        ("curl/8.5.0", "curl"),
        ("python-requests/2.32.5", "python-requests/2.32.5"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 40 + "…"),
        ("", ""),
    ],
)
def test_a_browser_has_the_name_that_people_know(header, name):
    assert name_of(header) == name


def test_the_account_page_shows_the_name(team):
    alice = team.join("Alice")
    other = team.stranger()
    other.headers["User-Agent"] = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
    other.post_form("/sign-in", name="alice", password="correct horse battery staple")

    page = text_of(alice.get("/account").text)

    assert "Firefox, Windows" in page
    assert "Gecko" not in page
