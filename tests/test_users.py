"""The users page: administrators invite, disable, change roles and sign out; nobody else does."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime

import pytest

from tests.team import PASSWORD, is_signed_in, links, problem, sign_in
from tests.visitor import text_of
from webapp.storage import accounts
from webapp.team import Account
from webapp.text import new_id


@pytest.fixture
def alice(team, carol):
    return team.join("Alice")


def act(admin, team, what: str, name: str = "Alice", **fields: str):
    return admin.post_form(f"/admin/users/{team.user_id(name)}/{what}", **fields)


def test_an_administrator_invites_with_a_link_that_is_shown_once(team, carol):
    shown = carol.post_form("/admin/invites", role="member")
    [path] = links(shown.text, "/invite/")
    bob = team.stranger()

    bob.post_form(html.unescape(path), name="Bob", password=PASSWORD)

    assert is_signed_in(bob)
    assert "/invite/" not in carol.get("/admin/users").text
    assert "Set-Cookie" not in shown.headers
    assert "Bob" in carol.get("/admin/users").text


def test_the_page_says_who_was_seen_what_is_pending_and_how_long_chats_may_be_kept(team, carol, alice):
    before = carol.get("/admin/users").text
    carol.post_form("/admin/invites", role="admin")
    act(carol, team, "reset")
    after = carol.get("/admin/users").text

    assert ("Withdraw" in before, after.count(">Withdraw<")) == (False, 2)
    assert text_of(before).count("last seen") == 2
    assert before.count('type="number" min="0" max="36500" value=""') == 2
    assert [text_of(before).count(f"Invite {role}") for role in ("a member", "an administrator")] == [1, 1]


def test_an_invitation_can_be_withdrawn(team, carol):
    shown = carol.post_form("/admin/invites", role="admin")
    [path] = links(shown.text, "/invite/")
    [withdraw] = links(shown.text, "/admin/invites/[0-9a-f]{8}-")

    carol.post_form(withdraw)

    assert team.stranger().get(path).status_code == 404
    assert links(carol.get("/admin/users").text, "/admin/invites/[0-9a-f]{8}-") == []


def test_a_disabled_user_is_out_and_cannot_come_back_until_enabled(team, carol, alice):
    act(carol, team, "disable")

    assert not is_signed_in(alice)
    assert sign_in(team.stranger(), "alice").status_code == 403
    assert "Disabled" in text_of(carol.get("/admin/users").text)

    act(carol, team, "enable")

    assert not is_signed_in(alice), "an old cookie stays worthless"
    assert sign_in(alice, "alice").status_code == 303


def test_a_role_counts_from_the_next_request_on(team, carol, alice):
    act(carol, team, "role", role="admin")
    assert alice.get("/admin/users").status_code == 200

    act(carol, team, "role", role="member")
    assert alice.get("/admin/users").status_code == 403
    assert alice.get("/").status_code == 200


def test_an_administrator_signs_somebody_out(team, carol, alice):
    act(carol, team, "sign-out")

    assert not is_signed_in(alice)
    assert sign_in(alice, "alice").status_code == 303


def test_a_link_for_a_new_password_helps_who_forgot_it(team, carol, alice):
    [path] = links(act(carol, team, "reset").text, "/invite/")

    alice.post_form(path, password="another password of hers")

    assert is_signed_in(alice)
    assert sign_in(team.stranger(), "alice").status_code == 403


@pytest.mark.parametrize(("what", "fields"), [("disable", {}), ("role", {"role": "member"})])
def test_the_last_administrator_stays(team, carol, alice, what, fields):
    refused = act(carol, team, what, "Carol", **fields)

    assert refused.status_code == 409
    assert problem(refused) == "This is the only administrator. Make somebody else one first."
    assert carol.get("/admin/users").status_code == 200


def test_one_of_two_administrators_may_go(team, carol, alice):
    act(carol, team, "role", role="admin")

    assert act(carol, team, "disable", "Carol").status_code == 303
    assert not is_signed_in(carol)
    assert alice.get("/admin/users").status_code == 200


@pytest.mark.parametrize("role", ["", "owner", "Admin"])
def test_a_role_that_does_not_exist_is_refused(team, carol, alice, role):
    assert act(carol, team, "role", role=role).status_code == 400
    assert carol.post_form("/admin/invites", role=role).status_code == 400


def test_a_member_changes_nothing_and_sees_nobody(team, carol, alice):
    answers = [act(alice, team, "role", role="admin"), act(alice, team, "disable", "Carol"), alice.get("/admin/users")]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert all("Carol" not in answer.text for answer in answers)
    assert is_signed_in(carol)


def test_an_administrator_does_not_read_other_peoples_chats(carol, alice):
    reply = alice.new_chat("My secret")

    paths = [f"/c/{alice.conversation_id}", f"/c/{alice.conversation_id}/export", f"/m/{reply}/raw"]
    answers = [carol.get(path) for path in paths]

    assert [answer.status_code for answer in answers] == [404] * 3
    assert "My secret" not in carol.get("/search?q=secret").text.replace('value="secret"', "")


def test_the_page_works_with_names_that_are_markup(team, carol):
    team.stranger().post_form(f"/invite/{team.invite()}", name="<b>&'\"", password=PASSWORD)

    assert re.search(r"&lt;b&gt;&amp;", carol.get("/admin/users").text)


def test_only_administrators_see_the_way_to_the_page(carol, alice):
    assert links(carol.get("/settings").text, "/admin/users") == ["/admin/users"]
    assert links(alice.get("/settings").text, "/admin/users") == []


@pytest.fixture
def crowd(team, carol):
    """A hundred and five people more: Person 000 to Person 104."""
    now = datetime.now(UTC)
    with team.parts.storage.begin() as tx:
        for number in range(105):
            name = f"Person {number:03}"
            accounts.add(tx, Account(new_id(), "password", name.casefold(), name, "member", now))


def people_of(page: str) -> list[str]:
    """The names of a list of people."""
    return re.findall(r"(?:Carol|Person \d+)(?=</strong>|</a>)", page)


@pytest.mark.parametrize("path", ["/admin/users", "/admin/limits"])
def test_a_page_lists_a_hundred_people_and_leads_to_the_others(carol, crowd, path):
    first = carol.get(path).text
    [further] = links(first, re.escape(path) + r"\?start")
    last = carol.get(further).text

    assert people_of(first) == ["Carol", *(f"Person {number:03}" for number in range(99))]
    assert people_of(last) == [f"Person {number:03}" for number in range(99, 105)]
    assert links(last, re.escape(path) + r"\?start") == []


@pytest.mark.parametrize("path", ["/admin/users", "/admin/limits"])
def test_people_are_found_by_a_part_of_their_names(carol, crowd, path):
    found = carol.get(path, params={"name": " PERSON 01"}).text

    assert people_of(found) == [f"Person {number:03}" for number in range(10, 20)]
    assert 'value="PERSON 01"' in found
    assert "There is nobody here." in text_of(carol.get(path, params={"name": "Zoe"}).text)


def test_after_the_last_of_a_hundred_people_there_are_no_more(carol, crowd):
    page = carol.get("/admin/users", params={"name": "Person 0"}).text

    assert people_of(page) == [f"Person {number:03}" for number in range(100)]
    assert "More people" not in text_of(page)


@pytest.mark.parametrize("start", ["-1", "x", "9" * 40])
def test_a_start_that_is_none_breaks_nothing(carol, start):
    assert carol.get("/admin/users", params={"start": start}).status_code == 200


def test_what_is_done_to_somebody_leads_back_to_the_same_part_of_the_list(team, carol, crowd):
    page = carol.get("/admin/users", params={"name": "person 10", "start": "0"}).text
    [disable] = links(page, f"/admin/users/{team.user_id('Person 104')}/disable")

    answer = carol.post_form(html.unescape(disable))

    assert answer.headers["Location"] == "/admin/users?name=person+10&start=0"


def test_a_small_team_needs_no_search(carol, alice):
    assert 'type="search"' not in carol.get("/admin/users").text
