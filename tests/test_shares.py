"""Sharing inside the team: a link to a conversation as it stood, for members only, until it is revoked."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import func, select

from tests.dialects import DONE
from tests.history import add_turns
from tests.pictures import pictures_chunk, png
from tests.team import links
from tests.upstream import Wait, body, token
from tests.visitor import text_of
from webapp import create_app
from webapp import shares as shares_of
from webapp.config import Config
from webapp.errors import ConfigError
from webapp.invites import SERVER
from webapp.storage.team_schema import audit, shares

UUID = "[0-9a-f-]{36}"
PICTURES = f"/s/{UUID}/p/{UUID}"


@pytest.fixture
def team(make_team):
    return make_team(sharing="team")


@pytest.fixture
def alice(team):
    return team.join("Alice")


@pytest.fixture
def bob(team):
    return team.join("Bob")


def share(visitor) -> str:
    """Share the visitor's last conversation; the path of the link."""
    answer = visitor.post_form(f"/c/{visitor.conversation_id}/share")
    assert answer.status_code == 303, answer.text
    return links(visitor.get(answer.headers["Location"]).text, f"/s/{UUID}")[0]


def revoke_path(visitor, link: str) -> str:
    return f"/shares/{link.rpartition('/')[2]}/revoke"


def log(team) -> list[tuple[str, str, str]]:
    with team.parts.storage.read() as tx:
        query = select(audit).where(audit.c.action.like("share%")).order_by(audit.c.id)
        return [(row.action, row.actor, row.target) for row in tx.execute(query)]


def test_a_member_reads_a_shared_conversation(alice, bob, upstream):
    upstream.answer(*body(token("An **answer**"), DONE))
    alice.end(alice.new_chat("A <question>"))

    offer, page = alice.page(), bob.get(share(alice)).text

    said = text_of(page)
    assert "Share with the team" in offer
    assert "Alice shared this conversation as it stood on" in said
    assert "A <question>" in said
    assert "<strong>answer</strong>" in page


def test_it_stays_as_it_stood(alice, bob, upstream):
    first = alice.new_chat("First question")
    alice.end(first)
    link = share(alice)
    before = bob.get(link).text

    alice.end(alice.say("Later question"))
    alice.end(alice.reply_of(alice.post_form(f"/m/{first}/retry")))
    [question] = re.findall(rf'id="m-({UUID})"', before)[:1]
    alice.end(alice.reply_of(alice.post_form(f"/m/{question}/edit", text="Edited question")))
    alice.post_form(f"/c/{alice.conversation_id}/rename", title="Later title")

    after = bob.get(link).text
    content = [page.split("<main")[1].split("</main>")[0] for page in (before, after)]
    assert content[0] == content[1]
    assert "Later" not in after
    assert "Edited" not in after


def test_it_shows_the_branch_that_was_selected_and_no_other(alice, bob, upstream):
    upstream.answer(*body(token("Secret draft"), pictures_chunk(png(2, 2)), DONE))
    first = alice.new_chat("Question")
    alice.end(first)
    [hidden] = re.findall(rf"/p/({UUID})", alice.page())
    upstream.answer(*body(token("Final"), pictures_chunk(png(3, 3)), DONE))
    alice.end(alice.reply_of(alice.post_form(f"/m/{first}/retry")))

    link = share(alice)
    page = bob.get(link).text

    assert "Final" in page
    assert "Secret draft" not in page
    [picture] = re.findall(PICTURES, page)
    assert bob.get(picture).headers["Content-Type"] == "image/png"
    assert bob.get(picture).headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert bob.get(f"{link}/p/{hidden}").status_code == 404, "the picture of another branch"


