"""Copying: what arrives in the clipboard is what was written, with the clipboard's interface and without it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import body, token

pytestmark = pytest.mark.browser

CODE = 'def f(a):\n\tif a < 1 and "b":\n        return  a & 2   # é 日本\n\n'
ANSWER = f"See **this**:\n\n```python\n{CODE}```\n\nThe  end.\n"


@pytest.fixture(params=["https", "http"])
def chat(request, server, new_browser, upstream):
    """A chat with one answer, in a browser whose clipboard scripts may use, or as on plain http may not."""
    upstream.answer(*body(token(ANSWER), b"data: [DONE]\n\n"))
    browser = new_browser()
    if request.param == "https":
        browser.grant_permissions(["clipboard-write"])
    else:
        browser.add_init_script("delete Navigator.prototype.clipboard")
    chat = Chat(browser.new_page(), server.url).open()
    chat.say("Code, please")
    expect(chat.footer.get_by_role("button", name="Copy")).to_be_visible()
    return chat


@pytest.mark.firefox
def test_a_message_is_copied_as_it_was_written(chat):
    button = chat.footer.get_by_role("button", name="Copy")

    with chat.expect_name(button, "Copied"):
        button.click()

    _expect_pasted(chat, ANSWER)


@pytest.mark.firefox
def test_code_is_copied_to_the_letter_without_its_last_line_break(chat):
    button = chat.answer.locator(".code__ways").get_by_role("button", name="Copy")

    with chat.expect_name(button, "Copied"):
        button.click()

    _expect_pasted(chat, CODE[:-1])


def test_code_can_be_copied_after_a_reload(chat):
    chat.page.reload()
    button = chat.answer.locator(".code__ways").get_by_role("button", name="Copy")

    with chat.expect_name(button, "Copied"):
        button.click()

    _expect_pasted(chat, CODE[:-1])


def test_a_click_before_the_script_of_copying_has_come_copies_as_well(chat):
    held = []
    chat.page.route("**/reading.js*", lambda route: held.append(route))
    with chat.page.expect_request("**/reading.js*"):
        chat.page.reload()
    button = chat.footer.get_by_role("button", name="Copy")

    with chat.expect_name(button, "Copied"):
        button.click()
        held[0].continue_()

    _expect_pasted(chat, ANSWER)


def test_a_copy_whose_script_does_not_come_is_told_until_one_works(chat, network_may_fail):
    chat.page.clock.install()
    chat.page.route("**/reading.js*", lambda route: route.abort())
    chat.page.reload()
    button = chat.footer.get_by_role("button", name="Copy")

    button.click()
    expect(chat.lost).to_have_text("The connection is lost. Reload the page to go on.")

    chat.page.unroute_all()
    chat.page.clock.run_for(20_000)
    expect(chat.page.locator(".code__ways")).to_be_visible()  # the script is there now
    with chat.expect_name(button, "Copied"):
        button.click()
    chat.page.clock.run_for(10_000)
    expect(chat.lost).to_be_hidden()


def _expect_pasted(chat: Chat, text: str) -> None:
    chat.box.focus()
    chat.page.keyboard.press("Control+v")
    expect(chat.box).to_have_value(text)
