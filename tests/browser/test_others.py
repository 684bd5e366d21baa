"""What other tabs and chats do shows by itself: new turns, titles, deletions, which chats run, what is unread."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import expect

from tests.upstream import Wait, body, token, tokens

pytestmark = pytest.mark.browser

DONE = b"data: [DONE]\n\n"


@pytest.fixture
def streams(chat):
    """The streams of changes that are open, of all tabs of this browser."""
    is_open = set()
    chat.page.context.on("request", lambda request: "/changes" in request.url and is_open.add(request))
    for end in ("requestfinished", "requestfailed"):
        chat.page.context.on(end, lambda request: is_open.discard(request))
    return is_open


@pytest.fixture
def told(chat):
    """A finished conversation whose page is told of changes."""
    chat.say("First")
    expect(chat.answer).to_have_text("Hello world")
    reload(chat)
    return chat


def reload(chat):
    """Load the page anew, and wait until it is told of changes."""
    chat.page.reload(wait_until="commit")  # a late answer to the page before is no answer to this one
    with chat.page.expect_response("**/changes?since=*"):
        pass


def entry(chat, title):
    return chat.page.locator(".conversations li").filter(has_text=title)


def test_a_second_tab_shows_what_the_first_one_sends(told, upstream):
    other = told.second_tab()
    other.box.fill("My draft")
    end = threading.Event()
    upstream.answer(*body(token("Half"), Wait(end), token(" and whole"), DONE))

    told.say("Second")

    expect(other.questions).to_have_text(["First", "Second"])
    expect(other.answer).to_have_text("Half")
    expect(other.stop_button).to_be_visible()
    end.set()
    expect(other.answer).to_have_text("Half and whole")
    expect(other.box).to_have_value("My draft")
    expect(other.send_button).to_be_visible()
    upstream.answer(*tokens("Third answer"))
    other.box.press("Enter")
    expect(told.answers).to_have_text(["Hello world", "Half and whole", "Third answer"])
    expect(told.questions).to_have_text(["First", "Second", "My draft"])


def test_a_second_tab_shows_the_branch_that_the_first_one_asked_for(told, upstream):
    other = told.second_tab()
    upstream.answer(*tokens("Another answer"))

    told.retry_button.click()

    expect(other.answers).to_have_text(["Another answer"])
    expect(other.questions).to_have_text(["First"])


def test_a_title_and_a_new_chat_show_in_the_other_tab(told):
    other = told.second_tab()
    expect(other.page.locator("html.js")).to_be_attached()

    told.page.locator("[popovertarget=menu]").click()
    told.page.locator("#menu [name=title]").fill("Better $& title")
    told.page.get_by_role("button", name="Rename").click()
    expect(other.page.locator("h1")).to_have_text("Better $& title")
    expect(other.page).to_have_title("Better $& title · Lockchat")
    expect(entry(other, "Better $& title")).to_have_count(1)
    told.open("/").say("Quite new")

    expect(entry(other, "Quite new")).to_have_count(1)
    expect(entry(other, "Quite new").locator("a").first).not_to_have_attribute("aria-current", "page")
    expect(entry(told, "Quite new")).to_have_count(1)


def test_a_deletion_shows_in_the_other_tab_and_so_does_its_end(told):
    other = told.second_tab()
    told.page.locator("[popovertarget=menu]").click()
    told.page.get_by_role("button", name="Delete").click()

    expect(other.problem).to_have_text("This conversation was deleted in another tab or on another device.")
    expect(entry(other, "First")).to_have_count(0)
    told.page.get_by_role("button", name="Undo").click()

    expect(other.problem).to_be_hidden()
    expect(entry(other, "First")).to_have_count(1)


def test_the_list_shows_what_runs_and_then_what_is_unread(told, upstream):
    end = threading.Event()
    upstream.answer(*body(token("Half"), Wait(end), DONE))
    told.open("/").say("A long story")
    expect(told.answer).to_have_text("Half")
    running = told.page.url

    told.page.get_by_role("link", name="First").click()
    expect(entry(told, "A long story").locator(".mark--running")).to_be_visible()
    expect(told.page.get_by_role("link", name="An answer is being written: A long story")).to_be_visible()
    end.set()
    expect(entry(told, "A long story").locator(".mark--unread")).to_be_visible()
    told.page.reload()
    expect(entry(told, "A long story").locator(".mark--unread")).to_be_visible()

    with told.page.expect_response("**/changes?since=*"):
        told.page.get_by_role("link", name="A new answer: A long story").click()
    expect(told.page).to_have_url(re.compile(re.escape(running)))
    expect(told.answer).to_have_text("Half")
    expect(told.page.locator(".mark")).to_have_count(0)
    with told.page.expect_response("**/changes?since=*"):
        told.page.get_by_role("link", name="First").click()
    told.page.wait_for_timeout(300)  # no mark comes
    expect(told.page.locator(".mark")).to_have_count(0)


def test_only_a_visible_page_that_follows_no_reply_holds_a_stream(chat, streams, upstream):
    chat.say("First")
    expect(chat.answer).to_have_text("Hello world")
    wait_for(chat, streams, 1)

    chat.hide()
    wait_for(chat, streams, 0)
    chat.show()
    wait_for(chat, streams, 1)
    end = threading.Event()
    upstream.answer(*body(token("Half"), Wait(end), DONE))
    chat.say("Second")
    expect(chat.answer).to_have_text("Half")
    wait_for(chat, streams, 0)
    end.set()
    wait_for(chat, streams, 1)


def wait_for(chat, streams, number):
    for _ in range(300):
        if len(streams) == number:
            return
        chat.page.wait_for_timeout(50)
    assert len(streams) == number


def test_a_page_finds_its_stream_again_and_misses_nothing(relayed, relay, network_may_fail):
    relayed.say("First")
    expect(relayed.answer).to_have_text("Hello world")
    reload(relayed)

    relay.refuse = True
    relay.cut_all()
    relayed.page.clock.run_for(5000)
    relay.refuse = False
    action = relayed.page.locator("#menu form").first.get_attribute("action")
    relayed.page.request.post(relayed.url + action, form={"title": "Meanwhile"})
    relayed.page.clock.run_for(61_000)

    expect(entry(relayed, "Meanwhile")).to_have_count(1)
    expect(relayed.lost).to_be_hidden()


@pytest.mark.firefox
def test_scripts_that_did_not_arrive_are_asked_for_again(relayed, network_may_fail):
    def abort(route):
        route.abort()

    def loses(name):
        return relayed.page.expect_event("requestfailed", lambda request: name in request.url)

    relayed.page.goto("about:blank")  # half a second after the view one of them is asked for
    for name in ("follow", "reading", "watch"):
        relayed.page.route(f"**/{name}.js*", abort)
    with loses("watch.js"):
        relayed.open().say("First")
        expect(relayed.state).to_have_text("The connection is lost. Reload the page to go on.")
        relayed.page.clock.run_for(1000)
    relayed.page.unroute("**/follow.js*", abort)
    with loses("reading.js"):
        relayed.say("Second")

    expect(relayed.answer).to_have_text("Hello world")
    relayed.page.unroute_all()
    with relayed.page.expect_response("**/changes?since=*"):
        relayed.page.clock.run_for(20_000)
    expect(relayed.page.locator("time[title]").first).to_be_visible()
