"""The page follows the text while the reader is at its end, and stays where the reader is otherwise."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import Wait, body, token, tokens

pytestmark = pytest.mark.browser

AT_END = "() => document.scrollingElement.scrollHeight - scrollY - innerHeight < 2"
# Resolves once the view has stood still for ten frames: wheels turn smoothly.
REST = """() => new Promise(resolve => {
  let top = scrollY, still = 0;
  const look = () => {
    still = scrollY === top ? still + 1 : 0;
    top = scrollY;
    if (still > 10) resolve(top); else requestAnimationFrame(look);
  };
  look();
})"""
COVERED = """document.activeElement.getBoundingClientRect().bottom
  > document.querySelector(".dock").getBoundingClientRect().top + 1"""


@pytest.fixture
def steps(upstream):
    """Fifty lines, fifty more after the first event, the end after the second."""
    more, end = threading.Event(), threading.Event()
    first, second = ("".join(f"line {number}\n" for number in part) for part in (range(50), range(50, 100)))
    upstream.answer(*body(token(first), Wait(more), token(second), Wait(end), b"data: [DONE]\n\n"))
    return more, end


@pytest.fixture
def jump(chat):
    return chat.page.get_by_role("button", name="Latest")


@pytest.fixture
def chat(server, new_browser):
    chat = Chat(new_browser(viewport={"width": 900, "height": 600}).new_page(), server.url).open()
    chat.wait_for_style()
    return chat


@pytest.mark.firefox
def test_the_page_follows_the_text(chat, steps, jump):
    chat.say("Lines")

    expect(chat.answer).to_contain_text("line 49")
    chat.page.wait_for_function(AT_END)
    for step, last in zip(steps, ("line 99", "line 99"), strict=True):
        step.set()
        expect(chat.answer).to_contain_text(last)
        chat.page.evaluate(REST)
        chat.page.wait_for_function(AT_END)
    expect(chat.send_button).to_be_visible()
    expect(jump).to_be_hidden()


@pytest.mark.parametrize("way", ["wheel", "PageUp", "a little"])
def test_going_up_lets_go_of_the_end(chat, steps, jump, way):
    more, end = steps
    chat.say("Lines")
    expect(chat.answer).to_contain_text("line 49")

    _go_up(chat, way)
    top = chat.page.evaluate(REST)
    more.set()
    expect(chat.answer).to_contain_text("line 99")
    assert chat.page.evaluate(REST) == top
    end.set()
    expect(chat.send_button).to_be_visible()
    assert chat.page.evaluate(REST) == top

    jump.click()
    chat.page.evaluate(REST)
    chat.page.wait_for_function(AT_END)
    expect(jump).to_be_hidden()
    expect(chat.box).to_be_focused()


@pytest.mark.firefox
def test_back_at_the_end_the_page_follows_again(chat, steps, jump):
    chat.say("Lines")
    expect(chat.answer).to_contain_text("line 49")
    _go_up(chat, "wheel")
    chat.page.evaluate(REST)
    expect(jump).to_be_visible()

    chat.page.mouse.wheel(0, 5000)
    chat.page.wait_for_function(AT_END)
    steps[0].set()

    expect(chat.answer).to_contain_text("line 99")
    chat.page.evaluate(REST)
    chat.page.wait_for_function(AT_END)


@pytest.mark.parametrize("way", ["stop", "end"])
def test_stop_and_end_move_nothing_under_a_reader_further_up(chat, steps, way):
    chat.say("Lines")
    expect(chat.answer).to_contain_text("line 49")
    chat.stop_button.focus()
    _go_up(chat, "wheel")
    place = chat.page.evaluate(REST)

    if way == "stop":
        chat.stop_button.press("Enter")
    for step in steps:
        step.set()

    expect(chat.send_button).to_be_visible()
    assert chat.page.evaluate(REST) == place


def test_a_long_conversation_opens_at_its_end(chat, steps):
    for step in steps:
        step.set()
    chat.say("Lines")
    expect(chat.send_button).to_be_visible()
    expect(chat.answer).to_contain_text("line 99")

    chat.open(chat.page.url.removeprefix(chat.url))

    chat.page.evaluate(REST)
    chat.page.wait_for_function(AT_END)


@pytest.mark.firefox
def test_typing_moves_nothing_under_a_reader_further_up(chat, steps):
    top = _read_further_up(chat, steps)

    chat.box.press_sequentially("A question, while I read", delay=5)

    assert chat.page.evaluate(REST) == top


def test_tab_between_what_sticks_moves_nothing_under_a_reader_further_up(chat, steps):
    top = _read_further_up(chat, steps)
    places = set()

    for key in ("Tab", "Shift+Tab"):
        for _ in range(8):
            chat.page.keyboard.press(key)
            if chat.page.evaluate("Boolean(document.activeElement.closest('.dock, .header, .sidebar'))"):
                places.add(chat.page.evaluate(REST))

    assert places == {top}


def test_what_tab_reaches_in_the_text_is_not_below_the_box(chat, upstream):
    upstream.answer(*tokens("".join(f"[link {number}](https://example.org/)\n\n" for number in range(60))))
    chat.say("Links")
    expect(chat.answer).to_contain_text("link 59")
    expect(chat.send_button).to_be_visible()
    chat.page.evaluate("scrollTo(0, 0)")
    chat.page.evaluate(REST)
    chat.answer.locator("a").first.focus()

    covered = []
    for _ in range(30):
        chat.page.keyboard.press("Tab")
        covered.append(chat.page.evaluate(COVERED))

    assert not any(covered)


def _read_further_up(chat: Chat, steps: list[threading.Event]) -> float:
    """The place of a reader in the middle of a finished answer, with the focus in the box."""
    for step in steps:
        step.set()
    chat.say("Lines")
    expect(chat.answer).to_contain_text("line 99")
    expect(chat.send_button).to_be_visible()
    chat.page.evaluate("scrollTo(0, 700)")
    return chat.page.evaluate(REST)


def _go_up(chat: Chat, way: str) -> None:
    before = chat.page.evaluate("scrollY")
    chat.page.mouse.move(450, 200)
    if way == "PageUp":
        chat.page.locator("body").press("PageUp")
    else:
        chat.page.mouse.wheel(0, -40 if way == "a little" else -600)
    chat.page.wait_for_function("before => scrollY < before", arg=before)
