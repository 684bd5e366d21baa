"""Presets: kept, changed, deleted; what cannot be used is refused, and what was typed given back."""

from __future__ import annotations

import re

import pytest

from tests.visitor import text_of
from webapp.errors import NotFound

UNKNOWN = "00000000-0000-4000-8000-000000000000"
BRIEF = {"name": "Brief", "model": "gpt-3.5-turbo", "temperature": "0.2", "system": "Be brief."}


def add(visitor, **fields) -> str:
    """Save a new preset; its id."""
    answer = visitor.post_form("/presets", **(BRIEF | fields))
    assert answer.status_code == 303, text_of(answer.text)
    found = re.fullmatch(r"/settings#preset-([0-9a-f-]{36})", answer.headers["Location"])
    assert found, answer.headers["Location"]
    return found[1]


def names(visitor) -> list[str]:
    return re.findall(r"<summary><bdi>(.*?)</bdi>", visitor.get("/settings").text)


def test_a_preset_is_kept_with_all_it_says(alice):
    preset = add(alice)

    page = alice.get("/settings").text

    assert f'id="preset-{preset}"' in page
    assert 'value="Brief"' in page
    assert "<option selected>gpt-3.5-turbo</option>" in page
    assert 'value="0.2"' in page
    assert "Be brief.</textarea>" in page


def test_a_field_that_a_form_leaves_out_is_empty(alice):
    kept = alice.post_form("/presets", name="Short", model="gpt-4")
    refused = alice.post_form("/presets", system="Be short.")

    assert (kept.status_code, refused.status_code) == (303, 400)
    page = alice.get("/settings").text
    assert re.findall(r'<textarea [^>]*name="system"[^>]*>\n(.*?)</textarea>', page) == ["", ""]
    assert [value_of(page, "temperature"), value_of(refused.text, "name")] == ["", ""]


def value_of(page: str, field: str) -> str:
    """The value in the last form of a page of presets, which is the one for a new preset."""
    return re.findall(rf'<input [^>]*name="{field}"[^>]* value="([^"]*)"', page)[-1]


def test_saving_is_said_once_beside_the_preset(alice):
    add(alice, name="Other")
    alice.get("/settings")
    add(alice)

    page = alice.get("/settings").text

    assert text_of(page).count("Saved.") == 1
    assert page.index("<bdi>Brief</bdi>") < page.index("Saved.") < page.index("<bdi>Other</bdi>")
    assert "Saved." not in alice.get("/settings").text


@pytest.mark.parametrize("path", ["/presets", f"/presets/{UNKNOWN}"])
def test_a_reload_after_a_refused_form_finds_the_settings(alice, path):
    assert alice.get(path).url.startswith(f"{alice.base_url}/settings#preset")


def test_presets_stand_by_name(alice):
    for name in ("pear", "Apple", "Яблоко", "quince"):
        add(alice, name=name)

    assert names(alice) == ["Apple", "pear", "quince", "Яблоко"]


def test_a_new_chat_offers_the_presets(alice):
    preset = add(alice)

    assert f'href="/?preset={preset}" dir="auto">Brief</a>' in alice.get("/").text


def test_a_preset_is_changed_in_its_place(alice):
    preset = add(alice)

    answer = alice.post_form(f"/presets/{preset}", **(BRIEF | {"name": " Very \n brief ", "temperature": "2"}))

    assert answer.headers["Location"] == f"/settings#preset-{preset}"
    assert names(alice) == ["Very brief"]
    assert 'value="2.0"' in alice.get("/settings").text


def test_a_deleted_preset_is_gone_also_the_second_time(alice):
    preset = add(alice)

    first = alice.post_form(f"/presets/{preset}/delete")
    second = alice.post_form(f"/presets/{preset}/delete")

    assert [answer.status_code for answer in (first, second)] == [303, 303]
    assert names(alice) == []


REFUSED = [
    ("name", " \n ", 400, "Give the preset a name."),
    ("name", "n" * 61, 400, "The name is too long: 60 characters are allowed."),
    ("model", "gpt-99", 400, "The model gpt-99 is not offered here."),
    ("temperature", "warm", 400, "from 0 to 2"),
    ("temperature", "hot", 400, "from 0 to 2"),
    ("temperature", "nan", 400, "from 0 to 2"),
    ("temperature", "-0.1", 400, "from 0 to 2"),
    ("temperature", "2.1", 400, "from 0 to 2"),
    ("system", "s" * 100_001, 413, "The system prompt is too long: 100,001 characters, 100,000 are allowed."),
]


