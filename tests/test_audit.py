"""The audit log: written with what it records, read and exported by administrators, kept as long as a setting says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select, update

from tests.team import PASSWORD, links, problem, sign_in
from tests.visitor import text_of
from webapp import audit as use_cases
from webapp.retention import Retention
from webapp.storage.team_schema import accounts, audit, invites, sign_ins, throttles
from webapp.upkeep import Upkeep
from webapp.views.log import ACTIONS

ROOT = Path(__file__).parent.parent


def entries(team) -> list[tuple[str, str, str]]:
    with team.parts.storage.read() as tx:
        rows = tx.execute(select(audit).order_by(audit.c.id)).all()
    return [(row.actor, row.action, row.target) for row in rows]


def test_what_administrators_do_is_logged_with_who_and_whom(team, carol):
    alice = team.join("Alice")
    before = len(entries(team))
    path = f"/admin/users/{team.user_id('Alice')}"

    for what, fields in [("role", {"role": "admin"}), ("sign-out", {}), ("reset", {}), ("disable", {}), ("enable", {})]:
        carol.post_form(f"{path}/{what}", **fields)
    carol.post_form("/admin/invites", role="member")
    sign_in(alice, "alice")
    alice.post_form("/account/password", current=PASSWORD, password="another password of hers")
    alice.post_form("/sign-out")

    assert entries(team)[before:] == [
        ("Carol", "role_changed", "Alice: admin"),
        ("Carol", "signed_out", "Alice"),
        ("Carol", "reset_made", "Alice"),
        ("Carol", "disabled", "Alice"),
        ("Carol", "enabled", "Alice"),
        ("Carol", "invite_made", "member"),
        ("Alice", "sign_in", ""),
        ("Alice", "password_changed", ""),
        ("Alice", "sign_out", ""),
    ]


def test_what_becomes_of_conversations_is_logged_without_their_titles(team):
    alice = team.join("Alice")
    alice.end(alice.new_chat("Quokkas"))
    path = f"/c/{alice.conversation_id}"
    before = len(entries(team))

    exported = [alice.get(f"{path}/export?format=json"), alice.get(f"{path}/export"), alice.get("/export")]
    alice.post_form(f"{path}/delete")
    alice.post_form(f"{path}/restore")
    alice.post_form(f"{path}/delete")
    file = {"file": ("quokkas.json", exported[0].content)}
    alice.post("/import", files=file)
    alice.post("/import", files=file)

    assert entries(team)[before:] == [
        ("Alice", "conversation_exported", alice.conversation_id),
        ("Alice", "conversation_exported", alice.conversation_id),
        ("Alice", "conversations_exported", ""),
        ("Alice", "conversation_deleted", alice.conversation_id),
        ("Alice", "conversation_restored", alice.conversation_id),
        ("Alice", "conversation_deleted", alice.conversation_id),
        ("Alice", "conversations_imported", "1"),  # it comes back
        ("Alice", "conversations_imported", "0"),
    ]


def test_what_is_refused_to_a_member_is_not_logged(team):
    alice, bob = team.join("Alice"), team.join("Bob")
    alice.end(alice.new_chat("Quokkas"))
    before = entries(team)

    for refused in (
        bob.post_form(f"/c/{alice.conversation_id}/delete"),
        bob.post_form(f"/c/{alice.conversation_id}/restore"),
        bob.get(f"/c/{alice.conversation_id}/export"),
        bob.post("/import", files={"file": ("bad.json", b"{")}),
    ):
        assert refused.status_code in (400, 404)

    assert entries(team) == before


def test_with_open_login_nobody_is_logged(alice, storage):
    alice.end(alice.new_chat("Quokkas"))
    exported = alice.get(f"/c/{alice.conversation_id}/export?format=json")
    alice.post_form(f"/c/{alice.conversation_id}/delete")
    alice.post("/import", files={"file": ("quokkas.json", exported.content)})

    with storage.read() as tx:
        assert tx.execute(select(audit)).all() == []


def test_a_refused_change_is_not_logged(team, carol):
    before = entries(team)

    refused = carol.post_form(f"/admin/users/{team.user_id('Carol')}/disable")

    assert problem(refused)
    assert entries(team) == before


def test_what_cannot_be_logged_does_not_happen(team, carol):
    alice = team.join("Alice")
    alice.end(alice.new_chat("Quokkas"))
    chat = alice.conversation_id
    engine = team.parts.storage._durable

    @event.listens_for(engine, "before_cursor_execute")
    def break_log(connection, cursor, statement, *_rest):
        if statement.startswith("INSERT INTO audit"):
            raise RuntimeError("no log")

    alice.post_form(f"/c/{chat}/delete")
    exported = [alice.get(f"/c/{chat}/export"), alice.get("/export")]
    carol.post_form(f"/admin/users/{team.user_id('Alice')}/disable")
    sign_in(team.stranger(), "alice")
    event.remove(engine, "before_cursor_execute", break_log)

    with team.parts.storage.read() as tx:
        disabled = tx.execute(select(accounts.c.disabled_at).where(accounts.c.name == "Alice")).scalar_one()
        assert disabled is None
        assert len(tx.execute(select(sign_ins)).all()) == 2
    assert alice.get("/").status_code == 200
    assert alice.get(f"/c/{chat}").status_code == 200
    assert [answer.status_code for answer in exported] == [500, 500]


def test_the_page_says_who_did_what_and_leads_to_older_entries(team, carol, monkeypatch):
    monkeypatch.setattr(use_cases, "PAGE_ENTRIES", 2)
    carol.post_form("/admin/invites", role="member")
    carol.post_form("/admin/invites", role="admin")

    page = carol.get("/admin/log").text
    [path] = links(page, r"/admin/log\?")
    older = carol.get(path).text

    assert "Carol made an invitation: admin" in text_of(page)
    assert "Carol made an account: admin" in text_of(older)
    assert "127.0.0.1" in page


@pytest.mark.parametrize("before", ["", "x", "-1", "0", "9" * 30])
def test_any_number_is_a_page(carol, before):
    assert carol.get(f"/admin/log?before={before}").status_code == 200


def test_the_export_has_every_entry_and_is_one(team, carol, monkeypatch):
    monkeypatch.setattr(use_cases, "READ_AT_ONCE", 2)
    for _ in range(3):
        carol.post_form("/admin/invites", role="member")

    answer = carol.post("/admin/log/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]

    assert "attachment" in answer.headers["Content-Disposition"]
    assert [line["action"] for line in lines] == [action for _actor, action, _target in reversed(entries(team))]
    assert lines[0]["action"] == "audit_exported"
    assert set(lines[0]) == {"id", "at", "actor", "action", "target", "address", "words"}


def test_the_export_has_the_words_of_the_page_in_the_readers_language(carol):
    carol.post_form("/admin/invites", role="member")

    russian = carol.post("/admin/log/export", headers={"Accept-Language": "ru"})
    english = carol.post("/admin/log/export", headers={"Accept-Language": "en"})

    assert [json.loads(line)["words"] for line in russian.text.splitlines()][1] == "— создание приглашения"
    assert [json.loads(line)["words"] for line in english.text.splitlines()][2] == "made an invitation"


def test_entries_are_kept_as_long_as_the_setting_says(team, carol):
    with team.parts.storage.begin() as tx:
        tx.execute(update(audit).values(at=datetime.now(UTC) - timedelta(days=31)))
    carol.post_form("/admin/invites", role="member")

    Upkeep(team.parts.storage, Retention(team.parts.config, team.parts.storage), audit_days=32).tick()
    kept = len(entries(team))
    Upkeep(team.parts.storage, Retention(team.parts.config, team.parts.storage), audit_days=30).tick()

    assert kept > 1
    assert entries(team) == [("Carol", "invite_made", "member")]


def test_ended_sign_ins_and_old_links_are_removed_too(team, carol):
    team.invite()
    long_ago = datetime.now(UTC) - timedelta(days=40)
    with team.parts.storage.begin() as tx:
        tx.execute(update(sign_ins).values(created_at=long_ago))
        tx.execute(update(invites).values(expires_at=long_ago))
    sign_in(team.stranger(), "nobody")
    with team.parts.storage.begin() as tx:
        tx.execute(update(throttles).values(at=long_ago))

    Upkeep(team.parts.storage, Retention(team.parts.config, team.parts.storage)).tick()

    with team.parts.storage.read() as tx:
        assert [tx.execute(select(table)).all() for table in (sign_ins, invites, throttles)] == [[], [], []]


def test_every_action_has_words_on_the_page():
    sources = "".join(path.read_text() for path in (ROOT / "webapp").rglob("*.py"))
    noted = set(re.findall(r'audit\.note\([^"]*?"([a-z_]+)"', sources))

    assert len(noted) > 20
    assert noted <= set(ACTIONS)


def test_an_action_of_a_later_version_is_shown_by_its_name(team, carol):
    with team.parts.storage.begin() as tx:
        tx.execute(update(audit).values(action="tea_made"))

    assert "tea_made" in text_of(carol.get("/admin/log").text)
