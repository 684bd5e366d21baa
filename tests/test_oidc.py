"""Sign-in at an identity provider: who comes in, as whom, and every lie that a provider or a stranger could tell."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jws import JWSRegistry
from sqlalchemy import select, update

from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, ec_key, rsa_key, segment
from tests.server import ROOT, free_port
from tests.team import is_signed_in, problem
from tests.visitor import Visitor, text_of
from webapp.config import Config
from webapp.errors import ConfigError
from webapp.invites import SERVER
from webapp.oidc.settings import OidcConfig
from webapp.storage.team_schema import audit, sign_ins
from webapp.views import oidc

ENVIRONMENT = {
    "LOCKCHAT_LOGIN": "oidc",
    "LOCKCHAT_OIDC_ISSUER": "https://id.example.org/realms/team",
    "LOCKCHAT_OIDC_CLIENT_ID": CLIENT_ID,
    "LOCKCHAT_OIDC_CLIENT_SECRET": CLIENT_SECRET,
    "LOCKCHAT_OIDC_ADDRESS": "https://chat.example.org",
    "LOCKCHAT_OIDC_ALLOW": "team",
}
DESCRIPTION = "/.well-known/openid-configuration"
NOT_ALLOWED = "Your account at the identity provider may not use this server. Ask an administrator."
NOT_BEGUN = (
    "This sign-in was not begun here, has been used, or is too old. Begin it again, at the address that the page has"
    " for everybody."
)
UNUSABLE = "The identity provider's answer cannot be used. An administrator can find the reason in the log."
AWAY = "The identity provider does not answer at the moment. Try again in a moment."


@pytest.fixture
def provider():
    with IdentityProvider() as provider:
        yield provider


@pytest.fixture
def make_oidc(make_team, make_site, provider):
    """Start a site whose users sign in at the provider; arguments are settings of OidcConfig."""

    def make(**settings):
        defaults = {"issuer": provider.url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        address = {"address": "http://127.0.0.1"}  # the way back is followed on the site's own port
        return make_team(login="oidc", oidc=OidcConfig(**(defaults | address | settings)))

    return make


@pytest.fixture
def team(make_oidc):
    return make_oidc(allow=frozenset({"team"}))


def begin(visitor, path="/sign-in/begin") -> str:
    """Where the page sends the visitor to."""
    answer = visitor.get(path, allow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def back(address: str) -> str:
    """The way back, as a path of the site."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def sign_in(visitor, provider, path="/sign-in/begin"):
    return visitor.get(back(provider.consent(begin(visitor, path))), allow_redirects=False)


def session_of(team, visitor) -> dict[str, object]:
    [value] = [cookie.value for cookie in visitor.cookies if not cookie.name.endswith("_in")]
    return team.site.session_interface.get_signing_serializer(team.site).loads(value)


def entries(team) -> list[tuple[str, str, str]]:
    with team.parts.storage.read() as tx:
        return [tuple(row) for row in tx.execute(select(audit.c.actor, audit.c.action, audit.c.target))]


def test_who_signs_in_at_the_provider_has_an_account_and_comes_back_to_the_page(team, provider):
    alice = team.stranger()

    asked = alice.get("/search?q=x", allow_redirects=False)
    answer = sign_in(alice, provider, "/sign-in/begin?next=/search?q%3Dx")

    assert asked.headers["Location"] == "/sign-in?next=/search?q%3Dx"
    assert (answer.status_code, answer.headers["Location"]) == (303, "/search?q=x")
    assert is_signed_in(alice)
    assert "known" not in session_of(team, alice)  # there are no passwords to guess
    assert "You are signed in as alice." in text_of(alice.get("/settings").text)
    assert entries(team) == [("alice", "account_made", "member"), ("alice", "sign_in", "")]


