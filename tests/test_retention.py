"""Retention: conversations are deleted some days after their last message, for all users or for one."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select, update

from tests.dialects import DONE
from tests.pictures import pictures_chunk, png
from tests.team import problem
from tests.test_first_admin import flask
from tests.upstream import Wait, body, token
from tests.visitor import text_of
from webapp.storage import Storage
from webapp.storage import conversations as conversations_of
from webapp.storage.schema import conversations, message_words, messages, picture_parts, pictures
from webapp.storage.team_schema import audit


def chat(visitor, title: str, days: int = 0, **values: object) -> str:
    """A finished conversation, last used so many days ago."""
    visitor.end(visitor.new_chat(title))
    age(visitor, days, **values)
    return visitor.conversation_id


def age(visitor, days: int, **values: object) -> None:
    storage = Storage(visitor.database_url)
    with storage.begin() as tx:
        these = conversations.c.id == visitor.conversation_id
        used_at = datetime.now(UTC) - timedelta(days=days)
        tx.execute(update(conversations).where(these).values(updated_at=used_at, **values))
    storage.close()


def titles(parts) -> list[str]:
    with parts.storage.read() as tx:
        return sorted(tx.execute(select(conversations.c.title)).scalars())


@pytest.fixture
def site(make_site):
    return make_site(retention_days=30)


@pytest.fixture
def parts(site):
    return site.extensions["lockchat"]


@pytest.fixture
def alice(alice, database_url):
    alice.database_url = database_url
    return alice


def test_a_conversation_goes_for_good_days_after_its_last_message(parts, alice, upstream):
    upstream.answer(*body(token("Quokkas"), pictures_chunk(png(2, 2)), DONE))
    chat(alice, "Old", 31)
    chat(alice, "Young", 29)

    assert parts.upkeep.prune() == 1

    assert titles(parts) == ["Young"]
    assert "Nothing found" in alice.get("/search?q=quokkas").text
    with parts.storage.read() as tx:
        for table, left in [(messages, 2), (message_words, 2), (pictures, 0), (picture_parts, 0)]:
            assert len(tx.execute(select(table)).all()) == left, table.name


def test_without_the_setting_nothing_goes(make_visitor, database_url):
    visitor = make_visitor()
    visitor.database_url = database_url
    old = chat(visitor, "Old", 10_000)

    assert visitor.get(f"/c/{old}").status_code == 200
    assert "last message" not in visitor.get("/settings").text


@pytest.mark.parametrize(("pinned", "left"), [("keep", ["Pinned"]), ("delete", [])])
def test_pinned_ones_stay_if_the_setting_says_so(make_site, visit, database_url, pinned, left):
    site = make_site(retention_days=30, retention_pinned=pinned)
    parts, visitor = site.extensions["lockchat"], visit()
    visitor.base_url, visitor.database_url = site.extensions["url"], database_url
    chat(visitor, "Pinned", 31, pinned=True)
    chat(visitor, "Other", 31)

    parts.upkeep.prune()

    assert titles(parts) == left
    assert ("Pinned ones are kept." in visitor.get("/settings").text) == (pinned == "keep")


def test_a_conversation_with_a_running_reply_stays_until_it_has_ended(parts, alice, upstream):
    upstream.answer(*body(token("Still here"), Wait()))
    reply = alice.new_chat("Running")
    upstream.wait_for_requests(1)
    age(alice, 31)

    assert parts.upkeep.prune() == 0
    assert alice.status(reply) == "streaming"

    alice.stop(reply)
    alice.end(reply)
    assert parts.upkeep.prune() == 1


def test_many_go_in_short_transactions(parts, alice, monkeypatch):
    monkeypatch.setattr(conversations_of, "EXPIRED_AT_ONCE", 2)
    for number in range(5):
        chat(alice, f"Old {number}", 31)
    with counted_commits(parts.storage) as marked:
        assert parts.upkeep.prune() == 5

    assert titles(parts) == []
    assert marked == [2, 2, 1]


@contextmanager
def counted_commits(storage):
    """How many conversations each statement marks as deleted."""
    marked: list[int] = []

    def see(_connection, cursor, statement, *_rest):
        if statement.startswith("UPDATE conversations SET deleted_at") and "updated_at <" in statement:
            marked.append(cursor.rowcount)

    event.listen(storage._durable, "after_cursor_execute", see)
    yield marked
    event.remove(storage._durable, "after_cursor_execute", see)


def test_the_upkeep_does_it_by_itself_once_a_day(parts, alice, monkeypatch):
    chat(alice, "Old", 31)
    parts.upkeep.tick()
    assert titles(parts) == []

    chat(alice, "Later", 31)
    parts.upkeep.tick()
    assert titles(parts) == ["Later"]

    monkeypatch.setattr(parts.upkeep, "_expire_at", 0.0)
    parts.upkeep.tick()
    assert titles(parts) == []


def test_the_command_does_it_at_once(parts, alice, tmp_path, database_url):
    chat(alice, "Old", 31)

    done = flask("prune", tmp_path, DATABASE_URL=database_url, RETENTION_DAYS="30")

    assert "Deleted 1 conversations" in done.stdout, done.stderr
    assert titles(parts) == []


def test_users_read_how_long_their_conversations_are_kept(alice):
    for path in ("/settings", "/conversations"):
        page = text_of(alice.get(path).text)
        assert "A conversation is deleted for good 30 days after its last message." in page, path


def test_the_audit_log_counts_what_went(parts, alice):
    chat(alice, "Old", 31)

    parts.upkeep.prune()

    with parts.storage.read() as tx:
        assert [(row.action, row.target) for row in tx.execute(select(audit))] == [("conversations_expired", "1")]


@pytest.fixture
def team(make_team, database_url):
    team = make_team(retention_days=30)
    team.carol, team.alice, team.bob = team.join("Carol", "admin"), team.join("Alice"), team.join("Bob")
    for visitor in (team.alice, team.bob):
        visitor.database_url = database_url
    return team


@pytest.mark.parametrize(("days", "left"), [("0", ["Alice's"]), ("7", []), ("100", ["Alice's"]), ("", [])])
def test_an_administrator_makes_an_exception_for_one_user(team, days, left):
    chat(team.alice, "Alice's", 40)
    chat(team.bob, "Bob's", 40)

    answer = team.carol.post_form(f"/admin/users/{team.user_id('Alice')}/retention", days=days)
    team.parts.upkeep.prune()

    assert answer.status_code == 303
    assert titles(team.parts) == left
    said = f"{days} days after its last message" if days not in ("", "0") else ""
    assert said in team.alice.get("/settings").text
    assert ("last message" in team.alice.get("/settings").text) == (days != "0")
    assert "30 days after its last message" in team.bob.get("/settings").text


@pytest.mark.parametrize("days", ["-1", "1.5", "x", "36501", "9" * 5000, "٣"])
def test_other_numbers_of_days_are_refused(team, days):
    answer = team.carol.post_form(f"/admin/users/{team.user_id('Alice')}/retention", days=days)

    assert answer.status_code == 400
    assert problem(answer) == "Write a number of days from 0 to 36,500, or nothing."


def test_nobody_else_makes_an_exception(team):
    answer = team.alice.post_form(f"/admin/users/{team.user_id('Alice')}/retention", days="0")

    assert answer.status_code == 403
    assert team.parts.team.users.get(team.user_id("Alice")).retention_days is None
