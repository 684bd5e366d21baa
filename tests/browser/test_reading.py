"""Reading: long conversations, a selection, the way back, versions, reasoning, small pages and printed ones."""

from __future__ import annotations

import re
import threading
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.browser.test_scroll import AT_END, REST
from tests.history import add_turns
from tests.upstream import Wait, body, error, token, tokens

pytestmark = pytest.mark.browser

DONE = b"data: [DONE]\n\n"
WIDE = f"""# {"Wide" * 30}

https://example.org/{"x" * 300}

| {" | ".join(f"column {number}" for number in range(20))} |
|{"-|" * 20}
| {" | ".join("value" for _ in range(20))} |

```python
{"code = 1 + " * 50}1
```

$${" + ".join(f"x_{{{number}}}" for number in range(60))}$$

{"> " * 9}deep

{"".join("  " * depth + "- deeper" + chr(10) for depth in range(9))}
"""
OVERHANG = "Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)"
# The style of answers comes with the first of them.
STYLED = "[...document.styleSheets].some((sheet) => sheet.href?.includes('/more'))"
# The number of the message in the middle of the window.
PLACE = """[...document.querySelectorAll(".message")].findIndex(
  (message) => message.getBoundingClientRect().bottom > innerHeight / 2)"""
SELECTED = "getSelection().toString()"


@pytest.fixture
def answered(chat):
    """A conversation of one turn."""
    chat.say("The first")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    return chat


@pytest.fixture
def long_chat(answered, database_url):
    """A conversation of 1,000 messages."""
    add_turns(database_url, answered.page.url.rsplit("/", 1)[1], 499)
    return answered.open(urlsplit(answered.page.url).path)


def test_a_long_conversation_opens_with_its_last_messages(long_chat):
    expect(long_chat.page.locator(".message")).to_have_count(60)
    expect(long_chat.answer).to_have_text("Answer 498.")
    long_chat.page.evaluate(REST)

    long_chat.page.wait_for_function(AT_END)


def test_earlier_messages_come_when_asked_for_and_the_place_stays(long_chat):
    first = long_chat.page.locator(".message").first
    expect(first).not_to_contain_text("UTC")  # the script has written its time by then
    place, text = first.get_attribute("id"), first.text_content()

    long_chat.page.locator(".earlier a").click()

    expect(long_chat.page.locator(".message")).to_have_count(120)
    same = long_chat.page.locator(f"[id='{place}']")
    expect(same).to_be_in_viewport()
    expect(same).to_have_text(text)


def test_a_long_conversation_can_be_read_whole(long_chat):
    page, seen = long_chat.page, set()
    earlier, later = (page.get_by_role("link", name=word) for word in ("earlier message", "later message"))
    while True:
        seen |= set(page.locator(".message").evaluate_all("all => all.map((message) => message.id)"))
        if not earlier.count():
            break
        with page.expect_navigation():
            earlier.click()

    assert len(seen) == 1000
    expect(long_chat.questions.first).to_have_text("The first")
    later.click()
    expect(earlier).to_be_visible()


def test_a_selection_survives_what_streams_below_it(chat, upstream):
    steps = [threading.Event() for _ in range(4)]
    first = token("First paragraph.\n\nSecond **paragraph**.\n\nThird ")
    rest = [
        part for step in steps for part in (Wait(step), token("more *words*.\n\n- an item\n\n```\ncode\n```\n\nAnd "))
    ]
    upstream.answer(*body(first, *rest, DONE))
    chat.say("Go")
    expect(chat.answer).to_contain_text("Third")

    chat.answer.locator("p").first.select_text()
    for number, step in enumerate(steps, 1):
        step.set()
        expect(chat.answer.locator("figure.code")).to_have_count(number)
        assert chat.page.evaluate(SELECTED) == "First paragraph."

    expect(chat.send_button).to_be_visible()
    assert chat.page.evaluate(SELECTED) == "First paragraph."


def test_the_way_back_leads_to_the_place_that_was_left(long_chat):
    long_chat.page.evaluate("scrollTo(0, 1500)")
    long_chat.page.evaluate(REST)
    place = long_chat.page.evaluate(PLACE)

    long_chat.page.evaluate("location.assign('/settings')")
    expect(long_chat.page).to_have_url(re.compile("/settings$"))
    long_chat.page.go_back()
    expect(long_chat.answer).to_have_text("Answer 498.")
    long_chat.page.evaluate(REST)

    assert abs(long_chat.page.evaluate(PLACE) - place) <= 2