@pytest.mark.parametrize("wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "evil"])
def test_sign_in_leads_to_no_other_site(team, provider, wanted):
    answer = sign_in(team.stranger(), provider, f"/sign-in/begin?next={wanted}")

    assert answer.headers["Location"] == "/"


def test_the_way_there_has_a_state_a_nonce_and_a_challenge_of_its_own(team):
    alice = team.stranger()

    first, second = (parse_qs(urlsplit(begin(alice)).query) for _ in range(2))

    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 43
        assert first[name] != second[name]
    assert first["scope"] == ["openid profile email"]
    assert first["redirect_uri"] == ["http://127.0.0.1/sign-in/done"], "the Host header makes no address"


def test_the_cookie_reveals_neither_nonce_nor_verifier(team):
    alice = team.stranger()

    query = parse_qs(urlsplit(begin(alice)).query)

    assert query["nonce"][0] not in alice.cookie()


def test_groups_are_asked_for_where_the_provider_has_such_a_scope(team, provider):
    provider.description = {"scopes_supported": ["openid", "profile", "groups"]}

    assert parse_qs(urlsplit(begin(team.stranger())).query)["scope"] == ["openid profile email groups"]


def forged(provider, header, claims, **changes):
    return provider.signed(header, claims | changes)


def unsigned(header, claims):
    return f"{segment({'alg': 'none'})}.{segment(claims)}."


def signed_with_the_secret(header, claims):
    start = f"{segment({'alg': 'HS256', 'kid': header['kid']})}.{segment(claims)}"
    return f"{start}.{segment(hmac.digest(CLIENT_SECRET.encode(), start.encode(), hashlib.sha256))}"


def signed_by_another(provider, **embedded):
    def forge(header, claims):
        registry = JWSRegistry(algorithms=["RS256"], strict_check_header=False)
        registry.max_header_length = 4096
        return jwt.encode(header | embedded, claims, rsa_key("attacker"), registry=registry)

    return forge


LIES = {
    "alg none": lambda provider: unsigned,
    "the client's secret as the key": lambda provider: signed_with_the_secret,
    "another audience": lambda provider: lambda h, c: forged(provider, h, c, aud="another"),
    "two audiences, for another": lambda provider: lambda h, c: forged(provider, h, c, aud=[CLIENT_ID, "x"], azp="x"),
    "another issuer": lambda provider: lambda h, c: forged(provider, h, c, iss="https://evil.example"),
    "the issuer with a slash": lambda provider: lambda h, c: forged(provider, h, c, iss=c["iss"] + "/"),
    "another nonce": lambda provider: lambda h, c: forged(provider, h, c, nonce="x" * 43),
    "no nonce": lambda provider: lambda h, c: provider.signed(h, {k: v for k, v in c.items() if k != "nonce"}),
    "expired": lambda provider: lambda h, c: forged(provider, h, c, exp=int(time.time()) - 61),
    "never expires": lambda provider: lambda h, c: provider.signed(h, {k: v for k, v in c.items() if k != "exp"}),
    "from the future": lambda provider: lambda h, c: forged(provider, h, c, iat=int(time.time()) + 90),
    "no subject": lambda provider: lambda h, c: forged(provider, h, c, sub=""),
    "a subject that is no word": lambda provider: lambda h, c: forged(provider, h, c, sub=["1"]),
    "a long subject": lambda provider: lambda h, c: forged(provider, h, c, sub="1" * 256),
    "an embedded key": lambda provider: signed_by_another(provider, jwk=rsa_key("attacker").as_dict(private=False)),
    "the address of a key": lambda provider: signed_by_another(provider, jku=f"{provider.url}/evil"),
    "a signature of another": lambda provider: signed_by_another(provider),
    "a wrong hash of the access token": lambda provider: lambda h, c: forged(provider, h, c, at_hash="x" * 22),
    "no token": lambda provider: lambda h, c: "",
    "no token at all": lambda provider: lambda h, c: "a.b.c",
    "a deep one": lambda provider: lambda h, c: f"{segment(h)}.{segment(b'[' * 40000)}.x",
    "a long one": lambda provider: lambda h, c: "x" * 70_000,
    "a critical header": lambda provider: signed_by_another(provider, crit=["b64"], b64=False),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_lets_nobody_in(team, provider, lie):
    provider.forge = LIES[lie](provider)
    alice = team.stranger()

    answer = sign_in(alice, provider)

    assert (answer.status_code, problem(answer)) == (502, UNUSABLE)
    assert not is_signed_in(alice)
    assert team.parts.team.users.all() == []
    assert provider.asked["/evil"] == 0


def test_a_provider_whose_name_ends_in_a_slash_is_known_by_either_spelling(make_oidc, provider):
    provider.description = {"issuer": f"{provider.url}/"}  # as Authentik and Auth0
    provider.forge = lambda h, c: forged(provider, h, c, iss=f"{provider.url}/")
    teams = [make_oidc(issuer=f"{provider.url}{end}") for end in ("", "/")]

    assert [sign_in(team.stranger(), provider).status_code for team in teams] == [303, 303]
    assert len(teams[0].parts.team.users.all()) == 1


def test_a_clock_that_differs_a_little_does_not_matter(team, provider):
    now = int(time.time())
    provider.forge = lambda h, c: forged(provider, h, c, iat=now + 30, nbf=now + 30, exp=now + 60)

    assert sign_in(team.stranger(), provider).status_code == 303


def test_other_keys_and_headers_are_read(team, provider):
    provider.key = ec_key("curve")
    enc = rsa_key("enc").as_dict(private=False) | {"use": "enc", "alg": "RSA-OAEP"}
    provider.keys = [enc, {"kty": "new", "kid": "future"}, ec_key("curve").as_dict(private=False)]

    assert sign_in(team.stranger(), provider).status_code == 303


def test_a_token_need_not_name_its_key(team, provider):
    provider.keys = [rsa_key("other").as_dict(private=False), *provider.keys]
    provider.forge = lambda h, c: provider.signed({"alg": "RS256"}, c)

    assert sign_in(team.stranger(), provider).status_code == 303


def test_new_keys_are_asked_for_once_a_minute(team, provider):
    assert sign_in(team.stranger(), provider).status_code == 303
    provider.key = rsa_key("second")
    provider.keys = [provider.key.as_dict(private=False)]

    renewed = sign_in(team.stranger(), provider)
    provider.key = rsa_key("third")  # the provider does not publish it
    unknown = [sign_in(team.stranger(), provider).status_code for _ in range(3)]

    assert renewed.status_code == 303
    assert unknown == [502] * 3
    assert (provider.asked["/keys"], provider.asked[DESCRIPTION]) == (2, 1)


def test_the_state_of_another_browser_is_refused(team, provider):
    alice, mallory = team.stranger(), team.stranger()
    place = back(provider.consent(begin(mallory)))
    begin(alice)

    answer = alice.get(place, allow_redirects=False)

    assert (answer.status_code, problem(answer)) == (400, NOT_BEGUN)
    assert not is_signed_in(alice)
    assert provider.asked["/token"] == 0


def test_a_code_is_used_once(team, provider):
    alice = team.stranger()
    place = back(provider.consent(begin(alice)))
    before = alice.cookie()
    assert alice.get(place, allow_redirects=False).status_code == 303

    again = alice.get(place, allow_redirects=False)
    thief = team.stranger()
    thief.headers["Cookie"] = before  # the cookie from before knows the state
    stolen = thief.get(place, allow_redirects=False)

    assert (again.status_code, problem(again)) == (400, NOT_BEGUN)
    assert (stolen.status_code, problem(stolen)) == (502, UNUSABLE)
    assert not is_signed_in(thief)
    assert entries(team)[-1] == ("", "sign_in_failed", "")


def test_the_address_of_the_page_is_one_of_its_hosts(make_oidc):
    visitor = make_oidc(address="https://chat.example.org").stranger()

    answers = [visitor.get("/sign-in", headers={"Host": host}) for host in ("chat.example.org", "evil.example.org")]

    assert [answer.status_code for answer in answers] == [200, 421]


def test_a_code_of_another_sign_in_is_refused(team, provider):
    alice, mallory = team.stranger(), team.stranger()
    code = parse_qs(urlsplit(provider.consent(begin(mallory))).query)["code"][0]
    state = parse_qs(urlsplit(begin(alice)).query)["state"][0]

    answer = alice.get(f"/sign-in/done?state={state}&code={code}", allow_redirects=False)

    assert answer.status_code == 502
    assert not is_signed_in(alice)


@pytest.mark.parametrize(("seconds", "status"), [(3600, 303), (3601, 400)])
def test_a_sign_in_there_may_take_an_hour(team, provider, monkeypatch, seconds, status):
    now = [1_000_000]
    monkeypatch.setattr(oidc, "time", SimpleNamespace(time=lambda: now[0]))
    alice = team.stranger()
    place = back(provider.consent(begin(alice)))

    now[0] += seconds

    assert alice.get(place, allow_redirects=False).status_code == status


def test_who_leaves_the_providers_page_may_try_again(team):
    alice = team.stranger()
    state = parse_qs(urlsplit(begin(alice)).query)["state"][0]

    answer = alice.get(f"/sign-in/done?state={state}&error=access_denied", allow_redirects=False)

    assert answer.status_code == 403
    assert problem(answer) == "The identity provider did not let you in, or you left its page. Try again."
    assert entries(team) == [("", "sign_in_failed", "")]


def test_an_answer_of_another_issuer_is_refused(team, provider):
    alice = team.stranger()
    place = back(provider.consent(begin(alice)))

    answer = alice.get(f"{place}&iss=https://evil.example", allow_redirects=False)

    assert answer.status_code == 502
    assert provider.asked["/token"] == 0


def test_several_tabs_sign_in_at_the_same_time(team, provider):
    alice = team.stranger()
    places = [back(provider.consent(begin(alice))) for _ in range(6)]

    statuses = [alice.get(place, allow_redirects=False).status_code for place in places]

    assert statuses == [400, 400, 303, 303, 303, 303]


def test_a_subject_that_takes_anothers_name_and_address_stays_who_it_is(team, provider):
    provider.person = {"sub": "1", "preferred_username": "alice", "email": "alice@example.org", "groups": ["team"]}
    alice, mallory, again = (team.stranger() for _ in range(3))
    sign_in(alice, provider)
    alice.end(alice.new_chat("My secret"))
    provider.person = {"sub": "2", "preferred_username": "mallory", "groups": ["team"]}
    sign_in(mallory, provider)

    provider.person = provider.person | {"preferred_username": "alice", "email": "alice@example.org"}
    sign_in(again, provider)

    assert "My secret" not in again.get("/").text
    assert [account.name for account in team.parts.team.users.all()] == ["alice", "alice"]
    assert again.get(f"/c/{alice.conversation_id}").status_code == 404


def test_the_subject_of_another_issuer_is_somebody_else(make_oidc, make_team, provider):
    sign_in(make_oidc().stranger(), provider)
    with IdentityProvider() as other:
        settings = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "address": "http://127.0.0.1"}
        team = make_team(login="oidc", oidc=OidcConfig(issuer=other.url, **settings))
        sign_in(team.stranger(), other)

        assert len(team.parts.team.users.all()) == 2


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ({}, "1"),
        ({"email": "a@b.example"}, "a@b.example"),
        ({"name": "Алиса  А."}, "Алиса А."),
        ({"name": "Alice", "preferred_username": "al"}, "al"),
        ({"preferred_username": "a\u202eb", "name": "Alice"}, "Alice"),
        ({"preferred_username": ["x"]}, "['x']"),
        ({"name": "x" * 5000}, "x" * 60),
    ],
)
def test_a_name_is_shown_and_none_is_needed(make_oidc, provider, person, name):
    team = make_oidc()
    provider.person = {"sub": "1", **person}

    assert sign_in(team.stranger(), provider).status_code == 303
    assert [account.name for account in team.parts.team.users.all()] == [name]


