"""Errors: counted by code, and a failed reply names the id that its log line has."""

from __future__ import annotations

import re

import html5lib
import pytest

from tests.test_models import offered
from tests.upstream import error
from tests.visitor import text_of
from webapp.errors import StorageUnavailable
from webapp.views import problems

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/conversations", {"text": ""}, "invalid"),
        (f"/m/{UNKNOWN}/stop", {}, "not_found"),
        ("/presets", {"name": ""}, "invalid"),
        ("/nowhere", {}, "http_404"),
        ("/healthz", {}, "http_405"),
    ],
)
def test_an_error_is_counted_by_its_code(alice, path, fields, code):
    alice.post_form(path, **fields)
    alice.post_form(path, **fields)

    assert f'lockchat_errors_total{{code="{code}"}} 2.0' in alice.get("/metrics").text


def test_a_refused_form_of_a_page_is_counted_by_its_code_too(carol):
    refused = carol.post_form("/admin/limits", role="member", conversations="many")
    lost = carol.post_form("/admin/limits", role="owner")

    counted = re.findall(r"^(lockchat_errors_total\{.*) ", carol.get("/metrics").text, re.MULTILINE)
    assert [refused.status_code, lost.status_code] == [400, 404]
    assert counted == ['lockchat_errors_total{code="invalid"}', 'lockchat_errors_total{code="not_found"}']


def test_metrics_say_what_is_counted(alice):
    help_line = "# HELP lockchat_errors_total Requests that this worker answered with an error.\n"

    assert help_line in alice.get("/metrics").text


def test_a_failed_reply_names_its_id_for_the_administrator(alice, upstream):
    upstream.always(*error(401, {"error": {"message": "Bad news."}}))
    reply = alice.new_chat("Hello")
    alice.end(reply)

    assert f"For the administrator: reply {reply[:8]}" in text_of(alice.page())


def test_a_reply_that_ended_well_names_no_id(alice):
    alice.end(alice.new_chat("Hello"))

    assert "For the administrator" not in text_of(alice.page())


def sentence_of(page: str) -> str:
    """The sentence of an error page."""
    elements = html5lib.parse(page, namespaceHTMLElements=False).iter("p")
    return next("".join(one.itertext()) for one in elements if one.get("class") == "failure__sentence")


def fields_of(page: str) -> tuple[str, dict[str, str]]:
    """Where the message box of a page sends its text, and what it has in it."""
    form = next(one for one in html5lib.parse(page, namespaceHTMLElements=False).iter("form") if one.get("id"))
    values = {one.get("name"): one.get("value", "") for one in form.iter("input")}
    values |= {one.get("name"): (one.text or "").removeprefix("\n") for one in form.iter("textarea")}
    values |= {one.get("name"): one.find("option[@selected]").get("value") for one in form.iter("select")}
    values.pop("key")
    return form.get("action"), values


def test_a_refused_message_is_given_back_with_all_that_was_set(make_team):
    alice = make_team(models=("small", "large")).join("Alice")
    typed = {"parent": UNKNOWN, "model": "large", "temperature": "hot", "system": "Be <kind>"}
    untyped = {"parent": "", "model": "small", "temperature": "", "system": ""}

    for path, sent, kept in [
        ("/conversations?folder=f", typed | {"seed": "7"}, typed | {"seed": "7"}),
        (f"/c/{UNKNOWN}/messages", {"model": "gone"}, untyped),
        ("/conversations", {"key": "k" * 65}, untyped),
    ]:
        answer = alice.post_form(path, text="Keep me", **sent)

        assert answer.status_code == 400
        assert fields_of(answer.text) == (path, {"text": "Keep me", **kept})
        assert sorted(offered(answer.text)) == ["large", "small"]


def test_a_message_to_a_conversation_that_is_gone_can_begin_another_one(alice):
    answer = alice.post_form(f"/c/{UNKNOWN}/messages?folder=f", text="Keep me", model="gpt-3.5-turbo")

    assert answer.status_code == 404
    assert fields_of(answer.text)[0] == "/conversations"
    assert fields_of(answer.text)[1]["model"] == "gpt-3.5-turbo"
    assert not {"Retry-After", "WWW-Authenticate"} & answer.headers.keys()


