"""LiteLLM's proxy itself: its list, its stream, its chains of errors, and its door for clients of Azure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.real.conftest import KEY
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat

AZURE = "/openai/deployments/friendly?api-version=2024-10-21"
QUESTION = [{"role": "user", "content": "hi"}]


@pytest.fixture
def connect(litellm: str) -> Iterator[Callable[..., Lockchat]]:
    """A client of the proxy, at a path of it."""
    clients: list[Lockchat] = []

    def connect(path: str = "", key: str = KEY) -> Lockchat:
        clients.append(Lockchat(litellm + path, api_key=key, retries=0))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def test_its_models_are_offered_with_their_windows(connect):
    models = connect().offered_models()

    assert [model.id for model in models] == ["friendly", "hurried", "full", "broken", "away"]  # not the embedding one
    assert {model.window for model in models} == {128_000}


@pytest.mark.parametrize(
    "path", ["", "/v1", "/v1/chat/completions", "/openai/deployments/friendly?api-version=2024-10-21"]
)
def test_its_answer_arrives_at_every_address_of_it(connect, path):
    deltas = list(connect(path).stream(QUESTION, "friendly"))

    assert len(deltas) > 3
    assert "".join(delta.text for delta in deltas) == "Hello from the proxy."
    assert deltas[-1].finish_reason == "stop"


def test_a_whole_answer_arrives_too(connect):
    deltas = list(connect().stream(QUESTION, "friendly", stream=False))

    assert "".join(delta.text for delta in deltas) == "Hello from the proxy."
    assert deltas[-1].usage.prompt_tokens > 0


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("hurried", "rate_limited"),
        ("full", "context_length"),
        ("broken", "upstream"),
        ("away", "upstream"),
        ("missing", "model_not_found"),
    ],
)
def test_its_errors_are_understood_and_cleaned(connect, model, reason):
    with pytest.raises(UpstreamError) as caught:
        list(connect().stream(QUESTION, model))

    assert caught.value.reason == reason
    for unwanted in ("litellm", "LiteLLM", "Error:", "http", "fallback", "{", "\n"):
        assert unwanted not in caught.value.detail


@pytest.mark.parametrize(("path", "key", "status"), [("/wrong", KEY, 404), ("", "sk-other", 400)])
def test_a_wrong_address_and_a_wrong_key_are_told(connect, path, key, status):
    with pytest.raises(UpstreamError) as caught:
        connect(path, key).models()

    assert caught.value.status == status