@pytest.mark.parametrize(
    ("claim", "person", "status"),
    [
        ("groups", {"groups": ["other", "team"]}, 303),
        ("groups", {"groups": "team"}, 303),
        ("groups", {"groups": ["other"]}, 403),
        ("groups", {"groups": ["teams", "TEAM", " team"]}, 403),
        ("groups", {"groups": []}, 403),
        ("groups", {}, 403),
        ("groups", {"groups": {"team": {"123": "x.example"}}}, 303),  # Zitadel
        ("realm_access.roles", {"realm_access": {"roles": ["team"]}}, 303),  # Keycloak
        ("realm_access.roles", {"realm_access": ["team"]}, 403),
        ("https://x.example/groups", {"https://x.example/groups": ["team"]}, 303),  # Auth0
        ("hd", {"hd": "team"}, 303),  # Google
    ],
)
def test_a_claim_admits_or_refuses(make_oidc, provider, claim, person, status):
    team = make_oidc(claim=claim, allow=frozenset({"team"}))
    provider.person = {"sub": "1", **person}

    answer = sign_in(team.stranger(), provider)

    assert answer.status_code == status
    if status == 403:
        assert problem(answer) == NOT_ALLOWED
        assert team.parts.team.users.all() == []
        assert entries(team) == [("", "sign_in_failed", "1")]  # who was refused, as the provider names them


