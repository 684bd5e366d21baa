"""What goes wrong with the upstream ends in the right error, after as many tries as make sense and no more."""

from __future__ import annotations

import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server import free_port
from tests.upstream import FRAMINGS, Close, Reset, Step, Upstream, Wait, body, error, event, head, token, tokens
from webapp.chat import Delta
from webapp.errors import REASONS, UpstreamError
from webapp.lockchat import Lockchat
from webapp.upstream import answers, cleaning, failures, transport
from webapp.upstream.lifeline import Lifeline

QUESTION = [{"role": "user", "content": "hi"}]
DONE = b"data: [DONE]\n\n"
MISSING = "The model: `gpt-4` does not exist"
SECRETS: dict[str, Any] = {"auth": "SECRET-auth&value", "api_key": "SECRET-api-value"}

names = st.sampled_from(["choices", "delta", "message", "content", "text", "error", "code", "usage", "finish_reason"])
any_json = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(names, inner)
)

in_any_framing = pytest.mark.parametrize("framing", FRAMINGS)
whole_and_byte_by_byte = pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "byte by byte"])


@pytest.fixture
def client(upstream: Upstream) -> Iterator[Lockchat]:
    client = Lockchat(upstream.url, retries=0)
    yield client
    client.close()


def fail(url: str, **settings: Any) -> tuple[list[Delta], UpstreamError]:
    """What an answer brings, and the error that it ends in."""
    client = Lockchat(url, **settings)
    seen: list[Delta] = []
    try:
        with pytest.raises(UpstreamError) as caught:
            seen.extend(client.stream(QUESTION, "gpt-4"))
    finally:
        client.close()
    return seen, caught.value


def openai_error(message: str, **codes: Any) -> dict[str, Any]:
    return {"error": {"message": message, **codes}}


ERRORS = [
    (400, openai_error("Bad."), "bad_request"),
    (400, openai_error("Too long.", code="context_length_exceeded"), "context_length"),
    (400, openai_error("This model's maximum context length is 8192 tokens."), "context_length"),
    (400, openai_error("the request exceeds the available context size"), "context_length"),
    (400, openai_error("No.", code="model_not_found"), "model_not_found"),
    (400, openai_error("No.", code="content_filter"), "filtered"),
    (401, openai_error("No."), "auth"),
    (402, "", "quota"),
    (403, "Forbidden", "auth"),
    (404, openai_error("The model `x` does not exist"), "model_not_found"),
    (404, {"detail": "Not Found"}, "protocol"),
    (404, "<h1>the model</h1>", "protocol"),
    (405, "", "protocol"),
    (408, "", "unavailable"),
    (409, "", "bad_request"),
    (413, "", "too_large"),
    (422, {"detail": [{"msg": "field required"}]}, "bad_request"),
    (429, openai_error("Slow down."), "rate_limited"),
    (429, openai_error("Pay.", type="insufficient_quota"), "quota"),
    (500, "", "upstream"),
    (500, {"error": "context length exceeded"}, "context_length"),
    (501, "", "upstream"),
    (502, "<html>Bad gateway</html>", "unavailable"),
    (503, openai_error("Loading."), "unavailable"),
    (504, "", "unavailable"),
]


