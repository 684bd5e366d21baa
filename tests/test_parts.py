"""Parts of pages that are kept: made of their values alone, so never stale and never another user's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import g
from jinja2 import Environment, FileSystemLoader, meta
from markupsafe import Markup

from webapp.chat import Message
from webapp.views import pages, words
from webapp.views.kept import CHUNK_BYTES, MOST_BYTES, Chunks

NOW = datetime(2026, 11, 26, tzinfo=UTC)
TEMPLATES = Path(__file__).parent.parent / "templates"
USED = re.compile(r'\bpart\("([^"]+)"(.*?)\) }}', re.DOTALL)
OURS = {"_", "ngettext", "url_for"}  # the language and the path that we are below are in each key

environment = Environment(loader=FileSystemLoader(TEMPLATES))
environment.filters |= words.FILTERS


def uses() -> list[tuple[str, set[str]]]:
    """Each template that is used as a part, and the names of the values that it gets there."""
    found = [use for path in TEMPLATES.glob("*.html") for use in USED.findall(path.read_text())]
    return [(name, set(re.findall(r"[ (,](\w+)=(?!=)", values))) for name, values in found]


def read_by(template: str) -> set[str]:
    """What a template reads that it does not set, with all that it includes and imports."""
    tree = environment.parse((TEMPLATES / template).read_text())
    further = [read_by(name) for name in meta.find_referenced_templates(tree) if name]
    return set(meta.find_undeclared_variables(tree)).union(*further)


@pytest.mark.parametrize(("template", "values"), uses(), ids=lambda one: one if isinstance(one, str) else "")
def test_a_part_reads_nothing_but_its_values(template, values):
    # Without these it shows less; no page gives them to a part.
    optional = {"menus", "origin"}

    assert read_by(template) - OURS <= values | optional


def test_all_parts_are_found():
    assert {name for name, _values in uses()} >= {"_sidebar_list.html", "_composer_rest.html", "_actions.html"}


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), ("<b>", Markup("<b>")), ([1], [1.0]), ((("seed", 1),), (("seed", 1.0),)), (0, None)],
)
def test_values_that_look_different_have_different_keys(one, other):
    assert pages._key(one) != pages._key(other)


def test_a_part_is_made_once_for_equal_values(site):
    with site.test_request_context("/"):
        one = pages.part("_composer_top.html", action="/one", plain=False)
        other = pages.part("_composer_top.html", action="/other", plain=False)
        again = pages.part("_composer_top.html", action="/one", plain=False)

    assert 'action="/one"' in one
    assert other == one.replace("/one", "/other")
    assert again == one


def test_a_part_is_of_the_path_that_the_page_is_below(site):
    with site.test_request_context("/"):
        at_the_root = pages.part("_head.html", theme="")
    with site.test_request_context("/", environ_overrides={"SCRIPT_NAME": "/chat"}):
        below = pages.part("_head.html", theme="")

    assert 'href="/static/app.css' in at_the_root
    assert 'href="/chat/static/app.css' in below


def test_the_list_and_the_menu_follow_a_rename_a_pin_and_a_move(alice):
    alice.end(alice.new_chat("The old title"))
    assert alice.page().count("The old title") > 2

    alice.post_form(f"/c/{alice.conversation_id}/rename", title="The new title")
    alice.post_form(f"/c/{alice.conversation_id}/pin", pinned="1")
    alice.post_form(f"/c/{alice.conversation_id}/move", name="A folder")
    page = alice.page()

    assert "The old title" not in page.replace('dir="auto">The old title</div>', "")  # the question says it
    assert page.count("The new title") > 2
    assert 'name="title" required maxlength="200" value="The new title"' in page
    assert "Unpin" in page
    assert re.search('<option value="[^"]+" selected>A folder', page.split('name="folder"')[1])
    assert 'aria-current="true"' in page.split("data-folder")[1]


def test_a_page_has_the_theme_and_the_language_of_its_own_request(alice):
    light = alice.get("/").text
    alice.post_form("/preferences", theme="dark")

    dark, russian = alice.get("/").text, alice.get("/", headers={"Accept-Language": "ru"}).text

    assert 'content="light dark"' in light
    assert 'content="dark"' in dark
    assert 'name="theme" value="dark" aria-pressed="true"' in dark
    assert "New chat" not in russian
    assert "Search" in alice.get("/").text


def test_nobody_sees_anothers_list_draft_or_settings(alice, bob):
    alice.end(alice.new_chat("Known to Alice alone", system="Her prompt", temperature="0.7"))
    alice.page()

    page = bob.get("/").text

    assert "Known to Alice alone" not in page
    assert "Her prompt" not in page
    assert "0.7" not in page
    assert "Her prompt" in alice.page()


def test_each_page_has_a_key_of_its_own(alice):
    keys = {re.search(r'name="key" value="([^"]+)"', alice.get("/").text)[1] for _ in range(3)}

    assert len(keys) == 3


def test_an_error_after_a_page_in_parts_shows_whole_parts(site):
    with site.test_request_context("/"):
        g.parts = []
        html = pages.part("_words.html")

    assert "The answer is complete." in html


def test_no_settings_are_kept_with_a_part(alice, monkeypatch):
    system = "Be brief. " * 100
    alice.post_form("/presets", name="Brief", model="gpt-4", temperature="", system=system)
    alice.end(alice.new_chat("Hello", system="Be kind. " * 100))
    monkeypatch.setattr(pages, "kept", Chunks())

    page = alice.page()

    assert ">Brief</a>" in page
    keys = [str(key) for key in pages.kept._chunks if "_composer_rest.html" not in key]
    assert len(keys) > 3
    assert [key for key in keys if "Be brief." in key or "Be kind." in key] == []
    [composer] = [str(key) for key in pages.kept._chunks if "_composer_rest.html" in key]
    assert "Be brief." not in composer


def test_a_part_that_is_left_out_is_freed_at_once():
    chunks = Chunks()
    first = chunks.add("first", "x" * CHUNK_BYTES)
    first.message = Message("a", "b", None, "user", "", "done", NOW, page=first)

    for number in range(MOST_BYTES // CHUNK_BYTES):
        chunks.add(number, "y" * CHUNK_BYTES)

    assert chunks.get("first") is None
    assert first.message is None  # the two held each other
