"""Without script: plain forms, a page that streams the answer by itself, Stop and Retry as buttons."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import Wait, body, error, token, tokens
from tests.wait import wait_until

pytestmark = pytest.mark.browser

DONE = b"data: [DONE]\n\n"


@pytest.fixture
def chat(server, new_browser):
    return Chat(new_browser(java_script_enabled=False).new_page(), server.url).open()


@pytest.fixture
def live(chat):
    """The plain text that grows in the page."""
    return chat.page.locator(".message__live")


def test_the_page_streams_by_itself(chat, live, upstream):
    second, third = threading.Event(), threading.Event()
    upstream.answer(*body(token("**one** "), Wait(second), token("two "), Wait(third), token("three"), DONE))

    chat.box.fill("Count")
    chat.send_button.click()
    expect(live).to_contain_text("**one**")
    expect(chat.page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}\?live=1&last=2$"))
    second.set()
    expect(live).to_contain_text("**one** two")
    third.set()

    expect(chat.answer).to_have_text("one two three")
    expect(chat.answer.locator("strong")).to_have_text("one")
    expect(live).to_be_hidden()
    expect(chat.page.locator(".message__stop")).to_be_hidden()


def test_a_later_answer_is_in_view_while_it_comes(chat, live, upstream):
    upstream.answer(*body(token("line\n\n" * 100), DONE))
    chat.box.fill("First")
    chat.send_button.click()
    expect(chat.retry_button).to_be_visible()
    expect(chat.answer).to_contain_text("line")
    upstream.answer(*body(token("two"), Wait()))

    chat.box.fill("Second")
    chat.send_button.click()

    expect(live).to_have_text("two")
    expect(live).to_be_in_viewport()
    expect(chat.page.locator(".message__stop button")).to_be_in_viewport()
    expect(chat.page.get_by_role("link", name="2 earlier messages")).to_be_visible()


def test_retry_asks_the_model_that_is_chosen(chat, upstream):
    upstream.always(lambda request: tokens(request.json["model"]))
    chat.box.fill("Who are you?")
    chat.send_button.click()
    expect(chat.retry_button).to_be_visible()  # no other page is on its way
    expect(chat.answer).to_have_text("gpt-4")

    chat.page.get_by_label("Model", exact=True).select_option("gpt-3.5-turbo")
    chat.retry_button.click()
    expect(chat.answer).to_have_text("gpt-3.5-turbo")
    expect(chat.retry_button).to_be_visible()

    chat.page.get_by_role("link", name="Edit").click()
    chat.page.get_by_label("Model", exact=True).select_option("gpt-4")
    chat.page.locator("#edit").fill("And now?")
    chat.page.locator(".edit button").click()
    expect(chat.answer).to_have_text("gpt-4")
    expect(chat.questions).to_have_text(["And now?"])


def test_retry_keeps_what_stands_unsent_in_the_box(chat, live, upstream):
    go_on = threading.Event()
    chat.box.fill("First")
    chat.send_button.click()
    expect(chat.retry_button).to_be_visible()
    expect(chat.answer).to_have_text("Hello world")
    upstream.answer(*body(token("So far"), Wait(go_on), token(" and on"), DONE))

    chat.box.fill("Half a thought")
    chat.retry_button.click()
    expect(live).to_have_text("So far")
    go_on.set()

    expect(chat.answers).to_have_text(["So far and on"])
    expect(chat.retry_button).to_be_visible()
    expect(chat.box).to_have_value("Half a thought")
    chat.send_button.click()
    expect(chat.questions.last).to_have_text("Half a thought")


def test_stop_and_another_version_keep_what_stands_unsent_in_the_box(chat, live, upstream):
    chat.box.fill("First")
    chat.send_button.click()
    expect(chat.retry_button).to_be_visible()
    expect(chat.answer).to_have_text("Hello world")
    upstream.answer(*body(token("Half"), Wait()))
    chat.box.fill("Half a thought")
    chat.retry_button.click()
    expect(live).to_have_text("Half")

    chat.page.locator(".message__stop button").click()
    expect(chat.answers).to_have_text(["Half"])
    expect(chat.retry_button).to_be_visible()
    expect(chat.box).to_have_value("Half a thought")
    chat.footer.get_by_role("button", name="Previous version").click()

    expect(chat.answers).to_have_text(["Hello world"])
    expect(chat.box).to_have_value("Half a thought")


def test_words_are_found_and_a_listed_chat_is_opened(chat):
    for text in ("Tell of whales", "And of squids"):
        chat.open("/")
        chat.box.press_sequentially(text)
        chat.send_button.press("Enter")
        expect(chat.answer).to_have_text("Hello world")
        expect(chat.retry_button).to_be_visible()  # no other page is on its way
    page = chat.page

    page.get_by_role("link", name="All conversations").last.press("Enter")
    page.locator(".listing").get_by_role("link", name="Tell of whales", exact=True).press("Enter")
    expect(chat.questions).to_have_text(["Tell of whales"])
    chat.open("/search")
    page.locator("#q").press_sequentially("squids")
    page.get_by_role("button", name="Search").press("Enter")
    expect(page.locator("mark").first).to_have_text("squids")
    page.locator(".hits a").first.press("Enter")

    expect(chat.questions).to_have_text(["And of squids"])


def test_the_page_says_that_it_waits_until_the_first_word(chat, live, upstream):
    first = threading.Event()
    upstream.answer(*body(Wait(first), token("one"), Wait()))
    waiting = "getComputedStyle(document.querySelector('.message__live'), '::before').content"

    chat.box.fill("Count")
    chat.send_button.click()

    expect(live).to_have_text("")
    wait_until(lambda: chat.page.evaluate(waiting) == '"Waiting for the answer…"', 30)  # the style may come later
    first.set()
    expect(live).to_have_text("one")
    assert chat.page.evaluate(waiting) == "none"


def test_stop_works_while_the_page_streams(chat, live, upstream):
    upstream.answer(*body(token("Half an "), Wait()))
    chat.box.fill("Tell me")
    chat.send_button.click()
    expect(live).to_contain_text("Half an")

    chat.page.locator(".message__stop button").click()

    expect(chat.note).to_have_text("Stopped.")
    expect(chat.answer).to_have_text("Half an")
    assert upstream.client_left.wait(5)


def test_an_error_is_told_and_retry_works(chat, upstream):
    upstream.answer(*error(401))
    chat.box.press_sequentially("Hello?")
    chat.send_button.press("Enter")
    expect(chat.note).to_contain_text("does not accept this server's key")
    expect(chat.retry_button).to_be_visible()

    chat.box.press_sequentially("Half a thought")
    chat.retry_button.press("Enter")

    expect(chat.answers).to_have_text(["Hello world"])
    expect(chat.box).to_have_value("Half a thought")


def test_only_what_works_is_shown(chat):
    chat.box.press_sequentially("Hello")
    chat.send_button.press("Enter")
    expect(chat.answer).to_have_text("Hello world")

    expect(chat.page.get_by_role("button", name="Copy")).to_have_count(0)
    expect(chat.stop_button).to_be_hidden()
    expect(chat.page.locator(".jump")).to_be_hidden()
    expect(chat.page.locator(".problem")).to_be_hidden()


def test_a_refused_message_is_given_back(start_server, new_browser, network_may_fail):
    page = new_browser(java_script_enabled=False).new_page()
    chat = Chat(page, start_server(MAX_QUESTION_CHARS=10).url).open()

    chat.box.fill("Longer than ten")
    chat.send_button.click()

    expect(page.get_by_text("15 characters, 10 are allowed")).to_be_visible()
    expect(chat.box).to_have_value("Longer than ten")
    chat.box.fill("Short")
    chat.send_button.click()
    expect(chat.answer).to_have_text("Hello world")
