"""The models that administrators allow a role: chosen on a page, and the only ones wherever a model can be named."""

from __future__ import annotations

import json
import re
import threading

import openai
import pytest

from tests.dialects import DONE
from tests.team import links, problem
from tests.test_api import ask, open_client, whole
from tests.test_branches import question_of
from tests.test_keys import make_key
from tests.test_models import answer_list, offered
from tests.upstream import Wait, body, token, tokens
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.storage import site
from webapp.upstream.listing import MAX_MODELS

LISTED = ["big", "small", "odd"]


@pytest.fixture
def team(make_team, upstream):
    answer_list(upstream, {"data": [{"id": name} for name in LISTED]})
    return make_team(api=True, retries=0)


@pytest.fixture
def alice(team, carol):
    return team.join("Alice")


def allow(carol, *names, role="member", others=""):
    answer = carol.post_form("/admin/models", role=role, model=list(names), others=others)
    assert answer.status_code == 303, problem(answer)


def entries(team) -> list[str]:
    with team.parts.storage.read() as tx:
        return list(
            tx.exec_driver_sql("SELECT target FROM audit WHERE action = 'models_allowed' ORDER BY id").scalars()
        )


def asked(upstream) -> list[str]:
    return [request.json["model"] for request in upstream.requests]


def ticked(page: str, role: str) -> list[str]:
    form = page.split(f'id="of-{role}"')[1].split("</form>")[0]
    return re.findall(r'name="model" value="([^"]*)" checked', form)


def test_a_role_is_offered_what_is_allowed_and_another_role_the_rest_too(team, carol, alice):
    allow(carol, "small", "odd")

    assert offered(alice.get("/").text) == ["small", "odd"]
    assert offered(carol.get("/").text) == LISTED
    assert ticked(carol.get("/admin/models").text, "member") == ["small", "odd"]
    assert ticked(carol.get("/admin/models").text, "admin") == []


def test_a_page_reads_once_what_is_allowed(alice, monkeypatch):
    alice.end(alice.new_chat("Hi"))
    alice.end(alice.say("And now?"))
    reads, allowed_for = [], site.allowed_for
    monkeypatch.setattr(site, "allowed_for", lambda tx, user_id: reads.append(user_id) or allowed_for(tx, user_id))

    alice.page()

    assert len(reads) == 1


def test_nothing_chosen_allows_all_models_again(team, carol, alice):
    allow(carol, "small")
    allow(carol)

    assert offered(alice.get("/").text) == LISTED


def test_a_role_that_changes_changes_the_models(team, carol, alice):
    allow(carol, "small", "odd")
    carol.post_form(f"/admin/users/{team.user_id('Alice')}/role", role="admin")

    assert offered(alice.get("/").text) == LISTED


def test_another_worker_knows_the_choice_at_once(team, carol, alice, make_site):
    alice.get("/")
    allow(carol, "small", "odd")

    alice.base_url = make_site(login="password").extensions["url"]

    assert offered(alice.get("/").text) == ["small", "odd"]


def test_a_model_that_is_not_allowed_is_refused_wherever_it_is_sent_and_the_text_stays(carol, alice, upstream):
    reply = alice.new_chat("One", model="small")
    alice.end(reply)
    question = re.search(r'id="m-([0-9a-f-]{36})"', alice.page())[1]
    allow(carol, "small", "odd")
    chat = f"/c/{alice.conversation_id}"
    before = len(upstream.requests)

    for path in ["/conversations", f"{chat}/messages", f"{chat}/queue", f"/m/{question}/edit"]:
        refused = alice.post_form(path, text="Keep this", model="big")
        assert refused.status_code == 400, path
        assert "The model big is not offered here. Choose another one." in text_of(refused.text)
        assert ">\nKeep this</textarea>" in refused.text
        assert offered(refused.text) == ["small", "odd"]
    assert alice.post_form(f"/m/{reply}/retry", **{"with": "big"}).status_code == 400
    assert alice.post_form(f"/m/{reply}/continue", model="big").status_code == 400
    assert len(upstream.requests) == before


def test_an_admin_asks_a_model_that_members_may_not_in_every_way(carol, upstream):
    allow(carol, "small")
    carol.end(carol.new_chat("Hi"))
    reply = carol.new_chat("One", model="big")
    carol.end(reply)
    question = question_of(carol.page())

    for step in (f"{question}/edit", f"{reply}/retry", f"{reply}/continue"):
        carol.end(carol.reply_of(carol.post_form(f"/m/{step}", text="Two", model="big")))

    assert asked(upstream) == ["big"] * 5


