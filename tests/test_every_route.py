"""Every route of the app: foreign pages change nothing, no GET does, and neither do fields that no form offers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.samples import some
from tests.team import PASSWORD
from tests.test_matrix import MATRIX, filled, stage, things, visit  # noqa: F401 (a fixture)
from tests.upstream import Upstream
from webapp.storage.presets import EVERYBODY
from webapp.storage.schema import metadata

UNSAFE = [rule for method, rule in MATRIX if method == "POST"]
SAFE = [rule for method, rule in MATRIX if method == "GET"]
BY_TIME = {"seen_at", "beat_at", "lease_until"}  # columns that change while nobody does anything
FOREIGN = [
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "nonsense"},
]
FIELDS = {"text": "Hi", "title": "Title", "name": "Name", "model": "gpt-4", "temperature": "", "system": ""}


def rows(team) -> dict[str, list[dict[str, object]]]:
    """All that the database holds."""
    with team.parts.storage.read() as tx:
        found = {
            table.name: [dict(row) for row in tx.execute(select(table)).mappings()]
            for table in metadata.sorted_tables
            if table.name != "workers"
        }
    for row in (row for table in found.values() for row in table):
        for column in BY_TIME & row.keys():
            del row[column]
    return {name: sorted(table, key=repr) for name, table in found.items()}


@pytest.mark.parametrize("headers", some(FOREIGN, 3), ids=str)
def test_no_form_of_another_page_changes_anything(stage, headers):  # noqa: F811
    team, visitors, values = stage
    before = rows(team)

    answers = {
        rule: tuple(
            visitors[who].post(filled(rule, values), data=FIELDS, headers=headers, allow_redirects=False).status_code
            for who in ("owner", "admin")
        )
        for rule in UNSAFE
    }

    # Of the API's routes only a key opens the door, which no page of another site has.
    assert answers == {rule: (401, 401) if rule.startswith("/v1/") else (403, 403) for rule in UNSAFE}
    assert rows(team) == before


def test_no_get_changes_anything_and_exports_alone_are_noted(stage):  # noqa: F811
    team, visitors, values = stage
    for rule in SAFE:  # first, what is made once: the HTML of an answer
        visit(visitors["owner"], "GET", filled(rule, values))
    before = rows(team)

    for rule in SAFE:
        for who in ("owner", "admin", "stranger"):
            for method in ("GET", "HEAD"):
                visit(visitors[who], method, filled(rule, values))

    after = rows(team)
    exports = [row for row in after["audit"] if row not in before["audit"]]
    assert {row["action"] for row in exports} == {"conversation_exported", "conversations_exported"}
    assert after | {"audit": before["audit"]} == before


VIEWS = Path(__file__).parent.parent / "webapp" / "views"
TAKEN = re.compile(r'request\.(?:args|form|values)(?:\.get|\.getlist)?[\[(]"(\w+)"')
OWNING = ("id", "user_id", "conversation_id", "message_id", "reply_id", "parent_id", "leaf_id", "picture_id", "holder")
OWNING += ("preset_id", "folder_id")
HEADERS = ("Last-Event-ID", "If-None-Match", "Remote-User", "X-User-Id", "X-Forwarded-User")
GONE = ("/delete", "/sign-out", "/sign-ins", "/revoke", "/account/", "/v1/", "/admin/", "/invite/")


def hers(team, values) -> list[str]:
    """All rows that belong to Alice or to one of her things."""
    kinds = ("conversation_id", "message_id", "picture_id", "preset_id", "folder_id", "share_id")
    ids = {team.user_id("Alice"), *(values[kind] for kind in kinds)}
    found = [(name, row) for name, table in rows(team).items() for row in table if name not in ("audit", "throttles")]
    return [repr((name, row)) for name, row in found if ids & {row.get(column) for column in OWNING}]


def test_somebody_elses_ids_in_query_form_and_header_reach_nothing(stage, upstream):  # noqa: F811
    team, visitors, values = stage
    bob, his = visitors["member"], values | things(team, visitors["member"], "Bob", upstream)
    fields = {name for path in VIEWS.glob("*.py") for name in TAKEN.findall(path.read_text())}
    before, seen = hers(team, values), []

    for kind in ("conversation_id", "message_id", "preset_id", "folder_id"):
        filling = dict.fromkeys(fields - {"format", "days", "next", "language"}, values[kind])
        for method, rule in MATRIX:
            if not any(part in rule for part in GONE):
                options = {"params": filling, "headers": dict.fromkeys(HEADERS, values[kind])}
                options |= {"data": filling} if method == "POST" else {}
                path = filled(rule, his)
                with bob.request(method, path, allow_redirects=False, stream=True, **options) as answer:
                    is_stream = answer.headers.get("Content-Type", "").startswith("text/event-stream")
                    seen.append((method, path, next(answer.iter_lines()) if is_stream else answer.content))
    seen += [("GET", path, bob.get(path).content) for path in ("/", "/settings", "/conversations", "/shares")]

    assert {"at", "before", "folder", "parent", "preset", "key", "deleted"} <= fields
    assert hers(team, values) == before
    assert [(method, path) for method, path, content in seen if b"Alice" in content] == []


def test_the_ids_of_an_import_file_are_not_those_of_somebody_elses_rows(stage):  # noqa: F811
    team, visitors, values = stage
    alice, bob = visitors["owner"], visitors["member"]
    file = alice.get(f"/c/{values['conversation_id']}/export?format=json").json()
    record = file["conversations"][0] if "conversations" in file else file
    last = record["messages"][-1]
    record["messages"] = [one | {"text": "Bob was here"} for one in record["messages"]]
    record["messages"].append(last | {"id": "new", "parent": last["id"], "role": "user", "text": "Bob goes on"})
    record |= {"title": "Bob's title", "user_id": team.user_id("Alice"), "folder": "Alice's folder"}
    before = hers(team, values)

    answer = bob.post("/import", files={"file": ("a.json", json.dumps(file))}, allow_redirects=False)

    assert answer.status_code == 303
    assert values["conversation_id"] not in answer.headers["Location"]
    assert hers(team, values) == before
    assert "Bob was here" not in alice.get(f"/c/{values['conversation_id']}").text


def unasked(values: dict[str, str], base_url: str) -> dict[str, str]:
    """Fields that no form offers to a member."""
    return FIELDS | {
        "role": "admin",
        "user_id": values["user_id"],
        "owner": values["user_id"],
        "account": values["user_id"],
        "login": "carol",
        "way": "proxy",
        "is_admin": "true",
        "admin": "1",
        "disabled_at": "",
        "base_url": base_url,
        "url": base_url,
        "api_key": "mine",
        "auth": "mine",
        "proxy": base_url,
        "status": "done",
        "html": "<b>mine</b>",
        "created_at": "1999-01-01",
        "is_shared": "1",
        "sharer": values["user_id"],
    }


def test_fields_that_no_form_offers_change_nothing(stage, upstream):  # noqa: F811
    team, visitors, values = stage
    owner = team.user_id("Alice")
    kept = {account.user_id: (account.role, account.login, account.way) for account in team.parts.team.users.all()}
    asked = len(upstream.requests)

    with Upstream() as other:
        fields = unasked(values, other.url)
        for rule in UNSAFE:
            if "/sign-out" not in rule and "sign-ins" not in rule:  # the owner goes on
                visitors["owner"].post(filled(rule, values), data=fields, params=fields, allow_redirects=False)
        assert other.requests == []

    assert len(upstream.requests) > asked
    found = {account.user_id: (account.role, account.login, account.way) for account in team.parts.team.users.all()}
    assert {user_id: one for user_id, one in found.items() if user_id in kept} == kept
    assert {one[0] for user_id, one in found.items() if user_id not in kept} <= {"member"}
    conversations = rows(team)["conversations"]
    assert {row["user_id"] for row in conversations} == {owner}
    assert not [row for row in conversations if row["created_at"].year < 2000]
    assert not [row for row in rows(team)["messages"] if row.get("html") == "<b>mine</b>"]
    assert {row["user_id"] for row in rows(team)["presets"]} == {owner}
    assert rows(team)["allowed_models"] == rows(team)["site_texts"] == rows(team)["limits"] == []


def test_fields_that_no_form_of_administrators_offers_change_nothing(stage, upstream):  # noqa: F811
    team, visitors, values = stage
    routes = ["/admin/models", "/admin/notice", "/admin/presets"]
    kept = {name: table for name, table in rows(team).items() if name in ("accounts", "users", "limits", "api_keys")}
    fields = unasked(values, "http://127.0.0.1:9") | {"notice": "New", "model": "gpt-4"}

    answers = [visitors["admin"].post_form(path, **fields).status_code for path in routes]

    after = rows(team)
    assert answers == [303, 303, 303]
    assert [(row["name"], row["model"]) for row in after["presets"] if row["user_id"] == EVERYBODY] == [
        ("Name", "gpt-4")
    ]
    assert after["allowed_models"] == [{"role": "admin", "model": "gpt-4"}]
    assert after["site_texts"] == [{"name": "notice", "text": "New"}]
    assert {row["created_at"].year > 2000 for row in after["presets"]} == {True}
    kept["users"] = sorted([*kept["users"], *(row for row in after["users"] if row["id"] == EVERYBODY)], key=repr)
    assert {name: after[name] for name in kept} == kept


def test_an_invite_makes_no_administrator_of_who_asks_for_it(team):
    fields = unasked({"user_id": "00000000-0000-4000-8000-000000000000"}, "http://127.0.0.1:1")

    answer = team.stranger().post_form(f"/invite/{team.invite()}", **(fields | {"name": "Eve", "password": PASSWORD}))

    assert answer.status_code == 303
    [account] = team.parts.team.users.all()
    assert (account.role, account.login) == ("member", "eve")
