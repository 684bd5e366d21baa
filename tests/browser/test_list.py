"""The list beside the page: loads more as it is scrolled; without script, links lead to all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from tests.browser.chat import Chat
from tests.test_list import conversation
from webapp.storage import Storage, conversations
from webapp.storage.schema import users

pytestmark = pytest.mark.browser


@pytest.fixture
def fill(database_url):
    """Give the one user of the page conversations, one an hour."""

    def fill(number: int) -> None:
        storage = Storage(database_url)
        with storage.begin() as tx:
            user_id = tx.execute(select(users.c.id)).scalar_one()
            for place in range(number):
                at = datetime.now(UTC) - timedelta(hours=place + 1)
                conversations.add(tx, conversation(user_id, f"Chat {place}", at))
        storage.close()

    return fill


def begun(chat: Chat) -> Chat:
    """The page after one question and its answer."""
    chat.box.fill("Tell of whales")
    chat.send_button.click()
    expect(chat.answer).to_have_text("Hello world")
    return chat


def test_the_list_loads_more_as_it_is_scrolled_and_says_the_days_of_the_reader(chat, fill):
    begun(chat)
    fill(200)
    chat.page.reload()
    links = chat.page.locator(".sidebar .conversations a")
    expect(links).to_have_count(60)

    chat.page.locator(".sidebar__list").hover()
    for count in (120, 180, 201):
        links.last.scroll_into_view_if_needed()
        chat.page.mouse.wheel(0, 10_000)
        expect(links).to_have_count(count)

    expect(links.last).to_have_text("Chat 199")
    headings = chat.page.locator(".sidebar .group h2").all_inner_texts()
    assert len(headings) == len(set(headings))
    assert [cookie["name"] for cookie in chat.page.context.cookies() if cookie["name"] == "offset"] == ["offset"]


def test_the_keyboard_reaches_every_conversation(chat, fill):
    begun(chat)
    fill(70)
    chat.page.reload()
    links = chat.page.locator(".sidebar .conversations a")

    chat.page.locator(".sidebar .brand").focus()
    links.nth(59).focus()

    expect(links).to_have_count(71)


def test_a_new_conversation_comes_first_under_today(chat, fill):
    begun(chat)
    fill(3)
    chat.open("/")
    chat.say("The second one")

    expect(chat.page.locator("[data-group=today] a").first).to_have_text("The second one")
    expect(chat.page.locator(".sidebar__hint")).to_be_hidden()


def test_without_script_links_lead_to_every_conversation(server, new_browser, fill):
    chat = begun(Chat(new_browser(java_script_enabled=False).new_page(), server.url).open())
    fill(100)

    chat.page.get_by_role("link", name="All conversations").click()
    chat.page.get_by_role("link", name="More conversations").click()
    chat.page.get_by_role("link", name="Chat 99").click()

    expect(chat.page.locator(".header__title")).to_have_text("Chat 99")
