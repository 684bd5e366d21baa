"""Users delete their own account: all that is theirs goes, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Table, select, update

from tests.dialects import DONE
from tests.pictures import pictures_chunk, png
from tests.team import PASSWORD, is_signed_in, links, problem, sign_in
from tests.test_openings import SECONDS, Reader
from tests.test_proxy_login import HEADER, ask  # noqa: F401
from tests.upstream import Wait, body, token
from tests.visitor import text_of
from tests.wait import wait_until
from webapp import upkeep
from webapp.sends import Send
from webapp.settings import Typed
from webapp.storage.schema import metadata, queued, users
from webapp.storage.team_schema import accounts, audit
from webapp.upkeep import LEFT_TIME

OF_NOBODY = {"audit", "workers", "throttles", "usage"}  # these tables outlive users, and hold nothing that they wrote


@pytest.fixture
def alice(team, carol):
    return team.join("Alice")


def rows(parts, table: Table) -> int:
    with parts.storage.read() as tx:
        return len(tx.execute(select(table)).all())


def count(parts) -> dict[str, int]:
    """How many rows the tables with the things of users have."""
    return {table.name: rows(parts, table) for table in metadata.sorted_tables if table.name not in OF_NOBODY}


def leave(visitor, proof: str = PASSWORD):
    return visitor.post_form("/account/delete", proof=proof)


def test_all_that_is_a_users_goes_with_the_account(team, carol, alice, upstream):
    before = count(team.parts) | {"accounts": 1, "users": 1, "sign_ins": 1}
    upstream.answer(*body(token("Quokkas"), pictures_chunk(png(2, 2)), DONE))
    alice.end(alice.new_chat("One"))
    alice.end(alice.new_chat("Two"))
    alice.post_form(f"/c/{alice.conversation_id}/delete")
    alice.post_form("/presets", name="Mine", model="gpt-4", temperature="", system="")
    carol.post_form(f"/admin/users/{team.user_id('Alice')}/reset")
    phone = team.stranger()
    sign_in(phone, "alice")

    answer = leave(alice)

    assert answer.status_code == 200
    assert "Your account and all that was yours are deleted." in text_of(answer.text)
    assert "Quokkas" not in answer.text
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert not is_signed_in(alice)
    assert not is_signed_in(phone)
    assert sign_in(team.stranger(), "alice").status_code == 403
    age(team.parts)
    team.parts.upkeep.tick()
    assert count(team.parts) == before


def age(parts) -> None:
    """Time passes after a user has left."""
    with parts.storage.begin() as tx:
        long_ago = datetime.now(UTC) - LEFT_TIME - timedelta(minutes=1)
        tx.execute(update(users).where(users.c.deleted_at.is_not(None)).values(deleted_at=long_ago))


def test_the_conversations_are_purged_at_once(make_team, monkeypatch):
    monkeypatch.setattr(upkeep, "TRIM_SECONDS", 3600)
    team = make_team()
    team.join("Carol", "admin")
    alice = team.join("Alice")
    alice.end(alice.new_chat("One"))
    conversations = metadata.tables["conversations"]

    leave(alice)

    wait_until(lambda: rows(team.parts, conversations) == 0, 60, "the purge")


def test_nothing_of_others_goes(team, carol, alice):
    bob = team.join("Bob")
    bob.end(bob.new_chat("Bob's"))
    bob.post_form("/presets", name="Mine", model="gpt-4", temperature="", system="")
    alice.end(alice.new_chat("Alice's"))

    leave(alice)
    team.parts.upkeep.tick()

    assert "Bob&#39;s" in bob.page()
    assert len(team.parts.presets.of(team.user_id("Bob"))) == 1
    assert is_signed_in(carol)


@pytest.mark.parametrize("proof", ["", "wrong", "Alice"])
def test_a_wrong_password_deletes_nothing(team, alice, proof):
    answer = leave(alice, proof)

    assert (answer.status_code, problem(answer)) == (403, "The current password is wrong.")
    assert is_signed_in(alice)


def test_the_password_cannot_be_guessed_without_end(alice):
    assert [leave(alice, "wrong").status_code for _ in range(11)] == [403] * 10 + [429]


def test_the_last_administrator_stays(team, carol, alice):
    answer = leave(carol)

    assert answer.status_code == 409
    assert problem(answer) == "This is the only administrator. Make somebody else one first."
    assert carol.get("/admin/users").status_code == 200


def test_one_of_two_administrators_may_leave(team, carol):
    dan = team.join("Dan", "admin")

    assert leave(carol).status_code == 200
    assert leave(dan).status_code == 409


def test_open_answers_and_running_replies_end(team, alice, upstream):
    upstream.answer(*body(token("beginning"), Wait()))
    reply = alice.new_chat("Hello")
    reader = Reader(alice, f"/m/{reply}/stream")
    wait_until(lambda: "beginning" in reader.text, 20, "the beginning")

    leave(alice)

    wait_until(reader.has_ended, SECONDS, "the stream to be cut")
    wait_until(lambda: not team.parts.hub.all(), 20, "the reply to stop")


def test_a_waiting_message_is_not_sent(team, alice, upstream):
    upstream.answer(*body(token("beginning"), Wait()))
    alice.new_chat("Hello")
    upstream.wait_for_requests(1)
    alice.post_form(f"/c/{alice.conversation_id}/queue", text="Next", key="k")
    assert rows(team.parts, queued) == 1

    leave(alice)

    assert rows(team.parts, queued) == 0


def test_a_send_that_was_on_its_way_is_purged_too(team, alice):
    user_id = team.user_id("Alice")
    leave(alice)
    team.parts.upkeep.tick()

    turn = team.parts.turns.send(user_id, None, Send("Late", "k", Typed(), None, "127.0.0.1"))
    wait_until(lambda: not team.parts.hub.all(), 20, "the reply to end")
    age(team.parts)
    team.parts.upkeep.tick()

    with team.parts.storage.read() as tx:
        assert tx.execute(select(users.c.id).where(users.c.id == user_id)).all() == [], turn


def test_the_audit_log_keeps_who_left(team, alice):
    user_id = team.user_id("Alice")

    leave(alice)
    age(team.parts)
    team.parts.upkeep.tick()

    with team.parts.storage.read() as tx:
        entry = tx.execute(select(audit).order_by(audit.c.id.desc()).limit(1)).one()
    assert (entry.action, entry.actor_id, entry.actor, entry.target) == ("account_deleted", user_id, "Alice", "Alice")


def test_the_same_name_can_come_again_and_finds_nothing(team, alice):
    alice.end(alice.new_chat("My secret"))
    leave(alice)

    again = team.join("Alice")

    assert "My secret" not in again.get("/").text
    assert again.get(f"/c/{alice.conversation_id}").status_code == 404


def test_the_account_page_leads_there(alice):
    assert "/account/delete" in links(alice.get("/account").text, "/account")
    assert "Export all conversations" in alice.get("/account/delete").text


def test_behind_a_proxy_the_typed_name_confirms(ask):  # noqa: F811
    made = ask("/conversations", "POST", headers={HEADER: "alice"}, text="My secret")
    place = made.headers["Location"].partition("#")[0]
    assert "/account/delete" in links(ask(headers={HEADER: "alice"}).text, "/account")

    refused = ask("/account/delete", "POST", headers={HEADER: "alice"}, proof="bob")
    done = ask("/account/delete", "POST", headers={HEADER: "alice"}, proof=" alice ")

    assert (refused.status_code, done.status_code) == (400, 200)
    assert "My secret" not in done.text
    assert rows(ask.parts, accounts) == 0
    assert ask(place, headers={HEADER: "alice"}).status_code == 404
    assert rows(ask.parts, accounts) == 1, "the proxy lets her in again, with a new account"
