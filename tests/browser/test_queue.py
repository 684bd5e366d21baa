"""A message that waits for the end of an answer, in the page: with script and without."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import Wait, body, token, tokens

pytestmark = pytest.mark.browser

DONE = b"data: [DONE]\n\n"


@pytest.fixture
def end(upstream):
    """Ends the first answer."""
    end = threading.Event()
    upstream.answer(*body(token("First"), Wait(end), DONE))
    yield end
    end.set()


@pytest.fixture
def waiting(chat, end):
    """A chat whose first answer runs, and a second message that waits."""
    chat.say("One")
    expect(chat.answer).to_have_text("First")
    chat.say("Two")
    expect(chat.page.locator(".queued .message__note")).to_have_text("Goes when the answer ends.")
    chat.page.wait_for_function("() => document.querySelector('.queued').onsubmit")
    return chat


def test_it_goes_by_itself_and_its_answer_is_followed(waiting, end, upstream):
    upstream.answer(*tokens("Second"))
    expect(waiting.box).to_have_value("")

    end.set()

    expect(waiting.answers).to_have_text(["First", "Second"])
    expect(waiting.questions).to_have_text(["One", "Two"])
    expect(waiting.page.locator(".queued")).to_have_count(0)
    waiting.say("Three")
    expect(waiting.answers).to_have_count(3)


def test_it_survives_a_reload(waiting, end, upstream):
    upstream.answer(*tokens("Second"))
    waiting.page.reload()
    expect(waiting.page.locator(".queued .message__body")).to_have_text("Two")

    end.set()

    expect(waiting.answers).to_have_text(["First", "Second"])


def test_it_is_edited_and_taken_back_in_place(waiting, end):
    queued = waiting.page.locator(".queued")
    queued.get_by_text("Edit").click()
    queued.locator("textarea").fill("Zwei")
    queued.get_by_role("button", name="Save").click()
    expect(queued.locator(".message__body")).to_have_text("Zwei")
    waiting.box.fill("and more")

    queued.get_by_role("button", name="Take back").click()

    expect(waiting.box).to_have_value("Zwei\n\nand more")
    expect(queued).to_have_count(0)
    expect(waiting.answer).to_have_text("First")


def test_a_second_one_is_given_back(waiting, end, network_may_fail):
    waiting.say("Three")

    expect(waiting.problem).to_contain_text("Another message waits for the answer already.")
    expect(waiting.box).to_have_value("Three")


def test_without_script_it_goes_too(server, new_browser, upstream, end):
    chat = Chat(new_browser(java_script_enabled=False).new_page(), server.url).open()
    upstream.answer(*tokens("Second"))
    chat.box.fill("One")
    chat.send_button.click()
    expect(chat.page.locator(".message__live")).to_have_text("First")
    chat.page.goto(chat.page.url.partition("?")[0] + "?last=9")
    chat.box.fill("Two")
    chat.page.get_by_role("button", name="Send after the answer").click()
    expect(chat.page.locator(".queued .message__body")).to_have_text("Two")

    end.set()

    expect(chat.answer).to_have_text("Second")
    expect(chat.page.locator(".queued")).to_have_count(0)
