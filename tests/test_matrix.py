"""Who may use which route: every route of the app with password login, by each kind of visitor.

A route that is missing here fails the test. `{c}`, `{m}` and so on are Alice's; everybody tries hers.
"""

from __future__ import annotations

import re

import pytest
import requests

from tests.dialects import DONE
from tests.pictures import pictures_chunk, png
from tests.team import PASSWORD
from tests.upstream import body, token
from webapp.invites import SERVER
from webapp.oidc.settings import OidcConfig
from webapp.views.headers import HEADERS

SIGN_IN = "303 /sign-in"  # the answer to a stranger who opens a page
EVERYONE = dict.fromkeys(("owner", "member", "admin", "stranger", "disabled"), 200)


def pages(status: int = 200) -> dict[str, object]:
    """A page that each user has for themselves."""
    return {"owner": status, "member": status, "admin": status, "stranger": SIGN_IN, "disabled": SIGN_IN}


def forms(status: int = 303) -> dict[str, object]:
    """A form that each user has for themselves."""
    return {"owner": status, "member": status, "admin": status, "stranger": 401, "disabled": 401}


def own_page(status: int = 200) -> dict[str, object]:
    """A page of one thing of Alice's."""
    return {"owner": status, "member": 404, "admin": 404, "stranger": SIGN_IN, "disabled": SIGN_IN}


def own_form(status: int = 303) -> dict[str, object]:
    """A form that changes one thing of Alice's."""
    return {"owner": status, "member": 404, "admin": 404, "stranger": 401, "disabled": 401}


def admin_page(status: int = 200) -> dict[str, object]:
    """A page of the administrators."""
    return {"owner": 403, "member": 403, "admin": status, "stranger": SIGN_IN, "disabled": SIGN_IN}


def admin_form(status: int = 303) -> dict[str, object]:
    """A form of the administrators."""
    return {"owner": 403, "member": 403, "admin": status, "stranger": 401, "disabled": 401}


