"""Tabs that nobody looks at: they take no connection from the others, say that they are done, and catch up."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import Wait, body, token, tokens

pytestmark = pytest.mark.browser

LEFT = 21_000  # ms; a tab hidden for 20 s gives its connection back


@pytest.fixture
def go_on(upstream):
    """Each reply says "so far ", and "and done" once this is set."""
    go_on = threading.Event()
    upstream.always(*body(token("so far "), Wait(go_on), token("and done"), b"data: [DONE]\n\n"))
    yield go_on
    go_on.set()


def test_eight_tabs_in_the_background_leave_room_for_a_ninth(server, new_browser, upstream, go_on):
    browser = new_browser()
    browser.clock.install()
    tabs = [Chat(browser.new_page(), server.url) for _ in range(8)]  # a browser has six connections to a host
    for tab in tabs:
        tab.open().say("A long story")
        expect(tab.answer).to_have_text("so far")
        tab.hide()
        browser.clock.fast_forward(LEFT)

    upstream.answer(*tokens("At once"))
    ninth = Chat(browser.new_page(), server.url).open()
    ninth.say("And me?")
    expect(ninth.answer).to_have_text("At once")

    go_on.set()
    for tab in tabs:
        tab.show()
        expect(tab.answer).to_have_text("so far and done")
        expect(tab.send_button).to_be_visible()
        tab.hide()  # a window shows one tab


def test_a_hidden_tab_says_in_its_title_that_the_answer_is_there(chat, go_on):
    chat.say("A long story")
    expect(chat.answer).to_have_text("so far")
    chat.hide()
    go_on.set()

    expect(chat.page).to_have_title("● A long story · Lockchat")
    chat.show()
    expect(chat.page).to_have_title("A long story · Lockchat")


def test_a_tab_hidden_for_long_still_notices_the_end(server, new_browser, go_on):
    page = new_browser().new_page()
    page.clock.install()
    chat = Chat(page, server.url).open()
    chat.say("A long story")
    expect(chat.answer).to_have_text("so far")

    chat.hide()
    page.clock.fast_forward(LEFT)
    go_on.set()
    page.clock.fast_forward(LEFT)

    expect(chat.page).to_have_title("● A long story · Lockchat")
    expect(chat.answer).to_have_text("so far and done")


def test_a_tab_that_is_hidden_for_a_moment_keeps_its_stream(chat, go_on):
    chat.say("A long story")
    expect(chat.answer).to_have_text("so far")

    chat.hide()
    chat.show()
    go_on.set()

    expect(chat.answer).to_have_text("so far and done")
    expect(chat.send_button).to_be_visible()
