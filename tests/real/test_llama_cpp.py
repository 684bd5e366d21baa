"""llama.cpp's server itself, on a tiny model made here: its list, its stream, and the end of its window."""

from __future__ import annotations

import pytest

from tests.real.conftest import KEY
from tests.visitor import text_of
from webapp.chat import OfferedModel
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat


@pytest.fixture
def client(llama_server):
    client = Lockchat(llama_server, api_key=KEY)
    yield client
    client.close()


def question(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_its_model_is_offered_with_the_window_in_use(client):
    assert client.offered_models() == [OfferedModel("tiny", 512, False)]


def test_its_answer_arrives_up_to_the_end_of_the_window(client):
    deltas = list(client.stream(question("the key"), "tiny", 0.0))

    assert len(deltas) > 50
    assert "".join(delta.text for delta in deltas).split()[0].isalpha()
    assert deltas[-1].finish_reason == "length"


def test_a_conversation_above_its_window_is_too_long(client):
    with pytest.raises(UpstreamError) as caught:
        list(client.stream(question("key " * 600), "tiny"))

    assert caught.value.code == "context_length"
    assert "exceeds the available context size" in caught.value.detail


@pytest.mark.parametrize(("path", "key", "status"), [("/wrong", KEY, 404), ("", "sk-other", 401)])
def test_a_wrong_address_and_a_wrong_key_are_told(llama_server, path, key, status):
    client = Lockchat(llama_server + path, api_key=key)

    with pytest.raises(UpstreamError) as caught:
        client.models()

    client.close()
    assert caught.value.status == status


def test_a_chat_with_it_on_the_page(llama_server, make_visitor):
    alice = make_visitor(url=llama_server, api_key=KEY)

    said = alice.end(alice.new_chat("the key", temperature="0"))

    assert said.get("why", "length") == "length"  # without an end: it has ended before
    assert "The answer reached the model's length limit." in text_of(alice.page())
