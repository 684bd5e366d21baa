"""The page of one's own API keys: a key is shown once, listed, revoked, and ends by itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.team import links, problem
from tests.visitor import text_of
from webapp.config import Config
from webapp.errors import ConfigError
from webapp.keys import KEYS
from webapp.retention import Retention
from webapp.storage import audit
from webapp.storage.team_schema import api_keys
from webapp.upkeep import Upkeep

KEY = re.compile(r"lockchat-[\w-]{43}")


@pytest.fixture
def team(make_team):
    return make_team(api=True)


@pytest.fixture
def alice(team):
    return team.join("Alice")


def make_key(visitor, name="Script", days="30") -> str:
    [key] = KEY.findall(visitor.post_form("/keys", name=name, days=days).text)
    return key


def is_valid(team, key: str) -> bool:
    return team.parts.team.keys.recognise(key) is not None


def test_a_key_is_shown_once_and_stored_as_its_hash(team, alice):
    shown = alice.post_form("/keys", name="Script", days="30")
    [key] = KEY.findall(shown.text)

    assert "Copy it now: it is not shown again." in text_of(shown.text)
    assert "Set-Cookie" not in shown.headers
    later = alice.get("/keys").text
    assert key not in later
    assert f"Script …{key[-4:]}" in text_of(later)
    with team.parts.storage.read() as tx:
        [row] = tx.execute(select(api_keys)).all()
    assert key[9:] not in str(row)


def form_of(page: str) -> tuple[list[str], list[str]]:
    """The name and the days that the form has."""
    return re.findall('name="name" type="text" value="([^"]*)"', page), re.findall(r'value="(\d+)" selected', page)


def test_a_form_that_nobody_has_filled_is_empty_and_proposes_a_time(alice):
    before, after = alice.get("/keys").text, alice.post_form("/keys", name="Script", days="30").text

    assert "Copy it now" not in before
    assert form_of(before) == form_of(after) == ([""], ["90"])


def test_a_refused_form_keeps_what_was_typed(alice):
    refused = alice.post_form("/keys", name="x" * 61, days="30")

    assert form_of(refused.text) == (["x" * 60], ["30"])


def test_a_key_can_be_revoked(team, alice):
    key = make_key(alice)
    [path] = links(alice.get("/keys").text, "/keys/[0-9a-f]{8}-")

    assert is_valid(team, key)
    assert alice.post_form(path).status_code == 303
    assert not is_valid(team, key)
    assert links(alice.get("/keys").text, "/keys/[0-9a-f]{8}-") == []
    assert alice.post_form(path).status_code == 404


def test_nobody_sees_or_revokes_somebody_elses_key(team, alice):
    key = make_key(alice)
    [path] = links(alice.get("/keys").text, "/keys/[0-9a-f]{8}-")
    bob, carol = team.join("Bob"), team.join("Carol", "admin")

    assert [one.post_form(path).status_code for one in (bob, carol)] == [404, 404]
    assert "Script" not in bob.get("/keys").text + carol.get("/keys").text
    assert is_valid(team, key)


def test_an_expired_key_is_dead_and_forgotten(team, alice):
    key = make_key(alice)
    with team.parts.storage.begin() as tx:
        tx.execute(update(api_keys).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))

    assert not is_valid(team, key)
    assert "Script" not in text_of(alice.get("/keys").text)
    Upkeep(team.parts.storage, Retention(team.parts.config, team.parts.storage)).tick()
    with team.parts.storage.read() as tx:
        assert tx.execute(select(api_keys)).all() == []


def test_a_key_lives_as_long_as_chosen(team, alice):
    make_key(alice, days="7")

    [key] = team.parts.team.keys.of(team.user_id("Alice"))
    assert key.expires_at - key.created_at == timedelta(days=7)


def test_the_page_says_when_a_key_was_last_used(team, alice):
    key = make_key(alice)
    assert "not used yet" in text_of(alice.get("/keys").text)

    assert is_valid(team, key)

    assert "last used" in text_of(alice.get("/keys").text)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "", "days": "30"}, "Choose a name of letters and digits."),
        ({"name": "x" * 61, "days": "30"}, "The name is too long: 60 characters are allowed."),
        ({"name": "Script", "days": "100000"}, "Choose how long the key lives."),
        ({"name": "Script", "days": "nan"}, "Choose how long the key lives."),
        ({"name": "Script"}, "Choose how long the key lives."),
        ({"days": "30"}, "Choose a name of letters and digits."),
    ],
)
def test_a_form_that_makes_no_key_says_why(team, alice, fields, sentence):
    answer = alice.post_form("/keys", **fields)

    assert (answer.status_code, problem(answer)) == (400, sentence)
    assert team.parts.team.keys.of(team.user_id("Alice")) == []


def test_the_number_of_keys_has_a_limit(alice):
    for number in range(KEYS):
        make_key(alice, f"Key {number}")

    answer = alice.post_form("/keys", name="One more", days="30")

    assert problem(answer) == "You have 20 keys. Revoke one first."


def test_the_audit_log_says_who_made_and_revoked_keys(team, alice):
    key = make_key(alice)
    [path] = links(alice.get("/keys").text, "/keys/[0-9a-f]{8}-")
    alice.post_form(path)

    with team.parts.storage.read() as tx:
        entries = [(one.actor, one.action, one.target) for one in audit.newest(tx, 2)]
    assert entries == [("Alice", "key_revoked", "Script"), ("Alice", "key_made", f"Script ({key[-4:]})")]


def test_names_that_are_markup_are_text(alice):
    make_key(alice, "<b>&'\"")

    assert "&lt;b&gt;&amp;" in alice.get("/keys").text


def test_the_settings_and_the_account_lead_to_the_page(make_team, alice):
    for page in ("/settings", "/account"):
        assert links(alice.get(page).text, "/keys") == ["/keys"]


def test_without_the_setting_there_is_no_page(make_team):
    alice = make_team().join("Alice")

    assert alice.get("/keys").status_code == 404
    assert links(alice.get("/settings").text + alice.get("/account").text, "/keys") == []


@pytest.mark.parametrize("settings", [{"LOCKCHAT_API": "1"}, {"LOCKCHAT_API": "1", "LOCKCHAT_LOGIN": "open"}])
def test_open_login_refuses_the_api(settings):
    with pytest.raises(ConfigError, match="LOCKCHAT_API=1 gives users keys.*LOCKCHAT_LOGIN to password, proxy or oidc"):
        Config.from_env(settings)


def test_the_setting_takes_two_words():
    assert Config.from_env({"LOCKCHAT_API": "1", "LOCKCHAT_LOGIN": "password"}).api
    assert not Config.from_env({}).api
    with pytest.raises(ConfigError, match="LOCKCHAT_API='yes'.*0, 1"):
        Config.from_env({"LOCKCHAT_API": "yes"})
