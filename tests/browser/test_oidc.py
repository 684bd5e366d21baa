"""Sign-in at an identity provider in a real browser, with and without script: there, back, and out again."""

from __future__ import annotations

import pytest

from tests.browser.team_page import flaws
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider
from tests.server import free_port

pytestmark = pytest.mark.browser


@pytest.fixture
def provider():
    with IdentityProvider() as provider:
        provider.description = {"end_session_endpoint": f"{provider.url}/keys"}
        provider.person["groups"] = ["chiefs"]
        yield provider


@pytest.fixture
def start_oidc(start_server, provider):
    """Start gunicorn on this port, with sign-in at the provider."""

    def start(port):
        settings = {"ISSUER": provider.url, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
        settings |= {"ADDRESS": f"http://127.0.0.1:{port}", "ALLOW": "team", "ADMINS": "chiefs"}
        return start_server(port=port, LOGIN="oidc", **{f"OIDC_{name}": value for name, value in settings.items()})

    return start


@pytest.mark.parametrize("with_script", [True, False])
def test_a_browser_goes_to_the_provider_and_comes_back(chromium, start_oidc, provider, with_script):
    server = start_oidc(free_port())
    context = chromium.new_context(java_script_enabled=with_script)  # it asks two origins
    page = context.new_page()

    page.goto(f"{server.url}/account")
    page.get_by_role("link", name="Sign in", exact=True).click()
    page.wait_for_url(f"{server.url}/account")
    page.get_by_role("button", name="Sign out").first.click()
    page.get_by_role("link", name="Sign out there too").click()

    page.wait_for_url(f"{provider.url}/keys?*")
    assert provider.asked["/authorize"] == 1
    context.close()


def test_axe_finds_nothing_on_the_pages_of_the_way(chromium, start_server, start_oidc):
    opened = start_server()
    context = chromium.new_context(viewport={"width": 320, "height": 800})
    page = context.new_page()
    page.goto(opened.url)
    page.locator("#text").fill("Hello")
    page.keyboard.press("Enter")
    page.wait_for_url("**/c/*")
    opened.kill()
    server = start_oidc(opened.port)
    found = {}

    def look(name):
        found[name] = flaws(page)

    page.goto(f"{server.url}/sign-in")
    look("sign-in")
    page.goto(f"{server.url}/sign-in/done?state=x")
    look("refused")
    page.get_by_role("link", name="with the chats of this browser").click()
    page.wait_for_url(f"{server.url}/")
    assert "Hello" in page.content()
    page.goto(f"{server.url}/account")
    look("account")
    page.goto(f"{server.url}/admin/users")
    look("users")
    page.goto(f"{server.url}/account")
    page.get_by_role("button", name="Sign out").first.click()
    page.get_by_role("link", name="Sign out there too").wait_for()
    look("signed out")

    context.close()
    assert found == dict.fromkeys(["sign-in", "refused", "account", "users", "signed out"], (0, []))