# method and rule -> what each visitor gets. The owner comes last: their forms change things.
MATRIX: dict[tuple[str, str], dict[str, object]] = {
    ("GET", "/static/<path:filename>"): EVERYONE,
    ("GET", "/healthz"): EVERYONE,
    ("GET", "/readyz"): EVERYONE,
    ("GET", "/metrics"): EVERYONE,  # for this machine, whoever asks
    ("GET", "/"): pages(),
    ("GET", "/settings"): pages(),
    ("GET", "/search"): pages(),
    ("GET", "/export"): pages(),
    ("GET", "/import"): pages(302),
    ("GET", "/presets"): pages(302),
    ("GET", "/account"): pages(),
    ("GET", "/account/delete"): pages(),
    ("GET", "/c/<id:conversation_id>"): own_page(),
    ("GET", "/c/<id:conversation_id>/menu"): own_page(),
    ("GET", "/c/<id:conversation_id>/export"): own_page(),
    ("GET", "/m/<id:message_id>"): own_page(302),
    ("GET", "/m/<id:message_id>/raw"): own_page(),
    ("GET", "/m/<id:message_id>/<any(retry, continue, select, stop):kind>"): own_page(302),
    ("GET", "/p/<id:picture_id>"): own_page(),
    ("GET", "/shares"): pages(),
    ("POST", "/c/<id:conversation_id>/share"): own_form(),
    ("GET", "/s/<id:share_id>"): pages(),  # for every member who has the link
    ("GET", "/s/<id:share_id>/p/<id:picture_id>"): pages(),
    ("POST", "/shares/<id:share_id>/revoke"): own_form(),
    ("GET", "/conversations"): pages(),
    ("GET", "/changes"): pages(),
    ("GET", "/shortcuts"): pages(302),
    ("GET", "/folders"): pages(302),
    ("GET", "/folders/<id:folder_id>"): pages(302),  # leads to the folder's page, whatever the id
    ("POST", "/folders/<id:folder_id>"): own_form(),
    ("POST", "/folders"): forms(),
    ("POST", "/c/<id:conversation_id>/move"): own_form(),
    ("POST", "/folders/<id:folder_id>/delete"): forms(),  # ignores an unknown id
    ("GET", "/c/<id:conversation_id>/queue"): pages(302),  # leads to the chat, whoever asks
    ("GET", "/c/<id:conversation_id>/queue/<any(edit, take, send):step>"): pages(302),
    ("GET", "/presets/<id:preset_id>/use"): pages(302),
    ("POST", "/presets/<id:preset_id>/use"): own_form(200),
    ("POST", "/m/<id:message_id>/continue"): own_form(),
    ("POST", "/c/<id:conversation_id>/queue"): own_form(),
    ("POST", "/c/<id:conversation_id>/queue/edit"): forms(409),  # nothing waits, whoever asks
    ("POST", "/c/<id:conversation_id>/queue/take"): own_form(404),
    ("POST", "/c/<id:conversation_id>/queue/send"): own_form(404),
    ("GET", "/m/<id:message_id>/status"): own_page(),
    ("GET", "/m/<id:message_id>/stream"): own_page(204),
    ("GET", "/presets/<id:preset_id>"): pages(302),  # leads to the settings, whatever the id
    ("POST", "/preferences"): forms(),
    ("POST", "/conversations"): forms(),
    ("POST", "/presets"): forms(),
    ("POST", "/import"): forms(400),  # no file
    ("POST", "/presets/<id:preset_id>"): own_form(),
    ("POST", "/presets/<id:preset_id>/delete"): forms(),  # ignores an unknown id; see the test below
    ("POST", "/c/<id:conversation_id>/rename"): own_form(),
    ("POST", "/c/<id:conversation_id>/pin"): own_form(),
    ("POST", "/c/<id:conversation_id>/messages"): own_form(),
    ("POST", "/m/<id:message_id>/stop"): own_form(),
    ("POST", "/m/<id:message_id>/select"): own_form(),
    ("POST", "/m/<id:message_id>/retry"): own_form(),
    ("POST", "/m/<id:message_id>/edit"): own_form(404),  # {m} is a reply, which cannot be edited
    ("POST", "/c/<id:conversation_id>/delete"): own_form(),
    ("POST", "/c/<id:conversation_id>/restore"): own_form(),
    ("GET", "/admin/users"): admin_page(),
    ("GET", "/admin/invites"): admin_page(303),
    ("GET", "/admin/users/<id:user_id>/reset"): admin_page(303),
    ("GET", "/admin/users/<id:user_id>/role"): admin_page(303),
    ("GET", "/admin/users/<id:user_id>/retention"): admin_page(303),
    ("GET", "/admin/users/<id:user_id>/disable"): admin_page(303),
    ("POST", "/admin/invites"): admin_form(400),  # without a role
    ("POST", "/admin/invites/<id:invite_id>/withdraw"): admin_form(),
    ("POST", "/admin/users/<id:user_id>/role"): admin_form(400),  # without a role
    ("POST", "/admin/users/<id:user_id>/retention"): admin_form(),
    ("POST", "/admin/users/<id:user_id>/reset"): admin_form(200),
    ("POST", "/admin/users/<id:user_id>/disable"): admin_form(),  # {user_id} is Erin's, who tries nothing
    ("POST", "/admin/users/<id:user_id>/enable"): admin_form(),
    ("POST", "/admin/users/<id:user_id>/sign-out"): admin_form(),
    ("GET", "/admin/log"): admin_page(),
    ("POST", "/admin/log/export"): admin_form(200),
    ("GET", "/admin/usage"): admin_page(),
    ("GET", "/admin/presets"): admin_page(),
    ("GET", "/admin/presets/<id:preset_id>"): admin_page(303),
    ("POST", "/admin/presets"): admin_form(),
    ("POST", "/admin/presets/<id:preset_id>"): admin_form(404),  # {preset_id} is Alice's own
    ("POST", "/admin/presets/<id:preset_id>/delete"): admin_form(),  # ignores an unknown id
    ("GET", "/admin/notice"): admin_page(),
    ("POST", "/admin/notice"): admin_form(),
    ("GET", "/admin/models"): admin_page(),
    ("POST", "/admin/models"): admin_form(400),  # without a role
    ("GET", "/admin/upstream"): admin_page(),
    ("POST", "/admin/upstream"): admin_form(200),
    ("GET", "/admin/upstream/proxy"): admin_page(303),
    ("POST", "/admin/upstream/proxy"): admin_form(200),
    ("GET", "/admin/upstream/stream"): dict.fromkeys(EVERYONE, 403),  # without a ticket
    ("GET", "/admin/limits"): admin_page(),
    ("GET", "/admin/limits/<id:user_id>"): admin_page(),
    ("POST", "/admin/limits"): admin_form(404),  # without a role
    ("POST", "/admin/limits/<id:user_id>"): admin_form(),
    ("GET", "/sign-in"): {**pages(302), "stranger": 200, "disabled": 200},
    ("POST", "/sign-in"): dict.fromkeys(EVERYONE, 403),  # with a wrong password
    ("GET", "/invite/<token>"): EVERYONE,
    ("POST", "/invite/<token>"): dict.fromkeys(EVERYONE, 400),  # without a password
    ("GET", "/v1/models"): dict.fromkeys(EVERYONE, 401),  # cookies are no way in; see test_api.py
    ("POST", "/v1/chat/completions"): dict.fromkeys(EVERYONE, 401),
    ("GET", "/keys"): pages(),
    ("POST", "/keys"): forms(400),  # without a time
    ("POST", "/keys/<id:key_id>/revoke"): own_form(),
    ("POST", "/account/sign-ins/<id:sign_in_id>/end"): own_form(),
    ("POST", "/account/password"): forms(403),  # without the current one
    ("POST", "/account/delete"): forms(403),  # without the password
    ("POST", "/account/sign-ins/end"): forms(),
    ("POST", "/sign-out"): dict.fromkeys(EVERYONE, 303),
}