def test_an_error_page_leads_back_only_from_a_form(alice):
    headers = {"Referer": f"{alice.base_url}/settings?a=1"}

    refused = alice.post("/conversations", data={"text": ""}, headers=headers)
    lost = alice.get("/nowhere", headers=headers)
    from_nowhere = alice.post_form("/conversations", text="")

    assert 'href="/settings?a=1">Back</a>' in refused.text
    headers = {"Referer": f"{alice.base_url}/settings"}
    assert 'href="/settings">Back</a>' in alice.post("/conversations", data={"text": ""}, headers=headers).text
    assert "Back" not in text_of(lost.text)
    assert "Back" not in text_of(from_nowhere.text)


def test_an_error_page_has_the_list_of_its_reader_and_of_nobody_else(alice, bob):
    alice.new_chat("My garden")

    for path in ("/nowhere", f"/c/{UNKNOWN}"):
        assert "My garden" in text_of(alice.get(path).text)
        assert "My garden" not in text_of(bob.get(path).text)


def test_while_the_database_is_away_no_page_asks_it_for_the_list(site, alice):
    def fail() -> None:
        raise StorageUnavailable("Away.", retry_after=7)

    alice.new_chat("My garden")
    site.view_functions["listing.show_conversations"] = fail

    answer = alice.get("/conversations")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert "Away." in text_of(answer.text)
    assert "My garden" not in answer.text
    assert "No conversations" not in text_of(answer.text)


def test_an_error_page_names_the_request_that_the_log_names(alice):
    answer = alice.get("/nowhere")

    assert f"For the administrator: 404, request {answer.headers['X-Request-Id']}" in text_of(answer.text)
    assert len(answer.headers["X-Request-Id"]) == 12


def test_the_script_gets_the_sentence_of_an_error_alone(alice):
    headers = {"X-Fragment": "1", "Content-Type": "application/x-www-form-urlencoded"}
    sends = "/conversations"
    cases = [
        ("GET", "/nowhere", None, 404, "This page does not exist."),
        ("DELETE", "/", None, 405, "This address cannot be used this way."),
        ("POST", sends, "%" * 2000, 400, "The form is broken. Reload the page and send it again."),
        ("POST", sends, iter([b"text"]), 411, "The form does not say how long it is, so it was refused."),
        ("POST", sends, "x" * 2**21, 413, "That is more than this server accepts in one message."),
    ]

    for method, path, form, status, sentence in cases:
        answer = alice.request(method, path, headers=headers, data=form)

        assert (answer.status_code, answer.text) == (status, sentence)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert ("Allow" in answer.headers) == (status == 405)


def test_a_bug_is_counted_and_its_page_says_where_to_look(site, alice, caplog):
    alice.get("/")  # now she has a cookie
    site.view_functions["listing.show_conversations"] = lambda: 1 / 0

    answer, part = alice.get("/conversations"), alice.get("/conversations", headers={"X-Fragment": "1"})

    assert [answer.status_code, part.status_code] == [500, 500]
    assert part.text == "Something went wrong in this server. The administrator can find the error in the log."
    assert sentence_of(answer.text) == part.text
    assert f"request {answer.headers['X-Request-Id']} failed" in caplog.messages
    assert re.findall("lockchat_errors_total{.*", alice.get("/metrics").text) == [
        'lockchat_errors_total{code="internal"} 2.0'
    ]


def test_a_stranger_gets_back_what_they_typed_and_no_more(team):
    answer = team.stranger().post_form("/conversations", text="Keep me")

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Cookie realm="Lockchat"')
    assert sentence_of(answer.text) == "You are signed out. Sign in, then go back and send it again."
    assert fields_of(answer.text) == (
        "/conversations",
        {"text": "Keep me", "parent": "", "temperature": "", "system": ""},
    )


def test_a_page_for_nobody_has_an_empty_list(alice):
    page = alice.get("/", headers={"Host": "evil.example"}).text

    assert "Your conversations will appear here." in text_of(page)
    assert 'data-user=""' in page


def test_a_status_without_words_of_its_own_has_a_sentence(site):
    with site.test_request_context("/"):
        assert problems._http_sentence(418) == "This request cannot be answered."
