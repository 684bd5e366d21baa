"""A reply belongs to no connection: no reload, tab or broken connection loses or doubles a word."""

from __future__ import annotations

import re
import threading

import pytest
import requests
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import Wait, body, token
from tests.wait import wait_until

pytestmark = pytest.mark.browser

LOST = "The connection is lost. Trying again…"
GONE = "The connection is lost. Reload the page to go on."
BACK = "The connection is back."
# Keeps the first number of seconds that the page shows.
FIRST_COUNT = r"""
new MutationObserver(() => {
  window.first ??= Number(document.querySelector(".message__state")?.textContent.match(/(\d+)s$/)?.[1]) || null;
}).observe(document, { subtree: true, childList: true, characterData: true });
"""


@pytest.fixture
def go_on(upstream):
    """The upstream says "one ", and "two" once this is set."""
    go_on = threading.Event()
    upstream.answer(*body(token("one "), Wait(go_on), token("two"), b"data: [DONE]\n\n"))
    yield go_on
    go_on.set()


@pytest.mark.firefox
def test_a_reload_in_the_middle_loses_and_doubles_nothing(chat, go_on):
    chat.say("Count")
    expect(chat.answer).to_have_text("one")

    chat.page.reload()
    expect(chat.answer).to_have_text("one")
    expect(chat.stop_button).to_be_visible()
    go_on.set()

    expect(chat.answer).to_have_text("one two")
    expect(chat.send_button).to_be_visible()


def test_a_reply_that_ends_before_its_stream_is_open_stands_whole(chat, upstream):
    upstream.answer(*body(token(reasoning_content="Hmm, "), token("Привет, "), token("**world**"), b"data: [DONE]\n\n"))

    def open_late(route):
        status = f"{route.request.url.removesuffix('stream')}status"
        wait_until(lambda: chat.page.request.get(status).json()["status"] != "streaming", 30)
        route.continue_()

    chat.page.route("**/stream", open_late)
    chat.say("Quick!")

    expect(chat.answer).to_have_text("Привет, world")
    expect(chat.answer.locator("strong")).to_have_text("world")
    expect(chat.answer).to_have_attribute("lang", "ru")
    expect(chat.page.locator(".reasoning__text")).to_have_text("Hmm,")
    expect(chat.send_button).to_be_visible()


def test_a_selection_outlives_a_look_at_another_tab(chat, upstream):
    end = threading.Event()
    upstream.answer(*body(token("# One\n\nSelect *this*"), token(" text\n\nand "), Wait(end), b"data: [DONE]\n\n"))
    chat.say("Words")
    expect(chat.answer).to_contain_text("and")
    chat.answer.locator("p").first.select_text()

    for _ in range(2):
        chat.hide()
        with chat.page.expect_response("**/stream"):
            chat.show()
    chat.page.wait_for_timeout(300)

    assert chat.page.evaluate("String(getSelection()).trim()") == "Select this text"
    end.set()


def test_the_end_is_told_once_however_often_one_looks(relayed, go_on):
    page = relayed.page
    looks, under_way = [], set()
    relayed.say("Count")
    expect(relayed.answer).to_have_text("one")
    status = relayed.url + page.locator("[data-status]").get_attribute("data-status")
    relayed.hide()
    with page.expect_response("**/status"):  # it still runs, so the hidden tab closes its stream
        page.evaluate("dispatchEvent(new Event('online'))")
    go_on.set()
    wait_until(lambda: page.request.get(status).json()["status"] != "streaming", 30)
    reply = status.removesuffix("/status")

    def note(request):
        if request.url.startswith(reply):
            looks.append(request.url)
            under_way.add(request)

    page.on("request", note)
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: under_way.discard(request))

    page.evaluate("dispatchEvent(new Event('online')); dispatchEvent(new Event('online'))")
    relayed.show()
    expect(relayed.answer).to_have_text("one two")
    expect(relayed.send_button).to_be_visible()
    # Each look asks for the status, then for the finished reply.
    relayed.wait_until(
        lambda: 0 < looks.count(status) <= looks.count(reply) and not under_way, "the looks that are under way"
    )
    seen = len(looks)
    page.clock.run_for(2500)

    assert looks[seen:] == []


def test_the_reply_goes_on_while_no_tab_is_open(chat, go_on, upstream):
    chat.say("Count")
    expect(chat.answer).to_have_text("one")
    address = chat.page.url
    context = chat.page.context

    chat.page.close()
    go_on.set()
    upstream.wait_for_open_connections(1)  # it came to its end and waits for the next question
    page = context.new_page()
    page.goto(address)

    expect(page.locator(".message--assistant .message__body")).to_have_text("one two")


