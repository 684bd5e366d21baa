"""What the first visit costs: few bytes, three requests, nothing of anyone else."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import html5lib
import pytest

STATIC = Path(__file__).parent.parent / "static"
SCRIPT = 6144  # bytes, by gzip -9
STYLE = 4096
HTML = 4096
COLD = 14336  # ten packets, the first that a server sends

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


def size(content: bytes) -> int:
    return len(gzip.compress(content, 9, mtime=0))


def static_size(name: str) -> int:
    return size((STATIC / name).read_bytes())


def test_the_script_is_small():
    assert static_size("app.js") <= SCRIPT


def test_the_style_sheet_is_small():
    assert static_size("app.css") <= STYLE


def test_the_page_is_small(empty_chat):
    assert empty_chat.count('<li><a href="/c/') == 30
    assert size(empty_chat.encode()) <= HTML


def test_the_first_visit_is_small(empty_chat):
    total = size(empty_chat.encode()) + static_size("app.js") + static_size("app.css")

    assert total <= COLD


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