def test_a_chat_with_a_model_that_is_no_longer_allowed_says_so_and_goes_on_with_another(carol, alice, upstream):
    alice.end(alice.new_chat("One", model="big"))
    allow(carol, "small", "odd")

    page = alice.page()
    alice.end(alice.say("Two"))

    assert "The model big is not offered to you any more: small answers from here on." in text_of(page)
    assert asked(upstream) == ["big", "small"]
    assert "not offered to you" not in text_of(alice.page())


def test_the_models_to_retry_with_are_those_that_are_allowed(carol, alice):
    reply = alice.new_chat("One", model="small")
    alice.end(reply)
    allow(carol, "small", "odd")

    page = alice.get(f"/c/{alice.conversation_id}?again={reply}").text

    assert re.findall(r'name="with" value="(.*?)"', page) == ["small", "odd"]


def test_a_message_that_waits_is_held_when_its_model_is_no_longer_allowed(team, carol, alice, upstream):
    carol.post_form(f"/admin/users/{team.user_id('Alice')}/role", role="admin")
    allow(carol, "small")
    upstream.answer(*body(token("On"), Wait()))
    reply = alice.new_chat("One", model="big")
    wait_until(lambda: len(upstream.requests) == 1, 20, "the question")
    alice.post_form(f"/c/{alice.conversation_id}/queue", text="Two", model="big")
    allow(carol, "small", role="admin")

    alice.stop(reply)

    wait_until(lambda: "could not be sent by itself" in text_of(alice.page()), 20, "the held message")
    assert "Two" in text_of(alice.page())
    assert asked(upstream) == ["big"]


def test_a_preset_takes_allowed_models_only_and_an_older_one_says_what_it_lacks(carol, alice):
    fields = {"name": "Mine", "model": "big", "temperature": "", "system": ""}
    alice.post_form("/presets", **fields)
    [preset] = set(re.findall(r'id="preset-([0-9a-f-]{36})"', alice.get("/settings").text))
    allow(carol, "small", "odd")

    refused = alice.post_form("/presets", **(fields | {"name": "Another"}))
    page = alice.get(f"/?preset={preset}").text

    assert refused.status_code == 400
    assert "The model big is not offered here." in problem(refused)
    assert offered(page) == ["small", "odd"]
    assert "The model big is not offered to you any more: small answers" in text_of(page)


def test_an_import_keeps_the_name_of_its_model_and_goes_on_with_an_allowed_one(carol, alice, upstream):
    alice.end(alice.new_chat("One", model="big"))
    file = alice.get(f"/c/{alice.conversation_id}/export?format=json").content
    alice.post_form(f"/c/{alice.conversation_id}/delete")
    allow(carol, "small")

    answer = alice.post("/import", files={"file": ("chat.json", file)}, allow_redirects=False)
    alice.conversation_id = answer.headers["Location"].rpartition("/")[2]
    exported = json.loads(alice.get(f"/c/{alice.conversation_id}/export?format=json").content)
    alice.end(alice.say("Two"))

    assert '"big"' in json.dumps(exported)
    assert asked(upstream) == ["big", "small"]


def test_the_api_lists_and_asks_allowed_models_only(team, carol, alice, upstream):
    key = make_key(alice)
    allow(carol, "small")
    upstream.always(lambda request: whole())

    with open_client(team, key) as client:
        with pytest.raises(openai.NotFoundError) as refused:
            ask(client, model="big")
        listed = [model.id for model in client.models.list()]
        ask(client, model="small")

    assert (refused.value.status_code, refused.value.code) == (404, "model_not_found")
    assert refused.value.body["message"] == "The model big is not offered here. Choose another one."
    assert refused.value.body["type"] == "invalid_request_error"
    assert listed == ["small"]
    assert asked(upstream) == ["small"]


def test_a_name_that_the_upstream_does_not_list_can_be_written(team, carol, alice, upstream):
    allow(carol, "odd", others="tuned:1\n\n  odd \n")

    assert offered(alice.get("/").text) == ["odd", "tuned:1"]
    alice.end(alice.new_chat("Hi", model="tuned:1"))
    assert asked(upstream) == ["tuned:1"]
    assert "tuned:1 not in the upstream's list" in text_of(carol.get("/admin/models").text)


