"""Opening a chat: the box has the focus, the list keeps its place, Back leads to the chat before."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.browser.test_scroll import REST
from tests.upstream import Wait, body, token
from tests.visitor import Visitor

pytestmark = pytest.mark.browser

LIST = "document.querySelector('.sidebar__list').scrollTop"
CHATS = 40


@pytest.fixture
def many_chats(server, new_browser):
    """A new chat beside 40 others."""
    visitor, browser = Visitor(server.url), new_browser(viewport={"width": 1280, "height": 600})
    for number in range(CHATS):
        visitor.end(visitor.new_chat(f"Chat {number}"))
    browser.add_cookies([{"name": one.name, "value": one.value, "url": server.url} for one in visitor.cookies])
    visitor.close()
    return Chat(browser.new_page(), server.url).open()


@pytest.mark.parametrize("is_touched", [False, True], ids=["desk", "phone"])
def test_the_box_has_the_focus_after_opening_and_retry_but_on_a_phone(server, new_browser, upstream, is_touched):
    browser = new_browser(has_touch=is_touched, is_mobile=is_touched, viewport={"width": 1000, "height": 800})
    chat = Chat(browser.new_page(), server.url).open()
    chat.box.fill("Hi")
    chat.send_button.click()
    expect(chat.footer.locator("[data-copy]")).to_be_visible()

    chat.open(urlsplit(chat.page.url).path)
    chat.wait_for_script()
    chat.page.wait_for_load_state()
    opened = chat.page.evaluate("document.activeElement.id")
    upstream.answer(*body(token("Again"), Wait()))
    chat.retry_button.click()
    expect(chat.answer).to_have_text("Again")

    (expect(chat.box).not_to_be_focused if is_touched else expect(chat.box).to_be_focused)()
    assert opened == ("" if is_touched else "text")


def test_a_link_to_a_message_leaves_the_focus_to_its_reader(chat):
    chat.say("Hi")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    answer = chat.page.locator(".message--assistant").get_attribute("id")

    chat.open(f"{urlsplit(chat.page.url).path}?at={answer.removeprefix('m-')}#{answer}")
    chat.wait_for_script()

    expect(chat.box).not_to_be_focused()


def test_the_list_keeps_its_place_when_another_chat_is_opened(many_chats):
    page = many_chats.page
    page.get_by_role("link", name="Chat 20", exact=True).click()
    expect(page.locator("html.js .conversations [aria-current]")).to_have_text("Chat 20")
    page.evaluate(f"{LIST} += 100")
    place = page.evaluate(LIST)
    assert place > 100

    page.get_by_role("link", name="Chat 15", exact=True).click()
    expect(page.locator("html.js .conversations [aria-current]")).to_have_text("Chat 15")

    assert page.evaluate(LIST) == place
    for name in ("New chat", "Search", "Settings"):
        expect(page.get_by_role("navigation").get_by_role("link", name=name)).to_be_in_viewport(ratio=1)


def test_the_current_chat_is_in_view(many_chats):
    many_chats.page.get_by_role("link", name="Chat 1", exact=True).click()
    many_chats.page.wait_for_url("**/c/*")

    page = many_chats.page.context.new_page()  # a tab without a place of its own
    page.goto(many_chats.page.url)

    expect(page.locator(".conversations [aria-current]")).to_have_text("Chat 1")
    expect(page.locator(".conversations [aria-current]")).to_be_in_viewport(ratio=1)
    assert page.evaluate(REST) < 100


def test_back_after_the_first_message_leads_to_the_new_chat(chat):
    chat.say("First")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    conversation = chat.page.url
    chat.box.fill("for the first")

    chat.page.go_back()
    expect(chat.page).to_have_title(re.compile("New chat"))
    chat.wait_for_script()
    expect(chat.questions).to_have_count(0)
    expect(chat.box).to_have_value("")
    chat.page.go_forward()

    expect(chat.page).to_have_url(conversation)
    expect(chat.questions).to_have_text(["First"])
    expect(chat.box).to_have_value("for the first")
