"""A formula wider than a phone scrolls in its own box; the page does not."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import body, token

pytestmark = pytest.mark.browser

WIDE = " + ".join(f"x_{{{number}}}^2" for number in range(60))


@pytest.mark.parametrize("answer", [f"So ${WIDE}$ it is.", f"So\n\n$$\n{WIDE}\n$$", f"- So $${WIDE}$$ it is."])
def test_a_wide_formula_scrolls_in_its_own_box(server, upstream, new_browser, answer):
    upstream.answer(*body(token(answer), b"data: [DONE]\n\n"))
    chat = Chat(new_browser(viewport={"width": 360, "height": 640}).new_page(), server.url).open()
    chat.say("Add them")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    chat.wait_for_style()

    boxes = chat.answer.locator(".math, math").evaluate_all(
        """all => all.filter((box) => box.scrollWidth > box.clientWidth
               && getComputedStyle(box).overflowX == "auto").length"""
    )
    assert boxes == 1
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("formula", [r"\frac{F}{A}", r"\sqrt{\frac{a}{b}}", r"\sum_{i=1}^n x_i^{2^k}", r"\hat{x}"])
def test_a_tall_formula_in_a_line_is_shown_whole(server, upstream, new_browser, formula):
    upstream.answer(*body(token(f"So $p = {formula}$ it is."), b"data: [DONE]\n\n"))
    chat = Chat(new_browser().new_page(), server.url).open()
    chat.say("Show it")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    chat.wait_for_style()

    cut_pixels = chat.answer.locator("math").evaluate("box => box.scrollHeight - box.clientHeight")

    assert cut_pixels <= 0