class TestRefusals:
    @pytest.mark.parametrize(("status", "said", "reason"), ERRORS)
    def test_a_status_is_a_reason(self, upstream: Upstream, status: int, said: Any, reason: str) -> None:
        upstream.always(*error(status, said))

        seen, failure = fail(upstream.url, retries=0)

        assert (seen, failure.reason, failure.code) == ([], reason, REASONS[reason][0])

    @pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, upstream: Upstream, status: int) -> None:
        upstream.always(*error(status, "", location=upstream.url + "/elsewhere"))

        _, failure = fail(upstream.url)

        assert failure.reason == "redirect"
        assert len(upstream.requests) == 1

    @pytest.mark.parametrize("words", [b"Moved. " * 20_000, b"!"], ids=["long", "one byte"])
    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_the_words_of_a_redirect_are_read_and_its_connection_goes_on(
        self, upstream: Upstream, client: Lockchat, framing: str, words: bytes
    ) -> None:
        upstream.always(*body(words, framing=framing, status=302, content_type="text/plain", location="/elsewhere"))

        for _time in range(2):
            with pytest.raises(UpstreamError, match="redirect"):
                list(client.stream(QUESTION, "gpt-4"))

        assert (len(upstream.requests), upstream.connections) == (2, 1)

    @pytest.mark.parametrize("status", [302, 307])
    def test_a_form_is_not_sent_on(self, upstream: Upstream, status: int) -> None:
        upstream.always(*error(status, "", location=upstream.url + "/elsewhere"))
        form = {"client_secret": "x"}

        with closing(transport.open_session()) as session:
            response = transport.send(session, Lifeline(60), "POST", upstream.url, data=form, timeout=(5, 5))
            response.close()

        assert (response.status_code, len(upstream.requests)) == (status, 1)

    @pytest.mark.parametrize("step", [Reset(), Close(), Wait(0.1)])
    def test_an_error_that_breaks_off_is_still_that_error(self, upstream: Upstream, step: Any) -> None:
        upstream.always(head(401, content_length=1000), b'{"error":', step, Close())

        _, failure = fail(upstream.url)

        assert failure.reason == "auth"

    def test_an_endless_error_is_cut(self, upstream: Upstream) -> None:
        upstream.always(*body(*[b"x" * 65536] * 50, Wait(), status=400))

        _, failure = fail(upstream.url)

        assert failure.reason == "bad_request"

    def test_the_upstreams_own_sentence_is_quoted(self, upstream: Upstream) -> None:
        upstream.always(*error(400, openai_error("Temperature is above 2.")))

        _, failure = fail(upstream.url)

        assert failure.detail == "Temperature is above 2."
        assert failure.sentence == "The upstream does not accept this request. (Temperature is above 2.)"

    def test_an_error_that_comes_in_several_reads_is_read_whole(self, upstream: Upstream) -> None:
        upstream.answer(*error(400, openai_error("Too many words", more="x" * 3 * transport.READ_BYTES)))

        _, failure = fail(upstream.url)

        assert failure.detail == "Too many words"

    @pytest.mark.parametrize(
        ("said", "detail"),
        [
            ([], ""),
            ({"error": {"message": []}}, ""),
            ({"error": {"metadata": {"raw": "<html><body>Bad gateway"}}}, ""),
            ("Failed: {'error': {'message': 'It\\'s too\\nbig'}}", "It's too big"),
            ("Failed: {'message': 'One\\\ntwo'}", "One two"),
        ],
        ids=["an empty list", "an empty list inside", "a page inside", "a Python dictionary", "a broken line"],
    )
    def test_only_the_sentence_is_quoted(self, upstream: Upstream, said: Any, detail: str) -> None:
        upstream.answer(*error(400, said))

        assert fail(upstream.url)[1].detail == detail

    def test_a_byte_order_mark_hides_no_sentence(self, upstream: Upstream) -> None:
        upstream.answer(*error(400, '\ufeff\r\n{"error": {"message": "Too many words"}}'))

        _, failure = fail(upstream.url)

        assert failure.detail == "Too many words"


