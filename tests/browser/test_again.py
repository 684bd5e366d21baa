"""Another answer: with another model from the list beside Retry, or the rest of one that was cut."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import tokens

pytestmark = pytest.mark.browser


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def chat(request, server, new_browser):
    return Chat(new_browser(java_script_enabled=request.param).new_page(), server.url).open()


def ask(chat: Chat, text: str) -> None:
    chat.box.fill(text)
    chat.send_button.click()


def test_a_model_is_chosen_beside_retry(chat, upstream):
    upstream.always(lambda request: tokens(request.json["model"]))
    ask(chat, "Who are you?")
    expect(chat.answer).to_have_text("gpt-4")

    chat.footer.get_by_label("Retry with another model").click()
    chat.footer.get_by_role("button", name="gpt-3.5-turbo").click()

    expect(chat.answer).to_have_text("gpt-3.5-turbo")
    expect(chat.footer.locator(".siblings")).to_contain_text("2/2")


def test_a_cut_answer_goes_on(chat, upstream):
    upstream.answer(*tokens("One two", finish="length"))
    ask(chat, "Count")
    expect(chat.answer).to_have_text("One two")
    upstream.answer(*tokens("two three"))

    chat.footer.get_by_role("button", name="Continue").click()

    expect(chat.answer).to_have_text("One two three")
    expect(chat.footer.get_by_role("button", name="Continue")).to_have_count(0)
