"""The settings page: how the page looks and speaks, kept for this browser, with or without script."""

from __future__ import annotations

import html5lib
import pytest

from tests.visitor import text_of
from webapp import language


def inputs(page: str, name: str) -> list[dict[str, str]]:
    """The attributes of all inputs of a page with that name."""
    body = html5lib.parse(page, namespaceHTMLElements=False)
    return [element.attrib for element in body.iter("input") if element.get("name") == name]


def checked(page: str, name: str) -> list[str]:
    return [field["value"] for field in inputs(page, name) if "checked" in field]


def test_the_page_has_its_name_and_the_conversations_beside_it(alice):
    alice.new_chat("A question of mine")

    page = alice.get("/settings").text

    assert "<title>Settings · Lockchat</title>" in page
    assert 'dir="auto">Settings</h1>' in page
    assert "A question of mine" in page


def test_at_first_the_system_decides_the_colours_and_nothing_is_read_aloud(alice):
    page = alice.get("/settings").text

    assert checked(page, "theme") == [""]
    assert checked(page, "language") == ["en"]
    assert checked(page, "read_aloud") == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_appearance_is_kept(alice, theme):
    alice.post_form("/preferences", theme=theme, read_aloud="")

    page = alice.get("/settings").text

    assert checked(page, "theme") == [theme]
    assert f'data-theme="{theme}"' in page


def test_every_language_is_offered_by_its_own_name(alice):
    page = alice.get("/settings").text

    assert [field["value"] for field in inputs(page, "language")] == list(language.available())
    assert all(name in text_of(page) for name in language.names().values())


@pytest.mark.parametrize("chosen", language.available())
def test_the_language_is_kept(alice, chosen):
    alice.post_form("/preferences", language=chosen, read_aloud="")

    page = alice.get("/settings").text

    assert checked(page, "language") == [chosen]
    assert f'<html lang="{chosen}"' in page


def test_reading_aloud_is_kept_until_it_is_taken_back(alice):
    alice.post_form("/preferences", read_aloud=["", "1"])
    assert checked(alice.get("/settings").text, "read_aloud") == ["1"]

    alice.post_form("/preferences", read_aloud="")

    assert checked(alice.get("/settings").text, "read_aloud") == []


def test_the_form_beside_every_page_leaves_reading_aloud_as_it_is(alice):
    alice.post_form("/preferences", read_aloud=["", "1"])

    alice.post_form("/preferences", theme="dark")

    assert checked(alice.get("/settings").text, "read_aloud") == ["1"]


def test_saving_leads_back_and_says_so_once(alice):
    headers = {"Referer": f"{alice.base_url}/settings"}

    page = alice.post("/preferences", data={"theme": "", "read_aloud": ""}, headers=headers)

    assert page.url == f"{alice.base_url}/settings"
    assert "Saved." in text_of(page.text)
    assert "Saved." not in text_of(alice.get("/settings").text)


def test_conversations_go_out_and_come_in_here(alice):
    page = alice.get("/settings").text

    assert 'href="/export"' in page
    assert 'enctype="multipart/form-data"' in page
    assert [field["type"] for field in inputs(page, "file")] == ["file"]


def test_bobs_settings_are_not_alices(alice, bob):
    alice.post_form("/preferences", theme="dark", read_aloud=["", "1"])

    page = bob.get("/settings").text

    assert checked(page, "theme") == [""]
    assert checked(page, "read_aloud") == []