def test_claims_may_come_from_the_userinfo_endpoint(team, provider):
    provider.person, provider.more = {"sub": "1"}, {"groups": ["team"], "name": "Alice"}

    assert sign_in(team.stranger(), provider).status_code == 303
    assert [account.name for account in team.parts.team.users.all()] == ["Alice"]


def test_the_userinfo_of_another_subject_is_ignored(team, provider):
    provider.person, provider.more = {"sub": "1"}, {"groups": ["team"], "sub": "2"}

    assert sign_in(team.stranger(), provider).status_code == 403


def test_a_lost_group_shuts_out_at_the_next_sign_in(team, provider):
    sign_in(team.stranger(), provider)
    provider.person = provider.person | {"groups": ["other"]}

    assert sign_in(team.stranger(), provider).status_code == 403


def test_a_sign_in_ends_after_half_a_day(team, provider):
    alice = team.stranger()
    answer = sign_in(alice, provider)
    [cookie] = [value for value in answer.raw.headers.getlist("Set-Cookie") if "_in=" in value]
    assert "Max-Age=43200" in cookie

    with team.parts.storage.begin() as tx:
        [begun] = tx.execute(select(sign_ins.c.created_at)).scalars()
        tx.execute(update(sign_ins).values(created_at=begun.replace(year=begun.year - 1)))

    assert not is_signed_in(alice)