class TestErrorsInBand:
    @whole_and_byte_by_byte
    @pytest.mark.parametrize(
        ("stream", "reason"),
        [
            pytest.param(event(openai_error("Oops.")), "upstream", id="an object"),
            pytest.param(event({"error": "Oops."}), "upstream", id="a string"),
            pytest.param(event({"object": "error", "message": "Oops."}), "upstream", id="an error object"),
            pytest.param(event(openai_error("Oops.", code=401)), "auth", id="a number"),
            pytest.param(event(openai_error("Oops.", code="context_length_exceeded")), "context_length", id="a code"),
            pytest.param(event(openai_error("Oops.", type="insufficient_quota")), "quota", id="quota"),
            pytest.param(event(openai_error("Oops.", type="rate_limit_exceeded")), "rate_limited", id="rate"),
            pytest.param(b'error: {"message": "Oops."}\n\n', "upstream", id="an error field"),
            pytest.param(b'error: {"code": 400, "message": "Oops."}\n', "bad_request", id="an error line"),
            pytest.param(b"event: error\ndata: Oops.\n\n", "upstream", id="an error event"),
            pytest.param(b': hi\n\n{"error": {"message": "Oops."}}\n\n', "upstream", id="a bare error"),
            pytest.param(event({"choices": [{"error": {"message": "Oops."}}]}), "upstream", id="in the choice"),
            pytest.param(b'\xef\xbb\xbf\n \n{"error": {"message": "Oops."}}', "upstream", id="after a BOM and blanks"),
            pytest.param(b'{"error": {"message": "Oops."}}', "upstream", id="a JSON body"),
            pytest.param(b'\xef\xbb\xbf[{"error": {"message": "Oops.", "code": 400}}]', "bad_request", id="a list"),
            pytest.param(b'{"detail": "Oops."}', "protocol", id="JSON that is no answer"),
            pytest.param(b"Oops.", "protocol", id="plain text"),
            pytest.param(b"data: Oops.\n\n", "protocol", id="data that is not JSON"),
        ],
    )
    def test_an_error_with_status_200(self, upstream: Upstream, stream: bytes, reason: str, byte_by_byte: bool) -> None:
        upstream.always(*body(stream, byte_by_byte=byte_by_byte))

        _, failure = fail(upstream.url)

        assert (failure.reason, failure.detail) == (reason, "Oops.")
        assert len(upstream.requests) == 1

    @whole_and_byte_by_byte
    @pytest.mark.parametrize(
        ("stream", "seen"),
        [
            pytest.param(token("a").rstrip() + b'\nerror: {"message": "Oops."}\n', [Delta("a")], id="below an event"),
            pytest.param(b'error: {"message": "Oops."}\n', [], id="alone"),
            pytest.param(b'event: error\n: hi\ndata: {"message": "Oops."}\n\n', [], id="around a comment"),
            pytest.param(b'id: 1\n: hi\nevent: error\ndata: {"message": "Oops."}\n\n', [], id="below a comment"),
        ],
    )
    def test_an_error_is_raised_before_the_next_byte(
        self, upstream: Upstream, stream: bytes, seen: list[Delta], byte_by_byte: bool
    ) -> None:
        upstream.always(*body(stream, Wait(), byte_by_byte=byte_by_byte))

        came, failure = fail(upstream.url, first_token_seconds=20, idle_seconds=20)

        assert (came, failure.reason, failure.detail) == (seen, "upstream", "Oops.")

    @in_any_framing
    @pytest.mark.parametrize("content_type", ["text/html", "text/event-stream"])
    @pytest.mark.parametrize("page", [b"<!doctype html><p>Log in", b"\n <html></html>"])
    def test_a_web_page(self, upstream: Upstream, framing: str, content_type: str, page: bytes) -> None:
        upstream.always(*body(page, framing=framing, content_type=content_type))

        _, failure = fail(upstream.url)

        assert (failure.reason, failure.detail) == ("html", "")

    def test_plain_text_in_several_reads_is_quoted_from_its_beginning(self, upstream: Upstream) -> None:
        upstream.answer(*body(b"Out of memory. " + b"word " * transport.READ_BYTES))

        assert fail(upstream.url)[1].detail.startswith("Out of memory. word")

    @pytest.mark.parametrize("last", [token(finish="error"), b'{"error": {"message": ""}}\n\n'])
    def test_an_error_that_says_nothing_is_not_swallowed(self, upstream: Upstream, last: bytes) -> None:
        upstream.always(*body(token("a"), last, DONE))

        seen, failure = fail(upstream.url)

        assert (seen, failure.reason) == ([Delta("a")], "upstream")

    def test_an_answer_of_blanks_is_empty(self, upstream: Upstream) -> None:
        upstream.always(*body(token("   "), token("\n"), DONE))

        assert fail(upstream.url)[1].reason == "empty"

    @in_any_framing
    def test_an_error_after_the_first_token_ends_the_answer(self, upstream: Upstream, framing: str) -> None:
        upstream.always(*body(token("a"), event(openai_error("Busy.", code=503)), framing=framing))

        seen, failure = fail(upstream.url)

        assert (seen, failure.reason, len(upstream.requests)) == ([Delta("a")], "unavailable", 1)

    @pytest.mark.parametrize("said", [b"[1, 2]", b"3", b'"x"', b'"{}"', b"{]", b"[" * 3000])
    def test_json_of_another_kind(self, upstream: Upstream, said: bytes) -> None:
        upstream.answer(*body(b"data: " + said + b"\n\n"))
        upstream.answer(*body(said))

        assert [fail(upstream.url)[1].reason for _ in range(2)] == ["protocol", "protocol"]


