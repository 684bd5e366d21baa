"""Administrators limit the exports that run and the answers that are followed at one time: 429, and when to retry."""

from __future__ import annotations

import pytest

from tests.team import problem
from tests.upstream import Wait, body, token
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.limits import RETRY_SECONDS, Holder
from webapp.quotas import EXPORTS, FOLLOWERS
from webapp.storage import spending


@pytest.fixture
def alice(team, carol):
    return team.join("Alice")


def limit(carol, role="member", **limits):
    answer = carol.post_form("/admin/limits", role=role, **limits)
    assert answer.status_code == 303, problem(answer)


def begun(visitor, upstream) -> str:
    """A reply that goes on for as long as the test."""
    upstream.answer(*body(token("On"), Wait()))
    reply = visitor.new_chat("Hi")
    wait_until(lambda: "On" in visitor.raw(reply), 20, "the first token")
    return reply


def test_one_export_too_many_waits_and_says_so(team, carol, alice):
    alice.end(alice.new_chat("Hi"))
    limit(carol, running_exports="1")
    gate, holder = team.parts.archive.gate, Holder(team.user_id("Alice"), "elsewhere")
    gate.enter(holder)  # an export of hers that runs
    paths = ["/export", f"/c/{alice.conversation_id}/export"]

    refused = [alice.get(path) for path in paths]
    refused.append(alice.post("/import", files={"file": ("chat.json", b"{}")}))
    others = carol.get("/export").status_code
    gate.leave(holder)

    for answer in refused:
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, str(RETRY_SECONDS))
        assert "As many of your exports and imports are running as are allowed: 1." in text_of(answer.text)
    assert others == 200
    assert [alice.get(path).status_code for path in paths] == [200, 200]
    assert gate.count() == 0


def test_one_stream_too_many_is_refused_and_the_page_still_shows_the_text_so_far(team, carol, alice, upstream):
    reply = begun(alice, upstream)
    limit(carol, followers="1")

    with alice.get(f"/m/{reply}/stream", stream=True) as first:
        next(first.iter_content(1))
        second = alice.get(f"/m/{reply}/stream")
        status = alice.get(f"/m/{reply}/status").json()
        page = alice.get(f"/c/{alice.conversation_id}?live=1")

    assert (second.status_code, second.headers["Retry-After"]) == (429, str(RETRY_SECONDS))
    assert "You are following as many answers at once as are allowed: 1." in text_of(second.text)
    assert "You are following as many answers at once as are allowed: 1." in status["full"]
    assert page.status_code == 200
    assert "On" in text_of(page.text)
    alice.stop(reply)


def test_asking_whether_a_stream_would_open_takes_no_place(team, carol, alice, upstream):
    reply = begun(alice, upstream)
    limit(carol, followers="1")

    asked = [alice.get(f"/m/{reply}/status").json() for _ in range(3)]

    assert asked == [{"status": "streaming"}] * 3
    assert team.parts.followers.count() == 0
    alice.stop(reply)


def test_a_user_may_follow_more_than_the_role_and_an_empty_limit_is_none(team, carol, alice):
    user_id = team.user_id("Alice")
    limit(carol, followers="1", running_exports="0")
    carol.post_form(f"/admin/limits/{user_id}", followers="2")
    followers, holder = team.parts.followers, Holder(user_id, "x")
    followers.enter(holder)
    followers.enter(holder)

    with pytest.raises(Exception, match="as are allowed: 2"):
        followers.enter(holder)
    assert alice.get("/export").status_code == 429
    limit(carol, followers="", running_exports="")
    carol.post_form(f"/admin/limits/{user_id}", followers="")
    followers.enter(holder)

    assert alice.get("/export").status_code == 200
    assert followers.count() == 3


@pytest.mark.parametrize("name", [EXPORTS, FOLLOWERS])
def test_in_open_login_a_dropped_cookie_buys_nothing(site, name):
    parts = site.extensions["lockchat"]
    door = parts.archive.gate if name == EXPORTS else parts.followers
    with parts.storage.begin() as tx:
        spending.set_limit(tx, "member", name, 1)
    door.enter(Holder("somebody", "192.0.2.7"))

    with pytest.raises(Exception, match="at your address as are allowed: 1"):
        door.enter(Holder("somebody else", "192.0.2.7"))
    door.enter(Holder("somebody else", "192.0.2.8"))

    assert door.count() == 2


@pytest.mark.parametrize("name", [EXPORTS, FOLLOWERS])
def test_where_users_sign_in_an_office_behind_one_address_is_not_limited_as_one(team, carol, alice, name):
    door = team.parts.archive.gate if name == EXPORTS else team.parts.followers
    limit(carol, **{name: "1"})

    for user in ("Alice", "Carol"):
        door.enter(Holder(team.user_id(user), "192.0.2.7"))

    assert door.count() == 2
