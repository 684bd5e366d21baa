"""Whatever a model writes: the page at the end is the page after a reload, nothing runs, nothing leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.test_markdown_safety import ATTACKS
from tests.upstream import Wait, body, token

pytestmark = pytest.mark.browser

CORPUS = sorted((Path(__file__).parent.parent / "corpus").glob("*.md"))
DONE = b"data: [DONE]\n\n"
# What an attack would leave: a call, an element that loads or runs, an attribute or an address that does.
TRAPS = """
window.harm = [];
for (const name of ["alert", "confirm", "prompt", "msgbox", "open"]) window[name] = () => harm.push(name);
addEventListener("securitypolicyviolation", (event) => harm.push(event.violatedDirective));
const active = "script, style, link, meta, base, img, svg, iframe, object, embed, form, template, video, audio";
window.lengths = new Set();
window.look = () => {
  lengths.add(document.querySelector(".message--assistant .message__body")?.textContent.length);
  for (const element of document.querySelectorAll(".message__body *:not([data-copy], [data-copy] *)")) {
    if (element.matches(active)) harm.push(element.localName);
    for (const { name, value } of element.attributes) {
      if (name === "id" && /^fn(ref)?-[0-9a-f-]{36}-[0-9a-f]{8}$/.test(value)) continue; // of a footnote
      if (/^on|^(style|id|name|src|srcset|srcdoc|action|formaction|xlink:href)$/.test(name)) harm.push(name);
    }
    if (element.hasAttribute("href") && !/^(https?:|mailto:)/.test(element.href)) harm.push(element.href);
  }
};
new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
"""
# The whole tree; between two blocks there may be more line breaks or fewer, which no browser shows. The controls
# of a code block are no part of it: they come with a module, whenever it has loaded.
DOM = """body => {
  const copy = body.cloneNode(true);
  for (const ways of copy.querySelectorAll(".code__ways")) ways.replaceWith(ways.querySelector("[data-copy]"));
  for (const node of [...copy.childNodes]) if (node instanceof Text && !node.data.trim()) node.remove();
  return [...copy.childNodes].map((node) => node.outerHTML ?? node.data).join("\\n");
}"""


@pytest.fixture
def chat(server, new_browser):
    """A new chat whose browser notes what runs; its fixture sees to it that nothing complains or leaves."""
    browser = new_browser()
    browser.add_init_script(TRAPS)
    return Chat(browser.new_page(), server.url).open()


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_streamed_answer_is_the_stored_one(chat, upstream, path):
    assert_same_after_reload(chat, upstream, path.read_text(encoding="utf-8"), seed=path.stem)


@pytest.mark.parametrize("number", range(8))
def test_attacks_are_text_while_they_arrive_and_afterwards(chat, upstream, number):
    attacks = [attack.encode("utf-8", "replace").decode() for attack in ATTACKS[number::8]]

    assert_same_after_reload(chat, upstream, "\n\n".join(attacks), seed=f"attacks {number}")


def test_an_attack_that_begins_an_answer_is_text(chat, upstream):
    for attack in ATTACKS[::10]:
        upstream.answer(*body(token(attack.encode("utf-8", "replace").decode()), DONE))
        chat.open().say("Attack")
        expect(chat.footer.locator("[data-copy]")).to_be_visible()
        assert_harmless(chat)


def test_the_watch_itself_notices_what_it_must(chat):
    chat.say("Hi")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()

    found = chat.answer.evaluate("""async body => {
      const image = document.createElement("img");
      image.id = "main";
      body.append(image);
      window.alert(1);
      await null;
      return harm.splice(0);
    }""")

    assert found == ["alert", "img", "id"]


def assert_same_after_reload(chat: Chat, upstream, text: str, seed: str) -> None:
    rests = [threading.Event() for _ in range(4)]
    upstream.answer(*body(*script(text, Random(seed), rests), DONE))

    seen = chat.page.evaluate("lengths.size")
    chat.say("Go")
    for rest in rests:
        seen = chat.page.wait_for_function("seen => lengths.size > seen && lengths.size", arg=seen).json_value()
        rest.set()
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    assert_harmless(chat)
    assert chat.page.evaluate("lengths.size") > 4  # before it, empty, whole, and what lay between
    streamed = chat.answer.evaluate(DOM)
    chat.page.reload()

    assert streamed.strip()
    assert chat.answer.evaluate(DOM) == streamed
    assert_harmless(chat)


def assert_harmless(chat: Chat) -> None:
    """Neither now nor in any state that was, for each change was looked at."""
    assert chat.page.evaluate("look(), harm") == []


def script(text: str, rng: Random, rests: list[threading.Event]) -> Iterator[bytes | Wait]:
    """The text cut anywhere, with rests in which the page is drawn, the longer the shorter the text.

    After equal parts of it waits for the events.
    """
    cuts = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(len(text) // 4))})
    rest_after = {len(cuts) * (number + 1) // (len(rests) + 1): rest for number, rest in enumerate(rests)}
    for place, (start, end) in enumerate(pairwise(cuts), 1):
        yield token(text[start:end])
        if place in rest_after:
            yield Wait(rest_after[place])
        if rng.random() < 0.2:
            yield Wait(max(0.02, 30 / len(text)))
