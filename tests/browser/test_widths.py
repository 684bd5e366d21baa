"""The column keeps its width: when the scroll bar comes, and whatever an answer holds."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.upstream import tokens

pytestmark = pytest.mark.browser

MATRIX = r"$\begin{pmatrix}" + " & ".join(f"a_{{{number}}}" for number in range(30)) + r"\end{pmatrix}$"
TABLE = f"| {' | '.join(f'column{number}' for number in range(12))} |\n|{'-|' * 12}\n|{' value |' * 12}\n"
WIDE = [
    f"text {MATRIX} text",
    f"- {MATRIX}",
    f"> {MATRIX}",
    f"# {MATRIX}",
    f"| a | b |\n|-|-|\n| {MATRIX} | {MATRIX} |",
    f"<details open><summary>{MATRIX}</summary>\n\n{MATRIX}\n\n</details>",
    TABLE,
    "- a\n\n" + "".join(f"  {line}\n" for line in TABLE.splitlines()),
    "".join(f"> {line}\n" for line in TABLE.splitlines()),
    f"a[^1]\n\n[^1]: {MATRIX}",
]
OVERHANG = "Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)"
PLACE = "(({ x, width }) => [x, width])(document.querySelector('.composer').getBoundingClientRect())"


def test_the_column_stays_where_it_is_when_the_scroll_bar_comes(chromium, server, upstream):
    upstream.answer(*tokens("line\n\n" * 100))
    browser = chromium.browser_type.launch(
        executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--hide-scrollbars"]
    )
    chat = Chat(browser.new_page(viewport={"width": 1280, "height": 600}), server.url).open()
    before = chat.page.evaluate(PLACE)

    chat.say("Lines")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()

    assert chat.page.evaluate("document.documentElement.scrollHeight > innerHeight")
    assert chat.page.evaluate(PLACE) == before
    browser.close()


def test_an_empty_page_has_nothing_to_scroll(server, new_browser):
    for size in ({"width": 320, "height": 640}, {"width": 1280, "height": 800}):
        chat = Chat(new_browser(viewport=size).new_page(), server.url).open()
        assert chat.page.evaluate("document.documentElement.scrollHeight - innerHeight") == 0


def test_neither_a_formula_nor_a_table_widens_a_small_page(server, new_browser, upstream):
    upstream.answer(*tokens("\n\n".join(WIDE)))
    chat = Chat(new_browser(viewport={"width": 320, "height": 640}).new_page(), server.url).open()

    chat.wait_for_style()  # comes without an answer
    chat.say("Go")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()

    expect(chat.answer.locator("math")).to_have_count(9)
    expect(chat.answer.locator("table")).to_have_count(4)
    assert chat.page.evaluate(OVERHANG) <= 0


@pytest.mark.firefox
def test_a_style_that_did_not_arrive_is_asked_for_again(relayed, network_may_fail):
    relayed.page.goto("about:blank")  # half a second after the view the style is asked for
    relayed.page.route("**/more.css*", lambda route: route.abort())
    with relayed.page.expect_event("requestfailed"):
        relayed.open()
        relayed.page.clock.run_for(1000)
    expect(relayed.page.locator("link[href*=more]")).to_have_count(0)

    relayed.page.unroute_all()
    relayed.page.clock.run_for(20_000)

    relayed.wait_for_style()