class TestEnds:
    @in_any_framing
    @pytest.mark.parametrize(
        "stream",
        [
            b"",
            DONE,
            b": beat\n\n",
            token(role="assistant"),
            token("") + DONE,
            token(finish="stop") + DONE,
            b"\n\n",
            b"data: null\n\n",
        ],
    )
    def test_an_answer_without_text_is_empty(self, upstream: Upstream, framing: str, stream: bytes) -> None:
        upstream.always(*body(stream, framing=framing))

        seen, failure = fail(upstream.url)

        assert (seen, failure.reason) == ([], "empty")

    def test_an_empty_answer_in_json_is_empty(self, upstream: Upstream) -> None:
        upstream.always(*body(b'{"choices": [{"message": {"content": ""}}]}', framing="length"))

        assert fail(upstream.url)[1].reason == "empty"

    def test_reasoning_alone_is_no_answer(self, upstream: Upstream) -> None:
        upstream.always(*body(token(reasoning="Hm"), DONE))

        seen, failure = fail(upstream.url)

        assert (seen, failure.reason) == ([Delta(reasoning="Hm")], "no_answer")

    @pytest.mark.parametrize("end", [token(finish="stop"), DONE])
    def test_reasoning_alone_is_no_answer_though_the_connection_stays(
        self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, end: bytes
    ) -> None:
        monkeypatch.setattr("webapp.upstream.asking.BREAK_SECONDS", 0.05)
        monkeypatch.setattr("webapp.upstream.asking.FINISH_SECONDS", 0.05)
        upstream.always(*body(token(reasoning="Hm"), end, Wait()))

        _, failure = fail(upstream.url)

        assert failure.reason == "no_answer"

    @in_any_framing
    def test_reasoning_alone_that_breaks_off_is_cut_off(self, upstream: Upstream, framing: str) -> None:
        upstream.always(*body(token(reasoning="Hm"), framing=framing))

        seen, failure = fail(upstream.url)

        assert (seen, failure.reason) == ([Delta(reasoning="Hm")], "cut_off")

    @pytest.mark.parametrize("finish", ["content_filter", "content_filter: PROHIBITED_CONTENT", "SAFETY", "refusal"])
    def test_a_filter_that_leaves_nothing_is_named(self, upstream: Upstream, finish: str) -> None:
        upstream.always(*body(token(finish=finish), DONE))

        assert fail(upstream.url)[1].reason == "filtered"

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param(body(token("a"), framing="close"), id="closed"),
            pytest.param(body(token("a"), framing="chunked"), id="ended in good order"),
            pytest.param([*body(token("a"))[:2], Close()], id="closed in chunks"),
            pytest.param([*body(token("a"))[:2], b"5\r\nda", Close()], id="closed in a chunk"),
            pytest.param([head(content_length=9999), token("a"), Close()], id="closed below its length"),
            pytest.param([*body(token("a"))[:2], b"zz\r\n", Wait()], id="no chunk size"),
            pytest.param(body(token("a"), b'data: {"choi', framing="close"), id="closed in a line"),
            pytest.param(body(token("a"), token("b").rstrip()[:-3], framing="close"), id="closed in JSON"),
        ],
    )
    def test_an_answer_that_breaks_off_is_cut_off(self, upstream: Upstream, script: list[Any]) -> None:
        upstream.always(*script)

        seen, failure = fail(upstream.url)

        assert (seen, failure.reason, failure.code) == ([Delta("a")], "cut_off", "network")
        assert len(upstream.requests) == 1

    @in_any_framing
    def test_a_reset_in_the_answer_is_a_cut(self, upstream: Upstream, framing: str) -> None:
        first = body(token("a"), token("b"), framing=framing)[:2]
        upstream.always(*first, Wait(0.2), Reset())

        seen, failure = fail(upstream.url)

        assert (seen, failure.reason) == ([Delta("a")], "cut_off")

    @pytest.mark.parametrize("script", [[Reset()], [Close()], [*body()[:1], Reset()]])
    def test_a_connection_that_brings_nothing_is_no_network(self, upstream: Upstream, script: list[Any]) -> None:
        upstream.always(*script)

        _, failure = fail(upstream.url)

        assert failure.code == "network"
        assert len(upstream.requests) == 1

    def test_what_is_not_http_is_no_answer(self, upstream: Upstream) -> None:
        upstream.always(b"SSH-2.0-OpenSSH_9.6\r\n", Close())

        assert fail(upstream.url)[1].reason == "protocol"


