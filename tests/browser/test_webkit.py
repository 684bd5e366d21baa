"""The way of a message, and the menus, in WebKit: what differs there was seen by nobody else's tests."""

from __future__ import annotations

import shutil
import threading

import pytest

from tests.browser.webkit import MINI_BROWSER, webkit
from tests.conftest import need
from tests.upstream import Wait, body, token

pytestmark = pytest.mark.browser

ENTER, ESCAPE = "\ue007", "\ue00c"


@pytest.fixture
def browser():
    need(MINI_BROWSER and shutil.which("WebKitWebDriver") and shutil.which("Xvfb"), "WebKit (webkit2gtk-driver, xvfb)")
    with webkit() as browser:
        yield browser


def test_webkit_asks_streams_stops_and_opens_menus_of_their_own_height(server, browser, upstream):
    upstream.answer(*body(token("**So** far"), Wait(threading.Event())))
    browser.open(server.url)
    browser.wait("document.documentElement.className == 'js'")

    browser.click("[popovertarget=tuning]")
    assert browser.js("document.querySelector('#tuning').offsetHeight") < 450
    browser.type("#system", ESCAPE)
    browser.type("#text", f"Tell me{ENTER}")
    browser.wait("document.querySelector('.message--assistant strong')?.textContent == 'So'")
    browser.click("[data-stop]")
    browser.wait("document.querySelector('.message__note')?.textContent == 'Stopped.'")
    browser.click("[popovertarget=menu]")
    assert browser.js("document.querySelector('#menu').offsetHeight") < 520

    browser.type("#menu [name=title]", ESCAPE)
    browser.point(100, 100)
    browser.wait("document.querySelector('#sidebar > dialog.menu')")
    browser.wait("document.querySelector('.item__menu')")
    browser.click(".item__menu")
    browser.wait("document.querySelector('dialog.menu').open")
    browser.point(900, 30, press=True)
    browser.wait("!document.querySelector('dialog.menu').open")
