"""What a screen reader says from sending a message to its end, and the names that it finds, against a written list."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import Wait, body, error, token
from tests.wait import wait_until

pytestmark = pytest.mark.browser

DONE = b"data: [DONE]\n\n"

# Notes each text that comes into a live region that can be reached, in order.
LISTEN = """() => {
  const LIVE = "[role=status], [role=alert], [aria-live]:not([aria-live=off])";
  const texts = new Map();
  window.spoken = [];
  new MutationObserver(() => {
    for (const region of document.querySelectorAll(LIVE)) {
      const text = region.checkVisibility() ? region.textContent.trim() : "";
      if (text && text !== texts.get(region)) window.spoken.push(text);
      texts.set(region, text);
    }
  }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
}"""


@dataclass(frozen=True, slots=True)
class Words:
    """The page's own words in one language; the names are those of all buttons of the dock and of the last reply."""

    waiting: str
    thinking: str
    complete: str
    stopped: str
    refused: str
    lost: str
    back: str
    box: str
    ready: tuple[str, ...]
    running: tuple[str, ...]
    answered: tuple[str, ...]


WORDS = {
    "en": Words(
        waiting="Waiting for the answer…",
        thinking="Thinking…",
        complete="The answer is complete.",
        stopped="Stopped.",
        refused="The upstream does not accept this server's key. An administrator has to check it.",
        lost="The connection is lost. Trying again…",
        back="The connection is back.",
        box="Message",
        ready=("Temperature and system prompt", "Send"),
        running=("Temperature and system prompt", "Stop"),
        answered=("Copy", "Quote", "Retry"),
    ),
    "ru": Words(
        waiting="Ждём ответа…",
        thinking="Думает…",
        complete="Ответ готов.",
        stopped="Остановлено.",
        refused="Сервер модели не принимает ключ этого чата. Его должен проверить администратор.",
        lost="Связь прервалась. Пробуем ещё раз…",
        back="Соединение восстановлено.",
        box="Сообщение",
        ready=("Температура и системный промпт", "Отправить"),
        running=("Температура и системный промпт", "Стоп"),
        answered=("Копировать", "Цитировать", "Ещё раз"),
    ),
}


@pytest.fixture(params=WORDS)
def words(request):
    return WORDS[request.param]


@pytest.fixture
def chat(request, relay, new_browser, words):
    [language] = [language for language, known in WORDS.items() if known is words]
    chat = Chat(new_browser(locale=language).new_page(), relay.url).open()
    chat.page.evaluate(LISTEN)
    return chat


def test_thinking_first_token_and_end(chat, upstream, words):
    think, answer, end = threading.Event(), threading.Event(), threading.Event()
    thoughts = [token(reasoning_content=f"Hm {number}. ") for number in range(20)]
    tokens = [token(f"word {number} ") for number in range(20)]
    upstream.answer(*body(Wait(think), *thoughts, Wait(answer), *tokens, Wait(end), DONE))

    assert names(chat.page.locator(".dock")) == words.ready
    chat.say("Go")
    hear(chat, words.waiting)
    assert names(chat.page.locator(".dock")) == words.running
    think.set()
    hear(chat, words.waiting, words.thinking)
    answer.set()
    expect(chat.answer).to_contain_text("word 19")
    hear(chat, words.waiting, words.thinking)  # the first token and those after it say nothing
    end.set()

    hear(chat, words.waiting, words.thinking, words.complete)
    assert names(chat.page.locator(".dock")) == words.ready
    assert names(chat.footer) == words.answered
    expect(chat.page.get_by_role("textbox", name=words.box, exact=True)).to_be_focused()


def test_stop(chat, upstream, words):
    heard = threading.Event()  # a sentence that the next one follows at once is not said
    upstream.answer(*body(Wait(heard), token("Half"), Wait()))
    chat.say("Go")
    hear(chat, words.waiting)
    heard.set()
    expect(chat.answer).to_have_text("Half")

    chat.page.keyboard.press("Escape")

    hear(chat, words.waiting, words.stopped)


def test_an_error(chat, upstream, words):
    heard = threading.Event()
    upstream.answer(Wait(heard), *error(401))

    chat.say("Go")
    hear(chat, words.waiting)
    heard.set()

    hear(chat, words.waiting, words.refused)


def test_a_connection_lost_and_back(chat, relay, upstream, words, network_may_fail):
    heard, end = threading.Event(), threading.Event()
    upstream.answer(*body(Wait(heard), token("one "), Wait(end), token("two"), DONE))
    chat.say("Go")
    hear(chat, words.waiting)
    heard.set()
    expect(chat.answer).to_have_text("one")

    relay.refuse = True
    relay.cut_all()
    hear(chat, words.waiting, words.lost)
    relay.refuse = False
    chat.page.evaluate("dispatchEvent(new Event('online'))")
    hear(chat, words.waiting, words.lost, words.back)
    end.set()

    hear(chat, words.waiting, words.lost, words.back, words.complete)


def hear(chat: Chat, *sentences: str) -> None:
    """Wait until that many sentences were said, and compare all of them."""
    wait_until(lambda: len(chat.page.evaluate("window.spoken")) >= len(sentences), 20, f"{sentences}")
    assert chat.page.evaluate("window.spoken") == list(sentences)


def names(part) -> tuple[str, ...]:
    """The names of the buttons in the accessibility tree of a part of the page, in order."""
    return tuple(re.findall(r'- button "([^"]+)"', part.aria_snapshot()))
