"""What is said to requests that are refused before any page, in full: an administrator acts on these sentences."""

from __future__ import annotations

import pytest

AS_SCRIPT = {"X-Fragment": "1"}
NAME = (
    "This server does not accept the name evil.example. To allow it, an administrator sets"
    " LOCKCHAT_HOSTS=evil.example and restarts the server."
)
OPEN = (
    "Everyone who reaches this address could use this server without a password, so it refuses."
    " To allow it, an administrator sets LOCKCHAT_ALLOW_OPEN=proxy and restarts the server."
)
PROXY = (
    "A proxy in front of this server changes the name of the host: your browser asked {asked}, and the request arrived"
    " for lockchat:8000. Let the proxy pass the name on. nginx: proxy_set_header Host $http_host; Apache:"
    " ProxyPreserveHost On"
)


def test_a_refused_request_is_told_why_and_what_to_do(alice):
    foreign = "This request comes from another site, so it was refused."
    cases = [
        ("GET", {"Host": "evil.example:80"}, 421, NAME),
        ("GET", {"Host": "evil example"}, 400, "The request does not say which host it is for."),
        ("GET", {"X-Forwarded-For": "10.0.0.9"}, 403, OPEN),
        ("POST", {"Origin": "https://evil.example"}, 403, foreign),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403, foreign),
    ]

    for method, headers, status, sentence in cases:
        answer = alice.request(method, "/conversations", headers=AS_SCRIPT | headers)

        assert (answer.status_code, answer.text) == (status, sentence)


@pytest.fixture
def behind(make_visitor):
    """A browser on a site that a proxy may pass on, under another name than it was asked for."""
    return make_visitor(hosts=frozenset({"chat.example.org"}), allow_open=frozenset({"proxy"}))


def test_a_proxy_that_changes_the_name_of_the_host_is_named(behind):
    for said, asked in [
        ("chat.example.org, inner", "chat.example.org"),
        ("chat.example.org:444", "chat.example.org:444"),
    ]:
        answer = behind.get("/", headers=AS_SCRIPT | {"Host": "lockchat:8000", "X-Forwarded-Host": said})

        assert (answer.status_code, answer.text) == (421, PROXY.format(asked=asked))


def test_a_form_that_a_proxy_sent_on_under_another_name_is_told_so(make_visitor):
    visitor = make_visitor(hosts=frozenset({"chat.example.org", "lockchat"}), allow_open=frozenset({"proxy"}))

    answer = visitor.post(
        "/conversations", headers=AS_SCRIPT | {"Host": "lockchat:8000", "Origin": "https://chat.example.org"}
    )

    assert (answer.status_code, answer.text) == (403, PROXY.format(asked="https://chat.example.org"))


def test_the_name_of_a_host_is_the_same_in_capitals(alice):
    headers = {"Host": "LocalHost:8000", "Origin": "http://LOCALHOST:8000"}

    assert alice.post("/conversations", data={"text": "Hi"}, headers=headers, allow_redirects=False).status_code == 303


def test_a_member_is_told_whose_page_it_is(team):
    answer = team.join("Bob").get("/admin/users", headers=AS_SCRIPT)

    assert (answer.status_code, answer.text) == (403, "This page is for administrators.")


def test_a_program_without_a_key_is_told_so(make_visitor):
    program = make_visitor(login="password", api=True)

    answers = [program.get("/v1/models", headers={"Authorization": key}) for key in (None, "Bearer none", "Basic none")]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["error"]["message"] for answer in answers} == {
        "The API key is missing or wrong, or it has expired or been revoked."
    }
