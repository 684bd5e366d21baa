"""The pages of what administrators set for everybody: as wide as the screen, and nothing that axe-core finds."""

from __future__ import annotations

import pytest

from tests.browser.team_page import enter, flaws
from tests.test_models import answer_list

pytestmark = pytest.mark.browser

LONG = "a-provider/with-a-very-long-name-of-a-model-that-nobody-can-remember:free"


@pytest.mark.parametrize(
    ("width", "theme", "locale"), [(320, "light", "ru"), (320, "dark", "en"), (1280, "dark", "ru")]
)
def test_the_pages_fit_and_can_be_read(make_team, new_browser, upstream, width, theme, locale, network_may_fail):
    answer_list(upstream, {"data": [{"id": name} for name in ("gpt-4", "small", LONG)]})
    team = make_team()
    team.join("Carol", "admin")
    browser = new_browser(viewport={"width": width, "height": 800}, color_scheme=theme, locale=locale)
    page = enter(browser, team)
    found = {}

    def look(name):
        found[name] = flaws(page)

    page.goto(f"{team.url}/admin/models")
    page.locator("#of-member + form [value=small]").check()
    page.locator("#of-member + form textarea").fill("\x07")
    page.locator("#of-member + form button").click()
    page.locator("main [role=alert]").wait_for()
    look("models, refused")
    page.locator("#of-member + form [value='\x07']").uncheck()
    page.locator("#of-member + form button").click()
    page.locator("main [role=status]").wait_for()
    look("models, saved")

    page.goto(f"{team.url}/admin/notice")
    page.locator("#notice").fill("**Down** on Friday, " + "x" * 200)
    page.locator("[name=preview]").click()
    page.locator("#preview").wait_for()
    look("notice, preview")
    page.locator("main form .button--primary").click()
    page.locator("main > .settings > [role=status]").wait_for()
    look("notice, saved")

    page.goto(f"{team.url}/admin/presets")
    page.locator("#new-preset > summary").click()
    page.locator("#name-new").fill("Brief")
    page.locator("#system-new").fill("Be brief.")
    page.locator("#new-preset .button--primary").click()
    page.locator("main .settings__saved").wait_for()
    page.locator("main .preset > summary").first.click()
    look("presets")
    page.goto(f"{team.url}/settings")
    page.locator("main .preset > summary").first.click()
    look("settings")

    assert {name: one for name, one in found.items() if one != (0, [])} == {}
