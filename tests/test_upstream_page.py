"""The upstream page: how it is, a test that really asks, and what a proxy in front changes."""

from __future__ import annotations

import json
import re
import threading
from types import SimpleNamespace

import pytest
from itsdangerous import URLSafeTimedSerializer

from tests.dialects import DONE
from tests.team import links, problem
from tests.upstream import Wait, body, error, event, token, tokens
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.errors import Throttled
from webapp.invites import SERVER
from webapp.lockchat import Lockchat
from webapp.storage import endings
from webapp.trials import MOST_TOKENS, Trials
from webapp.views import upstream as upstream_page

PAGE = "/admin/upstream"
SECRET = "sk-1234567890abcdef"


def entries(team) -> list[tuple[str, str]]:
    with team.parts.storage.read() as tx:
        rows = tx.exec_driver_sql("SELECT actor, target FROM audit WHERE action = 'upstream_tested'").all()
    return [tuple(row) for row in rows]


def ask(visitor, model: str = "gpt-4"):
    return visitor.post_form(PAGE, model=model)


def chats(upstream):
    return [request for request in upstream.requests if "/chat/completions" in request.target]


def test_a_test_asks_the_upstream_and_says_what_it_answered_and_how_long_it_took(carol, upstream):
    named = event({"model": "gpt-4-0613", "choices": [{"index": 0, "delta": {"content": "OK <b>then</b>"}}]})
    upstream.answer(*body(named, DONE))

    answer = ask(carol)

    assert answer.status_code == 200
    said = text_of(answer.text)
    assert "The upstream answered: OK then" in said  # cleaned: no markup
    assert "Status 200. Model asked: gpt-4. Model that answered: gpt-4-0613." in said
    times = re.search(r"Connection after ([\d.]+) s, first token after ([\d.]+) s, all after ([\d.]+) s", said)
    assert sorted(map(float, times.groups())) == [float(one) for one in times.groups()]
    [asked] = chats(upstream)
    assert asked.json["max_tokens"] == MOST_TOKENS
    assert len(asked.body) < 300


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            error(401, {"error": {"message": f"Incorrect API key provided: {SECRET}"}}),
            "does not accept this server's key",
        ),
        (error(404, {"error": {"code": "model_not_found", "message": "x"}}), "does not have this model"),
        (error(500, "<html>secret page</html>"), "The upstream reported an error."),
        (body(b"<html>", content_type="text/html"), "sent a web page instead of an answer"),
        (body(event({"error": {"message": "overloaded"}})), "not available at the moment"),
    ],
)
def test_an_error_is_the_sentence_that_users_see_with_the_id_in_the_log(make_team, upstream, caplog, script, sentence):
    team = make_team(api_key=SECRET)
    carol = team.join("Carol", "admin")
    upstream.answer(*script)

    answer = ask(carol)

    assert sentence in problem(answer)
    [request_id] = re.findall(r"In the log: request ([0-9a-f]{12})", text_of(answer.text))
    assert answer.headers["X-Request-Id"] == request_id
    assert "the upstream was tested with the model 'gpt-4'" in caplog.text
    assert SECRET not in answer.text + caplog.text
    assert "secret page" not in answer.text
    assert len(chats(upstream)) == 1  # no retry: the page shows what happens now


def test_a_key_that_a_model_repeats_is_masked(make_team, upstream):
    carol = make_team(api_key=SECRET).join("Carol", "admin")
    upstream.answer(*tokens(f"Your key is {SECRET}"))

    assert SECRET not in ask(carol).text


def test_an_upstream_that_is_away_is_said(make_team, upstream):
    carol = make_team(url="http://127.0.0.1:1").join("Carol", "admin")

    answer = ask(carol)

    assert "The upstream could not be reached." in problem(answer)
    assert "Connection after –, first token after –" in text_of(answer.text)
    assert "Status" not in problem(answer)
    assert "http://127.0.0.1:1/v1/models: The upstream could not be reached." in text_of(answer.text)


