"""A page of 320 px: no word of a control is broken, in the language with the longer words too."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import tokens

pytestmark = pytest.mark.browser

CODE = "```python\nprint(1)\n```\n\n# One\n\n# Two\n\n# Three\n"
BROKEN = """controls => controls.flatMap(control => {
  const broken = [], texts = document.createTreeWalker(control, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode());) {
    for (const word of text.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (range.getClientRects().length > 1) broken.push(word[0]);
    }
  }
  return broken;
})"""


@pytest.mark.parametrize("locale", ["en-US", "ru-RU"])
def test_no_word_of_a_control_is_broken_at_320_px(server, new_browser, upstream, locale):
    upstream.answer(*tokens(CODE))
    small = new_browser(viewport={"width": 320, "height": 640}, locale=locale)
    chat = Chat(small.new_page(), server.url).open()
    chat.say("Go")
    expect(chat.answer.locator(".code__ways button")).to_have_count(3)

    chat.wait_for_style()
    chat.page.keyboard.press("Control+/")
    expect(chat.page.locator("dialog.shortcuts dd").first).to_be_visible()

    controls = chat.page.locator("button, a.button, figcaption, summary, label, dt, dd")
    assert controls.evaluate_all(BROKEN) == []


def test_the_model_has_room_beside_the_button_to_send(server, new_browser):
    small = new_browser(viewport={"width": 320, "height": 640}, locale="ru-RU")
    chat = Chat(small.new_page(), server.url).open()

    assert chat.page.locator("#model").bounding_box()["width"] >= 120
    assert chat.send_button.bounding_box()["width"] == 44
    expect(chat.send_button).to_have_accessible_name("Отправить")