def test_a_claim_makes_administrators_and_unmakes_them(make_oidc, provider):
    team = make_oidc(admins=frozenset({"chiefs"}))

    def role_of(subject: str, *groups: str) -> str:
        provider.person = {"sub": subject, "preferred_username": subject, "groups": list(groups)}
        assert sign_in(team.stranger(), provider).status_code == 303
        return next(one.role for one in team.parts.team.users.all() if one.name == subject)

    assert role_of("carol", "chiefs") == "admin"
    assert role_of("dora", "chiefs") == "admin"
    assert role_of("dora", "team") == "member"
    assert role_of("carol", "team") == "admin", "the last one stays"
    assert ("dora", "role_changed", "dora: member") in entries(team)


def test_without_such_a_claim_the_role_stays_as_it_was_set(team, provider):
    sign_in(team.stranger(), provider)
    [alice] = team.parts.team.users.all()
    team.parts.team.users.change_role(SERVER, alice.user_id, "admin")

    sign_in(team.stranger(), provider)

    assert [one.role for one in team.parts.team.users.all()] == ["admin"]


def test_a_disabled_user_is_refused(team, provider):
    sign_in(team.stranger(), provider)
    [alice] = team.parts.team.users.all()
    team.parts.team.users.disable(SERVER, alice.user_id)

    answer = sign_in(team.stranger(), provider)

    assert answer.status_code == 403
    assert problem(answer) == "Your account is disabled. An administrator can enable it."
    assert entries(team)[-1] == ("", "sign_in_failed", alice.name)


