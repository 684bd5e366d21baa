"""The API for programs, as the official `openai` client uses it: its answers, its errors, its limits."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from threading import Event

import openai
import pytest
import requests

from tests.team import links, sign_in
from tests.test_keys import KEY, make_key
from tests.upstream import Close, Wait, body, error, event, token, tokens
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.invites import SERVER
from webapp.storage import spending

CLASSES = {
    400: openai.BadRequestError,
    404: openai.NotFoundError,
    413: openai.APIStatusError,
    429: openai.RateLimitError,
}
HELLO = [{"role": "user", "content": "Hello?"}]
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
WHOLE = {
    "id": "chatcmpl-up",
    "object": "chat.completion",
    "created": 5,
    "model": "gpt-4-0613",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hello world"}, "finish_reason": "stop"},
    ],
    "usage": USAGE,
}


def whole(payload=WHOLE):
    return body(json.dumps(payload).encode(), framing="length", content_type="application/json")


@pytest.fixture
def team(make_team):
    return make_team(api=True, models=("gpt-4", "gpt-3.5-turbo"), retries=0)


@pytest.fixture
def alice(team):
    return team.join("Alice")


@pytest.fixture
def key(alice):
    return make_key(alice)


@pytest.fixture
def make_client(team, key):
    clients = []

    def make(**settings):
        clients.append(open_client(team, settings.pop("api_key", key), **settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make_client):
    return make_client()


def open_client(team, key, timeout=30.0):
    plain = openai.DefaultHttpxClient(verify=False)  # which would read all certificates of the system: 30 ms
    return openai.OpenAI(base_url=f"{team.url}/v1", api_key=key, max_retries=0, timeout=timeout, http_client=plain)


def ask(client, **fields):
    return client.chat.completions.create(**({"model": "gpt-4", "messages": HELLO} | fields))


def revoke(visitor):
    """Revoke the only key."""
    [path] = links(visitor.get("/keys").text, "/keys/[0-9a-f]{8}-")
    assert visitor.post_form(path).status_code == 303


def post(team, key, payload, is_stream=False, **headers):
    data = payload if isinstance(payload, bytes) else json.dumps(payload)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"} | headers
    return requests.post(f"{team.url}/v1/chat/completions", data=data, headers=headers, timeout=30, stream=is_stream)


def said(answer) -> dict:
    return answer.json()["error"]


# Answers


def test_the_client_gets_a_whole_answer(client, upstream):
    upstream.answer(*whole())

    answer = ask(client)

    assert answer.model_dump(exclude_none=True) == WHOLE
    [request] = upstream.requests
    assert request.json == {"model": "gpt-4", "messages": HELLO, "stream": False}


def test_the_client_gets_a_stream(client, upstream):
    upstream.answer(*tokens("Hel", "lo", usage=USAGE))

    chunks = list(ask(client, stream=True))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}


def test_the_usage_comes_last_if_the_client_asks_for_it(client, upstream):
    upstream.answer(*tokens("Hello", usage=USAGE))

    *chunks, last = ask(client, stream=True, stream_options={"include_usage": True})

    assert (last.choices, last.usage.model_dump(exclude_none=True)) == ([], USAGE)
    assert all(chunk.usage is None for chunk in chunks)


def test_each_token_comes_at_once(client, upstream):
    upstream.answer(*body(token("Hel"), Wait(), token("lo")))

    stream = iter(ask(client, stream=True))

    assert next(stream).choices[0].delta.content == "Hel"  # the upstream waits


@pytest.fixture
def quick_beats(team):
    team.parts.completions.beat_seconds = 0.05


def test_a_stream_beats_while_the_model_is_silent(team, key, upstream, quick_beats):
    said, ended = Event(), Event()
    upstream.answer(*body(Wait(said), token("Hel"), Wait(ended), token("lo"), token(finish="stop")))

    with post(team, key, {"model": "gpt-4", "messages": HELLO, "stream": True}, is_stream=True) as answer:
        lines = answer.iter_lines(chunk_size=1)
        first = [next(lines) for _line in range(4)]
        said.set()
        text = next(line for line in lines if line.startswith(b"data:"))
        then = [next(lines) for _line in range(3)]
        ended.set()
        rest = [line for line in lines if line.startswith(b"data:")]

    assert answer.status_code == 200
    assert first == [b": the model is at work", b""] * 2
    assert b"Hel" in text
    assert then == [b"", b": the model is at work", b""]
    assert rest[-1] == b"data: [DONE]"


def test_the_client_takes_no_notice_of_beats_and_of_the_status_before_them(client, upstream, quick_beats):
    upstream.answer(*body(Wait(0.2), token("Hel"), Wait(0.2), token("lo"), token(finish="stop")))
    upstream.answer(Wait(0.2), *error(400, {"error": {"message": "the context is full"}}))

    chunks = list(ask(client, stream=True))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    with pytest.raises(openai.APIError, match="context is full"):
        list(ask(client, stream=True))


CALLS = [
    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}},
    {"index": 0, "function": {"arguments": '{"city": '}},
    {"index": 0, "function": {"arguments": '"Oslo"}'}},
    {"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def calling():
    events = [token(role="assistant", content=None), *(token(tool_calls=[call]) for call in CALLS)]
    return body(*events, token(finish="tool_calls"), b"data: [DONE]\n\n")


def test_calls_of_tools_pass_as_they_come(client, upstream):
    upstream.answer(*calling())

    chunks = list(ask(client, stream=True, tools=TOOLS, tool_choice="auto"))

    deltas = [call.model_dump(exclude_none=True) for c in chunks for call in c.choices[0].delta.tool_calls or []]
    assert deltas == CALLS
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert (upstream.requests[0].json["tools"], upstream.requests[0].json["tool_choice"]) == (TOOLS, "auto")


def test_a_whole_answer_is_made_of_the_events_of_an_upstream_that_only_streams(client, upstream):
    upstream.answer(*calling())
    upstream.answer(*tokens("Hel", "lo", usage=USAGE))

    calls, text = ask(client, tools=TOOLS), ask(client)

    assert [one.function.arguments for one in calls.choices[0].message.tool_calls] == ['{"city": "Oslo"}', "{}"]
    assert [one.id for one in calls.choices[0].message.tool_calls] == ["call_1", "call_2"]
    assert calls.choices[0].finish_reason == "tool_calls"
    assert (text.object, text.choices[0].message.content, text.usage.total_tokens) == ("chat.completion", "Hello", 9)


def test_a_whole_answer_is_made_of_parts_and_lists_too(client, upstream):
    parts = [{"type": "text", "text": "Hel"}], [{"type": "text", "text": "lo"}]
    pages = [[{"type": "url_citation", "url_citation": {"url": f"https://{name}.example/"}}] for name in "ab"]
    deltas = [token(content=part, annotations=page) for part, page in zip(parts, pages, strict=True)]
    upstream.answer(*body(*deltas, token(finish="stop"), b"data: [DONE]\n\n"))

    answer = json.loads(client.chat.completions.with_raw_response.create(model="gpt-4", messages=HELLO).text)

    message = answer["choices"][0]["message"]
    assert (message["content"], message["annotations"]) == ("Hello", pages[0] + pages[1])


def test_a_stream_is_made_of_the_whole_answer_of_an_upstream_that_does_not_stream(client, upstream):
    message = {"role": "assistant", "content": "Hi", "tool_calls": [CALLS[3] | {"index": 7}]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    upstream.answer(*whole(WHOLE | {"choices": [choice]}))

    [chunk, usage] = ask(client, stream=True, stream_options={"include_usage": True})

    assert chunk.choices[0].delta.content == "Hi"
    assert chunk.choices[0].delta.tool_calls[0].function.name == "time"
    assert (usage.choices, usage.usage.total_tokens) == ([], 9)


def test_log_probabilities_and_reasoning_pass(client, upstream):
    logprobs = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
    choice = {"index": 0, "delta": {"content": "Hi", "reasoning_content": "Hm"}, "logprobs": logprobs}
    script = body(event({"choices": [choice]}), token(finish="stop"), b"data: [DONE]\n\n")
    upstream.answer(*script)
    upstream.answer(*script)

    first = next(iter(ask(client, stream=True, logprobs=True))).choices[0]
    answer = ask(client, logprobs=True).choices[0]

    assert (first.logprobs.content[0].logprob, first.delta.reasoning_content) == (-0.1, "Hm")
    assert (answer.logprobs.content[0].token, answer.message.reasoning_content) == ("Hi", "Hm")


def test_the_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["gpt-4", "gpt-3.5-turbo"]


def test_a_long_answer_is_compressed_for_who_can_read_it(team, key, upstream):
    message = WHOLE["choices"][0]["message"] | {"content": "word " * 200}
    upstream.always(*whole(WHOLE | {"choices": [WHOLE["choices"][0] | {"message": message}]}))

    answers = [
        post(team, key, {"model": "gpt-4", "messages": HELLO}, **{"Accept-Encoding": accepted})
        for accepted in ("gzip", "identity")
    ]

    assert [answer.headers.get("Content-Encoding") for answer in answers] == ["gzip", None]
    assert answers[0].json() == answers[1].json()


def test_the_model_answers_a_tool_and_sees_a_picture(client, upstream):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture], "name": "Alice"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
    ]

    ask(client, messages=messages, stop=["END"], seed=1, max_completion_tokens=5)

    sent = upstream.requests[0].json
    assert sent["messages"] == messages
    assert (sent["stop"], sent["seed"], sent["max_completion_tokens"]) == (["END"], 1, 5)


# Who is let in


@pytest.mark.parametrize("wrong", ["lockchat-" + "x" * 43, "sk-1234", "x" * 5000])
def test_a_wrong_key_is_an_authentication_error(make_client, upstream, wrong):
    client = make_client(api_key=wrong)

    with pytest.raises(openai.AuthenticationError) as raised:
        ask(client)
    with pytest.raises(openai.AuthenticationError):
        client.models.list()

    assert (raised.value.status_code, raised.value.code, raised.value.type) == (
        401,
        "invalid_api_key",
        "invalid_request_error",
    )
    assert upstream.requests == []


def test_the_key_is_taken_from_one_header_only(team, alice, key):
    ways = [
        {"headers": {"x-api-key": key}},
        {"headers": {"api-key": key}},
        {"params": {"api_key": key, "key": key}},
        {"cookies": {"Authorization": f"Bearer {key}", "key": key}},
        {"headers": {"Authorization": f"Basic {key}"}},
        {"headers": {"Authorization": key}},
        {"headers": {"Authorization": f"Bearer {key}, Bearer {key}"}},
        {"auth": ("x", key)},
        {"headers": {"Cookie": alice.cookie()}},
    ]

    for way in ways:
        answer = requests.get(f"{team.url}/v1/models", timeout=30, **way)
        assert (answer.status_code, said(answer)["code"]) == (401, "invalid_api_key"), way
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert not {"Set-Cookie", "Retry-After"} & {*answer.headers}
    for right in (f"bearer {key}", f"Bearer   {key}"):
        assert requests.get(f"{team.url}/v1/models", headers={"authorization": right}, timeout=30).ok


def test_an_unknown_address_is_an_error_of_the_api_too(team, key):
    answer = requests.get(f"{team.url}/v1/nowhere", headers={"Authorization": f"Bearer {key}"}, timeout=30)

    assert answer.status_code == 404
    assert said(answer) == {
        "message": "This page does not exist.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def test_a_key_opens_no_page(team, key):
    headers = {"Authorization": f"Bearer {key}"}

    for path in ("/", "/settings", "/keys", "/export", "/admin/users"):
        answer = requests.get(team.url + path, headers=headers, timeout=30, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"][:8]) == (303, "/sign-in"), path
    answer = requests.post(f"{team.url}/keys", data={"name": "More", "days": "7"}, headers=headers, timeout=30)
    assert answer.status_code == 401


def test_a_key_is_dead_with_its_owner_and_after_its_end(team, alice, client, key):
    team.parts.team.users.disable(SERVER, team.user_id("Alice"))
    with pytest.raises(openai.AuthenticationError):
        ask(client)
    team.parts.team.users.enable(SERVER, team.user_id("Alice"))
    assert ask(client)

    sign_in(alice, "alice")
    revoke(alice)

    with pytest.raises(openai.AuthenticationError):
        ask(client)


def test_another_site_is_no_obstacle_for_a_key_and_stays_one_for_pages(team, alice, key, upstream):
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}

    assert post(team, key, {"model": "gpt-4", "messages": HELLO}, **foreign).status_code == 200
    assert alice.post("/keys", data={"name": "x", "days": "7"}, headers=foreign).status_code == 403
    assert requests.post(f"{team.url}/v1/models", headers=foreign, timeout=30).status_code == 401
    foreign_host = {"Host": "evil.example", "Authorization": f"Bearer {key}"}
    answer = requests.get(f"{team.url}/v1/models", headers=foreign_host, timeout=30)
    assert (answer.status_code, said(answer)["code"]) == (421, "misdirected")


def test_without_the_setting_there_is_no_api(make_team):
    team = make_team()

    assert requests.get(f"{team.url}/v1/models", timeout=30).status_code == 404


# What is passed on


def test_fields_that_are_not_known_stay_here(team, key, upstream):
    extra = {
        "conversation_id": "00000000-0000-4000-8000-000000000000",
        "user": "bob",
        "user_id": "bob",
        "role": "admin",
        "base_url": "http://169.254.169.254/",
        "store": True,
        "metadata": {"a": "b"},
        "service_tier": "priority",
        "web_search_options": {},
        "plugins": [{"id": "web"}],
        "temperature": 0.5,
        "top_p": None,
    }
    messages = [{"role": "user", "content": "Hi", "cache": "http://x", "audio": {"id": "a"}}]

    assert post(team, key, {"model": "gpt-4", "messages": messages, "n": 1, **extra}).status_code == 200

    assert upstream.requests[0].json == {
        "model": "gpt-4",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "stream": False,
    }


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


DEEP = {"a": 1}
for _level in range(70):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "root", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": ["user"], "content": "Hi"}]}, "messages"),
        ({"messages": user({"type": "image_url", "image_url": {"url": "http://10.0.0.1/x.png"}})}, "messages"),
        ({"messages": user({"type": "image_url", "image_url": {"url": "//10.0.0.1/x.png"}})}, "messages"),
        ({"messages": user({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}})}, "messages"),
        ({"messages": user({"type": "image_url", "image_url": "http://10.0.0.1/x.png"})}, "messages"),
        ({"messages": user({"type": "video_url", "video_url": {"url": "http://10.0.0.1/x.mp4"}})}, "messages"),
        ({"messages": user({"type": "file", "file": {"file_id": "file-1"}})}, "messages"),
        ({"messages": user({"type": ["text"], "text": "Hi"})}, "messages"),
        ({"messages": user("Hi")}, "messages"),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": ["x"]}]}, "messages"),
        ({"tools": [{"type": "mcp", "server_url": "http://10.0.0.1"}]}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice"),
        ({"response_format": {"type": "structural_tag"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"$ref": "http://10.0.0.1/a"}}}, None),
        ({"tools": [{"type": "function", "function": DEEP}]}, None),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stop": [1]}, "stop"),
        ({"logit_bias": {"1": []}}, "logit_bias"),
        ({"stream_options": []}, "stream_options"),
    ],
)
def test_what_cannot_be_passed_on_is_a_bad_request(team, key, upstream, fields, param):
    answer = post(team, key, {"model": "gpt-4", "messages": HELLO} | fields)

    assert (answer.status_code, said(answer)["param"], said(answer)["type"]) == (400, param, "invalid_request_error")
    assert upstream.requests == []


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"[" + b"1," * 300_000 + b"1]"],
    ids=["nothing", "list", "null", "half", "binary", "deep list", "deep object", "many values"],
)
def test_a_body_that_is_no_request_is_a_bad_request(team, key, upstream, data):
    answer = post(team, key, data)

    assert (answer.status_code, said(answer)["type"]) == (400, "invalid_request_error")
    assert upstream.requests == []


def test_a_body_that_is_too_large_or_packed_is_refused(team, key, upstream):
    largest, large = post(team, key, b" " * 16 * 2**20), post(team, key, b" " * (16 * 2**20 + 1))
    packed = post(team, key, {"model": "gpt-4", "messages": HELLO}, **{"Content-Encoding": "gzip"})

    assert (largest.status_code, large.status_code, packed.status_code) == (400, 413, 415)
    assert said(large)["type"] == said(packed)["type"] == "invalid_request_error"
    assert upstream.requests == []


def test_the_upstream_sees_its_own_key_and_not_the_users(make_team, upstream):
    team = make_team(api=True, api_key="sk-of-the-server")
    key = make_key(team.join("Alice"))

    post(team, key, {"model": "gpt-4", "messages": HELLO}, **{"X-Custom": key, "Cookie": key})

    [request] = upstream.requests
    assert request.headers["authorization"] == "Bearer sk-of-the-server"
    assert key not in str(request)


# Errors


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (error(400, {"error": {"message": "bad"}}), 400, "bad_request"),
        (error(401, {"error": {"message": "bad key"}}), 502, "upstream_auth"),
        (error(404, {"error": {"code": "model_not_found"}}), 404, "model_not_found"),
        (error(400, {"error": {"code": "context_length_exceeded"}}), 400, "context_length_exceeded"),
        (error(413, "too large"), 413, "too_large"),
        (error(429, {"error": {"message": "slow"}}), 429, "rate_limit_exceeded"),
        (error(429, {"error": {"code": "insufficient_quota"}}), 429, "insufficient_quota"),
        (error(500, "boom"), 502, "upstream"),
        (error(503, "later"), 503, "unavailable"),
        (body(event({"error": {"message": "no", "code": 503}})), 503, "unavailable"),
        ([Close()], 502, "network"),
        (body(b"<html>", content_type="text/html"), 502, "protocol"),
        (body(b"hello there"), 502, "protocol"),
    ],
)
def test_what_fails_at_the_upstream_has_its_class(client, upstream, stream, script, status, code):
    upstream.answer(*script)

    with pytest.raises(CLASSES.get(status, openai.InternalServerError)) as raised:
        ask(client, stream=stream)

    kinds = {"rate_limit_exceeded": "rate_limit_error", "insufficient_quota": "insufficient_quota"}
    usual = "server_error" if status >= 500 else "invalid_request_error"
    assert (raised.value.status_code, raised.value.code, raised.value.type) == (status, code, kinds.get(code, usual))
    assert raised.value.request_id


def test_the_time_to_wait_passes(client, upstream):
    upstream.answer(*error(429, "slow", retry_after=77))

    with pytest.raises(openai.RateLimitError) as raised:
        ask(client)

    assert raised.value.response.headers["Retry-After"] == "77"


def test_an_unknown_model_is_not_found(client, upstream):
    with pytest.raises(openai.NotFoundError) as raised:
        ask(client, model="gpt-9")

    assert raised.value.code == "model_not_found"
    assert upstream.requests == []


def test_an_unknown_address_is_not_found_and_a_wrong_method_is_told(team, client, key):
    headers = {"Authorization": f"Bearer {key}"}

    with pytest.raises(openai.NotFoundError) as unknown:
        client.embeddings.create(model="gpt-4", input="x")
    assert (unknown.value.type, unknown.value.body["message"]) == ("invalid_request_error", "This page does not exist.")
    wrong = requests.get(f"{team.url}/v1/chat/completions", headers=headers, timeout=30)
    assert (wrong.status_code, said(wrong)["type"]) == (405, "invalid_request_error")


def test_a_failure_in_the_middle_of_a_stream_is_raised_and_counted(team, client, upstream):
    upstream.answer(*body(token("Hel"), event({"error": {"message": "the GPU is on fire"}})))

    stream = iter(ask(client, stream=True))

    assert next(stream).choices[0].delta.content == "Hel"
    with pytest.raises(openai.APIError, match="The upstream reported an error.*on fire") as raised:
        next(stream)
    assert raised.value.type == "server_error"
    assert 'lockchat_errors_total{code="upstream"} 1.0' in requests.get(f"{team.url}/metrics", timeout=30).text


def test_an_answer_that_breaks_off_is_no_whole_one(client, upstream):
    script = body(token("Hel"))
    upstream.answer(*script)
    upstream.answer(*script)

    with pytest.raises(openai.APIError, match="broke before the answer was complete"):
        list(ask(client, stream=True))
    with pytest.raises(openai.InternalServerError, match="broke before the answer was complete"):
        ask(client)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("said", [[], [event({})], [event({"choices": []})], [token(role="assistant")]], ids=str)
def test_an_answer_of_nothing_says_so_and_nothing_about_the_key(client, upstream, said, stream):
    upstream.answer(*body(*said, b"data: [DONE]\n\n"))

    with pytest.raises(openai.InternalServerError) as raised:
        list(ask(client, stream=stream))

    assert raised.value.code == "protocol"
    assert "empty answer" in raised.value.message


def test_an_upstream_that_is_away_is_an_internal_server_error(make_team):
    team = make_team(api=True, url="http://127.0.0.1:1", models=("gpt-4",), retries=0)
    key = make_key(team.join("Alice"))

    with open_client(team, key) as client, pytest.raises(openai.InternalServerError) as raised:
        ask(client)
    assert (raised.value.status_code, raised.value.code) == (502, "network")


@pytest.mark.parametrize("stream", [False, True])
def test_a_silent_upstream_is_a_time_out(make_team, upstream, stream):
    team = make_team(api=True, models=("gpt-4",), retries=0, first_token_seconds=0.3, total_seconds=0.6)
    key = make_key(team.join("Alice"))
    upstream.always(Wait())

    with open_client(team, key) as client, pytest.raises(openai.InternalServerError) as raised:
        ask(client, stream=stream)
    assert (raised.value.status_code, raised.value.code) == (504, "timeout")


def test_a_whole_answer_may_take_as_long_as_a_whole_stream(make_team, upstream):
    team = make_team(api=True, models=("gpt-4",), retries=0, first_token_seconds=0.2, idle_seconds=0.2)
    key = make_key(team.join("Alice"))
    upstream.answer(Wait(0.6), *whole())

    with open_client(team, key) as client:
        assert ask(client).choices[0].message.content == "Hello world"


def test_an_answer_that_is_too_long_is_cut(make_team, upstream):
    team = make_team(api=True, models=("gpt-4",), max_answer_bytes=1000)
    key = make_key(team.join("Alice"))
    upstream.always(*tokens(*["x" * 100] * 50))

    with open_client(team, key) as client:
        with pytest.raises(openai.APIError, match="longer than this server allows"):
            list(ask(client, stream=True))
        with pytest.raises(openai.APIError, match="longer than this server allows"):
            ask(client)


def test_a_parameter_that_the_model_refuses_is_not_left_out(client, upstream):
    upstream.always(*error(400, {"error": {"message": "Unsupported parameter: 'temperature'", "param": "temperature"}}))

    with pytest.raises(openai.BadRequestError, match="temperature"):
        ask(client, temperature=0.5)

    assert len(upstream.requests) == 1


def test_a_parameter_with_another_spelling_is_sent_so(client, upstream):
    refused = error(400, {"error": {"message": "Unsupported parameter: 'max_tokens'. Use max_completion_tokens."}})
    upstream.always(lambda request: refused if "max_tokens" in request.json else whole())

    assert ask(client, max_tokens=5)

    assert upstream.requests[-1].json["max_completion_tokens"] == 5


# Limits, and answers that end early


def test_running_answers_have_the_limit_of_their_user(make_team, upstream):
    team = make_team(api=True, models=("gpt-4",), streams_per_user=1)
    key = make_key(team.join("Alice"))
    upstream.answer(*body(token("Hel"), Wait()))

    with open_client(team, key) as client:
        stream = ask(client, stream=True)
        with pytest.raises(openai.RateLimitError) as raised:
            ask(client)
        stream.close()
        wait_until(lambda: ask_or_none(client), 20, "the place of the stream that was closed")
    assert raised.value.code == "rate_limit_exceeded"
    assert raised.value.response.headers["Retry-After"]


def test_the_limits_of_the_user_hold_for_programs_and_their_tokens_are_counted(team, alice, client, upstream):
    user_id = team.user_id("Alice")
    with team.parts.storage.begin() as tx:
        spending.set_limit(tx, user_id, "tokens_per_day", 9)
    upstream.answer(*whole())
    assert ask(client).usage.total_tokens == 9

    with pytest.raises(openai.RateLimitError) as refused:
        ask(client)

    assert "You have used the tokens that are allowed in a day: 9." in str(refused.value)
    assert int(refused.value.response.headers["Retry-After"]) > 0
    assert "You have used the tokens" in text_of(alice.post_form("/conversations", text="Hello?").text)
    with team.parts.storage.read() as tx:
        found = spending.figures(tx, "model", "2000-01-01")
    assert (found["gpt-4"].messages, found["gpt-4"].tokens) == (1, 9)


def test_a_request_needs_room_for_its_bytes(team, key):
    histories = team.parts.turns._limits.histories
    histories._per_user = 50_000

    asked = [[{"role": "user", "content": "x" * size}] for size in (40_000, 60_000)]
    answers = [post(team, key, {"model": "gpt-4", "messages": messages}) for messages in asked]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert said(answers[1])["code"] == "rate_limit_exceeded"
    assert histories.count() == 0


def ask_or_none(client):
    try:
        return ask(client)
    except openai.RateLimitError:
        return None


@pytest.mark.parametrize("act", ["disable", "revoke"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_cut_when_its_owner_or_its_key_may_no_longer_ask(team, alice, client, upstream, act, stream):
    upstream.answer(*(body(token("Hel"), Wait()) if stream else [Wait()]))

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(lambda: list(ask(client, stream=stream)))
        upstream.wait_for_requests(1)
        if act == "disable":
            team.parts.team.users.disable(SERVER, team.user_id("Alice"))
        else:
            revoke(alice)
        assert upstream.client_left.wait(10)
        assert type(answer.exception(10)) is openai.APIConnectionError


def test_a_server_that_cuts_no_connection_says_why_an_answer_has_ended(team, alice, key, upstream):
    headers, asked = {"Authorization": f"Bearer {key}"}, {"model": "gpt-4", "messages": HELLO}
    upstream.answer(Wait())

    with ThreadPoolExecutor() as pool:
        post = team.site.test_client().post
        waiting = pool.submit(lambda: post("/v1/chat/completions", json=asked, headers=headers))
        upstream.wait_for_requests(1)
        revoke(alice)
        answer = waiting.result(10)

    assert answer.status_code == 401
    sentence = "The API key is missing or wrong, or it has expired or been revoked."
    assert answer.json["error"]["message"] == sentence


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_the_upstream(team, key, client, upstream, stream):
    asked = json.dumps({"model": "gpt-4", "messages": HELLO, "stream": stream})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    upstream.answer(Wait())

    with closing(HTTPConnection(team.url.removeprefix("http://"))) as leaving:
        leaving.request("POST", "/v1/chat/completions", asked, headers)
        upstream.wait_for_requests(1)

    assert upstream.client_left.wait(20)
    assert ask(client)


def test_behind_a_proxy_that_signs_in_the_key_alone_says_who_asks(make_site, upstream):
    site = make_site(login="proxy", proxies=("10.0.0.5",), api=True)
    browser, parts = site.test_client(use_cookies=False), site.extensions["lockchat"]
    by_proxy = {"headers": {"Remote-User": "alice"}, "environ_overrides": {"REMOTE_ADDR": "10.0.0.5"}}
    [key] = KEY.findall(browser.post("/keys", data={"name": "Script", "days": "7"}, **by_proxy).text)

    answers = [
        browser.get("/v1/models", headers={"Authorization": f"Bearer {key}"}),
        browser.get("/v1/models", **by_proxy),
    ]
    parts.team.users.disable(SERVER, next(account.user_id for account in parts.team.users.all()))
    answers.append(browser.get("/v1/models", headers={"Authorization": f"Bearer {key}"}))

    assert [answer.status_code for answer in answers] == [200, 401, 401]


def test_a_key_of_another_way_to_sign_in_is_dead(make_site, team, key):
    other = make_site(login="proxy", proxies=("10.0.0.5",), api=True)

    assert other.test_client().get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 401


def test_an_administrator_who_is_a_member_again_has_a_members_key(team, alice, client):
    team.join("Carol", "admin")
    seen = []
    for role in ("admin", "member"):
        team.parts.team.users.change_role(SERVER, team.user_id("Alice"), role)
        found = team.parts.team.keys.recognise(client.api_key)
        seen.append(found[1].role)

    assert seen == ["admin", "member"]


def test_each_answer_of_the_api_is_in_the_log_without_its_text(client, upstream, caplog):
    caplog.set_level("INFO", "webapp.completions")
    upstream.answer(*tokens("My answer", usage=USAGE))

    list(ask(client, stream=True))

    [line] = [record.getMessage() for record in caplog.records if record.name == "webapp.completions"]
    assert "model 'gpt-4', done" in line
    assert "tokens 7 + 2" in line
    assert "Hello?" not in line
    assert "My answer" not in line


ODD = [
    {},
    {"choices": None},
    {"choices": {}},
    {"choices": [None]},
    {"choices": [[]]},
    {"choices": [{"index": 3, "delta": {"content": "other"}}]},
    {"choices": [{"index": 0, "delta": "text"}]},
    {"choices": [{"index": 0, "delta": {"content": 5, "tool_calls": "x"}, "logprobs": "x"}]},
    {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": [None, {}, {"function": 5}, {"index": []}]}}]},
    {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": 5, "arguments": {}}}]}}]},
    {"choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": "Hi"}]}, "logprobs": {"content": 5}}]},
    {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": 5}], "usage": "x", "id": 5},
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("odd", ODD, ids=str)
def test_an_odd_event_breaks_nothing(team, key, upstream, odd, stream):
    upstream.answer(*body(event(odd), token("Hello"), event(odd), token(finish="stop"), b"data: [DONE]\n\n"))
    upstream.answer(*whole(odd))

    answers = [post(team, key, {"model": "gpt-4", "messages": HELLO, "stream": stream}) for _script in range(2)]

    assert answers[0].status_code == 200
    assert "Hello" in answers[0].text
    assert "other" not in answers[0].text
    assert answers[1].status_code in (200, 502)


def test_an_answer_to_a_program_is_in_the_language_it_accepts_whatever_the_browser_chose(alice):
    alice.post_form("/preferences", language="ru")
    refused = {"Authorization": "Bearer lockchat-wrong"}

    said = [
        alice.get("/v1/models", headers=refused | accepted).json()["error"]["message"]
        for accepted in ({}, {"Accept-Language": "ru"})
    ]

    assert said == [
        "The API key is missing or wrong, or it has expired or been revoked.",
        "Ключ API не указан или неверен, либо его срок истёк или он отозван.",
    ]
