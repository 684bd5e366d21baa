"""The embedded upstream, over real HTTP: every answer, and every way to misbehave."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from webapp.upstream import demo
from webapp.upstream.demo import WORDS, Demo


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with closing(Demo(tokens_per_second=20_000)) as running:
        yield running.url


def ask(url: str, *questions: str, stream: bool = True, model: str = "demo", timeout: float = 10) -> requests.Response:
    messages: list[dict[str, str]] = []
    for question in questions:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": "..."}]
    body = {"model": model, "messages": messages[:-1], "stream": stream, "temperature": 0.7}
    return requests.post(f"{url}/v1/chat/completions", json=body, stream=stream, timeout=timeout)


def events(response: requests.Response) -> list[Any]:
    """What each event holds; `[DONE]` as it is."""
    found = [line.removeprefix("data: ") for line in response.content.decode().split("\n\n") if line]
    return [data if data == "[DONE]" else json.loads(data) for data in found]


def said(chunks: list[Any], part: str = "content") -> str:
    choices = [choice for chunk in chunks if chunk != "[DONE]" for choice in chunk.get("choices", [])]
    return "".join(choice["delta"].get(part, "") for choice in choices)


def refusal(response: requests.Response) -> tuple[str, str, str, str]:
    """The status of an error, what it says, its type and its code."""
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return f"{response.status_code} {response.reason}", error["message"], error["type"], error["code"]


def test_an_answer_streams_from_its_role_to_done(url: str) -> None:
    response = ask(url, "Hello")
    chunks = events(response)

    assert response.reason == "OK"
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert {chunk.pop("object") for chunk in chunks[:-1]} == {"chat.completion.chunk"}
    assert {chunk.pop("model") for chunk in chunks[:-1]} == {"demo"}
    assert [chunk.pop("id")[:9] for chunk in chunks[:-1]] == ["chatcmpl-"] * (len(chunks) - 1)
    assert max(abs(chunk.pop("created") - time.time()) for chunk in chunks[:-1]) < 60
    assert chunks[1].keys() == {"choices"}
    assert chunks[0]["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    assert chunks[-3]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert chunks[-2]["choices"] == []
    assert chunks[-2]["usage"] == {"prompt_tokens": 1, "completion_tokens": len(chunks) - 4}
    assert chunks[-1] == "[DONE]"


def test_a_whole_answer_says_the_same_as_a_stream(url: str) -> None:
    response = ask(url, "Hello", stream=False)
    whole = response.json()
    streamed = said(events(ask(url, "Hello")))

    assert response.reason == "OK"
    assert (whole["object"], whole["model"], whole["id"][:9]) == ("chat.completion", "demo", "chatcmpl-")
    assert abs(whole["created"] - time.time()) < 60
    message = {"role": "assistant", "content": streamed}
    assert whole["choices"] == [{"index": 0, "message": message, "finish_reason": "stop"}]
    assert whole["usage"]["completion_tokens"] > 100


def test_the_tokens_of_all_messages_are_counted(url: str) -> None:
    usage = ask(url, "Hello", "Hello", stream=False).json()["usage"]

    assert usage["prompt_tokens"] == 4  # with the two of "..."


def test_a_message_that_only_calls_a_tool_has_no_text(url: str) -> None:
    asked = {"role": "user", "content": "Hello"}
    messages = [asked, {"role": "assistant", "content": None, "tool_calls": [{}]}, asked]

    response = requests.post(f"{url}/v1/chat/completions", json={"model": "demo", "messages": messages}, timeout=5)

    assert (response.status_code, response.json()["usage"]["prompt_tokens"]) == (200, 2)


def test_models_are_listed_and_nothing_is_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    response = requests.get(f"{url}/v1/models", timeout=5)

    data = [{"id": name, "object": "model", "owned_by": "lockchat"} for name in ("demo", "demo-thinking")]
    assert (response.json(), caplog.text) == ({"object": "list", "data": data}, "")
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Content-Length"] == str(len(response.content))


def test_the_tour_says_that_no_model_answers_and_lists_every_word(url: str) -> None:
    english = said(events(ask(url, "Hello")))
    russian = said(events(ask(url, "ПРИВЕТ, how are you?")))

    assert "No language model is answering" in english
    assert "Вам отвечает не языковая модель" in russian
    for tour in (english, russian):
        assert set(re.findall(r"`(/[a-z-]+)`", tour)) == WORDS
        assert "LOCKCHAT_URL=http://localhost:11434" in tour


def test_a_second_question_is_answered_shortly_and_quoted(url: str) -> None:
    english = said(events(ask(url, "Hello", "What is\n\na lock? /fast")))
    russian = said(events(ask(url, "Hello", "Что такое замок?")))

    assert "> What is a lock?\n" in english
    assert "> Что такое замок?\n" in russian
    assert len(english) < 800


@pytest.mark.parametrize(
    ("question", "quoted"),
    [("x" * 200, "> " + "x" * 200 + "\n"), ("x" * 201, "> " + "x" * 200 + "…\n"), ("/fast", "> …\n")],
    ids=["200 characters", "201 characters", "none"],
)
def test_a_long_question_is_quoted_up_to_a_limit(url: str, question: str, quoted: str) -> None:
    assert quoted in said(events(ask(url, "Hello", question)))


def test_a_question_may_come_in_parts(url: str) -> None:
    words = [{"type": "text", "text": word} for word in ("Привет", "мир")]
    parts = [words[0], {"type": "image_url", "image_url": {"url": "data:"}}, words[1]]
    body = {"model": "demo", "messages": [{"role": "user", "content": content} for content in ("Hi", parts)]}

    answer = requests.post(f"{url}/v1/chat/completions", json=body, timeout=5).json()

    assert "> Привет мир\n" in answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize(("question", "model"), [("Hello /think", "demo"), ("Hello", "demo-thinking")])
def test_reasoning_comes_before_the_answer(url: str, question: str, model: str) -> None:
    chunks = events(ask(url, question, model=model))

    parts = [next(iter(chunk["choices"][0]["delta"])) for chunk in chunks[1:-3]]
    assert parts == sorted(parts, reverse=True)
    assert said(chunks, "reasoning_content").startswith("The question arrived.")
    assert said(chunks).startswith("# Hello")


def test_a_whole_answer_carries_its_reasoning(url: str) -> None:
    message = ask(url, "Hello", stream=False, model="demo-thinking").json()["choices"][0]["message"]

    assert message["reasoning_content"].startswith("The question arrived.")


def test_a_long_answer_is_long(url: str) -> None:
    text = ask(url, "/long please", stream=False).json()["choices"][0]["message"]["content"]

    assert len(text) > 12_000
    assert "{{" not in text
    sections = re.findall(r"^# Section (\d+)$.*?== (\d+)$", text, re.M | re.S)
    assert sections == [(str(n), str(n * n)) for n in range(1, 41)]


def test_a_word_counts_in_the_last_question_only(url: str) -> None:
    # Questions whose answers failed come joined.
    assert ask(url, "/error\n\nHello").status_code == 200


def test_an_empty_answer_holds_nothing(url: str) -> None:
    chunks = events(ask(url, "/empty"))

    assert said(chunks) == ""
    assert chunks[-1] == "[DONE]"


def test_an_error_comes_before_the_answer(url: str) -> None:
    response = ask(url, "/error")

    words = ("The demo was asked to fail.", "server_error", "server_error")
    assert refusal(response) == ("500 Internal Server Error", *words)


def test_a_busy_upstream_says_when_to_come_back(url: str) -> None:
    response = ask(url, "/busy")

    words = ("The demo was asked to be busy.", "invalid_request_error", "rate_limit_exceeded")
    assert refusal(response) == ("429 Too Many Requests", *words)
    assert response.headers["Retry-After"] == "30"


def test_an_error_in_the_middle_ends_the_stream(url: str) -> None:
    chunks = events(ask(url, "/error-middle"))

    words = "The demo was asked to fail in the middle."
    assert chunks[-1] == {"error": {"message": words, "type": "server_error", "code": "server_error"}}
    assert said(chunks[:-1]).startswith("# Hello from the demo")


def test_a_cut_connection_lacks_the_last_chunk(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"model": "demo", "stream": True, "messages": [{"role": "user", "content": "/cut"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"

    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall((head + body).encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    assert b"Transfer-Encoding: chunked" in received
    assert received.count(b"data: ") == 41  # the role and forty tokens
    assert not received.endswith(b"0\r\n\r\n")
    assert capfd.readouterr().err == ""


def test_requests_sees_a_cut_connection_as_an_error(url: str) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        _ = ask(url, "/cut").content


def test_silence_sends_not_even_a_head(url: str) -> None:
    body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "/silence"}]}

    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(f"{url}/v1/chat/completions", json=body, stream=True, timeout=(10, 0.3))


def test_a_request_without_a_length_is_refused(url: str) -> None:
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)) as connection:
        connection.putrequest("POST", "/v1/chat/completions")
        connection.endheaders()

        assert connection.getresponse().status == 400


def test_a_stalled_answer_says_nothing_more(url: str) -> None:
    with pytest.raises(requests.RequestException, match="timed out"):  # of whichever kind, on a busy machine
        _ = ask(url, "/stall", timeout=1).content


def test_a_stalled_answer_stops_in_the_middle_and_ends_with_its_client() -> None:
    with closing(Demo(tokens_per_second=20_000)) as running:
        others = set(threading.enumerate())
        response = ask(running.url, "/stall")
        received = b""
        while received.count(b"data: ") < 41:
            received += response.raw.read1(65536) or pytest.fail("The answer ended.")
        begun = set(threading.enumerate()) - others
        (answering,) = (thread for thread in begun if "process_request" in thread.name)

        response.close()

        assert received.count(b"data: ") == 41
        answering.join(timeout=5)
        assert not answering.is_alive()


@pytest.mark.parametrize("question", ["Hello", "/think"])
def test_an_answer_ends_when_its_client_leaves(question: str) -> None:
    with closing(Demo(tokens_per_second=50)) as running:
        others = set(threading.enumerate())
        response = ask(running.url, question)
        response.raw.read1(65536)
        begun = set(threading.enumerate()) - others
        (answering,) = (thread for thread in begun if "process_request" in thread.name)

        response.close()

        answering.join(timeout=5)
        assert not answering.is_alive()


@pytest.mark.parametrize(("question", "rate"), [("again", 200), ("/fast", 1000)])
def test_tokens_come_at_the_given_rate(monkeypatch: pytest.MonkeyPatch, question: str, rate: int) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(demo, "time", SimpleNamespace(sleep=pauses.append, time=time.time))

    with closing(Demo(tokens_per_second=200)) as running:
        chunks = events(ask(running.url, "Hello", question))

    assert pauses == [1 / rate] * (len(chunks) - 4)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"model": "demo"}',
        b'{"messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "demo", "messages": []}',
        b'{"model": "demo", "messages": "x"}',
        b'{"model": "demo", "messages": [{"role": "system", "content": "x"}]}',
        b'{"model": "demo", "messages": [{"role": "user"}]}',
        b'{"model": "demo", "messages": [{"role": "user", "content": null}]}',
        b'{"model": "demo", "messages": [{"role": "user", "content": [1]}]}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_request_is_refused(url: str, body: bytes) -> None:
    response = requests.post(f"{url}/v1/chat/completions", data=body, timeout=5)

    words = ("This is not a chat completion request.", "invalid_request_error", "invalid_request")
    assert refusal(response) == ("400 Bad Request", *words)


@pytest.mark.parametrize("model", ["gpt-4", None, ["demo"], {}])
def test_an_unknown_model_is_not_found(url: str, model: Any) -> None:
    response = ask(url, "Hello", model=model)

    words = (f"The demo has no model {model!r}.", "invalid_request_error", "model_not_found")
    assert refusal(response) == ("404 Not Found", *words)


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/v1/chat/completions"), ("POST", "/v1/models")])
def test_any_other_address_is_not_found(url: str, method: str, path: str) -> None:
    words = (f"There is no {path} here.", "invalid_request_error", "not_found")
    assert refusal(requests.request(method, url + path, timeout=5)) == ("404 Not Found", *words)


def test_it_starts_once_in_a_process() -> None:
    assert demo.start() == demo.start()
    assert requests.get(f"{demo.start()}/v1/models", timeout=5).ok
    assert {thread.daemon for thread in threading.enumerate() if thread.name == "demo"} == {True}
