"""Browsers that show text alone: a way to the running answer, and no control that does nothing there."""

from __future__ import annotations

import re
import shutil
import subprocess

import html5lib
import pytest

from tests.conftest import need
from tests.upstream import Wait, body, token, tokens
from tests.visitor import text_of

LINK = "Show the answer as it comes"
BROWSERS = {
    "w3m": ("w3m/0.5.3+git20230121", ["-dump", "-T", "text/html", "-cols", "120"]),
    "links2": ("Links (2.28; Linux 6.1 x86_64; GNU C 12.2; text)", ["-dump"]),
    "lynx": ("Lynx/2.9.0dev.12 libwww-FM/2.14", ["-dump", "-nolist"]),
}


@pytest.fixture(params=BROWSERS)
def browser(request):
    return request.param


@pytest.fixture
def page(alice, upstream, browser):
    """The page of a conversation with a finished and a running reply, as this browser gets it."""
    alice.headers["User-Agent"] = BROWSERS[browser][0]
    upstream.answer(*tokens("Done:\n\n```python\nx = 1\n```"))
    alice.end(alice.new_chat("First question"))
    upstream.answer(*body(token("Half"), Wait()))
    alice.say("Second question")
    return alice.page()


def test_a_text_browser_gets_no_control_that_does_nothing(page, alice):
    for html in (page, alice.get("/").text, alice.get("/settings").text, alice.get("/search?q=question").text):
        tree = html5lib.parse(html, namespaceHTMLElements=False)

        buttons = list(tree.iter("button"))
        assert [one for one in buttons if one.get("type") == "button" or one.get("hidden") is not None] == []
        assert list(tree.iter("template")) == []
        assert [one.attrib for one in (*buttons, *tree.iter("a")) if not "".join(one.itertext()).strip()] == []


def test_a_text_browser_shows_a_link_to_the_running_answer(page, browser, alice, tmp_path):
    need(shutil.which(browser), browser)
    file = tmp_path / "page.html"
    file.write_text(page)

    seen = subprocess.run(
        [browser, *BROWSERS[browser][1], str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    ).stdout

    assert LINK in seen
    assert seen.count("Stop") == 1
    assert not re.search("Copy|Latest", seen)


def test_the_link_leads_to_the_answer(alice, upstream):
    upstream.answer(*tokens("Whole"))
    reply = alice.new_chat("Hi")
    alice.end(reply)

    assert "Whole" in text_of(alice.get(f"/c/{alice.conversation_id}?live=1&last=2").text)
    assert LINK not in alice.page()


def test_other_browsers_get_every_control(alice, upstream):
    upstream.answer(*body(token("Half"), Wait()))
    alice.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    alice.new_chat("Hi")

    page = alice.page()

    assert page.count('type="button"') > 5
    assert f'<noscript><p class="earlier"><a class="button" href="?live=1&amp;last=2">{LINK}' in page