@pytest.fixture
def stage(make_team, upstream):
    """The team, each kind of visitor, and the values of the addresses: all of Alice's."""
    team = make_team(sharing="team", api=True)
    visitors = {
        "owner": team.join("Alice"),
        "member": team.join("Bob"),
        "admin": team.join("Carol", "admin"),
        "stranger": team.stranger(),
        "disabled": team.join("Dan"),
    }
    team.parts.team.users.disable(SERVER, team.user_id("Dan"))
    team.join("Erin")
    team.invite()
    values = things(team, visitors["owner"], "Alice", upstream) | {
        "filename": "app.css",
        "step": "edit",
        "kind": "retry",
        "token": team.invite(),
        "user_id": team.user_id("Erin"),
        "invite_id": team.parts.team.invites.pending()[0].id,
    }
    return team, visitors, values


def things(team, visitor, name: str, upstream) -> dict[str, str]:
    """One thing of each kind that a user can have, and their ids."""
    upstream.answer(*body(token("Hi"), pictures_chunk(png(2, 2)), DONE))
    reply = visitor.new_chat(f"{name}'s secret")
    visitor.end(reply)
    [picture] = re.findall(r"/p/([0-9a-f-]{36})", visitor.page())
    visitor.post_form("/presets", name=f"{name}'s preset", model="gpt-4", temperature="", system=f"{name}'s system")
    [preset] = team.parts.presets.of(team.user_id(name))
    visitor.post_form("/folders", name=f"{name}'s folder")
    [folder] = team.parts.folders.of(team.user_id(name))
    visitor.post_form(f"/c/{visitor.conversation_id}/share")
    visitor.post_form("/keys", name=f"{name}'s key", days="7")
    [key] = team.parts.team.keys.of(team.user_id(name))
    other = team.stranger()
    other.post_form("/sign-in", name=name, password=PASSWORD)
    return {
        "conversation_id": visitor.conversation_id,
        "message_id": reply,
        "preset_id": preset.id,
        "folder_id": folder.id,
        "picture_id": picture,
        "share_id": team.parts.team.shares.of(team.user_id(name))[0].id,
        "sign_in_id": team.parts.team.accounts.sign_ins(team.user_id(name))[0].id,
        "key_id": key.id,
    }