def test_reasoning_is_open_while_it_comes_and_closed_at_the_end(chat, upstream):
    answer, end = threading.Event(), threading.Event()
    thinking = token(reasoning_content="Let me see.")
    upstream.answer(*body(thinking, Wait(answer), token("Yes"), Wait(end), token("."), DONE))
    reasoning = chat.page.locator(".reasoning")

    chat.say("Is it?")
    expect(reasoning.locator(".reasoning__text")).to_be_visible()
    expect(chat.state).to_contain_text("Thinking…")  # after 3 s with their number
    answer.set()
    expect(chat.answer).to_have_text("Yes")
    end.set()
    expect(chat.send_button).to_be_visible()

    expect(reasoning).to_be_visible()
    expect(reasoning.locator(".reasoning__text")).to_be_hidden()
    chat.page.reload()
    expect(reasoning.locator(".reasoning__text")).to_be_hidden()


def test_versions_are_stepped_through_by_keyboard(answered, upstream):
    upstream.answer(*tokens("Another answer"))
    page = answered.page
    answered.retry_button.press("Enter")
    expect(answered.answer).to_have_text("Another answer")
    expect(answered.footer.locator("[data-copy]")).to_be_visible()

    page.wait_for_load_state()  # which gives the box the focus
    page.get_by_role("button", name="Previous version").press("Enter")
    expect(answered.answers).to_have_text(["Hello world"])
    page.wait_for_load_state()
    page.get_by_role("button", name="Next version").press("Space")

    expect(answered.answers).to_have_text(["Another answer"])
    expect(page.locator(".siblings")).to_contain_text("2/2")


def test_a_question_is_edited_by_keyboard(answered, upstream):
    page = answered.page
    upstream.answer(*tokens("To the second"))

    page.get_by_role("link", name="Edit").press("Enter")
    page.wait_for_url("**/c/*edit=*")  # until it has loaded, Chromium may focus the fragment, #edit, once more
    expect(page.locator("#edit")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("In other words")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(answered.questions).to_have_text(["In other words"])
    expect(answered.answers).to_have_text(["To the second"])
    assert upstream.requests[-1].json["messages"][-1]["content"] == "In other words"


def test_the_list_of_shortcuts_opens_and_closes_by_keyboard(chat):
    chat.open("/settings")
    dialog = chat.page.get_by_role("dialog", name="Keyboard shortcuts")
    opener = chat.page.get_by_role("button", name="Show the shortcuts")

    opener.press("Enter")
    expect(dialog).to_contain_text("Stop the answer".lower())
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    chat.page.keyboard.press("Escape")

    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


@pytest.mark.parametrize("height", [640, 256], ids=["phone", "400 % zoom"])
def test_nothing_is_scrolled_sideways_at_320_pixels(server, new_browser, upstream, network_may_fail, height):
    upstream.answer(*tokens(WIDE, usage={"prompt_tokens": 9, "completion_tokens": 12345}))
    upstream.answer(*error(401))
    chat = Chat(new_browser(viewport={"width": 320, "height": height}).new_page(), server.url).open()
    over = {"/": chat.page.evaluate(OVERHANG)}
    for number, text in enumerate(("Question" * 40, "Fail"), 1):
        chat.say(text)
        expect(chat.answers).to_have_count(number)
        expect(chat.retry_button).to_be_visible()
        chat.page.wait_for_function(STYLED)
        over[text] = chat.page.evaluate(OVERHANG)
    chat.page.reload()
    over["reloaded"] = chat.page.evaluate(OVERHANG)

    for path in ("/settings", "/search?q=question", "/search?q=code", "/nowhere" + "x" * 100):
        chat.open(path)
        over[path] = chat.page.evaluate(OVERHANG)

    assert {path: width for path, width in over.items() if width > 0} == {}


def test_the_message_box_is_in_reach_at_400_percent(server, new_browser):
    chat = Chat(new_browser(viewport={"width": 320, "height": 256}).new_page(), server.url).open()

    chat.say("Hi")
    expect(chat.answer).to_have_text("Hello world")

    chat.box.scroll_into_view_if_needed()
    expect(chat.box).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("taste", [{"forced_colors": "active"}, {"reduced_motion": "reduce"}, {"color_scheme": "dark"}])
def test_a_taste_of_ones_own_breaks_nothing(server, new_browser, taste):
    chat = Chat(new_browser(**taste).new_page(), server.url).open()

    chat.say("Hi")

    expect(chat.answer).to_have_text("Hello world")
    expect(chat.send_button).to_be_visible()


def test_on_paper_there_is_the_conversation_and_no_control(answered):
    answered.page.emulate_media(media="print")

    expect(answered.answer).to_be_visible()
    expect(answered.questions).to_be_visible()
    for control in (answered.box, answered.retry_button, answered.page.locator("#sidebar")):
        expect(control).to_be_hidden()
    assert answered.page.locator("button:visible").all_inner_texts() == []