def test_a_second_tab_follows_the_same_reply(chat, go_on):
    chat.say("Count")
    expect(chat.answer).to_have_text("one")

    other = chat.second_tab()
    expect(other.answer).to_have_text("one")
    go_on.set()

    for tab in (chat, other):
        expect(tab.answer).to_have_text("one two")
        expect(tab.send_button).to_be_visible()


@pytest.mark.firefox
def test_stop_in_one_tab_ends_the_reply_in_the_other(chat, go_on):
    chat.say("Count")
    expect(chat.answer).to_have_text("one")
    other = chat.second_tab()
    expect(other.answer).to_have_text("one")

    other.page.keyboard.press("Escape")

    for tab in (chat, other):
        expect(tab.note).to_have_text("Stopped.")
        expect(tab.answer).to_have_text("one")


@pytest.mark.firefox
def test_a_broken_connection_mends_itself(relayed, relay, go_on, network_may_fail):
    relayed.say("Count")
    expect(relayed.answer).to_have_text("one")

    relay.cut_all()
    go_on.set()

    expect(relayed.answer).to_have_text("one two")
    expect(relayed.send_button).to_be_visible()
    expect(relayed.lost).to_be_hidden()


def test_a_connection_that_broke_many_times_still_tells_the_whole(relayed, relay, upstream, network_may_fail):
    words = [f"word{number} " for number in range(4)]
    steps = [threading.Event() for _ in words]
    pieces = [piece for word, step in zip(words, steps, strict=True) for piece in (token(word), Wait(step))]
    upstream.answer(*body(*pieces, b"data: [DONE]\n\n"))
    relayed.say("Count")

    for number, step in enumerate(steps):
        expect(relayed.answer).to_have_text("".join(words[: number + 1]))
        relay.cut_all()
        step.set()

    expect(relayed.send_button).to_be_visible()
    expect(relayed.answer).to_have_text("".join(words))


def test_each_attempt_waits_longer_than_the_one_before(relayed, relay, go_on, network_may_fail):
    relayed.say("Count")
    expect(relayed.answer).to_have_text("one")
    relayed.page.evaluate("""() => {
      window.looks = [];
      const ask = fetch;
      window.fetch = (url) => { if (url.endsWith("/status")) looks.push(performance.now()); return ask(url); };
    }""")

    relay.refuse = True
    relay.cut_all()
    expect(relayed.lost).to_have_text(LOST)
    looks = relayed.page.wait_for_function("() => looks.length > 2 && looks").json_value()

    assert looks[1] - looks[0] > 900
    assert looks[2] - looks[1] > 1900
    expect(relayed.answer).to_have_text("one")


def test_a_stream_without_room_is_tried_for_as_long_as_the_server_answers(relayed, go_on, network_may_fail):
    refused = []

    def refuse(route):
        refused.append(route)
        route.fulfill(status=503)

    relayed.page.route("**/stream", refuse)
    relayed.say("Count")
    while len(refused) < 15:  # more often than a server that does not answer is asked
        before = len(refused)
        relayed.page.clock.fast_forward(30_000)
        # A question that is under way would be too late after the next step.
        relayed.wait_until(lambda before=before: len(refused) > before, "an attempt")
        assert not relayed.page.get_by_text(GONE).count()

    relayed.page.unroute("**/stream")
    relayed.page.clock.fast_forward(30_000)

    expect(relayed.answer).to_have_text("one")
    go_on.set()
    expect(relayed.answer).to_have_text("one two")


def test_a_server_that_stays_away_is_told_and_found_again(relayed, relay, go_on, network_may_fail):
    relayed.say("Count")
    expect(relayed.answer).to_have_text("one")

    relay.refuse = True
    relay.cut_all()
    expect(relayed.lost).to_have_text(LOST)
    wait_until(lambda: relayed.page.clock.fast_forward(30_000) or relayed.lost.text_content() == GONE, 60)
    relay.refuse = False
    go_on.set()
    relayed.page.evaluate("dispatchEvent(new Event('online'))")

    expect(relayed.answer).to_have_text("one two")


def test_a_connection_gone_silent_is_opened_anew(relayed, relay, go_on):
    relayed.say("Count")
    expect(relayed.answer).to_have_text("one")

    pause(relayed)
    relay.silence()
    with relayed.page.expect_request("**/status"):
        relayed.page.clock.fast_forward(16_600)  # the server beats after 15 s
    expect(relayed.lost).to_be_hidden()
    relayed.page.clock.fast_forward(3_100)
    expect(relayed.lost).to_have_text(LOST)  # less than 20 s after the break

    with relayed.page.expect_request("**/stream"):
        relay.speak()
    expect(relayed.lost).to_have_text(BACK)
    relayed.page.clock.fast_forward(10_000)
    expect(relayed.lost).to_be_hidden()
    relayed.page.clock.resume()  # text is drawn in frames
    go_on.set()
    expect(relayed.answer).to_have_text("one two")