class TestRetries:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_passing_failure_is_tried_again(self, upstream: Upstream, status: int) -> None:
        upstream.answer(*error(status))
        upstream.answer(*error(status))
        client = Lockchat(upstream.url)

        text = "".join(delta.text for delta in client.stream(QUESTION, "gpt-4"))
        client.close()

        assert (text, len(upstream.requests)) == ("Hello world", 3)

    @pytest.mark.parametrize("retries", [0, 1])
    def test_the_tries_are_counted(self, upstream: Upstream, retries: int) -> None:
        upstream.always(*error(503))

        _, failure = fail(upstream.url, retries=retries)

        assert (failure.reason, len(upstream.requests)) == ("unavailable", retries + 1)

    def test_the_waits_between_tries_double_up_to_a_limit(
        self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr(Lifeline, "sleep", lambda _line, seconds: waits.append(seconds))
        upstream.always(*error(503))

        fail(upstream.url, retries=6)

        most = [0.25, 0.5, 1, 2, 4, 4]
        assert [wait for wait, limit in zip(waits, most, strict=True) if not limit / 2 <= wait <= limit] == []

    def test_a_server_that_is_not_there_yet_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waits: list[float] = []
        monkeypatch.setattr(Lifeline, "sleep", lambda _line, seconds: waits.append(seconds))
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]

        _, failure = fail(f"http://127.0.0.1:{port}", retries=2)

        assert failure.reason == "network"
        assert [wait > 0.1 for wait in waits] == [True, True]

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 500])
    def test_another_failure_is_not(self, upstream: Upstream, status: int) -> None:
        upstream.always(*error(status))

        fail(upstream.url)

        assert len(upstream.requests) == 1

    def test_a_used_up_quota_is_not(self, upstream: Upstream) -> None:
        upstream.always(*error(429, openai_error("Pay.", code="insufficient_quota")))

        fail(upstream.url)

        assert len(upstream.requests) == 1

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param(error(200, MISSING), id="text"),
            pytest.param(error(404, MISSING), id="text and 404"),
            pytest.param(error(200, openai_error(MISSING)), id="JSON"),
            pytest.param(error(400, openai_error(MISSING)), id="JSON and 400"),
            pytest.param(body(event(openai_error(MISSING))), id="in band"),
            pytest.param(body(f"data: {MISSING}\n\n".encode()), id="bare data"),
            pytest.param(body(f": hi\n\n{MISSING}\n".encode()), id="a bare line after a comment"),
            pytest.param(body(MISSING.encode(), Wait(), byte_by_byte=True), id="text without an end"),
            pytest.param(body(f"\ufeff\r\n{MISSING}".encode(), Wait()), id="text without an end after a BOM"),
            pytest.param(body(MISSING.encode(), framing="close"), id="text to the close"),
        ],
    )
    def test_the_originals_case_is_tried_again(self, upstream: Upstream, script: list[Any]) -> None:
        upstream.always(*script)

        seen, failure = fail(upstream.url, retries=1)

        assert (seen, failure.reason, len(upstream.requests)) == ([], "model_not_found", 2)

    def test_an_answer_about_that_case_is_an_answer(self, upstream: Upstream, client: Lockchat) -> None:
        upstream.always(*tokens(f"{MISSING}: ", MISSING, f"And {MISSING}"))

        text = "".join(delta.text for delta in client.stream(QUESTION, "gpt-4"))

        assert text == f"{MISSING}: {MISSING}And {MISSING}"

    def test_retry_after_is_waited_for(self, upstream: Upstream) -> None:
        upstream.always(*error(429, retry_after=1))
        started = time.monotonic()

        _, failure = fail(upstream.url, retries=1)

        assert (failure.retry_after, len(upstream.requests)) == (1, 2)
        assert time.monotonic() - started >= 1

    def test_retry_after_may_be_a_date(self) -> None:
        in_a_minute, a_minute_ago = (formatdate(time.time() + seconds, usegmt=True) for seconds in (60, -60))

        assert 50 <= (failures.seconds_of(in_a_minute) or 0) <= 60
        assert failures.seconds_of(a_minute_ago) == 0

    @pytest.mark.parametrize(
        "wait", ["11", "86400", formatdate(time.time() + 3600, usegmt=True)], ids=["s", "day", "date"]
    )
    def test_a_long_retry_after_is_the_users_to_wait(self, upstream: Upstream, wait: str) -> None:
        upstream.always(*error(429, retry_after=wait))

        _, failure = fail(upstream.url)

        assert (failure.reason, len(upstream.requests)) == ("rate_limited", 1)
        assert failure.retry_after is not None
        assert failure.retry_after > 10

    @pytest.mark.parametrize("wait", ["soon", "-5", "1e9", ""])
    def test_a_retry_after_that_says_nothing_is_ignored(self, upstream: Upstream, wait: str) -> None:
        upstream.answer(*error(503, retry_after=wait))
        client = Lockchat(upstream.url)

        assert len(list(client.stream(QUESTION, "gpt-4"))) == 3
        client.close()

    @pytest.mark.parametrize("step", [Reset(), Close()])
    def test_a_stale_pooled_connection_is_replaced_at_once(
        self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, step: Step
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr(Lifeline, "sleep", lambda _line, seconds: waits.append(seconds))
        monkeypatch.setattr("webapp.upstream.asking.TAIL_SECONDS", 5.0)
        client = Lockchat(upstream.url, retries=1)
        upstream.answer(*tokens("a"))
        upstream.answer(step)
        list(client.stream(QUESTION, "gpt-4"))

        text = "".join(delta.text for delta in client.stream(QUESTION, "gpt-4"))
        client.close()

        assert (text, len(upstream.requests), waits) == ("Hello world", 3, [0])

    def test_connections_that_a_restart_broke_are_replaced(self, upstream: Upstream) -> None:
        client = Lockchat(upstream.url, retries=0)
        list(client.stream(QUESTION, "gpt-4"))
        upstream.drop_idle()

        deltas = list(client.stream(QUESTION, "gpt-4"))
        client.close()

        assert (len(deltas), upstream.connections) == (3, 2)

    def test_nobody_at_the_port_is_tried_again(self, caplog: pytest.LogCaptureFixture) -> None:
        port = free_port()
        caplog.set_level(logging.DEBUG, "urllib3")

        _, failure = fail(f"http://127.0.0.1:{port}", retries=1)

        assert failure.reason == "network"
        assert len([line for line in caplog.messages if "Starting new" in line and line.endswith(f":{port}")]) == 2

    def test_a_proxy_that_refuses_is_asked_again(self, upstream: Upstream) -> None:
        upstream.always(*error(403))

        _, failure = fail("https://upstream.invalid", proxy=upstream.url, retries=1)

        assert failure.reason == "network"
        assert [request.target for request in upstream.requests] == ["upstream.invalid:443"] * 2

    def test_silence_without_a_deadline_of_ours_ends_with_that_of_requests(self, upstream: Upstream) -> None:
        upstream.always(Wait())

        with closing(transport.open_session()) as session, pytest.raises(UpstreamError) as caught:
            transport.send(session, Lifeline(9), "POST", upstream.url + "/v1/chat/completions", timeout=(5, 0.1))

        assert caught.value.reason == "first_token_timeout"

    def test_an_unknown_name_is_no_network(self) -> None:
        _, failure = fail("http://upstream.invalid", retries=0)

        assert failure.reason == "network"


class TestTls:
    def test_an_unknown_certificate_is_refused(self, secure: Upstream) -> None:
        _, failure = fail(secure.url)

        assert failure.reason == "tls"
        assert secure.requests == []

    def test_a_private_authority_is_accepted_where_it_is_named(
        self, secure: Upstream, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("webapp.upstream.asking.TAIL_SECONDS", 5.0)
        client = Lockchat(secure.url, ca_bundle=str(certificate.with_name("ca.pem")), auth="k")

        texts = [delta.text for _ in range(3) for delta in client.stream(QUESTION, "gpt-4")]
        client.close()

        assert texts == ["Hello", " world", ""] * 3
        assert (secure.connections, secure.requests[0].target) == (1, "/v1/chat/completions?auth=k")

    def test_a_deadline_cuts_a_secure_answer_too(self, secure: Upstream, certificate: Path) -> None:
        secure.always(*body(token("a"), Wait()))

        seen, failure = fail(secure.url, ca_bundle=str(certificate.with_name("ca.pem")), idle_seconds=0.2)

        assert (seen, failure.reason) == ([Delta("a")], "idle_timeout")
        assert secure.client_left.wait(5)

    def test_a_handshake_that_never_ends_is_cut(self) -> None:
        started = time.monotonic()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            _, failure = fail(
                f"https://127.0.0.1:{silent.getsockname()[1]}", connect_seconds=20, first_token_seconds=0.2
            )

        assert failure.reason == "first_token_timeout"
        assert time.monotonic() - started < 10


class TestSecrets:
    @pytest.mark.parametrize(
        "script",
        [
            error(401, openai_error(f"Key {SECRETS['auth']} and {SECRETS['api_key']} are wrong.")),
            error(400, "at /v1/chat/completions?auth=SECRET-auth%26value"),
            error(302, "", location="/?auth=SECRET-auth%26value"),
            error(503),
            [Reset()],
            [Close()],
            [b"nonsense\r\n", Close()],
            [head(), Wait()],
            [b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n", Close()],
            body(token("a"), Wait()),
            body(token("a"), Reset()),
            body(b"<html>"),
            body(event({"error": f"SECRET-<b></b>auth&amp;value {SECRETS['api_key']}"})),
            tokens(),
            None,
        ],
    )
    def test_no_failure_tells_a_key(
        self, upstream: Upstream, script: list[Any] | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        url = upstream.url if script else "http://127.0.0.1:1"
        upstream.always(*script or ())

        _, failure = fail(url, retries=1, first_token_seconds=0.4, idle_seconds=0.3, **SECRETS)

        told = "".join(traceback.format_exception(failure)) + repr((failure, failure.args, failure.failure))
        assert "SECRET" not in told + str(failure.__dict__) + failure.sentence + caplog.text
        assert (failure.__cause__, failure.__context__) == (None, None)

    def test_the_failure_is_raised_and_its_log_line_is_left_to_the_caller(
        self, upstream: Upstream, caplog: pytest.LogCaptureFixture
    ) -> None:
        upstream.always(*error(400, "No such luck"))

        _, failure = fail(upstream.url, **SECRETS)

        assert str(failure) == "bad_request: No such luck"
        ours = [record for record in caplog.records if record.thread == threading.get_ident()]
        assert [record for record in ours if record.levelno >= logging.WARNING] == []

    def test_the_values_do_not_show_in_a_repr(self) -> None:
        client = Lockchat("http://user:SECRET@upstream.test", **SECRETS)
        stream = client.stream(QUESTION, "gpt-4")

        assert "SECRET" not in repr(client) + repr(stream)
        client.close()


class TestCleaning:
    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("A plain sentence.", "A plain sentence."),
            ("Two\n lines\tand\u2028more", "Two lines and more"),
            ("<p>Bad <b>gateway</b></p><script>alert(1)</script>", "Bad gateway"),
            ("&lt;img src=x&gt;Hi", "Hi"),
            ("See https://example.org/x?auth=1 for help", "See … for help"),
            ("Incorrect API key provided: sk-abc***wxyz.", "Incorrect API key provided: …"),
            ("Key 0123456789abcdef0123 is wrong", "Key … is wrong"),
            ("Bearer abc.def is wrong", "… is wrong"),
            ("The model: `gpt-4` does not exist", "The model: `gpt-4` does not exist"),
            ("openai.error.RateLimitError: Slow down", "Slow down"),
            ('It broke. Traceback (most recent call last):\n File "/app/x.py", line 3', "It broke."),
            ('Seen in File "/app/x.py", line 3, in main today', "Seen in today"),
            ("a\u202eb\u200bc\x00d\x1b[1m", "abc d [1m"),
            (
                "HTTPConnectionPool(host='10.0.0.1', port=80): Max retries with url: /v1/x?auth=K",
                "Max retries with url: …",
            ),
            ("at api.openai.com/v1/chat or super.lockchat.app:8080/v1?auth=zzz", "at … or …"),
            ("localhost:11434 and [::1]:8080 and ?auth=zzz refused", "… and … and … refused"),
            ("provided: gd4Wx****9xYz. api_key 'abcDEFghi'", "provided: … …"),
            ("Broken at com.example.Foo.bar(Foo.java:10)", "Broken"),
            ("File /usr/lib/python3/x.py line 3, openai.BadRequest: main.go:33", "File … line 3, …"),
            ("Unclosed <b onclick=x", "Unclosed"),
            ("1 < 2 and 3 > 2, at 3:4, and/or 8192 tokens", "1 < 2 and 3 > 2, at 3:4, and/or 8192 tokens"),
            ("word " * 100, ("word " * 39) + "word …"),
            ("x" * 5000, ""),
        ],
    )
    def test_the_upstreams_words_are_cleaned(self, said: str, expected: str) -> None:
        assert cleaning.clean(said) == expected

    @given(st.text(), st.text())
    def test_a_key_never_survives(self, before: str, after: str) -> None:
        key = "my-own-key"

        assert key not in cleaning.clean(before + key + after, (key,))

    def test_neither_capitals_nor_a_part_of_a_key_survive(self) -> None:
        assert cleaning.clean("MY-OWN-KEY-123 or my-own-k rest", ("my-own-key-123",)) == "… or … rest"

    @given(any_json)
    def test_any_json_is_a_delta_or_an_error(self, payload: Any) -> None:
        try:
            delta = answers.delta_of(payload)
        except UpstreamError as failure:
            delta = Delta(failure.reason)

        assert isinstance(delta.text + delta.reasoning, str)
