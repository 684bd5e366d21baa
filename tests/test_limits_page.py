"""The limits page: administrators set what roles and users may use, and the audit log says who did."""

from __future__ import annotations

import re

import pytest

from tests.team import links, problem
from tests.visitor import text_of


@pytest.fixture
def alice(team, carol):
    return team.join("Alice")


def entries(team) -> list[tuple[str, str, str]]:
    with team.parts.storage.read() as tx:
        rows = tx.exec_driver_sql("SELECT actor, action, target FROM audit ORDER BY id").all()
    return [tuple(row) for row in rows if row.action == "limit_changed"]


def value_of(page: str, field: str) -> str:
    return re.search(rf'<input id="{field}"[^>]* value="([^"]*)"', page)[1]


def test_a_limit_of_a_role_holds_at_once_and_an_empty_one_no_longer(team, carol, alice):
    carol.post_form("/admin/limits", role="member", messages_per_minute="0")
    refused = alice.post_form("/conversations", text="Hi")
    assert value_of(carol.get("/admin/limits").text, "member-messages_per_minute") == "0"

    carol.post_form("/admin/limits", role="member", messages_per_minute="")

    assert refused.status_code == 429
    assert alice.post_form("/conversations", text="Hi").status_code == 303


def test_a_user_may_have_other_limits_than_the_role(team, carol, alice):
    path = f"/admin/limits/{team.user_id('Alice')}"
    carol.post_form("/admin/limits", role="member", messages_per_minute="0")

    saved = carol.post(path, {"messages_per_minute": "1 000"})

    assert alice.post_form("/conversations", text="Hi").status_code == 303
    assert "The limits are saved." in text_of(saved.text)
    assert 'value="1000" placeholder="0"' in saved.text
    assert text_of(carol.get("/admin/limits").text).count("Own limits") == 1


def test_the_page_of_a_user_has_their_name_and_one_form_which_leads_back_to_it(team, carol, alice):
    path = f"/admin/limits/{team.user_id('Alice')}"

    page = carol.get(path).text

    said = text_of(page)
    assert "Where a field is empty, the limit of the role holds." in said
    assert f'action="{path}"' in page
    assert f'<h2 id="of-{team.user_id("Alice")}" dir="auto">Alice</h2>' in page
    assert [word in said for word in ("Administrator", "People", "Own limits")] == [False] * 3


def test_stored_bytes_are_set_in_megabytes(team, carol):
    page = carol.post("/admin/limits", {"role": "admin", "stored_bytes": "25"}).text

    assert value_of(page, "admin-stored_bytes") == "25"
    assert entries(team) == [("Carol", "limit_changed", "admin: stored_bytes 25000000")]


def test_the_audit_log_names_each_limit_that_changed_and_no_other(team, carol, alice):
    carol.post_form("/admin/limits", role="member", tokens_per_day="500", conversations="9")
    carol.post_form("/admin/limits", role="member", tokens_per_day="500", conversations="")
    carol.post_form(f"/admin/limits/{team.user_id('Alice')}", imports_per_day="3")

    assert [target for _actor, _action, target in entries(team)] == [
        "member: tokens_per_day 500",
        "member: conversations 9",
        "member: conversations none",
        "Alice: imports_per_day 3",
    ]


@pytest.mark.parametrize("text", ["many", "-1", "1e3", "9" * 40])
def test_what_is_no_number_is_refused_and_kept(team, carol, text):
    refused = carol.post_form("/admin/limits", role="member", tokens_per_day=text, conversations="5")

    assert refused.status_code == 400
    assert "A limit is a whole number, or empty" in problem(refused)
    assert value_of(refused.text, "member-tokens_per_day") == text
    assert value_of(refused.text, "member-conversations") == "5"
    assert entries(team) == []


def test_nobody_else_changes_limits_and_no_unknown_user_has_any(team, carol, alice):
    own = f"/admin/limits/{team.user_id('Alice')}"

    statuses = [alice.post_form(own, tokens_per_day="9").status_code, alice.get("/admin/limits").status_code]

    assert statuses == [403, 403]
    assert carol.post_form(f"/admin/limits/{'0' * 8}-0000-4000-8000-{'0' * 12}", tokens_per_day="9").status_code == 404
    assert carol.post_form("/admin/limits", role="owner", tokens_per_day="9").status_code == 404
    assert entries(team) == []


def test_only_administrators_see_the_way_to_the_page(carol, alice):
    assert links(carol.get("/settings").text, "/admin/limits") == ["/admin/limits"]
    assert links(alice.get("/settings").text, "/admin/limits") == []