def test_the_models_of_the_settings_stay_the_outer_bound(make_team, upstream):
    team = make_team(models=("big", "small"))
    carol, alice = team.join("Carol", "admin"), team.join("Alice")

    refused = carol.post_form("/admin/models", role="member", model=["small"], others="secret")
    saved = carol.post_form("/admin/models", role="member", model=["small"])  # all that the form has here
    page = carol.get("/admin/models").text

    assert (refused.status_code, saved.status_code) == (400, 303)
    assert "The setting LOCKCHAT_MODELS names the models to choose from." in text_of(page)
    assert 'name="others"' not in page
    assert "The setting LOCKCHAT_MODELS does not offer the model secret." in problem(refused)
    assert ticked(refused.text, "member") == ["small", "secret"]
    assert alice.post_form("/conversations", text="Hi", model="big").status_code == 400


def test_a_role_without_any_model_that_is_there_reads_why(make_team, make_site):
    team = make_team(models=("big", "small"))
    carol, alice = team.join("Carol", "admin"), team.join("Alice")
    allow(carol, "small")

    alice.base_url = make_site(login="password", models=("big",)).extensions["url"]
    page, refused = alice.get("/").text, alice.post_form("/conversations", text="Keep this")

    assert "No model is allowed to you here." in text_of(page)
    assert refused.status_code == 403
    assert "No model is allowed to you here." in text_of(refused.text)
    assert ">\nKeep this</textarea>" in refused.text


def test_a_long_list_is_written_not_ticked(make_team, upstream):
    answer_list(upstream, {"data": [{"id": f"m-{number}"} for number in range(MAX_MODELS)]})
    team = make_team()
    carol = team.join("Carol", "admin")
    many = [f"m-{number}" for number in range(100, 300)]

    allow(carol, others="\n".join(many))
    page = carol.get("/admin/models").text

    assert "checkbox" not in page.split("<main")[1]
    assert page.count("\n".join(sorted(many))) == 1
    assert team.parts.offers.allowed()["member"] == sorted(many)


@pytest.mark.parametrize("others", ["x" * 301, "a\x07b", "\n".join(f"m-{number}" for number in range(501))])
def test_what_is_no_name_of_a_model_is_refused(team, carol, others):
    refused = carol.post_form("/admin/models", role="member", others=others)

    assert refused.status_code == 400
    assert problem(refused)
    assert entries(team) == []


def test_each_change_is_in_the_audit_log_and_no_other_role_is_changed(team, carol, alice):
    allow(carol, "small", "odd")
    allow(carol, "odd", "small")
    allow(carol, "big", role="admin")
    allow(carol)
    statuses = [
        alice.post_form("/admin/models", role="member", model="big").status_code,
        carol.post_form("/admin/models", role="owner", model="big").status_code,
    ]

    assert entries(team) == ["member: odd, small", "admin: big", "member: all"]
    assert statuses == [403, 400]
    assert links(alice.get("/settings").text, "/admin/models") == []
    assert links(carol.get("/settings").text, "/admin/models") == ["/admin/models"]


def test_with_open_login_the_settings_alone_choose(make_team, make_site, upstream):
    answer_list(upstream, {"data": [{"id": name} for name in LISTED]})
    team = make_team()
    allow(team.join("Carol", "admin"), "small", "odd")
    stranger = team.stranger()

    stranger.base_url = make_site(login="open").extensions["url"]

    assert offered(stranger.get("/").text) == LISTED
    upstream.answer(*tokens("Hi"))
    stranger.end(stranger.new_chat("Hi", model="big"))
    assert asked(upstream) == ["big"]


def test_a_stream_ends_well_while_the_models_cannot_be_read(team, carol, alice, upstream):
    go_on = threading.Event()
    upstream.answer(*body(token("On"), Wait(go_on), token(" and on"), DONE))
    reply = alice.new_chat("Hi", model="small")
    events = alice.events(reply)
    next(events)

    with team.parts.storage.begin() as tx:
        tx.exec_driver_sql("DROP TABLE allowed_models")
    go_on.set()
    end = next(json.loads(event.data) for event in events if event.event == "end")

    assert end["why"] == "done"
    assert "Retry" in end["html"]
    assert alice.get("/settings").status_code == 200
