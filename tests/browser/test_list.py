"""The list beside the page: loads more as it is scrolled; without script, links lead to all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from tests.browser.chat import Chat
from tests.test_list import conversation
from tests.wait import wait_until
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
    expect(chat.retry_button).to_be_visible()  # without script, the page before it leads on by itself
    return chat


def test_the_list_loads_more_as_it_is_scrolled_and_says_the_days_of_the_reader(chat, fill):
    begun(chat)
    fill(200)
    chat.page.reload()
    links = chat.page.locator(".sidebar .conversations a:first-child")
    expect(links).to_have_count(60)

    chat.page.locator(".sidebar__list").hover()
    for count in (120, 180, 201):
        links.last.scroll_into_view_if_needed()
        expect(links).to_have_count(count)

    expect(links.last).to_have_text("Chat 199")
    headings = chat.page.locator(".sidebar .group h2").all_inner_texts()
    assert len(headings) == len(set(headings))
    assert [cookie["name"] for cookie in chat.page.context.cookies() if cookie["name"] == "offset"] == ["offset"]


def test_the_keyboard_reaches_every_conversation(chat, fill):
    begun(chat)
    fill(70)
    chat.page.reload()
    links = chat.page.locator(".sidebar .conversations a:first-child")

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


def test_a_conversation_that_begins_on_this_page_has_its_menu_at_once(chat, menu_of):
    chat.point_at_list()
    chat.page.wait_for_load_state("networkidle")
    chat.say("Tell of whales")
    expect(chat.answer).to_have_text("Hello world")

    menu = menu_of("Tell of whales")
    menu.get_by_label("Title").fill("Other")
    chat.page.keyboard.press("Enter")

    expect(chat.page.locator(".header__title")).to_have_text("Other")


def test_a_click_beside_a_menu_closes_it(chat, menu_of):
    begun(chat)
    menu = menu_of("Tell of whales")
    menu.click(position={"x": 4, "y": 4})  # its edge belongs to it
    expect(menu).to_be_visible()

    chat.page.mouse.click(900, 700)

    expect(menu).to_be_hidden()
    expect(chat.page.get_by_role("link", name="Menu: Tell of whales")).to_be_focused()


def test_a_pointer_that_rests_on_the_list_before_the_script_comes_is_noticed(chat):
    begun(chat)
    held = []
    chat.page.route("**/app.js*", lambda route: held.append(route))
    with chat.page.expect_request("**/app.js*"):
        chat.page.goto(chat.page.url, wait_until="commit")
    chat.page.locator(".sidebar__list").hover()

    held[0].continue_()

    expect(chat.page.get_by_role("link", name="Menu: Tell of whales")).to_be_visible()


def test_a_list_whose_script_did_not_come_asks_again_for_it(chat, network_may_fail):
    begun(chat)
    chat.page.route("**/list.js*", lambda route: route.abort(), times=1)
    chat.page.reload()
    with chat.page.expect_event("requestfailed"):
        chat.page.locator(".sidebar__list").hover()

    def moved() -> bool:
        chat.page.locator(".sidebar .brand").hover()
        chat.page.locator(".sidebar__list").hover()
        return chat.page.get_by_role("link", name="Menu: Tell of whales").is_visible()

    wait_until(moved, 30, "the menus")


def test_without_script_links_lead_to_every_conversation(server, new_browser, fill):
    chat = begun(Chat(new_browser(java_script_enabled=False).new_page(), server.url).open())
    fill(100)

    chat.page.get_by_role("link", name="All conversations").click()
    chat.page.get_by_role("link", name="More conversations").click()
    chat.page.get_by_role("link", name="Chat 99", exact=True).click()

    expect(chat.page.locator(".header__title")).to_have_text("Chat 99")


@pytest.fixture
def menu_of(chat):
    """Open the menu of a conversation in the list."""

    def menu_of(title: str):
        chat.point_at_list()
        chat.page.get_by_role("link", name=f"Menu: {title}", exact=True).click()
        menu = chat.page.get_by_role("dialog", name=f"Menu: {title}")
        expect(menu).to_be_visible()
        return menu

    return menu_of


def test_a_conversation_is_renamed_pinned_and_deleted_without_opening_it(chat, fill, menu_of):
    begun(chat)
    fill(3)
    chat.page.reload()
    here = chat.page.url
    chat.box.fill("A draft")

    menu_of("Chat 1").get_by_label("Title").fill("New name")
    with chat.page.expect_navigation():  # the page before it may be told of the name too
        chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_role("link", name="New name", exact=True)).to_be_visible()
    menu_of("New name").get_by_role("button", name="Pin").click()
    expect(chat.page.locator("[data-group=pinned] li > a:first-child")).to_have_text("New name")
    menu_of("New name").get_by_role("button", name="Delete").click()

    undo = chat.page.locator(".main .undo")
    expect(undo).to_be_visible()
    expect(chat.page.get_by_role("link", name="New name", exact=True)).to_have_count(0)
    assert chat.page.url.split("?")[0] == here
    expect(chat.page.locator(".sidebar [aria-current]")).to_have_text("Tell of whales")
    expect(chat.box).to_have_value("A draft")
    undo.get_by_role("button").click()
    expect(chat.page.get_by_role("link", name="New name", exact=True)).to_be_visible()


def test_the_open_conversation_is_managed_from_the_list_too(chat, menu_of):
    begun(chat)

    menu_of("Tell of whales").get_by_label("Title").fill("Other")
    with chat.page.expect_navigation():  # the page before it may be told of the title too
        chat.page.keyboard.press("Enter")

    expect(chat.page.locator(".header__title")).to_have_text("Other")
    menu_of("Other").get_by_role("button", name="Delete").click()
    expect(chat.page.locator(".main .undo")).to_be_visible()


def test_a_menu_stays_in_the_window_and_escape_leads_back_to_its_link(chat, fill, menu_of):
    begun(chat)
    fill(30)
    chat.page.reload()
    chat.page.set_viewport_size({"width": 320, "height": 500})
    chat.page.locator(".header__menu").click()

    menu = menu_of("Chat 29")

    box = menu.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
    assert box["y"] + box["height"] <= 500
    chat.page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(chat.page.get_by_role("link", name="Menu: Chat 29")).to_be_focused()


def test_without_script_a_conversation_is_renamed_on_the_page_of_its_menu(server, new_browser):
    chat = begun(Chat(new_browser(java_script_enabled=False).new_page(), server.url).open())
    chat.page.get_by_role("link", name="All conversations").click()

    chat.page.get_by_role("link", name="Menu: Tell of whales").click()
    chat.page.get_by_label("Title").fill("By hand")
    chat.page.get_by_role("button", name="Rename").click()

    expect(chat.page.locator(".listing").get_by_role("link", name="By hand", exact=True)).to_be_visible()


def test_a_conversation_is_dragged_into_a_folder_or_moved_by_its_menu(chat, fill, menu_of):
    begun(chat)
    fill(2)
    menu = menu_of("Tell of whales")
    menu.get_by_label("New folder").fill("Sea")
    menu.get_by_role("button", name="Move").click()
    folder = chat.page.locator(".sidebar [data-folder]")
    expect(folder).to_have_attribute("aria-current", "true")

    chat.point_at_list()
    chat.page.get_by_role("link", name="Menu: Chat 1").wait_for()
    chat.page.get_by_role("link", name="Chat 1", exact=True).drag_to(folder)
    expect(chat.page.locator("#status")).to_have_text("Moved to Sea.")
    folder.click()

    expect(chat.page.locator(".listing li > a:first-child")).to_have_text(["Tell of whales", "Chat 1"])


def test_without_script_a_folder_is_made_filled_and_deleted(server, new_browser):
    chat = begun(Chat(new_browser(java_script_enabled=False).new_page(), server.url).open())
    page = chat.page
    page.get_by_role("link", name="All conversations").click()
    page.locator(".listing summary").click()
    page.locator(".listing").get_by_label("Name").fill("Sea")
    page.get_by_role("button", name="Save").click()

    page.get_by_role("link", name="New chat in Sea").click()
    chat.box.fill("And of squids")
    chat.send_button.click()
    expect(chat.retry_button).to_be_visible()
    expect(chat.answer).to_have_text("Hello world")
    page.get_by_role("link", name="Sea", exact=True).click()
    expect(page.locator(".listing li > a:first-child")).to_have_text(["And of squids"])
    page.locator(".listing summary").click()
    page.get_by_role("button", name="Delete the folder").click()

    expect(page.locator(".listing li > a:first-child")).to_have_text(["And of squids", "Tell of whales"])