def test_a_silent_upstream_ends_in_time(make_team, upstream, monkeypatch):
    monkeypatch.setattr("webapp.trials.TOTAL_SECONDS", 0.5)
    carol = make_team().join("Carol", "admin")
    upstream.answer(*body(Wait()))

    said = problem(ask(carol))

    assert "did not begin to answer in time" in said or "took longer than this server allows" in said


def test_tests_are_seconds_apart_and_one_at_a_time(team, carol, upstream, monkeypatch):
    monkeypatch.setattr("webapp.trials.PAUSE_SECONDS", 600)
    dave, go_on = team.join("Dave", "admin"), threading.Event()
    upstream.answer(*body(Wait(go_on), token("OK"), DONE))
    first = threading.Thread(target=ask, args=(carol,))
    first.start()
    wait_until(lambda: chats(upstream), 20, "the first test")

    during = ask(dave)
    go_on.set()
    first.join()
    after = ask(dave)

    assert (during.status_code, after.status_code) == (503, 429)
    assert "is being tested" in problem(during)
    assert "was tested a moment ago" in problem(after)
    assert after.headers["Retry-After"] == "600"
    assert len(chats(upstream)) == 1
    assert entries(team) == [("Carol", "gpt-4")]


def test_other_workers_count_a_test_too(team, carol, upstream, monkeypatch):
    monkeypatch.setattr("webapp.trials.PAUSE_SECONDS", 600)
    ask(carol)
    parts = team.parts
    other = Trials(parts.config, Lockchat(upstream.url), parts.storage, parts.models)

    with pytest.raises(Throttled, match="a moment ago"):
        other.ask(SERVER, "gpt-4")


def test_a_model_that_is_not_offered_is_not_asked(make_team, upstream):
    carol = make_team(models=("small",)).join("Carol", "admin")

    ask(carol, "../../etc/passwd")

    assert chats(upstream)[0].json["model"] == "small"


def test_the_page_counts_errors_of_the_last_answers_without_what_they_say(team, carol, upstream):
    alice = team.join("Alice")
    upstream.answer(*error(400, "the secret question was: my salary"))
    alice.end(alice.new_chat("My salary?"))
    upstream.answer(*error(400, "again"))
    failed = alice.say("Again?")
    alice.end(failed)
    alice.end(alice.say("And now?"))

    page = text_of(carol.get(PAGE).text)

    assert "Of the last 3 answers these failed: The upstream does not accept this request. 2 answers" in page
    assert f"In the log: reply {failed[:8]}" in page
    assert "salary" not in page


def test_the_errors_are_those_of_the_newest_answers_and_long_texts_are_read_little_by_little(team, carol, monkeypatch):
    reads = []
    newest = endings.newest
    monkeypatch.setattr(endings, "newest", lambda tx, most, start: reads.append(most) or newest(tx, most, start))
    parts, alice = team.parts, team.join("Alice")
    alice.end(alice.new_chat("Hi"))
    with parts.storage.begin() as tx:
        tx.exec_driver_sql("UPDATE messages SET failure_reason = 'network', status = 'error' WHERE role = 'assistant'")
        copied = "id, conversation_id, role, text, model, status, created_at"
        for number in range(250):
            tx.exec_driver_sql(
                f"INSERT INTO messages ({copied}, number) SELECT '{number}', {copied[4:]}, {number + 10} FROM messages"
                " WHERE role = 'assistant' AND failure_reason = 'network'"
            )

    ended, failures = parts.team.trials.failures()

    assert (ended, failures) == (200, [])
    assert set(reads) == {10}


def test_the_page_shows_the_address_without_secrets_and_what_the_list_says(make_team, upstream):
    team = make_team(auth=SECRET, api_key="key-1234567890abcdef")
    carol = team.join("Carol", "admin")

    page = carol.get(PAGE).text

    assert f"{upstream.url}/v1" in page
    assert SECRET not in page
    assert "key-1234567890abcdef" not in page
    assert "gpt-4" in page
    assert "No answer has ended yet." in text_of(page)


