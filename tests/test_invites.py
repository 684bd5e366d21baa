"""Invite links: one account each, of the role that they name, for a time; and the first administrator's."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.team import PASSWORD, is_signed_in, problem, sign_in
from tests.visitor import Visitor
from webapp.invites import SERVER
from webapp.storage.team_schema import accounts, invites


def accept(visitor, token, name="Alice", password=PASSWORD, **fields):
    return visitor.post_form(f"/invite/{token}", name=name, password=password, **fields)


def roles(team):
    with team.parts.storage.read() as tx:
        return {row.name: row.role for row in tx.execute(select(accounts))}


@pytest.mark.parametrize("role", ["member", "admin"])
def test_an_invite_makes_an_account_of_its_role_and_signs_in(team, role):
    visitor = team.stranger()

    answer = accept(visitor, team.invite(role))

    assert answer.headers["Location"] == "/"
    assert is_signed_in(visitor)
    assert roles(team) == {"Alice": role}


def test_an_invite_works_once(team):
    token = team.invite()
    accept(team.stranger(), token)

    again = accept(team.stranger(), token, "Bob")

    assert again.status_code == 404
    assert "This link is not valid" in again.text
    assert roles(team) == {"Alice": "member"}


def test_looking_at_an_invite_does_not_use_it_up(team):
    token = team.invite()

    assert [team.stranger().get(f"/invite/{token}").status_code for _ in range(3)] == [200] * 3
    assert accept(team.stranger(), token).status_code == 303


def test_of_ten_who_use_an_invite_at_once_one_gets_the_account(team):
    token = team.invite("admin")
    statuses = []
    threads = [
        threading.Thread(
            target=lambda name=f"Name {n}": statuses.append(accept(team.stranger(), token, name).status_code)
        )
        for n in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [303] + [404] * 9
    assert len(roles(team)) == 1


def test_an_invite_expires(team):
    token = team.invite()
    with team.parts.storage.begin() as tx:
        tx.execute(update(invites).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))

    assert team.stranger().get(f"/invite/{token}").status_code == 404
    assert accept(team.stranger(), token).status_code == 404


def test_a_withdrawn_invite_is_none(team):
    token = team.invite()
    [pending] = team.parts.team.invites.pending()

    team.parts.team.invites.withdraw(SERVER, pending.id)

    assert accept(team.stranger(), token).status_code == 404


def test_a_refused_form_keeps_the_name_and_the_invite(team):
    token, visitor = team.invite(), team.stranger()
    empty = visitor.get(f"/invite/{token}")

    refused = accept(visitor, token, "Alice", "short")

    assert refused.status_code == 400
    assert problem(refused) == "The password is too short: use 12 characters or more."
    assert ['name="name" type="text" value="Alice"' in page.text for page in (empty, refused)] == [False, True]
    assert 'name="name" type="text" value=""' in empty.text
    assert f'value="{"x" * 200}"' in accept(visitor, token, "x" * 201).text
    assert accept(visitor, token).status_code == 303


@pytest.mark.parametrize("name", ["", "  ", "\x07", "a\u202eb", "x" * 61])
def test_a_name_that_nobody_could_type_is_refused(team, name):
    assert accept(team.stranger(), team.invite(), name).status_code == 400
    assert roles(team) == {}


@pytest.mark.parametrize("name", ["Alice", "ALICE", " alice", "ａlice"])
def test_a_name_is_taken_in_every_spelling(team, name):
    team.join("Alice")
    token = team.invite()

    taken = accept(team.stranger(), token, name)

    assert problem(taken) == "This name is taken. Choose another one."
    assert accept(team.stranger(), token, "Bob").status_code == 303, "the invite is not used up"


def test_fields_that_the_form_does_not_offer_change_nothing(team):
    accept(team.stranger(), team.invite(), role="admin", user_id="x", is_admin="1", way="proxy", disabled_at="")

    assert roles(team) == {"Alice": "member"}


def test_the_chats_of_a_browser_come_along_if_they_say_so(make_site, make_team, visit):
    opened = visit()
    opened.end(opened.new_chat("From open login"))
    team = make_team()
    newcomers = [team.stranger() for _ in range(3)]
    for newcomer in newcomers:
        newcomer.cookies.update(opened.cookies)
    [asked, accepting, late] = newcomers

    assert "Take the chats of this browser along" in asked.get(f"/invite/{team.invite()}").text
    accept(asked, team.invite(), "Without")
    refused = [accept(accepting, team.invite(), password="short", **chosen) for chosen in ({}, {"take_along": "1"})]
    accept(accepting, team.invite(), "With", take_along="1")
    assert "Take the chats" not in late.get(f"/invite/{team.invite()}").text
    accept(late, team.invite(), "Late", take_along="1")
    accept(team.stranger(), team.invite(), "New", take_along="1")

    carol = team.join("Carol", "admin")
    pages = [carol.get(f"/admin/limits/{account.user_id}") for account in team.parts.team.users.all()]
    assert [page.status_code for page in pages] == [200] * 5
    assert ["From open login" in one.get("/").text for one in newcomers] == [False, True, False]
    assert ['name="take_along" value="1" checked' in one.text for one in refused] == [False, True]


def test_nobody_is_asked_about_chats_in_a_browser_without_any(team, make_site):
    with Visitor(make_site().extensions["url"]) as opened:
        opened.get("/")
        newcomer = team.stranger()
        newcomer.cookies.update(opened.cookies)

    assert "Take the chats" not in newcomer.get(f"/invite/{team.invite()}").text


def test_a_reset_link_sets_the_password_and_signs_out_everywhere(team):
    alice = team.join("Alice")
    token = team.parts.team.invites.make_reset(SERVER, team.user_id("Alice"))
    newer = team.stranger()

    page = newer.get(f"/invite/{token}").text
    accept(newer, token, "Somebody else", "another password of hers")

    assert "For the account Alice." in page
    assert (is_signed_in(newer), is_signed_in(alice)) == (True, False)
    assert sign_in(team.stranger(), "alice").status_code == 403
    assert sign_in(team.stranger(), "alice", "another password of hers").status_code == 303
    assert roles(team) == {"Alice": "member"}


def test_a_reset_link_lets_no_disabled_user_in(team):
    carol, alice = team.join("Carol", "admin"), team.join("Alice")
    token = team.parts.team.invites.make_reset(SERVER, team.user_id("Alice"))
    team.parts.team.users.disable(SERVER, team.user_id("Alice"))

    assert accept(alice, token).status_code == 404
    assert is_signed_in(carol)


def test_the_newest_first_link_makes_one_administrator(team):
    older, newer = team.parts.team.invites.first(), team.parts.team.invites.first()

    assert accept(team.stranger(), older).status_code == 404
    assert accept(team.stranger(), newer, "Carol").status_code == 303
    assert roles(team) == {"Carol": "admin"}
    assert team.parts.team.invites.first() is None


def test_the_first_link_is_void_once_there_is_an_administrator(team):
    first = team.parts.team.invites.first()
    team.join("Carol", "admin")

    assert accept(team.stranger(), first).status_code == 404
    assert roles(team) == {"Carol": "admin"}


def test_eight_servers_of_a_database_may_make_the_first_link_at_once(team):
    tokens = []
    threads = [threading.Thread(target=lambda: tokens.append(team.parts.team.invites.first())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tokens) == 8
    assert sum(accept(team.stranger(), token, "Carol").status_code == 303 for token in tokens if token) == 1
