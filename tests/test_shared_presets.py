"""Presets that administrators make for everybody: seen and used by all, changed by administrators only."""

from __future__ import annotations

import re

import pytest

from tests.team import PASSWORD, links, problem
from tests.visitor import text_of
from webapp.presets import PRESETS

BRIEF = {"name": "Brief", "model": "gpt-3.5-turbo", "temperature": "0.2", "system": "Be brief."}


@pytest.fixture
def alice(team, carol):
    return team.join("Alice")


def share(carol, **fields) -> str:
    """Make a preset for everybody; its id."""
    answer = carol.post_form("/admin/presets", **(BRIEF | fields))
    assert answer.status_code == 303, problem(answer)
    return answer.headers["Location"].rpartition("preset-")[2]


def entries(team) -> list[tuple[str, str]]:
    with team.parts.storage.read() as tx:
        rows = tx.exec_driver_sql("SELECT action, target FROM audit WHERE action LIKE 'preset%%' ORDER BY id")
        return [tuple(row) for row in rows]


def chips(page: str) -> list[str]:
    found = re.search(r'<nav class="presets".*?</nav>', page, re.DOTALL)
    return re.findall(r">([^<]+)</a>", found[0]) if found else []


def test_everybody_sees_it_beside_their_own_and_begins_a_chat_with_it(carol, alice, upstream):
    preset = share(carol)
    alice.post_form("/presets", **(BRIEF | {"name": "Mine"}))

    page = alice.get(f"/?preset={preset}").text
    alice.end(alice.new_chat("Hi", model="gpt-3.5-turbo", temperature="0.2", system="Be brief."))

    assert chips(page) == ["Brief", "Mine"]
    assert "Be brief.</textarea>" in page
    assert chips(carol.get("/").text) == ["Brief"]
    assert upstream.requests[-1].json["messages"][0] == {"role": "system", "content": "Be brief."}


def test_the_settings_page_marks_it_and_offers_no_form_for_it(carol, alice):
    preset = share(carol)

    page = alice.get("/settings").text

    assert "Brief gpt-3.5-turbo For everybody" in text_of(page)
    assert "Be brief.</textarea>" in page
    assert f"/presets/{preset}" not in page
    assert f'<option value="{preset}">Brief (for everybody)</option>' in page


def test_nobody_changes_or_deletes_it_by_the_routes_of_their_own_presets(carol, alice):
    preset = share(carol)
    paths = [f"/presets/{preset}", f"/presets/{preset}/delete", "/admin/presets", f"/admin/presets/{preset}"]

    statuses = [alice.post_form(path, **(BRIEF | {"name": "Taken"})).status_code for path in paths]
    statuses.append(alice.post_form(f"/admin/presets/{preset}/delete").status_code)
    carol.post_form(f"/presets/{preset}/delete")

    assert statuses == [404, 303, 403, 403, 403]
    assert chips(alice.get("/").text) == ["Brief"]


def test_an_administrator_changes_only_what_is_for_everybody(team, carol, alice):
    preset = share(carol)
    alice.post_form("/presets", **(BRIEF | {"name": "Mine"}))
    mine = next(one.id for one in team.parts.presets.of(team.user_id("Alice")) if one.name == "Mine")

    changed = carol.post_form(f"/admin/presets/{preset}", **(BRIEF | {"name": "Briefer"}))
    refused = carol.post_form(f"/admin/presets/{mine}", **(BRIEF | {"name": "Hers"}))
    carol.post_form(f"/admin/presets/{mine}/delete")

    assert changed.status_code == 303
    assert refused.status_code == 404
    assert 'value="Hers"' in refused.text
    assert chips(alice.get("/").text) == ["Briefer", "Mine"]
    assert "Mine" not in text_of(carol.get("/admin/presets").text)


def test_it_can_be_the_default_of_a_user_and_of_a_folder_and_its_deletion_leaves_both_without(carol, alice):
    preset = share(carol)
    alice.post_form("/preferences", preset=preset)
    folder = alice.post_form("/folders", name="Work").headers["Location"].rpartition("=")[2]
    saved = alice.post_form(f"/folders/{folder}", name="Work", preset=preset)
    alice.end(alice.new_chat("Hi", model="gpt-3.5-turbo", system="Be brief."))
    begun = [alice.get(path).text.count("Be brief.</textarea>") for path in ("/", f"/?folder={folder}")]

    carol.post_form(f"/admin/presets/{preset}/delete")

    assert saved.status_code == 303
    assert begun == [1, 1]
    assert [alice.get(path).status_code for path in ("/", f"/?folder={folder}", "/conversations")] == [200, 200, 200]
    assert "Be brief." not in alice.get(f"/?folder={folder}").text
    assert "Be brief.</textarea>" in alice.page()  # a chat keeps its settings
    assert alice.get(f"/?preset={preset}").status_code == 404


def test_fields_in_it_are_asked_for(carol, alice):
    preset = share(carol, system="Answer in {{language}}.")

    page = alice.post_form(f"/presets/{preset}/use", **{"field-0": "Latin"})

    assert "Answer in Latin.</textarea>" in page.text


def test_it_outlives_who_made_it(team, carol, alice):
    share(carol)
    team.join("Dan", "admin")

    gone = carol.post_form("/account/delete", proof=PASSWORD)

    assert gone.status_code in (200, 303)
    assert "Carol" not in {account.name for account in team.parts.team.users.all()}
    assert chips(alice.get("/").text) == ["Brief"]


@pytest.mark.parametrize("wrong", [{"name": " "}, {"temperature": "9"}, {"model": "unknown"}])
def test_what_cannot_be_used_is_refused_and_kept(team, carol, wrong):
    refused = carol.post_form("/admin/presets", **(BRIEF | wrong))

    assert refused.status_code == 400
    assert problem(refused)
    assert "Be brief.</textarea>" in refused.text
    assert entries(team) == []


def test_their_number_is_limited_apart_from_those_of_users(team, carol):
    for number in range(PRESETS):
        share(carol, name=f"Preset {number}")

    assert "presets for everybody, which is the limit" in problem(carol.post_form("/admin/presets", **BRIEF))
    assert carol.post_form("/presets", **BRIEF).status_code == 303


def test_the_audit_log_names_each_change(team, carol, alice):
    preset = share(carol)
    carol.post_form(f"/admin/presets/{preset}", **(BRIEF | {"name": "Briefer"}))
    carol.post_form(f"/admin/presets/{preset}/delete")
    carol.post_form(f"/admin/presets/{preset}/delete")
    alice.post_form("/presets", **BRIEF)

    assert entries(team) == [("preset_made", "Brief"), ("preset_changed", "Briefer"), ("preset_deleted", "Briefer")]
    assert links(carol.get("/settings").text, "/admin/presets") == ["/admin/presets"]
    assert links(alice.get("/settings").text, "/admin/presets") == []
    assert carol.get(f"/admin/presets/{preset}", allow_redirects=False).status_code == 303
