"""The pages of sign-in: in the middle of a wide page, within a narrow one, and nothing that axe-core finds."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat import Chat
from tests.browser.team_page import enter, flaws
from tests.relay import Relay
from tests.team import PASSWORD
from tests.upstream import Wait, body, error, token

pytestmark = pytest.mark.browser

SECRET = "kept-between-the-two-7c1f"
IDENTITY = {"Remote-User": "alice", "X-Lockchat-Secret": SECRET}

# The gutter of the scroll bar is 10 px wide.
IS_CENTRED = """() => {
  const { left, right } = document.querySelector("main > *").getBoundingClientRect();
  const start = document.querySelector(".sidebar:not(:popover-open)")?.getBoundingClientRect().right ?? 0;
  return Math.abs((left - start) - (document.documentElement.clientWidth - right)) <= 12 && right - left > 250;
}"""


def is_centred(page: Page) -> bool:
    """Whether the page's content is in the middle, once it has loaded."""
    page.wait_for_load_state()
    centred: bool = page.evaluate(IS_CENTRED)
    return centred


@pytest.mark.parametrize("width", [320, 1280])
def test_each_page_of_sign_in_stands_in_the_middle(team, new_browser, width):
    page = new_browser(viewport={"width": width, "height": 800}).new_page()
    found = {}

    def look(name):
        found[name] = is_centred(page), *flaws(page)

    page.goto(f"{team.url}/sign-in")
    look("sign-in")
    page.goto(f"{team.url}/invite/{team.invite('admin')}")
    look("invite")
    page.get_by_label("Your name").fill("Alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.goto(f"{team.url}/account")
    look("account")
    page.goto(f"{team.url}/admin/users")
    look("users")
    page.goto(f"{team.url}/admin/limits")
    look("limits")

    assert found == dict.fromkeys(["sign-in", "invite", "account", "users", "limits"], (True, 0, []))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_of_usage_fits_and_can_be_read(team, new_browser, width, theme):
    carol = team.join("Carol", "admin")
    carol.end(carol.new_chat("Hi"))
    page = new_browser(viewport={"width": width, "height": 800}, color_scheme=theme).new_page()
    page.goto(f"{team.url}/sign-in")
    page.get_by_label("Your name").fill("Carol")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    page.goto(f"{team.url}/admin/usage")

    expect(page.get_by_role("img", name="Sent messages. Highest: 1 (Carol).")).to_be_visible()
    found = is_centred(page), *flaws(page)
    assert found == (True, 0, [])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "locale"), [(320, "ru"), (1280, "en")])
def test_the_upstream_page_fits_and_measures_a_stream(team, new_browser, upstream, width, locale, theme):
    carol = team.join("Carol", "admin")
    upstream.answer(*error(500, "x" * 200))
    carol.end(carol.new_chat("Hi"))
    page = enter(new_browser(viewport={"width": width, "height": 800}, color_scheme=theme, locale=locale), team)
    found = {}

    def look(name):
        found[name] = is_centred(page), *flaws(page)

    page.goto(f"{team.url}/admin/upstream")
    page.locator("summary").last.click()
    look("page")
    upstream.answer(*error(404, {"error": {"code": "model_not_found", "message": "y" * 190}}))
    page.locator("#test ~ form button").click()
    expect(page.locator("#test ~ [role=alert]")).to_be_visible()
    look("test")
    with page.expect_navigation():
        page.locator("[data-probe] button").click()
    look("proxy")

    assert found == dict.fromkeys(["page", "test", "proxy"], (True, 0, []))
    expect(page.locator("#proxy ~ div li")).to_have_count(3)  # host, stream, no proxy: each as it should be
    expect(page.locator("#proxy ~ div .problem")).to_have_count(0)


def test_a_browser_that_was_busy_once_does_not_blame_the_proxy(team, new_browser):
    team.join("Carol", "admin")
    page = enter(new_browser(), team)
    page.goto(f"{team.url}/admin/upstream")
    whole = []
    page.route("**/stream?ticket=*", lambda route: whole.append(route.fulfill(response=route.fetch())), times=1)

    with page.expect_navigation():
        page.locator("[data-probe] button").click()

    assert len(whole) == 1
    expect(page.get_by_text("The stream arrives as it is sent.")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "locale"), [(320, "ru"), (1280, "en")])
