"""The settings of the next message: they show at the box, and what is typed is kept until it is sent."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat

pytestmark = pytest.mark.browser


def test_typed_settings_outlive_a_reload_and_go_with_their_sending(chat, upstream):
    _type(chat, temperature="0.5", system="In verse.")
    expect(_chips(chat)).to_have_count(2)
    chat.page.reload()
    expect(chat.page.locator("#system")).to_have_value("In verse.")
    expect(chat.page.locator("#temperature")).to_have_value("0.5")

    chat.say("First")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    assert upstream.requests[0].json["messages"][0]["content"] == "In verse."
    assert upstream.requests[0].json["temperature"] == 0.5

    chat.open("/")
    expect(_chips(chat)).to_have_count(0)
    expect(chat.page.locator("#system")).to_have_value("")


def test_settings_that_hold_are_seen_as_they_are_typed_and_afterwards(chat):
    expect(_chips(chat)).to_have_count(0)

    _type(chat, temperature="0.5", system="In verse.")
    expect(_chips(chat)).to_have_text(["Temperature 0.5", "System prompt"])
    _type(chat, temperature="", system="In verse.")
    expect(_chips(chat)).to_have_text(["System prompt"])
    chat.say("First")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    chat.page.reload()

    expect(_chips(chat)).to_have_text(["System prompt"])


def test_the_panel_opens_at_its_button(chat):
    button = chat.page.get_by_role("button", name="Temperature and system prompt")
    for size in ({"width": 320, "height": 640}, {"width": 1280, "height": 800}):
        chat.page.set_viewport_size(size)
        chat.page.reload()

        button.click()

        panel, place = chat.page.locator("#tuning").bounding_box(), button.bounding_box()
        below, above = panel["y"] - place["y"] - place["height"], place["y"] - panel["y"] - panel["height"]
        assert 0 <= max(below, above) <= 16
        assert 0 <= panel["x"] <= place["x"] < panel["x"] + panel["width"] <= size["width"]


def _chips(chat: Chat):
    return chat.page.locator("[data-chip]:visible")


def _type(chat: Chat, **settings: str) -> None:
    chat.page.locator("html.js").wait_for(state="attached")
    chat.page.get_by_role("button", name="Temperature and system prompt").click()
    for name, value in settings.items():
        chat.page.locator(f"#{name}").fill(value)
    chat.page.keyboard.press("Escape")
