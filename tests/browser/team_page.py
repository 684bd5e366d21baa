"""What the tests of a team's pages share: signing in, and what is wrong with a page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

from tests.browser.test_accessibility import OPTIONS
from tests.browser.test_reading import OVERHANG
from tests.team import PASSWORD, Team


def enter(browser: BrowserContext, team: Team, name: str = "Carol") -> Page:
    """A page on which this user is signed in."""
    page = browser.new_page()
    page.goto(f"{team.url}/sign-in")
    page.locator("[name=name]").fill(name)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main .button--primary").click()
    page.wait_for_url(f"{team.url}/")
    return page


def flaws(page: Page) -> tuple[int, list[str]]:
    """By how many pixels the page is too wide, and the rules that axe-core finds broken, once it has loaded."""
    page.wait_for_load_state()
    violations = Axe().run(page, options=OPTIONS).response["violations"]
    return page.evaluate(OVERHANG), [one["id"] for one in violations]
