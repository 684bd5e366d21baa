"""The provider reads every answer that an upstream may give, in every framing, as soon as it is sent."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.upstream import FRAMINGS, Close, Upstream, Wait, body, event, token, tokens
from webapp import lockchat
from webapp.chat import Delta, Usage
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat, _create_completion
from webapp.upstream import transport
from webapp.upstream.exchange import ERROR_BYTES

QUESTION = [{"role": "user", "content": "hi"}]
PLAIN = {"messages": QUESTION, "model": "gpt-4", "stream": True, "stream_options": {"include_usage": True}}
DONE = b"data: [DONE]\n\n"

in_any_framing = pytest.mark.parametrize("framing", FRAMINGS)
whole_and_byte_by_byte = pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "byte by byte"])


@pytest.fixture
def client(upstream: Upstream) -> Iterator[Lockchat]:
    client = Lockchat(upstream.url, retries=0)
    yield client
    client.close()


def ask(client: Lockchat, **options: Any) -> list[Delta]:
    return list(client.stream(QUESTION, "gpt-4", **options))


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


class TestTheOriginalsInterface:
    def test_the_module_keeps_its_names(self) -> None:
        assert lockchat.url == "http://super.lockchat.app"
        assert lockchat.model == ["gpt-4", "gpt-3.5-turbo"]
        assert lockchat.supports_stream is True
        assert lockchat.needs_auth is False
        assert lockchat.working is True
        assert lockchat.params == (
            "g4f.Providers.Lockchat supports: (model: str, messages: list, stream: bool, temperature: float)"
        )

    def test_the_originals_call_yields_the_tokens(self, upstream: Upstream) -> None:
        answer = list(_create_completion("gpt-4", QUESTION, True, 0.7, auth=False, base_url=upstream.url, other="x"))

        assert answer == ["Hello", " world"]
        assert upstream.requests[0].target == "/v1/chat/completions"

    def test_a_name_that_no_setting_has_is_ignored(self, upstream: Upstream) -> None:
        others = {"base_url": upstream.url, "config": "x", "cls": "x", "url": "x", "models": "x"}

        assert list(_create_completion("gpt-4", QUESTION, True, **others)) == ["Hello", " world"]

    def test_without_stream_the_answer_is_one_token(self, upstream: Upstream) -> None:
        upstream.answer(*completion("Hello world"))

        answer = list(_create_completion("gpt-4", QUESTION, False, base_url=upstream.url))

        assert answer == ["Hello world"]
        assert upstream.requests[0].json["stream"] is False

    def test_settings_come_from_the_environment(self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOCKCHAT_URL", upstream.url)
        monkeypatch.setenv("LOCKCHAT_AUTH", "from-env")

        list(_create_completion("gpt-4", QUESTION, True, auth=False))
        list(_create_completion("gpt-4", QUESTION, True, auth="from-call"))

        targets = [request.target for request in upstream.requests]
        assert targets == ["/v1/chat/completions?auth=from-env", "/v1/chat/completions?auth=from-call"]

    def test_a_setting_that_is_given_counts(self, upstream: Upstream) -> None:
        upstream.always(*body(b"", status=503))

        with pytest.raises(UpstreamError, match="unavailable"):
            list(_create_completion("gpt-4", QUESTION, True, base_url=upstream.url, retries=0))

        assert len(upstream.requests) == 1


class TestTheRequest:
    def test_the_body_has_the_keys_in_their_order(self, upstream: Upstream, client: Lockchat) -> None:
        ask(client, temperature=0.2)

        request = upstream.requests[0]
        assert request.method == "POST"
        assert list(request.json) == ["temperature", "messages", "model", "stream", "stream_options"]
        assert request.json == {"temperature": 0.2, **PLAIN}

    def test_a_temperature_that_nobody_set_is_not_sent(self, upstream: Upstream, client: Lockchat) -> None:
        list(client.stream(QUESTION, "gpt-4"))

        assert upstream.requests[0].json == PLAIN

    def test_the_headers_say_who_asks_and_forbid_compression(self, upstream: Upstream, client: Lockchat) -> None:
        ask(client)

        headers = upstream.requests[0].headers
        assert headers["user-agent"] == transport.USER_AGENT
        assert headers["accept-encoding"] == "identity"
        assert headers["content-type"] == "application/json"
        assert not {"authorization", "cookie"} & headers.keys()

    @pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1//"])
    def test_the_base_url_may_end_in_v1(self, upstream: Upstream, path: str) -> None:
        client = Lockchat(upstream.url + path)

        ask(client)
        client.close()

        assert upstream.requests[0].target == "/v1/chat/completions"

    def test_keys_travel_encoded(self, upstream: Upstream) -> None:
        client = Lockchat(upstream.url, auth="a&b=ü #", api_key="k-1")

        ask(client)
        client.close()

        assert upstream.requests[0].target == "/v1/chat/completions?auth=a%26b%3D%C3%BC+%23"
        assert upstream.requests[0].headers["authorization"] == "Bearer k-1"

    def test_half_a_surrogate_pair_does_not_stop_the_request(self, upstream: Upstream, client: Lockchat) -> None:
        list(client.stream([{"role": "user", "content": "a\ud800b \ud83d\ude00"}], "gpt-4"))

        assert upstream.requests[0].json["messages"][0]["content"] == "a\ufffdb \U0001f600"

    def test_a_request_is_prepared_once_and_each_has_a_body_of_its_own(
        self, upstream: Upstream, client: Lockchat, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prepared, prepare = [], requests.Session.prepare_request
        monkeypatch.setattr(requests.Session, "prepare_request", lambda *one: prepared.append(one) or prepare(*one))
        upstream.always(*body(token("a", finish="stop"), DONE))

        for text in ("a long question", "short", "another"):
            list(client.stream([{"role": "user", "content": text}], "gpt-4"))

        asked = [request.json["messages"][0]["content"] for request in upstream.requests]
        assert asked == ["a long question", "short", "another"]
        assert len(prepared) == 1

    def test_netrc_environment_and_cookies_stay_out(
        self, upstream: Upstream, client: Lockchat, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login alice password hidden\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        upstream.always(*body(token("a", finish="stop"), DONE, set_cookie="session=1; Path=/"))

        for _ in range(2):
            ask(client)
        client.models()

        for request in (upstream.requests[1], upstream.model_requests[0]):
            assert not {"authorization", "cookie"} & request.headers.keys()

    def test_a_proxy_carries_the_request(self, upstream: Upstream) -> None:
        client = Lockchat("http://upstream.test", auth="k", proxy=upstream.url)

        ask(client)
        client.close()

        assert upstream.requests[0].target == "http://upstream.test/v1/chat/completions?auth=k"


def test_another_answer_can_begin_while_a_whole_one_is_taken(upstream):
    lockchat = Lockchat(upstream.url)
    upstream.answer(*completion("Hello"))
    upstream.answer(*completion("Bye"))

    first = lockchat.stream(QUESTION, "gpt-4")
    begun = next(first)
    other = list(lockchat.stream(QUESTION, "gpt-4"))
    rest = list(first)

    assert "".join(delta.text for delta in [begun, *rest]) == "Hello"
    assert "".join(delta.text for delta in other) == "Bye"


def completion(content: Any, finish: str = "stop", **more: Any) -> list[Any]:
    """A whole answer in JSON, as it comes without streaming."""
    message = {"role": "assistant", "content": content, **more}
    payload = {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": {"prompt_tokens": 3}}
    return body(json.dumps(payload).encode(), framing="length", content_type="application/json")


class TestAnswers:
    @in_any_framing
    @whole_and_byte_by_byte
    def test_a_streamed_answer(self, upstream: Upstream, client: Lockchat, framing: str, byte_by_byte: bool) -> None:
        usage = {"prompt_tokens": 5, "completion_tokens": 2}
        upstream.answer(*tokens("Hé", "llo €\u2028", usage=usage, framing=framing, byte_by_byte=byte_by_byte))

        deltas = ask(client)

        assert deltas == [
            Delta("Hé"),
            Delta("llo €\u2028"),
            Delta(finish_reason="stop", usage=Usage(5, 2)),
        ]

    @whole_and_byte_by_byte
    @pytest.mark.parametrize(
        ("stream", "text"),
        [
            pytest.param(b"\xef\xbb\xbf" + token("a") + DONE, "a", id="a BOM"),
            pytest.param((token("a") + token("b") + DONE).replace(b"\n", b"\r\n"), "ab", id="CRLF"),
            pytest.param((token("a") + token("b") + DONE).replace(b"\n", b"\r"), "ab", id="CR"),
            pytest.param((token("a") + DONE).replace(b"data: ", b"data:"), "a", id="no space"),
            pytest.param(b": hello\n\n\n" + token("a") + b": beat\n\n" + DONE, "a", id="comments"),
            pytest.param(b"data:\n\n" + token("a") + DONE, "a", id="empty data"),
            pytest.param(token("a") + b"data:  [DONE] \n\n", "a", id="space around DONE"),
            pytest.param(token("a") + b"data: [DONE]", "a", id="no line end after DONE"),
            pytest.param(
                b"data: : keepalive\n\n" + token("a") + b"data: : keepalive\n\n" + token("b") + DONE,
                "ab",
                id="a comment in data",
            ),
            pytest.param(
                b"data: : keepalive\n" + token("a").replace(b"\n\n", b"\n") + token("b") + DONE,
                "ab",
                id="a comment in data and single line ends",
            ),
            pytest.param(token("a") + token("b", finish="stop").rstrip(), "ab", id="no line end at all"),
            pytest.param(token("a") + DONE + token("b"), "a", id="nothing counts after DONE"),
            pytest.param(token(content=None) + token("a") + DONE, "a", id="null content"),
            pytest.param(event({"choices": []}) + event({"id": "x"}) + token("a") + DONE, "a", id="empty choices"),
            pytest.param(event({"choices": [{"text": "a"}]}) + DONE, "a", id="legacy text"),
            pytest.param(event({"choices": [{"delta": None, "text": "a"}]}) + DONE, "a", id="null delta"),
            pytest.param(event({"choices": [{"message": {"content": "a"}}]}) + DONE, "a", id="a message"),
            pytest.param(token(content=[{"type": "text", "text": "a"}, {"type": "x"}]) + DONE, "a", id="parts"),
            pytest.param(token(refusal="no") + DONE, "no", id="a refusal"),
            pytest.param(token("a") + event({"error": None, "choices": []}) + DONE, "a", id="a null error"),
            pytest.param(
                b'data: {"choices":[{"delta":{"content":"\\ud83d\\ude00\\ud83d"}}]}\n\n' + DONE,
                "\U0001f600\ufffd",
                id="half a surrogate pair",
            ),
            pytest.param(b'data: {"choices":\ndata: [{"delta":{"content":"a"}}]}\n\n' + DONE, "a", id="two data lines"),
        ],
    )
    def test_streams_of_all_kinds(
        self, upstream: Upstream, client: Lockchat, stream: bytes, text: str, byte_by_byte: bool
    ) -> None:
        upstream.answer(*body(stream, framing="close", byte_by_byte=byte_by_byte))

        assert text_of(ask(client)) == text

    @in_any_framing
    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    def test_reasoning_comes_apart_from_the_text(
        self, upstream: Upstream, client: Lockchat, framing: str, name: str
    ) -> None:
        upstream.answer(*body(token(**{name: "Hm"}), token("Yes", finish="stop"), DONE, framing=framing))

        assert ask(client) == [Delta(reasoning="Hm"), Delta("Yes"), Delta(finish_reason="stop")]

    @pytest.mark.parametrize("reason", ["length", "content_filter"])
    def test_the_finish_reason_is_passed_on(self, upstream: Upstream, client: Lockchat, reason: str) -> None:
        upstream.answer(*tokens("a", finish=reason))

        assert ask(client) == [Delta("a"), Delta(finish_reason=reason)]

    @pytest.mark.parametrize("done", [True, False])
    @in_any_framing
    def test_done_or_a_finish_reason_completes(
        self, upstream: Upstream, client: Lockchat, framing: str, done: bool
    ) -> None:
        upstream.answer(*tokens("a", done=done, finish=None if done else "stop", framing=framing))

        assert text_of(ask(client)) == "a"

    def test_a_finish_reason_completes_even_if_the_connection_breaks(self, upstream: Upstream) -> None:
        client = Lockchat(upstream.url, idle_seconds=0.2)
        upstream.answer(*body(token("a", finish="stop"), Close()))
        upstream.answer(*body(token("a", finish="stop"), Wait()))

        answers = [ask(client), ask(client)]
        client.close()

        assert answers == [[Delta("a"), Delta(finish_reason="stop")]] * 2

    @in_any_framing
    @pytest.mark.parametrize("stream", [True, False])
    def test_a_json_body_is_the_answer(self, upstream: Upstream, client: Lockchat, framing: str, stream: bool) -> None:
        payload = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
        upstream.answer(*body(b" \n" + json.dumps(payload).encode(), framing=framing, content_type="text/plain"))

        assert ask(client, stream=stream) == [Delta("Hi"), Delta(finish_reason="stop")]

    def test_a_json_body_carries_reasoning_and_usage(self, upstream: Upstream, client: Lockchat) -> None:
        upstream.answer(*completion("Hi", reasoning_content="Hm"))

        assert ask(client, stream=False) == [Delta("Hi", "Hm"), Delta(finish_reason="stop", usage=Usage(3, None))]

    def test_a_compressed_answer_is_read_though_nobody_asked_for_it(self, upstream: Upstream, client: Lockchat) -> None:
        upstream.answer(*body(gzip.compress(token("a") + DONE), content_encoding="gzip"))

        assert text_of(ask(client)) == "a"


class TestAtOnce:
    @in_any_framing
    def test_a_token_is_not_held_back_for_the_next(self, upstream: Upstream, client: Lockchat, framing: str) -> None:
        seen = threading.Event()
        upstream.answer(*body(token("a"), Wait(seen), token("b"), DONE, framing=framing))

        stream = client.stream(QUESTION, "gpt-4")
        first = next(stream)
        seen.set()

        assert first == Delta("a")
        assert list(stream) == [Delta("b")]

    def test_the_last_delta_does_not_wait_for_the_end_of_the_connection(
        self, upstream: Upstream, client: Lockchat
    ) -> None:
        upstream.answer(*body(token("a", finish="stop"), DONE, Wait()))

        stream = client.stream(QUESTION, "gpt-4")
        last = [next(stream), next(stream)][-1]

        assert last == Delta(finish_reason="stop")
        assert not upstream.client_left.is_set()
        stream.close()

    def test_nothing_is_asked_before_the_first_delta_is_taken(self, upstream: Upstream, client: Lockchat) -> None:
        client.stream(QUESTION, "gpt-4").close()

        assert upstream.connections == 0


class TestConnections:
    @pytest.mark.parametrize("framing", ["chunked", "length"])
    def test_a_hundred_answers_need_one_connection(
        self, upstream: Upstream, client: Lockchat, framing: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("webapp.upstream.asking.TAIL_SECONDS", 5.0)
        upstream.always(*tokens("a", framing=framing))

        for _ in range(100):
            ask(client)

        assert (len(upstream.requests), upstream.connections) == (100, 1)

    def test_an_error_keeps_its_connection_too(self, upstream: Upstream, client: Lockchat) -> None:
        upstream.always(*body(b"{}", status=400))

        for _ in range(3):
            with pytest.raises(UpstreamError):
                ask(client)

        assert upstream.connections == 1

    def test_an_answer_without_its_end_gives_its_connection_up(self, upstream: Upstream, client: Lockchat) -> None:
        upstream.answer(*body(token("a"), DONE, Wait()))

        ask(client)

        assert upstream.client_left.wait(5)

    def test_closing_the_stream_closes_the_connection(self, upstream: Upstream, client: Lockchat) -> None:
        upstream.answer(*body(token("a"), Wait()))

        stream = client.stream(QUESTION, "gpt-4")
        next(stream)
        stream.close()

        assert upstream.client_left.wait(5)
        assert list(stream) == []

    def test_many_threads_share_one_client(
        self, upstream: Upstream, client: Lockchat, caplog: pytest.LogCaptureFixture
    ) -> None:
        upstream.always(lambda request: tokens(request.json["messages"][0]["content"]))
        texts: list[str] = []

        def ask_for(text: str) -> None:
            texts.append(text_of(list(client.stream([{"role": "user", "content": text}], "gpt-4"))))

        run([threading.Thread(target=ask_for, args=(str(number),)) for number in range(120)])

        assert sorted(texts, key=int) == [str(number) for number in range(120)]
        assert "pool is full" not in caplog.text


class TestCaps:
    def test_an_answer_above_its_cap_is_delivered_up_to_it(self, upstream: Upstream) -> None:
        client = Lockchat(upstream.url, max_answer_bytes=5)
        upstream.answer(*tokens("abc", "déf"))
        seen: list[str] = []

        with pytest.raises(UpstreamError, match="answer_too_large"):
            seen.extend(delta.text for delta in client.stream(QUESTION, "gpt-4"))
        client.close()

        assert seen == ["abc", "d"]

    def test_an_answer_of_just_the_cap_is_whole(self, upstream: Upstream) -> None:
        client = Lockchat(upstream.url, max_answer_bytes=6)
        upstream.answer(*tokens("abc", "dé"))

        deltas = ask(client)
        client.close()

        assert text_of(deltas) == "abcdé"

    @pytest.mark.parametrize("content", ["x" * 200_000, "я" * 100_000])
    def test_a_json_body_is_bounded_too(self, upstream: Upstream, content: str) -> None:
        client = Lockchat(upstream.url, max_answer_bytes=100)
        upstream.answer(*completion(content))

        with pytest.raises(UpstreamError, match="answer_too_large"):
            ask(client)
        client.close()

    def test_a_broken_json_body_of_just_the_cap_is_told_as_one(self, upstream: Upstream) -> None:
        client = Lockchat(upstream.url, max_answer_bytes=100)
        broken = b"{" + b" " * (3 * 100 + ERROR_BYTES - 1)
        upstream.answer(*body(broken, framing="length", content_type="application/json"))

        with pytest.raises(UpstreamError, match="protocol"):
            ask(client)
        client.close()

    def test_a_line_above_its_cap_ends_the_answer(self, upstream: Upstream) -> None:
        client = Lockchat(upstream.url, max_line_bytes=1024)
        upstream.answer(*body(token("a"), b"data: " + b"x" * 2000, Wait()))

        with pytest.raises(UpstreamError, match="line_too_large"):
            ask(client)
        client.close()


class TestModels:
    def test_the_models_are_listed(self, upstream: Upstream) -> None:
        client = Lockchat(upstream.url, auth="k", api_key="s")

        models = client.models()
        client.close()

        assert models == ["gpt-4", "gpt-3.5-turbo"]
        assert upstream.model_requests[0].target == "/v1/models?auth=k"
        assert upstream.model_requests[0].headers["authorization"] == "Bearer s"

    @pytest.mark.parametrize(
        ("status", "said", "reason"),
        [
            (200, b"<html>", "html"),
            (200, b"{}", "protocol"),
            (200, b"data", "protocol"),
            (401, b"{}", "auth"),
            (404, b"", "protocol"),
            (500, b"", "upstream"),
            (302, b"", "redirect"),
        ],
    )
    def test_a_list_that_is_none_is_an_error(
        self, upstream: Upstream, client: Lockchat, status: int, said: bytes, reason: str
    ) -> None:
        upstream.answer_models(*body(said, status=status))

        with pytest.raises(UpstreamError) as caught:
            client.models()

        assert caught.value.reason == reason

    def test_an_endless_list_is_cut(self, upstream: Upstream, client: Lockchat) -> None:
        upstream.answer_models(*body(*[b"[" * 65536] * 40))

        with pytest.raises(UpstreamError, match="protocol"):
            client.models()


def run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_body_of_a_request_is_let_go_of_once_the_answer_begins(upstream):
    stream = Lockchat(upstream.url).stream([{"role": "user", "content": "word " * 1000}], "m")
    assert len(str(stream._body)) > 5000

    next(stream)

    assert stream._body == {}
    stream.close()
