"""A real Chromium, and a real Firefox, on the real gunicorn.

A page that complains, or that asks another origin, fails its test.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, expect, sync_playwright

from tests.browser.chat import PATIENCE_SECONDS, Chat
from tests.conftest import need
from tests.relay import Relay
from tests.server import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FIREFOX = Path(__file__).parent / "firefox"  # starts Debian's
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Firefox complains of each event stream that is answered by 204 or that a reload breaks off.
ENDED_STREAM = re.compile(r"(Firefox can’t establish a connection to the server at|The connection to) \S+/stream\b")
PATIENCE_MILLISECONDS = PATIENCE_SECONDS * 1000

expect.set_options(timeout=PATIENCE_MILLISECONDS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `firefox` run in both browsers, all others in Chromium."""
    if metafunc.definition.get_closest_marker("firefox"):
        metafunc.parametrize("browser", ["chromium", "firefox"], indirect=True)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """The one Chromium of these tests, closed after the last of them."""
    need(CHROMIUM, "Chromium")
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def launch_firefox(playwright: Playwright) -> Iterator[Callable[..., Browser]]:
    """Start Debian's Firefox; arguments are Playwright's. It closes after the last of these tests."""
    need(shutil.which("firefox-esr"), "Firefox (firefox-esr)")
    browsers: list[Browser] = []

    def launch(**options: object) -> Browser:
        browsers.append(playwright.firefox.launch(channel="moz-firefox", executable_path=FIREFOX, **options))
        return browsers[-1]

    yield launch
    for browser in browsers:
        browser.close()


@pytest.fixture(scope="package")
def firefox(launch_firefox: Callable[..., Browser]) -> Browser:
    """The one Firefox of these tests."""
    return launch_firefox()


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Browser:
    """The browser that the test runs in."""
    browser: Browser = request.getfixturevalue(getattr(request, "param", "chromium"))
    return browser


@pytest.fixture
def network_may_fail() -> None:
    """For tests that break connections: the browser may tell of it in its console."""


@pytest.fixture
def new_browser(
    browser: Browser, start_server: Callable[..., Server], request: pytest.FixtureRequest
) -> Iterator[Callable[..., BrowserContext]]:
    """Open one more browser with cookies of its own; arguments are Playwright's. It closes before the servers do."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def new(**options: object) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        contexts.append(context)
        _watch(context, complaints)
        return context

    yield new
    for context in contexts:
        context.close()
    complaints = [said for said in complaints if not ENDED_STREAM.search(said)]
    if "network_may_fail" in request.fixturenames:
        complaints = [said for said in complaints if "Failed to load resource" not in said]
    assert complaints == []


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """gunicorn with default settings."""
    return start_server()


@pytest.fixture
def chat(server: Server, new_browser: Callable[..., BrowserContext]) -> Chat:
    """A new chat in a new browser."""
    return Chat(new_browser().new_page(), server.url).open()


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    """A wire to the server that can be cut."""
    with Relay(server.port) as relay:
        yield relay


@pytest.fixture
def relayed(relay: Relay, new_browser: Callable[..., BrowserContext]) -> Chat:
    """A new chat over that wire, on a clock that can be turned."""
    page = new_browser().new_page()
    page.clock.install()
    return Chat(page, relay.url).open()


def _watch(context: BrowserContext, complaints: list[str]) -> None:
    """Note errors, warnings (violations of our policy among them), and requests that leave the first one's origin."""
    origins: set[str] = set()

    def on_request(url: str) -> None:
        origins.add(origin := "{0.scheme}://{0.netloc}".format(urlsplit(url)))
        if len(origins) > 1:
            complaints.append(f"asks {origin}: {url}")

    context.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
    context.on("weberror", lambda failure: complaints.append(str(failure.error)))
    context.on("request", lambda request: on_request(request.url))