def test_it_grants_nothing_but_reading_on_its_own_route(team, alice, bob, upstream):
    upstream.answer(*body(token("Hi"), pictures_chunk(png(2, 2)), DONE))
    reply = alice.new_chat("Shared")
    alice.end(reply)
    chat, link = alice.conversation_id, share(alice)
    [picture] = re.findall(rf"/p/({UUID})", alice.page(chat))
    upstream.answer(*body(token("Hi"), pictures_chunk(png(3, 3)), DONE))
    alice.end(alice.new_chat("Not shared"))
    [other] = re.findall(rf"/p/({UUID})", alice.page())

    reads = [f"/c/{chat}", f"/c/{chat}/export", f"/p/{picture}", f"{link}/p/{other}", link.replace("/s/", "/c/")]
    reads += [f"/m/{reply}{what}" for what in ("", "/raw", "/status", "/stream")]
    writes = [f"/c/{chat}/{what}" for what in ("messages", "rename", "pin", "delete", "share", "queue")]
    writes += [f"/m/{reply}/{what}" for what in ("stop", "retry", "select", "continue")]
    writes += [revoke_path(alice, link)]

    assert {path: bob.get(path).status_code for path in reads} == dict.fromkeys(reads, 404)
    assert {path: bob.post_form(path, text="x", title="x").status_code for path in writes} == dict.fromkeys(writes, 404)
    assert "Shared" not in bob.get("/search?q=shared").text.replace("Shared conversations", "")
    assert "Shared" not in bob.get("/shares").text.replace("Shared conversations", "")
    assert bob.get(link).status_code == 200


def test_the_id_of_another_message_shows_nothing_more(alice, bob):
    alice.end(alice.new_chat("Shared"))
    link = share(alice)
    hidden = [alice.say("Later"), alice.new_chat("Elsewhere")]
    for reply in hidden:
        alice.end(reply)

    for query in [f"{name}={reply}" for name in ("at", "before") for reply in hidden]:
        answer = bob.get(f"{link}?{query}")
        assert answer.status_code == 200
        assert re.findall("Later|Elsewhere", answer.text) == [], query


def test_it_offers_its_reader_no_form_on_the_conversation(alice, bob):
    alice.end(alice.new_chat("Question"))

    main = bob.get(share(alice)).text.split("<main")[1].split("</main>")[0]

    assert "<form" not in main
    assert "<button" not in main
    assert re.findall(r'href="/(?:c|m|p)/', main) == []


def test_strangers_and_the_disabled_read_nothing(team, alice):
    alice.end(alice.new_chat("My secret"))
    link = share(alice)
    dan = team.join("Dan")
    team.parts.team.users.disable(SERVER, team.user_id("Dan"))

    for visitor in (team.stranger(), dan):
        answer = visitor.get(link, allow_redirects=False)
        assert (answer.status_code, "My secret" in answer.text) == (303, False)


def test_a_revoked_share_is_gone_at_once(alice, bob, upstream):
    upstream.answer(*body(token("Hi"), pictures_chunk(png(2, 2)), DONE))
    alice.end(alice.new_chat("Question"))
    link = share(alice)
    [picture] = re.findall(PICTURES, bob.get(link).text)

    answer = alice.post_form(revoke_path(alice, link))

    assert answer.status_code == 303
    assert [bob.get(path).status_code for path in (link, picture)] == [404, 404]
    assert [alice.get(link).status_code, alice.post_form(revoke_path(alice, link)).status_code] == [404, 404]
    assert "You share no conversation." in alice.get("/shares").text


def test_it_ends_with_its_conversation(alice, bob):
    alice.end(alice.new_chat("Question"))
    link = share(alice)

    alice.post_form(f"/c/{alice.conversation_id}/delete")

    assert bob.get(link).status_code == 404
    assert links(alice.get("/shares").text, "/s/") == []


def test_it_ends_with_its_owners_account(team, alice, bob, upstream):
    upstream.answer(*body(token("Hi"), pictures_chunk(png(2, 2)), DONE))
    alice.end(alice.new_chat("Question"))
    link = share(alice)
    [picture] = re.findall(PICTURES, bob.get(link).text)

    team.parts.team.users.disable(SERVER, team.user_id("Alice"))

    assert [bob.get(path).status_code for path in (link, picture)] == [404, 404]


