"""What helps with long answers: print, times, an outline, quotations, wrapped and downloaded code."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import tokens

pytestmark = pytest.mark.browser

ANSWER = "# One\n\nFirst words\n\n## Two\n\nMore\n\n# Three\n\n```python\nx = 'a' * 3\n```\n"


@pytest.fixture
def answered(chat, upstream):
    """A chat with one long answer."""
    upstream.answer(*tokens(ANSWER))
    chat.say("Explain")
    expect(chat.footer.locator("[data-copy=message]")).to_be_visible()
    expect(chat.page.locator(".code__ways")).to_be_visible()
    chat.wait_for_style()  # from now on nothing moves under a click
    return chat


def test_print_shows_the_conversation_and_nothing_else(answered):
    answered.page.reload()
    expect(answered.page.locator(".code__ways")).to_be_visible()

    answered.page.emulate_media(media="print")

    shown = answered.page.evaluate("document.body.innerText").split()
    title, question, answer = ["Explain"], ["You", "Explain"], ["Assistant", "gpt-4", "One", "First", "words"]
    rest = ["Two", "More", "Three", "python", "x", "=", "'a'", "*", "3"]
    assert shown == [*title, *question, *answer, *rest]


def test_the_outline_goes_to_a_heading(answered):
    answered.footer.get_by_role("button", name="Outline").click()
    outline = answered.page.get_by_role("navigation", name="Outline")
    expect(outline.get_by_role("button")).to_have_text(["One", "Two", "Three"])

    outline.get_by_role("button", name="Three").click()

    expect(answered.page.locator("h3", has_text="Three")).to_be_focused()


def test_a_selection_is_quoted_into_the_box(answered):
    answered.box.fill("Look:")
    answered.page.evaluate("getSelection().selectAllChildren(document.querySelector('.message--assistant p'))")

    answered.footer.get_by_role("button", name="Quote").click()

    expect(answered.box).to_have_value("Look:\n\n> First words\n\n")
    expect(answered.box).to_be_focused()


@pytest.mark.firefox
def test_a_button_whose_script_does_not_arrive_says_so_and_works_later(answered, network_may_fail):
    quote = answered.footer.get_by_role("button", name="Quote")
    answered.page.route("**/quote.js*", lambda route: route.abort())
    quote.click()
    expect(answered.lost).to_have_text("The connection is lost. Reload the page to go on.")

    answered.page.unroute_all()
    quote.click()

    expect(answered.lost).to_have_text("The connection is back.")
    expect(answered.box).to_have_value(re.compile("^> One"))


def test_code_is_wrapped_and_downloaded(answered):
    page = answered.page
    page.get_by_role("button", name="Wrap lines").click()
    expect(page.locator(".code pre")).to_have_css("white-space", "pre-wrap")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()

    assert download.value.suggested_filename == "code.py"
    assert download.value.path().read_text() == "x = 'a' * 3\n"


def test_the_time_is_said_in_the_readers_zone(server, new_browser):
    chat = Chat(new_browser(timezone_id="Asia/Tokyo").new_page(), server.url).open()
    chat.say("Hi")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    time = chat.footer.locator("time")

    expect(time).to_have_attribute("title", re.compile(r"^\d+ \w+ \d{4}, \d\d:\d\d UTC$"))
    hours = [re.search(r"(\d+):", text)[1] for text in (time.get_attribute("title"), time.text_content())]
    assert (int(hours[1]) - int(hours[0]) - 9) % 12 == 0
