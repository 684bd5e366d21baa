"""One's own account: where one is signed in, and the password."""

from __future__ import annotations

import re

import pytest
from urllib3.util import SKIP_HEADER

from tests.team import PASSWORD, is_signed_in, links, problem, sign_in
from tests.test_keys import make_key
from tests.visitor import text_of

NEW = "a new password of hers"


@pytest.fixture
def alice(team):
    return team.join("Alice")


@pytest.fixture
def phone(team, alice):
    """Alice's second browser."""
    phone = team.stranger()
    phone.headers["User-Agent"] = "Phone <b>"
    sign_in(phone, "alice")
    return phone


def test_the_page_lists_where_one_is_signed_in(alice, phone):
    page = alice.get("/account").text

    assert "Phone &lt;b&gt;" in page
    assert page.count("This browser") == 1
    assert len(links(page, "/account/sign-ins/[0-9a-f]{8}-")) == 1


def test_a_browser_that_does_not_say_its_name_is_listed_too(team, alice):
    silent = team.stranger()
    silent.headers["User-Agent"] = SKIP_HEADER
    sign_in(silent, "alice")

    assert "Unknown browser" in text_of(alice.get("/account").text)


def test_behind_a_proxy_on_a_socket_the_list_has_the_address_that_it_reports(make_team):
    team = make_team(proxies=("unix",))
    browser = team.site.test_client()
    request = {"headers": {"X-Forwarded-For": "1.2.3.4"}, "environ_overrides": {"REMOTE_ADDR": ""}}
    browser.post(f"/invite/{team.invite()}", data={"name": "Alice", "password": PASSWORD}, **request)

    page = browser.get("/account", **request).text

    assert "1.2.3.4, since" in text_of(page)


def test_another_browser_can_be_signed_out(alice, phone):
    [path] = links(alice.get("/account").text, "/account/sign-ins/[0-9a-f]{8}-")

    alice.post_form(path)

    assert (is_signed_in(alice), is_signed_in(phone)) == (True, False)
    assert alice.post_form(path).status_code == 404


def test_all_others_can_be_signed_out(team, alice, phone):
    third = team.stranger()
    sign_in(third, "alice")

    alice.post_form("/account/sign-ins/end")

    assert [is_signed_in(one) for one in (alice, phone, third)] == [True, False, False]


def test_nobody_can_sign_somebody_else_out(team, alice, phone):
    bob = team.join("Bob")
    [path] = links(alice.get("/account").text, "/account/sign-ins/[0-9a-f]{8}-")

    assert bob.post_form(path).status_code == 404
    assert is_signed_in(phone)


def test_a_new_password_ends_all_other_sign_ins(team, alice, phone):
    before = alice.cookie()

    answer = alice.post_form("/account/password", current=PASSWORD, password=NEW)

    assert answer.status_code == 303
    assert "Your password is changed." in alice.get(answer.headers["Location"]).text
    assert (is_signed_in(alice), is_signed_in(phone)) == (True, False)
    assert alice.cookie() != before
    assert [sign_in(team.stranger(), "alice", word).status_code for word in (PASSWORD, NEW)] == [403, 303]


@pytest.mark.parametrize(("fields", "left"), [({}, 2), ({"revoke_keys": "1"}, 0)])
def test_a_new_password_ends_the_keys_of_programs_if_so_chosen(make_team, fields, left):
    team = make_team(api=True)
    alice, bob = team.join("Alice"), team.join("Bob")
    without = alice.get("/account").text
    for visitor in (alice, alice, bob):
        make_key(visitor)

    page = alice.get("/account").text
    alice.post_form("/account/password", current="wrong", password=NEW, **fields)
    kept = len(team.parts.team.keys.of(team.user_id("Alice")))
    alice.post_form("/account/password", current=PASSWORD, password=NEW, **fields)

    assert ("revoke_keys" in without, "Revoke all my API keys too (2)" in page) == (False, True)
    assert kept == 2
    assert [len(team.parts.team.keys.of(team.user_id(name))) for name in ("Alice", "Bob")] == [left, 1]


@pytest.mark.parametrize(
    ("current", "new", "sentence"),
    [
        ("wrong", NEW, "The current password is wrong."),
        (PASSWORD, "short", "The password is too short: use 12 characters or more."),
        ("", "", "The current password is wrong."),
    ],
)
def test_a_refused_change_changes_nothing(team, alice, phone, current, new, sentence):
    answer = alice.post_form("/account/password", current=current, password=new)

    assert problem(answer) == sentence
    assert is_signed_in(phone)
    assert sign_in(team.stranger(), "alice").status_code == 303


def test_the_current_password_cannot_be_guessed_without_end(alice):
    answers = [alice.post_form("/account/password", current="wrong", password=NEW) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [403] * 10 + [429]


def test_the_forms_say_how_long_a_password_has_to_be(team, alice):
    for page in (alice.get("/account"), team.stranger().get(f"/invite/{team.invite()}")):
        assert "12 characters or more" in text_of(page.text)


def test_preferences_last_after_a_sign_out(alice):
    alice.post_form("/preferences", theme="dark")

    alice.post_form("/sign-out")

    assert 'data-theme="dark"' in alice.get("/sign-in").text


def test_the_settings_lead_to_the_account_and_out(alice):
    page = alice.get("/settings").text

    assert re.search(r"You are signed in as\s+Alice\.", page)
    assert links(page, "/account") == ["/account"]
    assert links(page, "/sign-out") == ["/sign-out"]