def test_the_first_link_makes_an_administrator_of_who_signs_in(team, provider):
    path = f"/invite/{team.parts.team.invites.first()}"
    carol = team.stranger()

    asked = carol.get(path, allow_redirects=False)
    sign_in(carol, provider, f"/sign-in/begin?next={path}")
    shown, used = carol.get(path), carol.post_form(path)

    assert asked.headers["Location"] == f"/sign-in?next={path}"
    assert "This link makes you an administrator." in shown.text
    assert used.status_code == 303
    assert carol.get("/admin/users").status_code == 200
    assert carol.post_form(path).status_code == 404


def test_an_administrator_sees_no_ways_that_only_passwords_have(team, provider):
    carol = team.stranger()
    sign_in(carol, provider)
    team.parts.team.users.change_role(SERVER, team.user_id("alice"), "admin")

    page = carol.get("/admin/users").text

    assert "Sign out everywhere" in page
    assert "Link for a new password" not in page
    assert "Change the password" not in carol.get("/account").text


def test_there_is_no_way_in_by_password(team, provider):
    alice = team.stranger()
    sign_in(alice, provider)

    for path in ("/sign-in", "/account/password"):
        answer = alice.post_form(path, name="alice", current="", password="x")

        assert answer.status_code == 404
        assert "This page does not exist." in answer.text


def test_the_chats_of_a_browser_come_along_at_the_first_sign_in_if_they_say_so(make_site, make_oidc, visit, provider):
    opened = visit()
    opened.end(opened.new_chat("From open login"))
    team = make_oidc()
    without, along, late = (team.stranger() for _ in range(3))
    for newcomer in (without, along, late):
        newcomer.cookies.update(opened.cookies)

    def come(visitor, subject, path="/sign-in/begin"):
        offered = "with the chats of this browser" in visitor.get("/sign-in").text
        provider.person = {"sub": subject}
        assert sign_in(visitor, provider, path).status_code == 303
        return offered, "From open login" in visitor.get("/").text

    assert come(without, "1") == (True, False)
    assert come(along, "2", "/sign-in/begin?take_along=1") == (True, True)
    assert come(late, "3", "/sign-in/begin?take_along=1") == (False, False)


def test_signing_out_offers_to_sign_out_at_the_provider(team, provider):
    provider.description = {"end_session_endpoint": f"{provider.url}/end?realm=team"}
    alice = team.stranger()
    sign_in(alice, provider)

    answer = alice.post_form("/sign-out")
    [place] = [link for link in answer.text.split('"') if link.startswith(f"{provider.url}/end")]
    query = parse_qs(urlsplit(place.replace("&amp;", "&")).query)

    assert answer.status_code == 200
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert (query["realm"], query["client_id"]) == (["team"], [CLIENT_ID])
    assert query["post_logout_redirect_uri"] == ["http://127.0.0.1/sign-in/done"]
    assert query["id_token_hint"][0].count(".") == 2
    assert not is_signed_in(alice)
    assert alice.get("/sign-in/done", allow_redirects=False).headers["Location"] == "/sign-in"


