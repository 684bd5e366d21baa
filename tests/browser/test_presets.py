"""Presets on the page of a new chat: chosen under the greeting, filled in, saved from the composer."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_preset_is_saved_and_its_field_asked_for(chat, upstream):
    page = chat.page
    chat.box.fill("My unsent words")
    page.locator("[popovertarget=tuning]").click()
    page.locator("#system").fill("Answer as {{who}}.")
    save = page.locator("#tuning [data-module=preset]")
    save.click()
    page.get_by_role("textbox", name="Save as preset").fill("Role")
    with chat.expect_name(save, "Saved."):
        save.click()
    expect(chat.box).to_have_value("My unsent words")

    chat.open()
    page.get_by_role("link", name="Role").click()
    page.get_by_label("who", exact=True).fill("a pirate")
    page.get_by_role("button", name="Use the preset").click()
    chat.say("Hello")

    expect(chat.answer).to_have_text("Hello world")
    assert upstream.requests[-1].json["messages"][0]["content"] == "Answer as a pirate."


def test_without_script_the_settings_page_asks_for_the_name(server, new_browser, network_may_fail):
    page = new_browser(java_script_enabled=False).new_page()
    page.goto(server.url)
    page.locator("[popovertarget=tuning]").click()
    page.locator("#system").fill("Be brief.")
    page.get_by_role("button", name="Save as preset").click()

    expect(page.get_by_text("Give the preset a name.")).to_be_visible()
    expect(page.locator("#new-preset").get_by_label("System prompt")).to_have_value("Be brief.")
