"""The upstream's address in every spelling that people paste."""

from __future__ import annotations

import pytest

from tests.upstream import Upstream
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
        ("/chat/completions", "/chat/completions?auth=k"),  # of DeepSeek, without /v1
        ("/openai/v1", "/openai/v1/chat/completions?auth=k"),  # of Groq
        ("/api", "/api/chat/completions?auth=k"),  # of Open WebUI
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


def test_a_version_may_stand_in_the_address_and_a_key_may_not() -> None:
    address = f"https://me.openai.azure.com{AZURE}"

    assert Config.from_env({"LOCKCHAT_URL": address}).url == address
    for query in ("&api-key=hunter2", "&code=hunter2", "&hunter2"):
        with pytest.raises(ConfigError, match="AUTH or LOCKCHAT_API_KEY") as caught:
            Config.from_env({"LOCKCHAT_URL": address + query})
        assert "hunter2" not in caught.value.sentence
