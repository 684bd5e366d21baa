"""The upstream's address in every spelling that people paste, and what the log and the page say about a wrong one."""

from __future__ import annotations

import logging

import pytest

from tests.server import free_port
from tests.upstream import Upstream, body, error
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.config import Config
from webapp.errors import ConfigError
from webapp.lockchat import Lockchat, _create_completion

AZURE = "/openai/deployments/team-gpt?api-version=2024-10-21"
QUESTION = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/v1/chat/completions?auth=k"),
        ("/", "/v1/chat/completions?auth=k"),
        ("/v1", "/v1/chat/completions?auth=k"),
        ("/v1//", "/v1/chat/completions?auth=k"),
        ("/v1/chat/completions", "/v1/chat/completions?auth=k"),
        ("/v1/chat/completions/", "/v1/chat/completions?auth=k"),
        ("/v1//chat/completions", "/v1/chat/completions?auth=k"),
        ("/chat/completions", "/chat/completions?auth=k"),  # of DeepSeek, without /v1
        ("/openai/v1", "/openai/v1/chat/completions?auth=k"),  # of Groq
        ("/api", "/api/chat/completions?auth=k"),  # of Open WebUI
        ("/X", "/X/chat/completions?auth=k"),
        ("/v1beta/openai/", "/v1beta/openai/chat/completions?auth=k"),  # of Gemini
        ("/api/paas/v4", "/api/paas/v4/chat/completions?auth=k"),  # of Zhipu
        (AZURE, "/openai/deployments/team-gpt/chat/completions?api-version=2024-10-21&auth=k"),
        ("/models/chat/completions?api-version=1", "/models/chat/completions?api-version=1&auth=k"),  # of Azure AI
        ("/?api-version=1", "/v1/chat/completions?api-version=1&auth=k"),
    ],
)
def test_v1_is_added_only_to_an_address_without_a_path(upstream: Upstream, path: str, target: str) -> None:
    client = Lockchat(upstream.url + path, auth="k")

    list(client.stream(QUESTION, "gpt-4"))

    client.close()
    assert upstream.requests[0].target == target


def test_the_original_interface_takes_a_whole_pasted_address(upstream: Upstream) -> None:
    list(_create_completion("gpt-4", QUESTION, True, base_url=f"{upstream.url}/v1/chat/completions"))

    assert upstream.requests[0].target == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1", {"authorization": "Bearer secret"}),
        ("/openai/v1", {"authorization": "Bearer secret"}),  # Azure's undated API too
        (AZURE, {"api-key": "secret"}),
        ("/openai/deployments/team-gpt", {"api-key": "secret"}),
        ("/models?api-version=2024-05-01-preview", {"api-key": "secret"}),
    ],
)
def test_azure_gets_the_key_in_its_own_header(upstream: Upstream, path: str, headers: dict[str, str]) -> None:
    client = Lockchat(upstream.url + path, api_key="secret")

    list(client.stream(QUESTION, "gpt-4"))

    client.close()
    sent = upstream.requests[0].headers
    assert {name: sent[name] for name in ("authorization", "api-key") if name in sent} == headers


@pytest.mark.parametrize("status", [404, 405])
def test_an_azure_deployment_without_a_list_offers_itself(upstream: Upstream, status: int) -> None:
    upstream.answer_models(*error(status, {"error": {"code": "404", "message": "Resource not found"}}))
    client = Lockchat(upstream.url + AZURE)

    models = client.models()

    client.close()
    assert models == ["team-gpt"]
    assert upstream.model_requests[0].target == "/openai/deployments/team-gpt/models?api-version=2024-10-21"


def test_a_version_may_stand_in_the_address_and_a_key_may_not() -> None:
    address = f"https://me.openai.azure.com{AZURE}"

    assert Config.from_env({"LOCKCHAT_URL": address}).url == address
    for query in ("&api-key=hunter2", "&code=hunter2", "&hunter2"):
        with pytest.raises(ConfigError, match="AUTH or LOCKCHAT_API_KEY") as caught:
            Config.from_env({"LOCKCHAT_URL": address + query})
        assert "hunter2" not in caught.value.sentence


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (error(404, {"detail": "Not Found"}), "answered with status 404: The upstream sent something that is not an"),
        (error(302, "", location="https://x.example"), "answered with status 302: The upstream sent a redirect"),
        (body(b"<!doctype html><p>Welcome", content_type="text/html"), "answered with status 200: The upstream sent a"),
        (body(b'{"ok": true}'), "answered with status 200: The upstream sent something that is not an answer."),
        (error(401, {"error": {"message": "No such key sesame-0001"}}), "answered with status 401: The upstream does"),
    ],
)
def test_a_wrong_address_is_told_on_the_page_and_in_the_log(upstream, make_visitor, caplog, script, said):
    upstream.answer_models(*script)
    alice = make_visitor(url=f"{upstream.url}/wrong", api_key="sesame-0001", auth="sesame-0002")

    page = text_of(alice.get("/").text)

    place = f"{upstream.url}/wrong/models"
    assert f"{place} {said}" in page
    wait_until(lambda: f"the upstream at {place}: " in caplog.text, 20, "a line in the log")
    assert "sesame" not in page + caplog.text


def test_an_address_where_nobody_listens_is_told_on_the_page_and_in_the_log(make_visitor, caplog):
    url = f"http://127.0.0.1:{free_port()}"
    alice = make_visitor(url=url)

    page = text_of(alice.get("/").text)

    assert f"{url}/v1/models: The upstream could not be reached." in page
    assert "An administrator has to check the address in LOCKCHAT_URL." in page
    wait_until(lambda: f"the upstream at {url}/v1/models: network" in caplog.text, 20, "a line in the log")


def test_a_right_address_is_told_in_the_log_before_anybody_asks_for_a_page(upstream, make_site, caplog):
    caplog.set_level(logging.INFO)

    make_site(auth="hidden-in-the-query")

    line = f"the upstream at {upstream.url}/v1/models: 2 models"
    wait_until(lambda: line in caplog.text, 20, "a line in the log")
    assert "hidden-in-the-query" not in caplog.text


def test_a_secret_in_the_path_is_told_to_nobody(upstream, make_visitor, caplog):
    upstream.answer_models(*error(500))
    alice = make_visitor(url=f"{upstream.url}/gateway/sesame-0001", api_key="sesame-0001")

    page = text_of(alice.get("/").text)

    assert f"{upstream.url}/gateway/…/models answered with status 500" in page
    assert "sesame" not in page + caplog.text


def test_a_right_address_leaves_the_page_as_it_is(alice):
    assert "/v1/models" not in alice.get("/").text