def test_axe_finds_nothing_on_the_pages_of_a_team(make_team, new_browser, width, locale, theme):
    team = make_team(api=True, sharing="team")
    carol = team.join("Carol", "admin")
    carol.end(carol.new_chat("Hi"))
    page = enter(new_browser(viewport={"width": width, "height": 800}, color_scheme=theme, locale=locale), team)
    paths = ["account", "keys", "shares", "settings", f"admin/limits/{team.user_id('Carol')}"]
    paths += [f"admin/{name}" for name in ("users", "usage", "limits", "log", "models", "notice", "presets")]
    found = {}

    for path in paths:
        page.goto(f"{team.url}/{path}")
        found[path] = page.locator("h1").count(), *flaws(page)

    assert found == dict.fromkeys(paths, (1, 0, []))


# The words that stand on more than one line.
BROKEN_WORDS = """all => all.flatMap(({ firstChild: text }) => {
  const isBroken = ({ 0: word, index }) => {
    const range = new Range();
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    return range.getClientRects().length > 1;
  };
  return [...text.data.matchAll(/\\S+/g)].filter(isBroken).map(String);
})"""


@pytest.mark.parametrize("locale", ["en", "ru"])
def test_the_figures_of_usage_fit_a_wide_page(team, new_browser, locale):
    carol = team.join("Carol", "admin")
    carol.end(carol.new_chat("Hi"))
    page = enter(new_browser(viewport={"width": 1280, "height": 800}, locale=locale), team)
    page.goto(f"{team.url}/admin/usage")

    hidden = page.locator(".figures").evaluate_all("all => all.map((one) => one.scrollWidth - one.clientWidth)")

    assert hidden == [0, 0, 0]
    assert page.locator(".figures thead th").evaluate_all(BROKEN_WORDS) == []


def test_after_a_sign_out_the_back_button_shows_nothing(team, new_browser):
    alice = team.join("Carol")
    alice.end(alice.new_chat("My secret"))
    page = enter(new_browser(), team)
    page.goto(f"{team.url}/c/{alice.conversation_id}")
    expect(page.get_by_text("My secret").first).to_be_visible()
    page.goto(f"{team.url}/settings")
    page.locator("form[action$='/sign-out'] button").click()
    page.wait_for_url(f"{team.url}/sign-in**")

    page.go_back()
    page.wait_for_url(f"{team.url}/sign-in**")
    page.go_back()
    page.wait_for_url(f"{team.url}/sign-in**")

    assert "My secret" not in page.content()


def test_a_reply_says_that_its_reader_was_signed_out(team, new_browser, upstream, network_may_fail):
    alice = team.join("Carol")
    upstream.answer(*body(token("Once "), Wait()))
    alice.new_chat("Tell")
    page = enter(new_browser(), team)
    page.goto(f"{team.url}/c/{alice.conversation_id}")
    expect(page.get_by_text("Once")).to_be_visible()

    other = page.context.new_page()
    other.goto(f"{team.url}/settings")
    other.locator("form[action$='/sign-out'] button").click()

    expect(page.locator(".lost")).to_have_text("You are signed out. Reload the page to sign in.")
    expect(page.get_by_text("Once")).to_be_visible()


@pytest.mark.parametrize("login_page", [None, "https://login.invalid/"], ids=["refused", "led elsewhere"])
def test_a_reply_says_that_a_proxy_signed_its_reader_out(
    start_server, new_browser, upstream, network_may_fail, login_page
):
    server = start_server(LOGIN="proxy", PROXIES="127.0.0.1", LOGIN_SECRET=SECRET)
    upstream.answer(*body(token("Once "), Wait()))
    page = new_browser(extra_http_headers=IDENTITY).new_page()
    with Relay(server.port) as relay:
        chat = Chat(page, relay.url).open()
        chat.say("Tell")
        expect(chat.answer).to_have_text("Once")

        page.set_extra_http_headers({"Remote-User": ""})
        if login_page:
            page.route("**/status", lambda route: route.fulfill(status=302, headers={"Location": login_page}))
        relay.cut_all()

        expect(chat.lost).to_have_text("You are signed out. Reload the page to sign in.")


def test_axe_finds_nothing_on_the_first_visit_behind_a_proxy(start_server, new_browser, network_may_fail):
    opened = start_server()
    page = new_browser(viewport={"width": 320, "height": 800}, extra_http_headers=IDENTITY).new_page()
    page.goto(opened.url)
    page.locator("#text").fill("Hello")
    page.keyboard.press("Enter")
    page.wait_for_url("**/c/*")
    opened.kill()
    server = start_server(port=opened.port, LOGIN="proxy", PROXIES="127.0.0.1", LOGIN_SECRET=SECRET)

    page.goto(f"{server.url}/")
    found = flaws(page)
    page.get_by_role("button", name="Take the chats of this browser along").click()
    page.wait_for_url(f"{server.url}/")

    assert found == (0, [])
    assert "Hello" in page.content()
