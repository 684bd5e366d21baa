"""The pages of sharing, retention and leaving: as wide as the screen, and nothing that axe-core finds."""

from __future__ import annotations

import pytest

from tests.browser.team_page import enter, flaws
from tests.dialects import DONE
from tests.team import PASSWORD
from tests.upstream import body, token

pytestmark = pytest.mark.browser

ANSWER = "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint(1)\n```\n" + "x" * 300


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("locale", ["en", "ru"])
def test_a_member_shares_and_leaves(make_team, new_browser, upstream, width, locale):
    team = make_team(sharing="team", retention_days=30)
    upstream.answer(*body(token(ANSWER), DONE))
    alice = team.join("Alice", "admin")
    alice.end(alice.new_chat("A question " + "y" * 300))
    page = enter(new_browser(viewport={"width": width, "height": 800}, locale=locale), team, "Alice")
    found = {}

    def look(name):
        found[name] = flaws(page)

    page.goto(f"{team.url}/c/{alice.conversation_id}")
    page.locator("[popovertarget=menu]").click()
    page.locator("[formaction$='/share']").click()
    page.wait_for_url(f"{team.url}/shares")
    look("shares")
    page.locator("main .rows a").click()
    page.wait_for_url(f"{team.url}/s/*")
    look("shared")

    page.goto(f"{team.url}/admin/users")
    page.locator("main summary").click()
    look("users")
    page.goto(f"{team.url}/settings")
    look("settings")
    page.goto(f"{team.url}/account/delete")
    look("leave")
    team.join("Carol", "admin")
    page.locator("[name=proof]").fill(PASSWORD)
    page.locator("main form .button--danger").click()
    page.locator("main [role=status]").wait_for()
    look("left")

    assert found == dict.fromkeys(["shares", "shared", "users", "settings", "leave", "left"], (0, []))
