"""Behind real proxies with a wrong line, the upstream page says what is wrong; with the line that it names, nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import ARGUMENTS, CHROMIUM, PATIENCE_MILLISECONDS
from tests.conftest import need
from tests.proxies import NAME, PROGRAMS, Proxy
from tests.team import PASSWORD
from webapp.invites import SERVER, Invites
from webapp.passwords import Passwords

pytestmark = [pytest.mark.browser, pytest.mark.long]

MEND = "# mend"  # a comment in all of them
NGINX_END = "client_max_body_size 256m;\n"


@pytest.fixture
def chromium_there(playwright):
    """A Chromium to which the name of the proxy's site means this machine."""
    need(CHROMIUM, "Chromium")
    rule = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, rule])
    yield browser
    browser.close()


@pytest.fixture
def look(chromium_there: Browser, start_server, storage, tmp_path):
    """Check the proxy as an administrator behind it does; return what the page says."""
    proxies = []
    token = Invites(storage, Passwords(), "password").make(SERVER, "admin")

    def look(language: str, changes: dict[str, str], *, is_silent: bool = False) -> str:
        need(PROGRAMS.get({"apache": "apache2", "caddyfile": "caddy"}.get(language, language)), language)
        directory = tmp_path / f"proxy{len(proxies)}"
        directory.mkdir()
        server = start_server(LOGIN="password", HOSTS=NAME, PROXIES="127.0.0.1")
        proxies.append(Proxy(language, server.url, directory, "root", changes))
        page = chromium_there.new_context(ignore_https_errors=True).new_page()
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        origin = f"https://{NAME}:{proxies[-1].port}"
        enter(page, origin, f"/invite/{token}" if len(proxies) == 1 else "/sign-in")
        page.goto(f"{origin}/admin/upstream")
        if is_silent:
            page.locator("[data-silence]").check()
        with page.expect_navigation(timeout=4 * PATIENCE_MILLISECONDS):
            page.locator("[data-probe] button").click()
        return page.locator("#proxy ~ [role=status]").inner_text()

    yield look
    for proxy in proxies:
        proxy.close()


def enter(page: Page, origin: str, path: str) -> None:
    page.goto(f"{origin}{path}")
    page.locator("[name=name]").fill("Carol")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main .button--primary").click()
    page.wait_for_url(f"{origin}/")


# nginx passes each chunk on, even with buffering; of HTTP/1.0, which it asks for by default, it fills a buffer first.
HELD = {"    proxy_http_version 1.1;\n": f"proxy_ignore_headers X-Accel-Buffering;\n{MEND}\n"}
PACKED = {NGINX_END: f"{NGINX_END}gzip_types text/event-stream;\ngzip_min_length 0;\n{MEND}\n"}
LOST_HOST = {"    proxy_set_header Host $http_host;\n": f"{MEND}\n"}
LOST_SCHEME = {"    proxy_set_header X-Forwarded-Proto $scheme;\n": f"{MEND}\n"}
CADDY_HOST = {"127.0.0.1:8000\n": f"127.0.0.1:8000 {{\nheader_up Host {{upstream_hostport}}\n{MEND}\n}}\n"}
HAPROXY_SCHEME = {"    http-request set-header X-Forwarded-Proto https\n": f"{MEND}\n"}


@pytest.mark.parametrize(
    ("language", "broken", "sentence", "line"),
    [
        ("nginx", HELD, "holds the stream back", "proxy_buffering off;"),
        ("nginx", PACKED, "compresses the stream (gzip)", "gzip off;"),
        ("nginx", LOST_HOST, "changes the name of the host", "proxy_set_header Host $http_host;"),
        ("nginx", LOST_SCHEME, "arrived as http", "proxy_set_header X-Forwarded-Proto $scheme;"),
        ("caddyfile", CADDY_HOST, "changes the name of the host", "header_up Host {hostport}"),
        ("apache", {"ProxyPreserveHost On\n": f"{MEND}\n"}, "changes the name of the host", "ProxyPreserveHost On"),
        (
            "apache",
            {"RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}\n": f"{MEND}\n"},
            "arrived as http",
            "RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}",
        ),
        ("haproxy", HAPROXY_SCHEME, "arrived as http", "http-request set-header X-Forwarded-Proto https"),
    ],
)
def test_a_wrong_line_is_named_and_the_line_on_the_page_mends_it(look, language, broken, sentence, line):
    before = look(language, broken)
    after = look(language, broken | {MEND: line})

    assert sentence in before
    assert line in before
    assert "This mends it" not in after
    assert "as your browser sent them" in after
    assert "The stream arrives as it is sent." in after


@pytest.mark.parametrize("language", ["nginx", "caddyfile", "apache", "haproxy"])
def test_with_the_lines_of_the_readme_nothing_is_wrong(look, language):
    said = look(language, {}, is_silent=language == "haproxy")

    assert "This mends it" not in said
    assert "The stream arrives as it is sent." in said


@pytest.mark.parametrize(
    ("language", "broken", "line"),
    [
        ("nginx", {NGINX_END: f"{NGINX_END}proxy_read_timeout 5s;\n"}, "proxy_read_timeout 60s;"),
        ("haproxy", {"timeout server 60s": "timeout server 5s"}, "timeout server 60s"),
    ],
)
def test_a_proxy_that_is_impatient_is_named(look, language, broken, line):
    said = look(language, broken, is_silent=True)

    assert "silent for 16 seconds" in said
    assert line in said
