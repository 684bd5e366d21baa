"""Under a path of a larger site every address keeps its prefix."""

from __future__ import annotations

import re

import pytest

UNKNOWN = "00000000-0000-4000-8000-000000000000"
PREFIX = {"SCRIPT_NAME": "/chat"}


@pytest.fixture
def client(site):
    return site.test_client()


def addresses_of(page: str) -> list[str]:
    return re.findall(r'(?:href|action|formaction|src|data-[a-z-]+)="(/[^"]*)"', page)


@pytest.mark.parametrize("path", ["/", "/settings", "/search", "/nowhere"])
def test_every_address_of_a_page_keeps_the_prefix(client, path):
    page = client.get(path, environ_overrides=PREFIX).text

    found = addresses_of(page)

    assert found
    assert [address for address in found if not address.startswith("/chat/")] == []


@pytest.mark.parametrize(
    ("path", "text", "action"),
    [
        ("/conversations", "x" * 100_001, "/chat/conversations"),
        (f"/c/{UNKNOWN}/messages", "Hello", "/chat/conversations"),
    ],
)
def test_an_error_page_posts_the_text_below_the_prefix(client, path, text, action):
    page = client.post(path, data={"text": text}, environ_overrides=PREFIX).text

    assert text in page
    assert f'id="composer" method="post" action="{action}"' in page


def test_preferences_without_a_page_lead_to_the_start_below_the_prefix(client):
    answer = client.post("/preferences", data={"theme": "dark"}, environ_overrides=PREFIX)

    assert answer.headers["Location"] == "/chat/"


def test_the_installed_app_starts_below_the_prefix(client):
    with client.get("/static/manifest.webmanifest") as answer:
        assert answer.get_json(force=True)["start_url"] == "../"