def pause(chat: Chat) -> None:
    """Turn the clock on by some seconds and stop it: a busy machine brings no alarm then that the test did not."""
    chat.page.clock.pause_at(chat.page.evaluate("Date.now()") / 1000 + 10)


def test_a_tab_that_may_not_follow_says_why_and_shows_the_end(start_server, new_browser, go_on, network_may_fail):
    server = start_server(STREAMS_PER_USER=1)  # four streams
    chat = Chat(new_browser().new_page(), server.url).open()
    chat.say("Count")
    expect(chat.answer).to_have_text("one")
    stream = chat.url + chat.page.locator("[data-stream]").get_attribute("data-stream")
    cookies = {cookie["name"]: cookie["value"] for cookie in chat.page.context.cookies()}
    others = [requests.get(stream, cookies=cookies, stream=True, timeout=30) for _ in range(3)]
    assert [other.status_code for other in others] == [200, 200, 200]

    tab = chat.second_tab()
    expect(tab.lost).to_contain_text("Too many of your pages are open.")
    go_on.set()

    expect(tab.answer).to_have_text("one two")
    expect(tab.send_button).to_be_visible()
    for other in others:
        other.close()


def test_a_late_beat_alarms_nobody(relayed, go_on):
    relayed.say("Count")
    expect(relayed.answer).to_have_text("one")

    pause(relayed)
    with relayed.page.expect_request("**/stream"):
        relayed.page.clock.fast_forward(16_600)

    expect(relayed.answer).to_have_text("one")
    assert relayed.lost.text_content() == ""


def test_a_lost_connection_is_seen_and_said_wherever_one_reads(relayed, relay, upstream, network_may_fail):
    end = threading.Event()
    upstream.answer(*body(token("line\n\n" * 200), Wait(end), token("end"), b"data: [DONE]\n\n"))
    relayed.say("A long story")
    expect(relayed.answer).to_contain_text("line")
    relayed.page.evaluate("scrollTo(0, 0)")
    tree = "() => ['.lost', '.message__state'].map((name) => document.querySelector(name).checkVisibility())"

    relay.refuse = True
    relay.cut_all()
    expect(relayed.page.get_by_role("alert").filter(has_text=LOST)).to_be_in_viewport()
    assert relayed.page.evaluate(tree) == [True, False]  # nothing looks like progress
    relay.refuse = False
    relayed.page.evaluate("dispatchEvent(new Event('online'))")

    expect(relayed.page.get_by_role("alert").filter(has_text=BACK)).to_be_in_viewport()
    assert relayed.page.evaluate(tree) == [True, True]
    end.set()
    expect(relayed.send_button).to_be_visible()


def test_a_wait_of_more_than_three_seconds_counts_its_seconds(relayed, upstream):
    think, answer = threading.Event(), threading.Event()
    upstream.answer(*body(Wait(think), token(reasoning_content="Hm"), Wait(answer), token("Yes"), Wait()))
    relayed.say("Is it?")
    expect(relayed.state).to_contain_text("Waiting for the answer…")

    relayed.page.clock.run_for(5_000)
    expect(relayed.state).to_have_text(re.compile(r"^Waiting for the answer… ([5-9]|1\d)s$"))
    think.set()
    expect(relayed.state).to_have_text(re.compile(r"^Thinking… ([5-9]|1\d)s$"))
    answer.set()

    expect(relayed.answer).to_have_text("Yes")
    expect(relayed.state).to_have_text("")


def test_a_reload_counts_the_seconds_on(chat, upstream):
    upstream.answer(*body(Wait()))
    chat.say("Is it?")
    chat.page.add_init_script(FIRST_COUNT)
    expect(chat.state).to_have_text(re.compile(r"^Waiting for the answer… ([5-9]|\d\d)s$"))
    before = int(chat.state.text_content().split()[-1].removesuffix("s"))

    chat.page.reload()

    first = chat.page.wait_for_function("() => window.first").json_value()
    assert first >= before  # a count that begins anew shows 4 first


def test_a_stop_that_did_not_arrive_is_told_and_can_be_repeated(relayed, relay, go_on, network_may_fail):
    relayed.say("Count")
    expect(relayed.answer).to_have_text("one")

    relay.refuse = True
    relay.cut_all()
    relayed.stop_button.click()
    expect(relayed.problem).to_have_text("The answer could not be stopped. Try again.")
    relay.refuse = False
    relayed.stop_button.click()

    expect(relayed.note).to_have_text("Stopped.")
    expect(relayed.problem).to_be_hidden()
