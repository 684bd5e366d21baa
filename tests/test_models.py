"""The models that an upstream lists: read in every shape, those that chat offered, what is known of them kept."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import html5lib
import pytest

from tests.upstream import Upstream, Wait, body, error, tokens
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.chat import OfferedModel
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat
from webapp.upstream import listing, models
from webapp.upstream.models import Models


def answer_list(upstream: Upstream, payload: Any) -> None:
    upstream.answer_models(*body(json.dumps(payload).encode(), framing="length", content_type="application/json"))


def names_in(payload: Any) -> list[str]:
    return [model.id for model in listing.read(payload)]


def offered(page: str) -> list[str]:
    """The models that a page offers, the preselected one first."""
    options = html5lib.parse(page, namespaceHTMLElements=False).findall(".//select[@id='model']/option")
    names = [option.get("value") for option in options]
    chosen = [option.get("value") for option in options if "selected" in option.attrib]
    return chosen + [name for name in names if name not in chosen]


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, ["a", "b"]),
        ({"models": [{"name": "llama3:latest"}]}, ["llama3:latest"]),  # of Ollama's own API
        ({"models": [{"name": "m:7b", "model": "m:7b"}], "data": [{"id": "m:7b"}]}, ["m:7b"]),  # of llama.cpp
        ({"models": [{"name": "m", "capabilities": ["embedding"]}], "data": [{"id": "m"}, {"id": "a"}]}, ["a"]),
        ({"data": {"models": [{"id": "a"}]}}, ["a"]),
        ({"data": {"data": {"data": [{"id": "a"}]}}}, []),
        ({"models": [{"key": "qwen/qwen3-4b", "type": "llm"}]}, ["qwen/qwen3-4b"]),  # of LM Studio
        ({"data": [{"model_name": "a"}]}, ["a"]),  # of LiteLLM
        ({"data": ["a", "b"]}, ["a", "b"]),
        (["a", "b"], ["a", "b"]),
        ([{"id": "a"}, {"name": "b"}], ["a", "b"]),  # of Together
        ({"data": [{"id": "b"}, {"id": "a"}, {"id": "b"}, "a"]}, ["b", "a"]),
        ({"data": [None, 1, {}, {"id": None}, {"id": 7}, {"id": ""}, "", "a\nb", "\ud800", "x" * 301, "a"]}, ["a"]),
        ([longest := "x" * 300], [longest]),
        ({"object": "list", "data": None}, []),
        ({"object": "list", "data": []}, []),
        ({"models": None}, []),
        ([], []),
    ],
)
def test_a_list_is_read_in_every_shape(payload: Any, names: list[str]) -> None:
    assert names_in(payload) == names


DO_NOT_CHAT = """
    nomic-embed-text:latest text-embedding-3-small mxbai-embed-large BAAI/bge-m3
    intfloat/multilingual-e5-large Qwen/Qwen3-Embedding-8B all-minilm:latest models/gemini-embedding-001
    embed-english-v3.0 thenlper/gte-large paraphrase-multilingual:latest
    sentence-transformers/LaBSE models/aqa kling-v2 voyage-3-large jina-clip-v2 snowflake-arctic-embed2 whisper-1
    distil-whisper-large-v3-en openai/whisper-large-v3 Systran/faster-whisper-small tts-1-hd gpt-4o-mini-tts
    gemini-2.5-flash-preview-tts playai-tts gpt-4o-transcribe gpt-4o-mini-transcribe-2025-12-15
    voxtral-mini-transcribe-2507 gpt-realtime gpt-4o-realtime-preview gpt-audio-mini gpt-4o-audio-preview
    gemini-2.5-flash-native-audio-preview-12-2025 gemini-2.0-flash-live-001 gemini-3-flash-live-image
    hexgrad/Kokoro-82M
    bge-reranker-v2-m3 rerank-v3.5 Qwen/Qwen3-Reranker-4B jina-reranker-m0 omni-moderation-latest
    text-moderation-stable meta-llama/Llama-Guard-4-12B llama-prompt-guard-2-22m dall-e-3 gpt-image-1-mini
    chatgpt-image-latest grok-2-image-1212 models/imagen-4.0-generate-001 qwen-image-edit
    stabilityai/stable-diffusion-xl-base-1.0 stable-diffusion-3.5 sdxl-turbo black-forest-labs/FLUX.1-dev
    sora-2-pro veo-3.1-generate-preview wan2.2-t2v-plus davinci-002 gpt-3.5-turbo-instruct
