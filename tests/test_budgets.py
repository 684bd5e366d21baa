"""What the first view costs: one round trip of bytes, four requests, nothing of anyone else."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import html5lib
import pytest

STATIC = Path(__file__).parent.parent / "static"
FIRST_VIEW = 14_600  # bytes: ten TCP segments, the most that a server sends in the first round trip
LATER = 14 * 1024  # the modules that import() loads when they are first used, and the style that they bring
OTHER_PAGES = {"pages.css", "proxy.js"}  # of settings, search, sign-in and administrators, which these link

COMMENT_LINE = re.compile(r" *(//.*|/\*.*\*/|/\*[^/]*|\*( .*|/)?)")

TITLES = """
Plan a quiet weekend in the hills|Why does my query scan the whole table?|Translate the letter to the landlord|
Regular expression for dates|Compare three ways to cache a page|What did the meeting decide?|
A soup with lentils and lemon|Explain the borrow checker to me|Rewrite this paragraph, shorter|
Memory use of the nightly import|Names for a small ship|Как настроить резервное копирование?|
Unit tests for the parser|How do tides work?|Draft an answer to the auditor|Sort a list of objects by two keys|
Summary of chapter four|Best order to learn the chords|Fix the indentation of a YAML file|
Kubernetes pod stays pending|Questions for the interview on Friday|A poem about the first snow|
Convert the spreadsheet to JSON|What is a covering index?|Terms of the new contract|Почему небо голубое?|
Shell loop over files with spaces|Ideas for the team's anniversary|Deadlock between two workers|Pack for ten days
""".replace("\n", "").split("|")


@pytest.fixture
def empty_chat(alice):
    """The page of a new chat beside 30 conversations."""
    for title in TITLES:
        alice.end(alice.new_chat(title))
    return alice.get("/").text


def addresses_of(page: str) -> list[str]:
    """The files that a browser loads with the page: scripts, style sheets, the icon. The manifest waits."""
    head = html5lib.parse(page, namespaceHTMLElements=False).find("head")
    kinds = ("stylesheet", "icon", "preload", "modulepreload")
    links = [link.get("href") for link in head.iter("link") if link.get("rel") in kinds]
    return links + [script.get("src") for script in head.iter("script")]


def sent_bytes(alice, address: str) -> int:
    """The length of an answer's body as it goes over the wire."""
    return int(alice.get(address, headers={"Accept-Encoding": "gzip"}).headers["Content-Length"])


def test_the_first_view_fits_one_round_trip(empty_chat, alice):
    sizes = {address: sent_bytes(alice, address) for address in ["/", *addresses_of(empty_chat)]}

    assert empty_chat.count('<li><a href="/c/') == 30
    assert len(sizes) == 4
    assert sum(sizes.values()) <= FIRST_VIEW, sizes
    assert "\n\n" not in empty_chat


def test_what_is_loaded_later_is_small(empty_chat, alice):
    first = {Path(urlsplit(address).path).name for address in addresses_of(empty_chat)}
    later = [
        path for path in STATIC.iterdir() if path.suffix in (".js", ".css") and path.name not in first | OTHER_PAGES
    ]

    sizes = {path.name: sent_bytes(alice, f"/static/{path.name}") for path in later}

    assert "app.js" not in sizes
    assert sum(sizes.values()) <= LATER, sizes


def test_comments_stay_at_home_and_all_else_is_sent(alice):
    for path in (*STATIC.glob("*.js"), *STATIC.glob("*.css")):
        source = path.read_text()
        sent = alice.get(f"/static/{path.name}").text
        lines = [line for line in source.splitlines() if not COMMENT_LINE.fullmatch(line)]

        assert [line for line in sent.splitlines() if line] == [line for line in lines if line]


def test_the_script_imports_nothing_before_it_is_used():
    assert not re.search(r"^\s*(import|export)\b(?!\()", (STATIC / "app.js").read_text(), re.MULTILINE)


def test_the_page_asks_for_one_script_and_one_style_sheet_and_nothing_of_others(empty_chat, alice):
    page = html5lib.parse(empty_chat, namespaceHTMLElements=False)
    scripts = [script.get("src", "inline") for script in page.iter("script")]
    styles = [link.get("href") for link in page.iter("link") if link.get("rel") == "stylesheet"]
    addresses = [
        element.get(name) for element in page.iter() for name in ("src", "href", "action") if element.get(name)
    ]

    assert [urlsplit(address).path for address in (*scripts, *styles)] == ["/static/app.js", "/static/app.css"]
    home = urlsplit(alice.base_url).netloc
    assert {urlsplit(urljoin(alice.base_url, address)).netloc for address in addresses} == {home}


def test_the_page_brings_no_font_no_picture_and_nothing_inline(empty_chat):
    style = "".join(path.read_text() for path in STATIC.glob("*.css"))
    page = html5lib.parse(empty_chat, namespaceHTMLElements=False)

    assert not re.search(r"@font-face|@import|url\(", style)
    assert [element for tag in ("style", "img", "iframe", "object", "embed") for element in page.iter(tag)] == []
    assert [name for element in page.iter() for name in element.attrib if name == "style" or name[:2] == "on"] == []
