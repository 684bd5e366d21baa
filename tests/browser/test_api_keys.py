"""The page of API keys: nothing that axe-core finds, nothing that overhangs, and no script needed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.team_page import flaws
from tests.team import PASSWORD

pytestmark = pytest.mark.browser


def enter(team, page) -> None:
    page.goto(f"{team.url}/invite/{team.invite()}")
    page.get_by_label("Your name").fill("Alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_a_key_is_made_listed_and_revoked(make_team, new_browser, width, scheme):
    team = make_team(api=True)
    page = new_browser(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
    found = {}

    def look(name):
        found[name] = flaws(page)

    enter(team, page)
    page.goto(f"{team.url}/settings")
    page.get_by_role("link", name="API keys").click()
    look("empty")
    page.get_by_label("Name").fill("A script with a rather long name")
    page.get_by_label("Lives").select_option("365 days")
    page.get_by_role("button", name="Make a key").click()
    look("made")
    page.goto(f"{team.url}/keys")
    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("heading", name="A new key").wait_for()
    expect(page.get_by_role("button", name="Revoke")).to_have_count(0)

    assert found == dict.fromkeys(["empty", "made"], (0, []))


def test_a_key_is_made_without_script(make_team, new_browser):
    team = make_team(api=True)
    page = new_browser(java_script_enabled=False).new_page()

    enter(team, page)
    page.goto(f"{team.url}/keys")
    page.get_by_label("Name").fill("Script")
    page.get_by_role("button", name="Make a key").click()

    expect(page.get_by_text("Copy it now: it is not shown again.")).to_be_visible()