def test_an_address_with_a_key_in_its_path_shows_it_nowhere(upstream):
    address = Lockchat(f"{upstream.url}/{SECRET}/v1", api_key=SECRET).address

    assert SECRET not in address


def test_only_administrators_see_the_way_to_the_page(team, carol):
    alice = team.join("Alice")

    assert links(carol.get("/settings").text, PAGE) == [PAGE]
    assert links(alice.get("/settings").text, PAGE) == []


def test_another_site_tests_nothing(team, carol, upstream):
    answer = carol.post(PAGE, data={"model": "gpt-4"}, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert chats(upstream) == []


def curl_of(page: str) -> str:
    return re.search(r"curl -kN &#39;([^&]*)&#39;", page)[1]


def test_the_probe_is_a_stream_as_a_real_one_and_its_command_needs_no_cookie(team, carol, upstream, monkeypatch):
    pauses = []
    monkeypatch.setattr(upstream_page, "time", SimpleNamespace(sleep=pauses.append, monotonic=lambda: sum(pauses)))
    address = curl_of(carol.get(PAGE).text)
    upstream.answer(*body(token("Hi"), Wait()))
    alice = team.join("Alice")
    reply = alice.new_chat("Hi")

    with alice.get(f"/m/{reply}/stream", stream=True) as real:
        answer = team.stranger().get(address)

    assert address.startswith(team.url)
    ticks = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n")[:-1]]
    assert [(one["tick"], one["of"]) for one in ticks] == [(number, 6) for number in range(1, 7)]
    assert [one["milliseconds"] for one in ticks] == [0, 300, 600, 900, 1200, 1500]
    names = ("Content-Type", "Cache-Control", "X-Accel-Buffering", "Content-Encoding")
    assert [answer.headers.get(name) for name in names] == [real.headers.get(name) for name in names]


def test_the_probe_can_be_silent_as_a_model_that_thinks(carol, monkeypatch):
    monkeypatch.setattr(upstream_page, "TICK_SECONDS", 0.0)
    monkeypatch.setattr(upstream_page, "SILENT_SECONDS", 0.5)

    answer = carol.get(f"{curl_of(carol.get(PAGE).text)}&silence")

    ticks = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n")[:-1]]
    assert [(one["tick"], one["of"]) for one in ticks] == [(number, 7) for number in range(1, 8)]
    assert ticks[-1]["milliseconds"] - ticks[-2]["milliseconds"] >= 450


@pytest.mark.parametrize("ticket", ["", "x", "InVzZXIi.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"])
def test_without_a_ticket_there_is_no_probe(team, carol, ticket):
    assert carol.get(f"{PAGE}/stream?ticket={ticket}").status_code == 403


@pytest.mark.parametrize("key", ["", "guessed"])
def test_nobody_else_can_make_a_ticket(team, carol, key):
    ticket = URLSafeTimedSerializer(key, salt="probe").dumps(team.user_id("Carol"))

    assert team.stranger().get(f"{PAGE}/stream?ticket={ticket}").status_code == 403


def test_the_ticket_of_a_former_administrator_opens_no_probe(team, carol):
    team.join("Dora", "admin")
    address = curl_of(carol.get(PAGE).text)
    team.parts.team.users.change_role(SERVER, team.user_id("Carol"), "member")

    assert team.stranger().get(address).status_code == 403


def test_few_probes_run_at_a_time(team, carol):
    address = curl_of(carol.get(PAGE).text)
    answers = [carol.get(address, stream=True) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [503]
    assert "Too many pages are open at your address." in text_of(answers[-1].text)
    for answer in answers:
        answer.close()


def test_without_a_proxy_host_and_scheme_are_right_and_the_command_is_shown(carol):
    answer = carol.post(f"{PAGE}/proxy", headers={"Origin": carol.base_url, "Referer": f"{carol.base_url}{PAGE}"})

    said = text_of(answer.text)
    assert "the scheme and the path arrive as your browser sent them" in said
    assert "The request has no headers of a proxy." in said
    assert "This mends it" not in said
    assert f"curl -kN '{carol.base_url}{PAGE}/stream?ticket=" in said


def test_the_measured_stream_is_judged_and_the_form_leads_back_to_the_page(carol):
    held = carol.post_form(f"{PAGE}/proxy", held="1490", server="nginx/1.22 ", address=f"{carol.base_url}{PAGE}")
    fine = carol.post_form(f"{PAGE}/proxy", held="12", address=f"{carol.base_url}{PAGE}")
    again = carol.get(f"{PAGE}/proxy", allow_redirects=False)

    assert "holds the stream back" in text_of(held.text)
    assert "proxy_buffering off;" in held.text
    assert "flush_interval" not in held.text
    assert "The stream arrives as it is sent." in text_of(fine.text)
    assert "curl" not in fine.text
    assert again.headers["Location"] == PAGE


def test_a_proxy_that_no_setting_names_is_named_with_the_line_for_it(make_team):
    carol = make_team(proxies=("10.0.0.1",)).join("Carol", "admin")

    said = text_of(carol.post(f"{PAGE}/proxy", headers={"X-Forwarded-For": "10.1.2.3"}).text)

    assert "The requests come from 127.0.0.1 with the headers of a proxy, which is not in LOCKCHAT_PROXIES." in said
    assert "LOCKCHAT_PROXIES=10.0.0.1,127.0.0.1" in said


def test_a_proxy_that_tells_its_path_is_right(make_team):
    carol = make_team(proxies=("127.0.0.1",)).join("Carol", "admin")
    told = {"X-Forwarded-Prefix": "/chat", "X-Forwarded-For": "10.1.2.3", "Origin": carol.base_url}

    answer = carol.post(f"{PAGE}/proxy", data={"address": f"{carol.base_url}/chat{PAGE}"}, headers=told)

    said = text_of(answer.text)
    assert "the scheme and the path arrive as your browser sent them" in said
    assert "below /chat" not in said


@pytest.mark.parametrize("address", ["javascript:alert(1)", "http://[", "https://a'b/", "x" * 9000, "http://\n/"])
def test_an_address_that_is_none_makes_no_command(carol, address):
    answer = carol.post_form(f"{PAGE}/proxy", address=address, held="x", server="<b>", encoding="<i>")

    assert answer.status_code == 200
    assert curl_of(answer.text).startswith(f"{carol.base_url}{PAGE}/stream?")
    assert "Your browser uses" not in text_of(answer.text)
    assert "<i>" not in answer.text


def test_the_check_uses_all_that_a_browser_tells(make_team):
    carol = make_team(proxies=("127.0.0.1",)).join("Carol", "admin")
    asked = "https://chat.example.org"
    measured = {"address": f"{asked}/chat{PAGE}/proxy", "held": "12", "cut": "1", "encoding": "br"}

    from_form = carol.post(f"{PAGE}/proxy", data=measured, headers={"Referer": f"{carol.base_url}{PAGE}"}).text
    elsewhere = carol.post_form(f"{PAGE}/proxy", address=f"{asked}/chat/", held="12").text
    from_referer = carol.get(PAGE, headers={"Referer": f"{asked}{PAGE}/proxy", "Origin": carol.base_url}).text
    from_origin = carol.get(PAGE, headers={"Origin": asked}).text

    said = text_of(from_form)
    assert "The proxy ends a stream that is silent for 16 seconds" in said
    assert "The proxy compresses the stream (br), which may hold it back." in said
    assert "below /chat" in said
    assert "below" not in text_of(elsewhere)
    assert "arrived as http" in said
    assert "curl" not in from_form
    assert [curl_of(page).startswith(f"{asked}{PAGE}/stream?") for page in (from_referer, from_origin)] == [True, True]


def test_a_page_without_a_test_has_none_and_one_with_a_test_its_model(carol):
    before = carol.get(PAGE).text
    after = carol.post_form(PAGE, model="gpt-3.5-turbo").text

    assert [page.count("<option selected>") for page in (before, after)] == [0, 1]
    assert "<option selected>gpt-3.5-turbo<" in after
