"""axe-core finds nothing: each state of each page, light and dark, in English and Russian."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.upstream import Wait, body, error, token, tokens

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
RICH = """# A plan

Some **bold**, *italic*, ~~old~~ and `inline` text with [a link](https://example.org/) and a formula $a^2 + b^2$.

- one
  1. two
- [x] done
- [ ] open

## Details

> A quote.

| Name | Size |
|:-----|-----:|
| a    |    1 |

```python
@cache
def f(x: int) -> str:  # a comment
    return f"{x}" if x > 1 else None
```

```diff
-old
+new
```

$$
\\sum_{i=0}^n i
$$

Вот так. 日本語です。
"""


@pytest.fixture(params=["light", "dark"])
def theme(request):
    return request.param


@pytest.fixture(params=["en", "ru"])
def language(request):
    return request.param


@pytest.fixture
def chat(server, new_browser, theme, language, network_may_fail):
    """A new chat in these colours and this language; our policy is off, for axe comes from outside."""
    browser = new_browser(bypass_csp=True, color_scheme=theme, locale=language, reduced_motion="reduce")
    chat = Chat(browser.new_page(), server.url).open()
    expect(chat.page.locator("html")).to_have_attribute("lang", language)
    return chat


def test_a_new_chat(chat):
    assert violations(chat) == []


def test_a_conversation_in_all_its_states(chat, upstream):
    upstream.answer(*tokens(RICH, usage={"prompt_tokens": 3, "completion_tokens": 400}))
    upstream.answer(*error(401))
    upstream.answer(*body(token(reasoning_content="Hmm."), token("Going **on**"), Wait()))
    chat.say("A plan, please")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    found = {"idle": violations(chat)}

    chat.page.reload()
    chat.page.locator("[popovertarget=menu]").click()
    found["menu"] = violations(chat)
    chat.page.keyboard.press("Escape")
    chat.page.locator("[popovertarget=tuning]").click()
    found["tuning"] = violations(chat)
    chat.page.keyboard.press("Escape")

    chat.say("Fail")
    expect(chat.note).to_be_visible()
    found["error"] = violations(chat)

    chat.say("Go on")
    expect(chat.answer).to_have_text("Going on")
    found["streaming"] = violations(chat)
    chat.page.reload()
    expect(chat.answer).to_have_text("Going on")
    found["streaming, reloaded"] = violations(chat)

    chat.stop_button.click()
    expect(chat.note).to_be_visible()
    found["stopped"] = violations(chat)
    chat.page.get_by_role("link", name="Edit").or_(chat.page.get_by_role("link", name="Изменить")).first.click()
    expect(chat.page.locator("#edit")).to_be_focused()
    found["editing"] = violations(chat)

    assert {state: complaints for state, complaints in found.items() if complaints} == {}


TARGETS = """() => [...document.querySelectorAll("a, button, select, summary, textarea, input:not([type=hidden])")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest(".message__body p"))
  .map((one) => [one.closest("label") ?? one, one])
  .map(([area, one]) => [area.getBoundingClientRect(), one.outerHTML.slice(0, 80)])
  .filter(([{ width, height }]) => width > 1 && (width < 24 || height < 24))"""


def too_small(chat: Chat) -> list[list[object]]:
    """The controls that are too small, with their sizes, once the page has loaded."""
    chat.page.wait_for_load_state()
    found: list[list[object]] = chat.page.evaluate(TARGETS)
    return found


def test_every_control_is_large_enough_to_hit(chat):
    """https://www.w3.org/TR/WCAG22/#target-size-minimum"""
    chat.open("/settings")
    for summary in chat.page.locator("main summary").all():
        summary.click()
    chat.page.locator("#name-new").fill("Short")
    chat.page.locator("#new-preset .button--primary").click()
    small = {"settings": too_small(chat)}
    chat.open("/").say("Hello")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    for name in ("menu", "tuning"):
        chat.page.locator(f"[popovertarget={name}]").click()
        small[name] = too_small(chat)
        chat.page.keyboard.press("Escape")
    chat.open("/search?q=hello")
    small["search"] = too_small(chat)

    assert {place: found for place, found in small.items() if found} == {}


def test_a_deleted_conversation_that_can_be_had_back(chat):
    chat.say("Hi")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    chat.page.locator("[popovertarget=menu]").click()
    chat.page.locator("button[formaction$=delete]").click()
    expect(chat.page.locator(".undo")).to_be_visible()

    assert violations(chat) == []


def test_the_sidebar_of_a_phone(chat):
    chat.say("Hi")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    chat.page.set_viewport_size({"width": 320, "height": 640})
    narrow = violations(chat)

    chat.page.locator(".header__menu").click()
    expect(chat.page.locator("#sidebar")).to_be_visible()

    assert (narrow, violations(chat)) == ([], [])


def test_the_settings_and_their_dialog(chat):
    chat.open("/settings")
    closed = violations(chat)
    for summary in chat.page.locator("main summary").all():
        summary.click()
    unfolded = violations(chat)

    chat.page.locator("[popovertarget=shortcuts]").first.click()
    expect(chat.page.get_by_role("dialog")).to_be_visible()

    assert (closed, unfolded, violations(chat)) == ([], [], [])


def test_the_search(chat):
    chat.say("Needle in the hay")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()

    chat.open("/search?q=needle")
    expect(chat.page.locator("mark")).not_to_have_count(0)
    chat.page.locator("main summary").click()
    hits = violations(chat)
    chat.open("/search?q=nowhere")

    assert (hits, violations(chat)) == ([], [])


def test_the_list_its_page_and_its_menus(chat):
    chat.say("Hi")
    expect(chat.footer.locator("[data-copy]")).to_be_visible()
    chat.point_at_list()
    link = chat.page.locator(".sidebar .item__menu")
    link.click()
    expect(chat.page.locator(".sidebar .menu input[name=title]")).to_be_visible()
    found = {"menu": violations(chat)}
    small = too_small(chat)

    chat.open("/conversations")
    found["list"] = violations(chat)
    small += too_small(chat)
    chat.page.locator(".listing summary").click()
    chat.page.locator(".folder input").fill("Work")
    chat.page.locator(".folder button").click()
    chat.page.locator(".listing summary").click()
    found["folder"] = violations(chat)
    small += too_small(chat)
    chat.open("/conversations")
    chat.page.locator(".listing .item__menu").click()
    expect(chat.page.locator(".manage")).to_be_visible()
    found["menu page"] = violations(chat)
    small += too_small(chat)
    chat.page.locator(".manage .button--danger").click()
    expect(chat.page.locator(".main .undo")).to_be_visible()
    found["deleted"] = violations(chat)

    assert ({state: one for state, one in found.items() if one}, small) == ({}, [])


def test_an_error_page(chat):
    chat.open("/nowhere")

    assert violations(chat) == []


def violations(chat: Chat) -> list[str]:
    """What axe complains of: the rule, the place, and why."""
    chat.page.wait_for_load_state()
    result = Axe().run(chat.page, options=OPTIONS).response
    return [
        json.dumps([rule["id"], node["target"], node["failureSummary"]], ensure_ascii=False)
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