"""


@pytest.mark.parametrize("name", DO_NOT_CHAT.split())
def test_a_model_that_does_not_chat_is_not_offered(name: str) -> None:
    assert names_in({"data": [{"id": name}, {"id": "llama3"}]}) == ["llama3"]


CHAT = """
    gpt-4 gpt-4o gpt-5.1-chat-latest o3-mini gpt-oss-safeguard-20b claude-opus-4-6 models/gemini-2.5-flash
    gemini-2.5-flash-image gemini-3-pro-image-preview openai/gpt-5-image-mini llama3 llava:13b
    qwen2.5-vl-72b-instruct minicpm-v gemma3n:e4b phi-4 mistral-large-latest codestral-2508 deepseek-r1:8b
    Qwen/Qwen3-30B-A3B-Instruct-2507 command-r-plus influx-7b embedded-coder-3b
    /models/Meta-Llama-3-8B-Instruct-Q4_K_M.gguf C:\\models\\tiny.gguf demo demo-thinking
"""


@pytest.mark.parametrize("name", CHAT.split())
def test_a_model_that_chats_is_offered(name: str) -> None:
    assert names_in({"data": [{"id": name}]}) == [name]


@pytest.mark.parametrize(
    ("said", "chats"),
    [
        ({"type": "embedding"}, False),  # of Together
        ({"type": "image"}, False),
        ({"type": "moderation"}, False),
        ({"type": "rerank"}, False),
        ({"type": "transcribe"}, False),
        ({"type": "chat"}, True),
        ({"type": "model"}, True),  # of Anthropic, which says it of each
        ({"type": "embeddings", "arch": "nomic-bert"}, False),  # of LM Studio
        ({"type": "vlm"}, True),
        ({"task": "embeddings"}, False),  # of GitHub Models
        ({"task": "chat-completion"}, True),
        ({"type": "model", "task": "tts"}, False),
        ({"model_info": {"mode": "chat"}, "mode": "audio_speech"}, False),  # of LiteLLM
        ({"mode": "image_generation"}, False),
        ({"pipeline_tag": "automatic-speech-recognition"}, False),
        ({"pipeline_tag": "image-text-to-text"}, True),
        ({"capabilities": {"completion_chat": False, "vision": True}}, False),  # of Mistral
        ({"capabilities": {"completion_chat": True}}, True),
        ({"capabilities": {"chat_completion": False, "embeddings": True}}, False),  # of Azure
        ({"capabilities": ["embedding"]}, False),  # of Ollama
        ({"capabilities": ["completion", "vision"]}, True),
        ({"supports_chat": False}, False),  # of Fireworks
        ({"endpoints": ["embed", "classify"]}, False),  # of Cohere
        ({"endpoints": ["rerank"]}, False),
        ({"endpoints": ["generate", "chat"]}, True),
        ({"supportedGenerationMethods": ["embedContent"]}, False),  # of Gemini
        ({"supportedGenerationMethods": ["generateContent", "countTokens"]}, True),
        ({"architecture": {"output_modalities": ["embeddings"]}}, False),  # of OpenRouter
        ({"architecture": {"output_modalities": ["image"]}}, False),
        ({"architecture": {"output_modalities": ["image", "text"]}}, True),
        ({"output_modalities": "image+text"}, True),
        ({"output_modalities": "image"}, False),
    ],
)
def test_what_the_upstream_says_of_a_model_decides_whether_it_is_offered(said: dict[str, Any], chats: bool) -> None:
    assert names_in({"data": [{"id": "m", **said}]}) == ["m"] * chats


def test_what_the_upstream_says_counts_more_than_the_name() -> None:
    models = [
        {"id": "whisper-story-7b", "type": "chat"},
        {"id": "gpt-image-2", "architecture": {"output_modalities": ["text"]}},
        {"id": "speech-writer", "supports_chat": True},
    ]

    assert names_in(models) == ["whisper-story-7b", "gpt-image-2", "speech-writer"]


@pytest.mark.parametrize(
    ("said", "window"),
    [
        ({"max_model_len": 32768}, 32768),  # of vLLM and SGLang
        ({"meta": {"n_ctx_train": 131072, "n_ctx": 4096}}, 4096),  # of llama.cpp
        ({"meta": {"n_ctx_train": 131072, "n_params": 8030261312}}, 131072),
        ({"context_length": 1048576, "top_provider": {"context_length": 65536}}, 1048576),  # of OpenRouter
        ({"context_window": 131072}, 131072),  # of Groq
        ({"max_context_length": 32768}, 32768),  # of Mistral
        ({"max_context_length": 131072, "loaded_context_length": 8192}, 8192),  # of LM Studio
        ({"max_context_length": 131072, "loaded_instances": [{"config": {"context_length": 8192}}]}, 8192),
        ({"max_context_length": 131072, "loaded_instances": [{"config": {}}]}, 131072),
        ({"loaded_instances": [{"config": {}}, {"config": {"context_length": 8192}}]}, None),
        ({"limits": {"max_input_tokens": 128000, "max_output_tokens": 16384}}, 128000),  # of GitHub Models
        ({"model_info": {"max_input_tokens": 200000}}, 200000),  # of LiteLLM
        ({"inputTokenLimit": 1048576}, 1048576),  # of Gemini
        ({"metadata": {"context_length": "40960"}}, 40960),
        ({"context_length": 4096.0}, 4096),
        ({"context_length": None}, None),
        ({"context_length": 1}, 1),
        ({"context_length": "9" * 5000}, None),
        ({"context_length": True}, None),
        ({"context_length": -1}, None),
        ({"context_length": 2**31 - 1}, 2**31 - 1),
        ({"context_length": 2**31}, None),
        ({"context_length": 10**30}, None),
        ({"context_length": float("inf")}, None),
        ({"context_length": "unknown"}, None),
        ({"max_tokens": 4096}, None),  # of an answer
        ({}, None),
    ],
)
def test_the_context_window_is_read_where_it_is_given(said: dict[str, Any], window: int | None) -> None:
    assert [model.window for model in listing.read({"data": [{"id": "m", **said}]})] == [window]


@pytest.mark.parametrize(
    ("said", "sees"),
    [
        ({"architecture": {"input_modalities": ["text", "image"]}}, True),  # of OpenRouter
        ({"architecture": {"input_modalities": ["text"]}}, False),
        ({"architecture": {"modality": "text+image->text"}}, True),
        ({"architecture": {"modality": "text->text+image"}}, False),
        ({"capabilities": {"completion_chat": True, "vision": True}}, True),  # of Mistral
        ({"capabilities": {"completion_chat": True, "vision": False}}, False),
        ({"capabilities": ["completion", "multimodal"]}, True),  # of llama.cpp
        ({"capabilities": ["completion"]}, False),
        ({"input_modalities": ["text", "image"], "capabilities": ["completion"]}, True),
        ({"modalities": {"input": ["text", "image"], "output": ["text"]}}, True),
        ({"modalities": {"input": ["text"], "output": ["text", "image"]}}, False),
        ({"type": "vlm"}, True),  # of LM Studio
        ({"supports_image_input": True}, True),  # of Fireworks
        ({"model_info": {"supports_vision": True}}, True),  # of LiteLLM
        ({"supported_input_modalities": ["text", "image", "audio"]}, True),  # of GitHub Models
        ({"modalities": ["text"] * 100 + ["image"]}, False),  # too late
        ({}, None),
    ],
)
def test_whether_a_model_sees_images_is_read_where_it_is_given(said: dict[str, Any], sees: bool | None) -> None:
    assert [model.sees_images for model in listing.read({"data": [{"id": "m", **said}]})] == [sees]


def test_what_two_lists_say_of_one_model_is_joined(upstream: Upstream) -> None:
    models = [{"name": "tiny", "model": "tiny", "capabilities": ["completion", "multimodal"]}]
    answer_list(upstream, {"models": models, "data": [{"id": "tiny", "meta": {"n_ctx_train": 2048}}]})
    client = Lockchat(upstream.url)

    found = client.offered_models()

    client.close()
    assert found == [OfferedModel("tiny", 2048, True)]


@pytest.mark.parametrize(("before", "names"), [(listing.MAX_ENTRIES - 1, ["a"]), (listing.MAX_ENTRIES, [])])
def test_a_list_is_read_to_a_limit(before: int, names: list[str]) -> None:
    assert names_in([None] * before + ["a"]) == names


@pytest.mark.parametrize(
    ("one", "other", "sees"), [(True, False, True), (False, True, False), (True, None, True), (None, True, True)]
)
def test_of_two_lists_the_first_that_says_whether_a_model_sees_counts(one, other, sees) -> None:
    payload = {"data": [{"id": "m", "vision": one}], "models": [{"id": "m", "vision": other}]}

    assert [model.sees_images for model in listing.read(payload)] == [sees]


def test_a_list_of_eight_mebibytes_is_read_and_the_menu_stays_short(upstream: Upstream) -> None:
    about = {"description": "quick and small models, " * 73, "architecture": {"input_modalities": ["text"]}}
    models = [{"id": f"m-{number}", **about} for number in range(4400)]
    assert 7.5 * 2**20 < len(json.dumps(models)) < 8 * 2**20
    answer_list(upstream, {"data": models})
    client = Lockchat(upstream.url)

    names = client.models()

    client.close()
    assert names == [f"m-{number}" for number in range(listing.MAX_MODELS)]


def test_an_error_in_place_of_a_list_is_that_error(upstream: Upstream) -> None:
    answer_list(upstream, {"error": {"message": "Your key has expired.", "code": "invalid_api_key"}})
    client = Lockchat(upstream.url)

    with pytest.raises(UpstreamError) as caught:
        client.models()

    client.close()
    assert (caught.value.reason, caught.value.detail) == ("auth", "Your key has expired.")


def test_a_longer_list_is_refused(upstream: Upstream) -> None:
    answer_list(upstream, {"data": [{"id": "a" * 200 + str(number)} for number in range(50_000)]})
    client = Lockchat(upstream.url)

    with pytest.raises(Exception, match="protocol"):
        client.models()
    client.close()


@pytest.mark.parametrize("data", [None, [], [{"id": "nomic-embed-text"}]])
def test_an_upstream_without_models_is_told_and_no_other_names_are_offered(upstream, alice_of, data):
    alice = alice_of({"object": "list", "data": data})

    page = alice.get("/").text
    answer = alice.post_form("/conversations", text="Is anybody there?")

    assert f"{upstream.url}/v1/models: The upstream offers no model to chat with." in text_of(page)
    assert "gpt" not in page
    assert 'name="model"' not in page
    assert answer.status_code == 502
    assert "The upstream offers no model to chat with." in answer.text
    assert "Is anybody there?" in answer.text
    assert upstream.requests == []


def test_a_conversation_goes_on_where_its_model_left_the_list(upstream, alice_of, make_site):
    alice = alice_of({"data": [{"id": "llama3"}]})
    alice.end(alice.new_chat("one"))
    answer_list(upstream, {"data": []})

    alice.base_url = make_site().extensions["url"]  # the same database, after a restart
    page = alice.page()
    alice.end(alice.say("two"))

    assert "The upstream offers no model to chat with." in page
    assert [request.json["model"] for request in upstream.requests] == ["llama3", "llama3"]


def test_the_first_model_that_chats_is_the_default(upstream, alice_of):
    alice = alice_of({"data": [{"id": "nomic-embed-text:latest"}, {"id": "llama3"}, {"id": "qwen3"}]})

    assert offered(alice.get("/").text) == ["llama3", "qwen3"]


def test_the_model_that_a_user_chose_last_is_preselected_in_a_new_chat(alice, bob):
    alice.end(alice.new_chat("one", model="gpt-4"))
    alice.end(alice.say("two", model="gpt-3.5-turbo"))
    pinned = alice.conversation_id
    alice.post_form(f"/c/{pinned}/pin", pinned=1)

    assert offered(alice.get("/").text)[0] == "gpt-3.5-turbo"
    alice.end(alice.new_chat("three", model="gpt-4"))
    assert offered(alice.get("/").text)[0] == "gpt-4"
    assert offered(alice.page(pinned))[0] == "gpt-3.5-turbo"
    assert offered(bob.get("/").text)[0] == "gpt-4"


def test_a_chosen_model_that_is_not_offered_any_more_is_not_preselected(upstream, alice_of, make_site):
    alice = alice_of({"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]})
    alice.end(alice.new_chat("one", model="c"))
    alice.end(alice.new_chat("two", model="b"))
    answer_list(upstream, {"data": [{"id": "a"}, {"id": "c"}]})

    alice.base_url = make_site().extensions["url"]

    assert offered(alice.get("/").text) == ["c", "a"]


def test_names_in_the_settings_stay_and_a_missing_list_is_no_trouble(upstream, make_visitor):
    upstream.answer_models(*error(404, "Not Found"))
    alice = make_visitor(models=("gpt-4",))

    wait_until(lambda: upstream.model_requests, 20, "a question for the list")
    page = alice.get("/").text

    assert "answered" not in text_of(page)
    assert re.search(r'name="model" value="gpt-4"', page)


def test_what_is_wrong_with_the_list_is_told_before_a_chat_begins(upstream, make_visitor):
    upstream.answer_models(*NO_KEY)
    alice = make_visitor(models=("gpt-4",))

    wait_until(lambda: "answered with status 401" in alice.get("/").text, 20, "the answer of the upstream")
    alice.end(alice.new_chat("Hi"))

    assert "answered with status" not in alice.page()


@pytest.fixture
def alice_of(upstream, make_visitor):
    """Alice on a site whose upstream lists this."""

    def make(payload):
        answer_list(upstream, payload)
        upstream.always(lambda request: tokens("Hello"))
        return make_visitor()

    return make


# What is offered, chosen and told of one upstream


LISTED = {"data": [{"id": "llama3", "max_model_len": 8192}, {"id": "qwen3"}]}
NO_MODEL = {"data": []}
NOT_FOUND, BROKEN, NO_KEY = error(404, "Not Found"), error(500, "Oh"), error(401, "Who are you?")
FALLBACK = ("gpt-4", "gpt-3.5-turbo")


def listing_of(payload: Any) -> list[Any]:
    return body(json.dumps(payload).encode(), framing="length", content_type="application/json")


def wait_for_the_thread() -> None:
    wait_until(
        lambda: not any(thread.name == "models" for thread in threading.enumerate()), 20, "the end of the thread"
    )


@pytest.fixture
def models_of(upstream: Upstream) -> Iterator[Callable[..., Models]]:
    """The models of an upstream that answers so, or of this URL."""
    clients = []

    def make(script: Any, fixed: tuple[str, ...] = (), url: str = "") -> Models:
        upstream.answer_models(*script)
        clients.append(Lockchat(url or upstream.url))
        return Models(clients[-1].offered_models, clients[-1].list_address, fixed, FALLBACK)

    yield make
    wait_for_the_thread()
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("fixed", "script", "names", "is_open", "chosen"),
    [
        # what is chosen for: the second name of the list, one that nobody offers, and none
        ((), listing_of(LISTED), ["llama3", "qwen3"], False, ["qwen3", "llama3", "llama3"]),
        (("a", "qwen3"), listing_of(LISTED), ["a", "qwen3"], False, ["qwen3", "a", "a"]),
        ((), listing_of(NO_MODEL), [], False, ["qwen3", "other", ""]),
        ((), BROKEN, list(FALLBACK), True, ["qwen3", "other", "gpt-4"]),
        (("a",), BROKEN, ["a"], False, ["a", "a", "a"]),
    ],
)
def test_the_settings_name_the_models_or_the_upstream_or_nobody(
    models_of, fixed, script, names, is_open, chosen
) -> None:
    of = models_of(script, fixed)

    assert of.names() == names
    wait_for_the_thread()
    assert (of.is_fixed, of.is_open()) == (bool(fixed), is_open)
    assert [of.choose(wanted) for wanted in ("qwen3", "other", "")] == chosen


def test_the_window_is_known_where_the_upstream_gives_it(models_of) -> None:
    of = models_of(listing_of(LISTED))
    before = of.window("llama3")
    of.start()
    wait_for_the_thread()

    assert before is None
    assert [of.window(name) for name in ("llama3", "qwen3", "other")] == [8192, None, None]


HINT = "An administrator has to check the address in LOCKCHAT_URL."
NO_ANSWER = "The upstream sent something that is not an answer. (Not Found)"
NOBODY = "The upstream offers no model to chat with. An administrator has to add one."
WRONG_KEY = "The upstream does not accept this server's key. An administrator has to check it. (Who are you?)"


@pytest.mark.parametrize(
    ("fixed", "script", "said"),
    [
        ((), listing_of(LISTED), ""),
        ((), NOT_FOUND, f"{{}} answered with status 404: {NO_ANSWER} {HINT}"),
        ((), BROKEN, "{} answered with status 500: The upstream reported an error. (Oh)"),
        (("a",), NOT_FOUND, ""),
        (("a",), error(405, ""), ""),
        (("a",), listing_of(NO_MODEL), ""),
        ((), listing_of(NO_MODEL), f"{{}}: {NOBODY}"),
        (("a",), NO_KEY, f"{{}} answered with status 401: {WRONG_KEY}"),
    ],
)
def test_what_the_upstream_answers_instead_of_a_list_is_told(models_of, upstream, fixed, script, said) -> None:
    of = models_of(script, fixed)
    before = of.trouble()

    of.start()
    wait_for_the_thread()

    assert before == ""
    assert of.trouble() == said.format(f"{upstream.url}/v1/models")


def test_an_upstream_that_is_away_is_told(models_of) -> None:
    of = models_of([], url="http://127.0.0.1:9")

    of.start()
    wait_for_the_thread()

    assert of.trouble() == f"http://127.0.0.1:9/v1/models: The upstream could not be reached. {HINT}"


def test_only_the_first_page_waits_for_the_list_and_not_for_long(models_of, upstream, monkeypatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(models, "FIRST_WAIT_SECONDS", 0.05)
    of = models_of([Wait(answered), *BROKEN])

    first = of.names()
    monkeypatch.setattr(models, "FIRST_WAIT_SECONDS", 60)
    second = of.names()
    told = of.trouble()  # nothing: the upstream has not answered yet
    waiting = {thread.daemon for thread in threading.enumerate() if thread.name == "models"}
    answered.set()

    assert (first, second, told) == (list(FALLBACK), list(FALLBACK), "")
    assert waiting == {True}  # else the process could not end before the upstream has answered
    wait_until(lambda: upstream.model_requests, 20, "the request of the thread")
    assert len(upstream.model_requests) == 1


@pytest.mark.parametrize(
    ("script", "fresh", "failed", "requests"),
    [
        (listing_of(LISTED), 60, 0, 1),
        (listing_of(LISTED), 0, 60, 2),
        (listing_of(NO_MODEL), 60, 0, 2),
        (BROKEN, 60, 0, 2),
        (BROKEN, 0, 60, 1),
    ],
)
def test_a_list_is_asked_for_again_after_a_while(
    models_of, upstream, monkeypatch, script, fresh, failed, requests
) -> None:
    monkeypatch.setattr(models, "FRESH_SECONDS", fresh)
    monkeypatch.setattr(models, "FAILED_SECONDS", failed)
    of = models_of(script)

    for _page in range(2):
        of.names()
        wait_for_the_thread()

    assert len(upstream.model_requests) == requests


def test_a_new_answer_of_the_upstream_is_logged_once(models_of, upstream, monkeypatch, caplog) -> None:
    monkeypatch.setattr(models, "FRESH_SECONDS", 0)
    monkeypatch.setattr(models, "FAILED_SECONDS", 0)
    caplog.set_level("INFO", "webapp.upstream.models")
    of = models_of([])

    for script in (listing_of(LISTED), listing_of(LISTED), BROKEN, BROKEN, listing_of(NO_MODEL), listing_of(LISTED)):
        upstream.answer_models(*script)
        of.start()
        wait_for_the_thread()

    lines = [record for record in caplog.records if upstream.url in record.getMessage()]
    said = [(record.levelname, record.getMessage().partition("models: ")[2]) for record in lines]
    assert said == [
        ("INFO", "2 models"),
        ("WARNING", "upstream: Oh (status 500)"),
        ("WARNING", "no_models (status none)"),
        ("INFO", "2 models"),
    ]
    assert lines[0].getMessage() == f"the upstream at {upstream.url}/v1/models: 2 models"