def test_a_running_conversation_is_not_shared_yet(alice, upstream):
    upstream.answer(*body(token("beginning"), Wait()))
    alice.new_chat("Question")
    upstream.wait_for_requests(1)

    answer = alice.post_form(f"/c/{alice.conversation_id}/share")

    assert answer.status_code == 409
    assert "Wait until the answer is complete" in answer.text
    assert links(alice.get("/shares").text, "/s/") == []


def test_sharing_twice_makes_one_link(alice):
    alice.end(alice.new_chat("Question"))
    first = share(alice)

    assert share(alice) == first
    assert len(links(alice.get("/shares").text, "/s/")) == 1


def test_somebody_has_so_many_shares_at_most(alice, monkeypatch):
    monkeypatch.setattr(shares_of, "MOST", 1)
    alice.end(alice.new_chat("One"))
    share(alice)
    alice.end(alice.new_chat("Two"))

    answer = alice.post_form(f"/c/{alice.conversation_id}/share")

    assert (answer.status_code, "Revoke one first." in answer.text) == (409, True)


def test_a_long_one_is_read_in_parts(alice, bob, database_url):
    alice.end(alice.new_chat("Question"))
    add_turns(database_url, alice.conversation_id, 130)
    link = share(alice)

    first = bob.get(link).text
    [later] = re.findall(r'href="([^"]*\?at=[^"]*)"', first)
    second = bob.get(later).text
    [earlier] = re.findall(r'href="([^"]*\?before=[^"]*)"', second)

    messages = [re.findall(rf'<article[^>]*id="m-({UUID})"', page) for page in (first, second)]
    assert [len(ids) for ids in messages] == [200, 62]
    assert not set(messages[0]) & set(messages[1])
    assert re.findall(rf'<article[^>]*id="m-({UUID})"', bob.get(earlier).text)[:60] == messages[0][-60:]
    assert bob.get(f"{link}?at=nothing&before=nothing").status_code == 200


def test_something_hostile_is_as_harmless_as_ones_own(alice, bob, upstream):
    upstream.answer(
        *body(token("<script>alert(1)</script> <b onclick=x>b</b> [x](javascript:alert(1)) ![p](//evil/p)"), DONE)
    )
    alice.end(alice.new_chat("<script>alert(2)</script>"))

    answer = bob.get(share(alice))

    own = alice.page().split("</main>")[0]
    body_of = re.compile(r'<div class="message__body".*?</div>', re.DOTALL)
    assert body_of.findall(answer.text) == body_of.findall(own)
    assert "<script>alert" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy == alice.get("/").headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_the_audit_log_says_who_shared_and_revoked(team, alice):
    alice.end(alice.new_chat("My secret"))
    link = share(alice)
    alice.post_form(revoke_path(alice, link))

    share_id = link.rpartition("/")[2]
    assert log(team) == [("shared", "Alice", share_id), ("share_revoked", "Alice", share_id)]


def test_a_share_is_purged_with_its_conversation(team, alice):
    alice.end(alice.new_chat("Question"))
    share(alice)

    alice.post_form("/account/delete", proof="correct horse battery staple")
    team.parts.upkeep.tick()

    with team.parts.storage.read() as tx:
        assert tx.execute(select(func.count()).select_from(shares)).scalar_one() == 0


def test_it_is_off_unless_the_setting_says_so(make_team):
    team = make_team()
    alice = team.join("Alice")
    alice.end(alice.new_chat("Question"))

    assert "Share with the team" not in alice.page()
    assert alice.post_form(f"/c/{alice.conversation_id}/share").status_code == 404
    assert alice.get("/shares").status_code == 404


def test_open_login_has_no_members_to_share_with(tmp_path):
    with pytest.raises(ConfigError, match="LOCKCHAT_SHARING=team"):
        Config.from_env({"LOCKCHAT_SHARING": "team"})
    with pytest.raises(ConfigError, match="LOCKCHAT_SHARING=team"):
        create_app(Config(data_dir=tmp_path, sharing="team"))
