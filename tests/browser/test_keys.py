"""The shortcuts: each does what its button does, and one dialog lists them with the names of the platform's keys."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import Wait, body, token, tokens

pytestmark = pytest.mark.browser


@pytest.fixture
def two_chats(chat, upstream):
    """The second of two chats; the first is below it in the list."""
    for text in ("Older", "Newer"):
        upstream.answer(*tokens(f"To {text}"))
        chat.open()
        chat.say(text)
        expect(chat.answer).to_have_text(f"To {text}")
        expect(chat.footer.locator("[data-copy]")).to_be_visible()
    return chat


def test_chats_are_stepped_through_and_begun(two_chats):
    page = two_chats.page
    page.keyboard.press("Alt+ArrowDown")
    expect(two_chats.questions).to_have_text(["Older"])
    two_chats.wait_for_script()

    page.keyboard.press("Alt+ArrowUp")
    expect(two_chats.questions).to_have_text(["Newer"])
    two_chats.wait_for_script()
    page.keyboard.press("Control+Shift+O")

    expect(page.locator(".welcome")).to_be_visible()
    two_chats.wait_for_script()
    page.keyboard.press("Control+k")
    expect(page).to_have_url(re.compile("/search$"))


def test_neither_a_folder_nor_a_menu_in_the_list_is_a_step(two_chats):
    page = two_chats.page
    page.get_by_role("button", name="This conversation").click()
    page.locator("#menu").get_by_label("New folder").fill("Sea")
    page.locator("#menu").get_by_role("button", name="Move").click()
    expect(page.locator(".sidebar [data-folder]")).to_have_attribute("aria-current", "true")
    two_chats.point_at_list()
    expect(page.locator(".sidebar .item__menu")).to_have_count(2)

    page.keyboard.press("Alt+ArrowDown")

    expect(two_chats.questions).to_have_text(["Older"])


def test_the_last_question_is_edited_from_an_empty_box_only(two_chats):
    two_chats.box.fill("x")
    two_chats.box.press("ArrowUp")
    two_chats.box.fill("")

    two_chats.box.press("ArrowUp")

    expect(two_chats.page.locator("#edit")).to_have_value("Newer")


def test_the_last_answer_is_copied(two_chats):
    two_chats.page.context.grant_permissions(["clipboard-write"])

    with two_chats.expect_name(two_chats.footer.get_by_role("button", name="Copy"), "Copied"):
        two_chats.page.keyboard.press("Control+Shift+C")


def test_the_box_gets_the_focus_and_the_answer_goes_on(chat, upstream):
    upstream.answer(*body(token("Going"), Wait()))
    chat.say("Go")
    expect(chat.answer).to_have_text("Going")
    chat.stop_button.focus()

    chat.page.keyboard.press("Shift+Escape")

    expect(chat.box).to_be_focused()
    expect(chat.stop_button).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(chat.note).to_have_text("Stopped.")


@pytest.mark.parametrize(("agent", "name"), [("X11; Linux x86_64", "Ctrl"), ("Macintosh; Intel Mac OS X 10_15", "⌘")])
def test_the_dialog_names_the_keys_of_the_platform(server, new_browser, agent, name):
    chat = Chat(new_browser(user_agent=f"Mozilla/5.0 ({agent})").new_page(), server.url).open()
    chat.wait_for_script()

    chat.page.keyboard.press("Control+/")
    dialog = chat.page.get_by_role("dialog", name="Keyboard shortcuts")

    expect(dialog.locator("div", has_text="Search").locator("kbd").first).to_have_text(name)
    chat.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_dialog_has_its_style_beside_the_chat_too(chat):
    chat.page.goto(chat.url + "/search")
    chat.wait_for_script()

    chat.page.keyboard.press("Control+/")

    chat.wait_for_style()


def test_letters_are_only_letters(two_chats):
    two_chats.page.locator("body").click(position={"x": 700, "y": 5})
    for key in ("o", "k", "c", "/", "?", "ArrowUp", "Shift+O"):
        two_chats.page.keyboard.press(key)

    expect(two_chats.questions).to_have_text(["Newer"])
    expect(two_chats.page.locator("dialog")).to_have_count(0)


def test_letters_of_another_script_are_known_by_their_place(two_chats):
    event = "{ key: 'л', code: 'KeyK', ctrlKey: true, cancelable: true, bubbles: true }"

    two_chats.page.evaluate(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {event}))")

    expect(two_chats.page).to_have_url(re.compile("/search$"))
