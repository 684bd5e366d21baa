"""The search page: finds while one types; without script, its button and a link to the next hits do."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.browser.test_list import begun, fill  # noqa: F401 (a fixture)

pytestmark = pytest.mark.browser


def test_hits_come_while_one_types_and_the_address_keeps_the_search(chat):
    begun(chat)
    chat.open("/search")
    field = chat.page.locator("#q")

    field.press_sequentially("wha")
    expect(chat.page.locator("mark").first).to_have_text("whales")
    expect(chat.page.locator("#status")).to_have_text("2 found")
    field.press_sequentially("lx")
    expect(chat.page.locator(".search__nothing")).to_be_visible()
    expect(field).to_be_focused()
    field.fill("tell")

    expect(chat.page.locator("mark")).to_have_text(["Tell", "Tell"])
    expect(chat.page).to_have_url(re.compile(r"/search\?q=tell&"))
    chat.page.reload()
    expect(chat.page.locator("mark")).to_have_text(["Tell", "Tell"])


def test_a_filter_applies_at_once(chat):
    begun(chat)
    chat.open("/search?q=whales")
    expect(chat.page.locator(".hit")).to_have_count(2)

    chat.page.get_by_text("Filter").click()
    chat.page.get_by_label("Search in").select_option("Titles")

    expect(chat.page.locator(".hit")).to_have_count(1)


def test_the_letters_of_an_input_method_are_not_searched_before_the_word_is_chosen(chat):
    begun(chat)
    chat.open("/search?q=whales")
    expect(chat.page.locator(".hit")).to_have_count(2)
    asked = []
    chat.page.on("request", lambda request: asked.append(request.url))

    chat.page.locator("#q").focus()
    keyboard = chat.page.context.new_cdp_session(chat.page)
    keyboard.send("Input.imeSetComposition", {"text": "ni", "selectionStart": 2, "selectionEnd": 2})
    keyboard.send("Input.insertText", {"text": "你"})
    expect(chat.page.locator(".search__nothing")).to_be_visible()

    assert [url for url in asked if "/search?" in url and "ni" in url.split("q=")[1].split("&")[0]] == []


def test_letters_of_an_input_method_from_before_its_script_are_not_searched_either(chat):
    begun(chat)
    held, asked = [], []
    chat.page.clock.install()
    chat.page.route("**/search.js*", lambda route: held.append(route))
    with chat.page.expect_request("**/search.js*"):
        chat.open("/search?q=whales")
        chat.page.locator("#q").focus()
    chat.page.on("request", lambda request: asked.append(request.url))
    keyboard = chat.page.context.new_cdp_session(chat.page)
    keyboard.send("Input.imeSetComposition", {"text": "ni", "selectionStart": 2, "selectionEnd": 2})

    held[0].continue_()
    chat.page.wait_for_load_state("networkidle")
    chat.page.clock.run_for(1000)
    keyboard.send("Input.insertText", {"text": "你"})
    expect(chat.page.locator(".search__nothing")).to_be_visible()

    assert [url for url in asked if "/search?" in url and "ni" in url.split("q=")[1].split("&")[0]] == []


def test_a_pointer_on_the_form_searches_nothing(chat, fill):  # noqa: F811
    begun(chat)
    fill(60)
    chat.page.clock.install()
    chat.open("/search?q=chat&skip=50")
    asked = []
    chat.page.on("request", lambda request: asked.append(request.url))

    with chat.page.expect_response("**/search.js*"):
        chat.page.locator(".search__form").hover()
    chat.page.evaluate("import('/static/search.js').then(() => {})")
    chat.page.clock.run_for(1000)

    assert chat.page.url.endswith("/search?q=chat&skip=50")
    assert [url for url in asked if "/search?" in url] == []


def test_without_script_the_next_hits_are_a_link_away(server, new_browser, fill):  # noqa: F811
    chat = begun(Chat(new_browser(java_script_enabled=False).new_page(), server.url).open())
    fill(60)
    chat.open("/search")

    chat.page.locator("#q").fill("chat")
    chat.page.get_by_role("button", name="Search").click()
    expect(chat.page.locator(".search__count")).to_have_text("60 found")
    chat.page.get_by_role("link", name="More results").click()

    expect(chat.page.locator(".hit")).to_have_count(10)
