"""The base address of each kind of upstream, and the models that it lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.dialects import Dialect
from tests.dialects.azure import AZURE
from tests.test_dialects import DIALECTS, QUESTION, ask
from tests.upstream import Upstream, error
from webapp.lockchat import Lockchat


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_the_address_is_taken_as_people_give_it(upstream: Upstream, dialect: Dialect) -> None:
    ask(upstream, dialect)

    assert [request.target for request in upstream.requests] == [dialect.target]


def test_a_key_for_azure_goes_into_its_own_header(upstream: Upstream) -> None:
    client = Lockchat(upstream.url + AZURE.base, api_key="k-1")

    list(client.stream(QUESTION, "m"))
    client.close()

    assert upstream.requests[0].headers.get("api-key") == "k-1"


class TestModels:
    @pytest.fixture
    def client(self, upstream: Upstream) -> Iterator[Lockchat]:
        client = Lockchat(upstream.url, retries=0)
        yield client
        client.close()

    @pytest.mark.parametrize("listed", [{"object": "list", "data": None}, {"data": []}, {"models": []}, []])
    def test_no_models_are_no_models(self, upstream: Upstream, client: Lockchat, listed: Any) -> None:
        upstream.answer_models(*error(200, listed))

        assert names_in(client) == []

    @pytest.mark.parametrize(
        "listed",
        [
            {"models": [{"name": "llama3:latest"}]},
            {"models": ["llama3:latest"]},
            {"data": [{"name": "llama3:latest"}, {"id": "llama3:latest"}]},
            ["llama3:latest"],
        ],
        ids=["models and name", "strings", "twice", "bare strings"],
    )
    def test_names_are_found(self, upstream: Upstream, client: Lockchat, listed: Any) -> None:
        upstream.answer_models(*error(200, listed))

        assert names_in(client) == ["llama3:latest"]

    @pytest.mark.parametrize(
        "other",
        ["nomic-embed-text:latest", "text-embedding-3-small", "whisper-1", "tts-1", "bge-reranker-v2-m3", "dall-e-3"],
    )
    def test_a_model_that_does_not_chat_is_not_offered(self, upstream: Upstream, client: Lockchat, other: str) -> None:
        upstream.answer_models(*error(200, {"data": [{"id": other}, {"id": "llama3"}]}))

        assert names_in(client) == ["llama3"]


def names_in(client: Lockchat) -> list[str]:
    """The models as names, whatever else is known of them."""
    return [model if isinstance(model, str) else model.id for model in client.models()]