def routes(site) -> set[tuple[str, str]]:
    return {
        (method, rule.rule)
        for rule in site.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def ask(visitor, method: str, path: str) -> object:
    fields = {"text": "Hi", "title": "Title", "name": "Name", "model": "gpt-4", "temperature": "", "system": ""}
    data = fields if method == "POST" else None
    answer = visit(visitor, method, path, data=data)
    place = answer.headers.get("Location", "")
    return (
        SIGN_IN
        if answer.status_code == 303 and method == "GET" and place.startswith("/sign-in")
        else answer.status_code
    )


def visit(visitor, method: str, path: str, **options: object) -> requests.Response:
    """The answer, read whole if it ends."""
    with visitor.request(method, path, allow_redirects=False, stream=True, **options) as answer:
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            answer.content  # noqa: B018
        check_headers(answer)
        return answer


def check_headers(answer: requests.Response) -> None:
    """What holds for every answer: our headers, nothing private from a cache, and redirects to this site alone."""
    found = {name: answer.headers.get(name) for name in HEADERS}
    assert found in (HEADERS, HEADERS | {"Content-Security-Policy": "default-src 'none'; sandbox"}), answer.url
    # A browser asks again before it shows a picture once more.
    is_asked_for = {"private, no-cache"} if "/p/" in answer.url else set()
    caching = answer.headers["Cache-Control"]
    assert "/static/" in answer.url or "no-store" in caching or caching in is_asked_for, answer.url
    assert re.match(r"/(?![/\\])|\Z", answer.headers.get("Location", "")), answer.headers["Location"]


def filled(rule: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        for kind in ("", "id:", "path:", "any(edit, take, send):", "any(retry, continue, select, stop):"):
            rule = rule.replace(f"<{kind}{name}>", value)
    assert "<" not in rule
    return rule


def test_every_route_is_in_the_matrix(make_team):
    assert routes(make_team(sharing="team", api=True).site) == set(MATRIX)


def test_an_identity_provider_adds_its_way_there_and_back_for_everyone(make_team):
    settings = {"client_id": "x", "client_secret": "x", "address": "http://127.0.0.1"}
    site = make_team(login="oidc", oidc=OidcConfig(issuer="http://127.0.0.1:9", **settings))

    added = routes(site.site) - set(MATRIX)

    assert added == {("GET", "/sign-in/begin"), ("GET", "/sign-in/done")}
    assert ask(site.stranger(), "GET", "/sign-in/begin") == 502  # nothing listens there
    assert ask(site.stranger(), "GET", "/sign-in/done?state=x") == 400  # nobody has begun it


def test_a_proxy_that_signs_users_in_adds_the_question_of_the_first_visit(make_site):
    site = make_site(login="proxy", proxies=("10.0.0.5",))
    client = site.test_client()

    def status(method: str, address: str) -> int:
        headers, peer = {"Remote-User": "alice"}, {"REMOTE_ADDR": address}
        return client.open("/welcome", method=method, headers=headers, environ_overrides=peer).status_code

    assert routes(site) - set(MATRIX) == {("GET", "/welcome"), ("POST", "/welcome")}
    assert [status("GET", "10.0.0.5"), status("POST", "10.0.0.5")] == [303, 303]
    assert [status("GET", "10.0.0.6"), status("POST", "10.0.0.6")] == [403, 403]


def test_every_route_lets_in_those_of_the_matrix_only(stage):
    _team, visitors, values = stage
    found = {}
    for method, rule in MATRIX:
        path = filled(rule, values)
        found[method, rule] = {
            who: ask(visitors[who], method, path) for who in ("disabled", "stranger", "admin", "member", "owner")
        }

    wrong = {route: (answers, MATRIX[route]) for route, answers in found.items() if answers != MATRIX[route]}
    assert wrong == {}, "\n".join(map(repr, wrong.items()))