@pytest.mark.parametrize(("field", "value", "status", "sentence"), REFUSED)
def test_a_new_preset_that_cannot_be_used_is_given_back(alice, field, value, status, sentence):
    answer = alice.post_form("/presets", **({"system": "Keep <me>", **BRIEF, "name": "Mine"} | {field: value}))

    assert answer.status_code == status
    assert sentence in text_of(answer.text)
    assert '<details class="preset" id="new-preset" open>' in answer.text
    assert value in answer.text
    assert names(alice) == []


@pytest.mark.parametrize(("field", "value", "status", "sentence"), REFUSED)
def test_a_change_that_cannot_be_used_is_given_back_and_changes_nothing(alice, field, value, status, sentence):
    preset = add(alice)

    answer = alice.post_form(f"/presets/{preset}", **(BRIEF | {"system": "Keep <me>"} | {field: value}))

    assert answer.status_code == status
    assert sentence in text_of(answer.text)
    assert f'id="preset-{preset}" open>' in answer.text
    assert field == "system" or "Keep &lt;me&gt;</textarea>" in answer.text
    assert "Be brief.</textarea>" in alice.get("/settings").text


def test_what_was_typed_into_a_preset_deleted_elsewhere_can_become_a_new_one(alice):
    answer = alice.post_form(f"/presets/{UNKNOWN}", **(BRIEF | {"system": "Typed for long"}))

    assert answer.status_code == 404
    assert "This preset does not exist." in text_of(answer.text)
    assert "Typed for long</textarea>" in answer.text


def test_fifty_presets_are_enough(alice):
    for number in range(50):
        add(alice, name=f"Preset {number}")

    answer = alice.post_form("/presets", **(BRIEF | {"name": "One more"}))

    assert answer.status_code == 400
    assert "You have 50 presets" in text_of(answer.text)
    assert 'value="One more"' in answer.text
    assert len(names(alice)) == 50


def test_a_model_that_is_no_longer_offered_stays_visible(alice, make_site):
    preset = add(alice)
    alice.base_url = make_site(models=("gpt-4",)).extensions["url"]

    page = alice.get("/settings").text

    assert f'id="preset-{preset}"' in page
    assert "<option selected>gpt-3.5-turbo</option>" in page


def test_characters_that_no_database_stores_are_replaced(alice):
    add(alice, name="a\0b", system="x\0y\r\nz")

    page = alice.get("/settings").text

    assert names(alice) == ["a\ufffdb"]
    assert "x\ufffdy\nz</textarea>" in page


def test_bob_neither_sees_nor_changes_alices_presets(alice, bob):
    preset = add(alice, system="secret")

    changed = bob.post_form(f"/presets/{preset}", **BRIEF)
    bob.post_form(f"/presets/{preset}/delete")

    assert changed.status_code == 404
    assert "secret" not in bob.get("/settings").text
    assert names(alice) == ["Brief"]


@pytest.mark.parametrize("preset_id", [UNKNOWN, "", "x\0", "x" * 1000, "\ud800"])
def test_a_preset_that_does_not_exist_is_not_found(site, preset_id):
    with pytest.raises(NotFound, match="This preset does not exist"):
        site.extensions["lockchat"].presets.get(UNKNOWN, preset_id)


def test_a_new_chat_begins_with_the_default_preset_while_it_exists(alice, bob):
    preset, other = add(alice), add(alice, name="Other", system="Be kind.")
    alice.post_form("/preferences", preset=preset, read_aloud="")

    assert "Be brief.</textarea>" in alice.get("/").text
    assert f'value="{preset}" selected' in alice.get("/settings").text
    assert "Be kind.</textarea>" in alice.get(f"/?preset={other}").text
    assert "Be brief." not in alice.get("/?preset=").text
    assert "Be brief." not in bob.get("/").text

    alice.post_form(f"/presets/{preset}/delete")
    assert "Be brief." not in alice.get("/").text


def test_the_preset_that_holds_is_named_at_the_box(alice):
    preset = add(alice)
    chip = 'data-chip="preset" dir="auto">Brief<'

    assert chip in alice.get(f"/?preset={preset}").text
    alice.end(alice.new_chat("Hi", **(BRIEF | {"name": ""})))
    assert chip in alice.page()
    assert "Presets: Brief None" in text_of(alice.page())
    alice.end(alice.say("On", temperature="1"))
    assert chip not in alice.page()


def test_a_new_chat_begins_with_the_model_used_last(alice):
    alice.end(alice.new_chat("One", model="gpt-3.5-turbo"))
    assert '<option value="gpt-3.5-turbo" selected>' in alice.get("/").text

    alice.end(alice.new_chat("Two", model="gpt-4"))

    assert '<option value="gpt-4" selected>' in alice.get("/").text