def test_signing_out_leads_to_the_sign_in_where_the_provider_has_no_such_page(team, provider):
    alice = team.stranger()
    sign_in(alice, provider)

    assert alice.post_form("/sign-out").headers["Location"] == "/sign-in"
    assert not is_signed_in(alice)


def test_signing_out_needs_no_answer_of_the_provider(team, make_oidc, provider):
    alice = team.stranger()
    sign_in(alice, provider)
    provider.answers[DESCRIPTION] = lambda: (503, b"busy")
    alice.base_url = make_oidc().url  # a server that has not asked the provider yet

    answer = alice.post_form("/sign-out")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
    assert not is_signed_in(alice)


@pytest.mark.parametrize(
    "answer",
    [(503, b"busy"), (500, b"")],
)
def test_a_provider_that_is_down_is_named(team, provider, answer):
    provider.answers[DESCRIPTION] = lambda: answer

    shown = team.stranger().get("/sign-in/begin", allow_redirects=False)

    assert (shown.status_code, problem(shown)) == (502, AWAY)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"issuer": "https://another.example"}'),
        (200, b"{" + b" " * 600_000 + b"}"),
        (200, b"[" * 100_000),
        (404, b"{}"),
        (301, b""),
    ],
)
def test_a_wrong_address_is_named(team, provider, answer):
    provider.answers[DESCRIPTION] = lambda: answer

    shown = team.stranger().get("/sign-in/begin", allow_redirects=False)

    assert (shown.status_code, problem(shown)) == (502, UNUSABLE)


@pytest.mark.parametrize(
    "place", ["http://id.example.org/token", "ftp://x", "javascript:alert(1)", "//x", "", None, "http://[", 7]
)
def test_an_unsafe_endpoint_is_refused(team, provider, place):
    provider.description = {"token_endpoint": place}

    assert team.stranger().get("/sign-in/begin", allow_redirects=False).status_code == 502


def test_a_provider_that_is_gone_is_asked_once_in_a_while(make_team):
    settings = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "address": "http://127.0.0.1"}
    team = make_team(login="oidc", oidc=OidcConfig(issuer=f"http://127.0.0.1:{free_port()}", **settings))

    shown = team.stranger().get("/sign-in/begin", allow_redirects=False)

    assert (shown.status_code, problem(shown)) == (502, AWAY)


def test_many_sign_ins_at_once_ask_a_silent_provider_once(team, provider, monkeypatch):
    monkeypatch.setattr("webapp.oidc.provider.TOTAL_SECONDS", 1.0)
    monkeypatch.setattr("webapp.oidc.provider.FAILED_SECONDS", 600.0)
    ended = threading.Event()
    provider.answers[DESCRIPTION] = lambda: (ended.wait(20), (200, b""))[1]
    shown = []

    def ask() -> None:
        with Visitor(team.url) as visitor:
            shown.append(problem(visitor.get("/sign-in/begin", allow_redirects=False)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()

    assert shown == [AWAY] * 8
    assert provider.asked[DESCRIPTION] <= 1  # the second may pass before the provider has read it


def test_a_silent_provider_delays_no_other_page(start_server, provider):
    ended = threading.Event()
    provider.answers[DESCRIPTION] = lambda: (ended.wait(20), (200, b""))[1]
    server = start_server(
        LOGIN="oidc",
        OIDC_ISSUER=provider.url,
        OIDC_CLIENT_ID=CLIENT_ID,
        OIDC_CLIENT_SECRET=CLIENT_SECRET,
        OIDC_ADDRESS="http://127.0.0.1",
        OIDC_ALLOW="*",
    )
    waiting, other = Visitor(server.url), Visitor(server.url)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(waiting.get("/sign-in/begin")))
    thread.start()

    while not provider.asked[DESCRIPTION]:
        time.sleep(0.01)
    pages = [other.get("/sign-in").status_code for _ in range(10)]
    is_waiting = thread.is_alive()
    ended.set()
    thread.join()

    assert pages == [200] * 10
    assert is_waiting
    waiting.close()
    other.close()


def test_a_client_that_posts_its_secret_is_known_too(team, provider):
    provider.description = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}

    assert sign_in(team.stranger(), provider).status_code == 303


