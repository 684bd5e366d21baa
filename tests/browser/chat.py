"""The chat page in the words of the person in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from tests.wait import wait_until

PATIENCE_SECONDS = 30  # as long as a busy machine may take; nothing waits for it in vain but a failure

# A headless browser hides no tab, so this says it as a browser would.
TURN = """hidden => {
  const seen = { hidden, visibilityState: hidden ? "hidden" : "visible" };
  for (const name in seen) Object.defineProperty(document, name, { value: seen[name], configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

LISTEN = """() => {
  window.said = [];
  const status = document.querySelector("#status");
  const note = () => { if (status.textContent) window.said.push(status.textContent); };
  new MutationObserver(note).observe(status, { childList: true });
}"""


NOTE_NAMES = """button => {
  window.names = [];
  const options = { subtree: true, childList: true, characterData: true };
  new MutationObserver(() => window.names.push(button.textContent.trim())).observe(button, options);
}"""


class Chat:
    """One tab; `answer`, `footer` and `note` are those of the last reply, `note` being how it ended."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.box = page.locator("#text")
        self.send_button = page.locator("[data-send]")
        self.stop_button = page.locator("[data-stop]")
        self.questions = page.locator(".message--user .message__body")
        self.answers = page.locator(".message--assistant .message__body")
        self.answer = self.answers.last
        self.footer = page.locator(".message--assistant .message__footer").last
        self.note = self.footer.locator(".message__note, .message__problem")
        self.retry_button = self.footer.get_by_role("button", name="Retry")
        self.state = page.locator(".message__state")
        self.problem = page.locator(".problem:not(.lost)")
        self.lost = page.locator(".lost")

    def open(self, path: str = "/") -> Chat:
        self.page.goto(self.url + path)
        return self

    def say(self, text: str) -> None:
        """Type and press Enter, once the script listens."""
        self.wait_for_script()
        self.box.fill(text)
        self.box.press("Enter")

    def wait_for_script(self) -> None:
        """Wait until the script listens, on a page that a click or key leads to."""
        self.page.locator("html.js").wait_for(state="attached")

    def wait_for_style(self) -> None:
        """Wait for the style that is loaded after the first view."""
        expect(self.page.locator("link[href*=more]")).not_to_have_js_property("sheet", None)

    def point_at_list(self) -> None:
        """Move the mouse onto the list, and wait until the script that this loads listens."""
        self.wait_for_script()
        self.page.mouse.move(0, 0)  # where the mouse is already, it enters nothing
        self.page.locator(".sidebar__list").hover()
        self.page.locator("#sidebar > dialog.menu").wait_for(state="attached")

    def listen(self) -> Callable[[], list[str]]:
        """Note what the status line says from now on, one sentence after the other; the result returns it."""
        self.page.evaluate(LISTEN)
        return lambda: self.page.evaluate("window.said")

    @contextmanager
    def expect_name(self, button: Locator, name: str) -> Iterator[None]:
        """Wait at the end for the button to have had this name, for however short a time."""
        button.evaluate(NOTE_NAMES)
        yield
        self.page.wait_for_function("name => names.includes(name)", arg=name)

    def hide(self) -> None:
        """Look at another tab."""
        self.page.evaluate(TURN, True)

    def show(self) -> None:
        """Look at this tab again."""
        self.page.evaluate(TURN, False)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until this is true. Meanwhile the page tells of its requests."""
        wait_until(lambda: self.page.wait_for_timeout(20) or condition(), PATIENCE_SECONDS, what)

    def second_tab(self) -> Chat:
        """The same page in another tab of the same browser."""
        tab = Chat(self.page.context.new_page(), self.url)
        tab.page.goto(self.page.url)
        return tab