def test_the_log_tells_what_the_provider_said_without_our_secret(team, provider, caplog):
    provider.answers["/token"] = lambda: (401, json.dumps({"error": f"unauthorized_client {CLIENT_SECRET}"}).encode())

    assert sign_in(team.stranger(), provider).status_code == 502
    assert "answered /token with status 401: unauthorized_client" in caplog.text
    assert CLIENT_SECRET not in caplog.text


def test_guessing_is_slowed_down(team, provider):
    alice = team.stranger()

    def fail() -> int:
        state = parse_qs(urlsplit(begin(alice)).query)["state"][0]
        return alice.get(f"/sign-in/done?state={state}&code=x", allow_redirects=False).status_code

    statuses = [fail() for _ in range(101)]

    assert statuses == [502] * 100 + [429]
    assert provider.asked["/token"] == 100


def test_the_settings_of_a_provider_are_read():
    config = Config.from_env(ENVIRONMENT | {"LOCKCHAT_OIDC_ADMINS": "chiefs, heads", "LOCKCHAT_OIDC_CLAIM": "roles"})

    assert config.oidc == OidcConfig(
        issuer="https://id.example.org/realms/team",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        address="https://chat.example.org",
        claim="roles",
        allow=frozenset({"team"}),
        admins=frozenset({"chiefs", "heads"}),
    )
    assert CLIENT_SECRET not in repr(config)


@pytest.mark.parametrize("name", ["ISSUER", "CLIENT_ID", "CLIENT_SECRET", "ADDRESS", "ALLOW"])
def test_the_start_names_a_setting_that_is_missing(name):
    with pytest.raises(ConfigError, match=f"needs LOCKCHAT_OIDC_{name}: "):
        Config.from_env(ENVIRONMENT | {f"LOCKCHAT_OIDC_{name}": ""})


@pytest.mark.parametrize("name", ["ISSUER", "ADDRESS"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("http://id.example.org", "would let others on the network sign in"),
        ("http://10.0.0.5:8080", "would let others on the network sign in"),
        ("id.example.org", "cannot be used"),
        ("https://", "cannot be used"),
        ("https://[", "cannot be used"),
        ("ftp://id.example.org", "cannot be used"),
        ("https://user:pass@id.example.org", "cannot be used"),
        ("https://id.example.org?x=1", "cannot be used"),
    ],
)
def test_the_start_refuses_an_unsafe_address(name, value, said):
    with pytest.raises(ConfigError, match=said):
        Config.from_env(ENVIRONMENT | {f"LOCKCHAT_OIDC_{name}": value})


def test_other_ways_to_sign_in_do_not_load_authlib(tmp_path):
    program = (
        "import sys; from pathlib import Path; from webapp import create_app; from webapp.config import Config;"
        "app = create_app(Config(data_dir=Path(sys.argv[1]), login='password')); app.extensions['lockchat'].close();"
        "print(sorted({'authlib', 'joserfc', 'cryptography'} & sys.modules.keys()))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )

    assert done.stdout == "[]\n", done.stderr


def test_the_start_says_what_to_install_for_it(tmp_path):
    program = (
        "import sys; sys.modules['authlib'] = None; from pathlib import Path; from webapp import create_app;"
        "from webapp.config import Config; create_app(Config.from_env())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=ENVIRONMENT | {"LOCKCHAT_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert "pip install -r webapp/oidc/requirements.txt" in done.stderr
    assert done.returncode != 0


def test_a_provider_on_this_machine_may_do_without_tls():
    assert Config.from_env(ENVIRONMENT | {"LOCKCHAT_OIDC_ISSUER": "http://127.0.0.1:8080/realms/x"}).oidc
