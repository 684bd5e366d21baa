"""A Stop and the four deadlines end an answer in any phase, at once, and leave nothing behind."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.samples import some
from tests.upstream import FRAMINGS, Step, Upstream, Wait, body, error, event, head, token, tokens
from webapp.chat import Delta, merge
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat
from webapp.upstream import lifeline
from webapp.upstream.lifeline import Lifeline
from webapp.upstream.stream import Stream

QUESTION = [{"role": "user", "content": "hi"}]

in_any_framing = pytest.mark.parametrize("framing", FRAMINGS)


@pytest.fixture
def full_address() -> Iterator[str]:
    """An address where nobody accepts and the queue is full, so that connecting hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for connection in waiting:
            connection.close()


def stream_of(upstream: Upstream, **settings: Any) -> Stream:
    return Lockchat(upstream.url, **settings).stream(QUESTION, "gpt-4")


def drip(data: bytes, seconds: float = 0.05, times: int = 100) -> list[Step]:
    """The data again and again, slowly."""
    return [data, Wait(seconds)] * times


class Reader:
    """Takes a stream's deltas in a thread of its own."""

    def __init__(self, stream: Stream) -> None:
        self.deltas: list[Delta] = []
        self.failure: UpstreamError | None = None
        self._stream = stream
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            for delta in self._stream:
                self.deltas.append(delta)
                self._first.set()
        except UpstreamError as failure:
            self.failure = failure

    def wait_for_first(self) -> None:
        assert self._first.wait(5)

    def ends_within(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()


class TestStop:
    @in_any_framing
    def test_a_stop_in_the_answer(self, upstream: Upstream, framing: str) -> None:
        upstream.always(*body(token("a"), Wait(), token("b"), framing=framing))
        stream = stream_of(upstream)
        reader = Reader(stream)
        reader.wait_for_first()

        stream.abort()

        assert reader.ends_within(5)
        assert upstream.client_left.wait(5)
        assert (reader.deltas, reader.failure) == ([Delta("a")], None)

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param([Wait()], id="before the headers"),
            pytest.param([b"HTTP/1.1 200 OK\r\nX-", Wait()], id="in the headers"),
            pytest.param([head(transfer_encoding="chunked"), Wait()], id="before the first token"),
            pytest.param([head(401, content_length=10), Wait()], id="in an error"),
        ],
    )
    def test_a_stop_before_the_first_token(self, upstream: Upstream, script: list[Step]) -> None:
        upstream.always(*script)
        stream = stream_of(upstream)
        reader = Reader(stream)
        upstream.wait_for_requests(1)

        stream.abort()

        assert reader.ends_within(5)
        assert upstream.client_left.wait(5)
        assert (reader.deltas, reader.failure, len(upstream.requests)) == ([], None, 1)

    def test_a_stop_between_two_tries(self, upstream: Upstream) -> None:
        upstream.always(*error(429, retry_after=9))
        stream = stream_of(upstream)
        reader = Reader(stream)
        upstream.wait_for_requests(1)

        stream.abort()

        assert reader.ends_within(5)
        assert (reader.failure, len(upstream.requests)) == (None, 1)

    def test_a_stop_before_the_start_asks_nothing(self, upstream: Upstream) -> None:
        stream = stream_of(upstream)

        stream.abort()

        assert list(stream) == []
        assert upstream.connections == 0

    def test_a_stop_while_connecting_ends_with_the_attempt(self, full_address: str) -> None:
        stream = Lockchat(full_address, connect_seconds=0.3).stream(QUESTION, "gpt-4")
        reader = Reader(stream)

        stream.abort()

        assert reader.ends_within(5)
        assert reader.failure is None

    def test_a_connection_that_comes_after_the_stop_is_cut(self) -> None:
        line = Lifeline(60)
        line.abort()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.settimeout(5)

            line.hold(ours)

            assert theirs.recv(1) == b""

    def test_a_connection_that_comes_after_the_deadline_is_cut(self) -> None:
        line = Lifeline(0.01)
        line.start("first_token_timeout", 0.01)
        assert wait_until(lambda: line.expired)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.settimeout(5)

            line.hold(ours)

            assert theirs.recv(1) == b""
        line.end()

    def test_after_a_stop_nothing_more_is_given(self, upstream: Upstream) -> None:
        upstream.always(*body(token("a") + token("b") + token("c"), Wait()))
        stream = stream_of(upstream)
        first = next(stream)

        stream.abort()

        assert (first, list(stream)) == (Delta("a"), [])
        assert upstream.client_left.wait(5)

    def test_a_stop_after_the_end_is_nothing(self, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("webapp.upstream.asking.TAIL_SECONDS", 5.0)
        client = Lockchat(upstream.url)
        stream = client.stream(QUESTION, "gpt-4")
        list(stream)

        stream.abort()
        again = list(client.stream(QUESTION, "gpt-4"))
        client.close()

        assert (len(again), upstream.connections) == (3, 1)

    def test_a_close_from_another_thread_is_a_stop(self, upstream: Upstream) -> None:
        upstream.always(Wait())
        stream = stream_of(upstream)
        reader = Reader(stream)
        upstream.wait_for_requests(1)

        stream.close()

        assert reader.ends_within(5)
        assert reader.failure is None

    def test_a_stop_ends_one_stream_of_many(self, upstream: Upstream) -> None:
        go_on = threading.Event()
        upstream.always(*body(token("a"), Wait(go_on), token("b", finish="stop")))
        client = Lockchat(upstream.url)
        streams = [client.stream(QUESTION, "gpt-4") for _ in range(5)]
        readers = [Reader(stream) for stream in streams]
        for reader in readers:
            reader.wait_for_first()

        streams[2].abort()
        go_on.set()

        assert all(reader.ends_within(5) for reader in readers)
        assert [len(reader.deltas) for reader in readers] == [3, 3, 1, 3, 3]
        client.close()


class TestDeadlines:
    @pytest.mark.parametrize(
        "script",
        [
            pytest.param([Wait()], id="no headers"),
            pytest.param([head(transfer_encoding="chunked"), Wait()], id="no token"),
            pytest.param([b"HTTP/1.1 200 OK\r\n", *drip(b"X: y\r\n")], id="dripping headers"),
            pytest.param([*body()[:1], *drip(b"0")], id="a dripping chunk size"),
            pytest.param(body(*drip(b"x")), id="a dripping line"),
        ],
    )
    def test_the_first_token_has_a_deadline(self, upstream: Upstream, script: list[Step]) -> None:
        upstream.always(*script)

        seen, failure, seconds = time_out(upstream, first_token_seconds=0.3)

        assert (seen, failure.reason, failure.code) == ([], "first_token_timeout", "timeout")
        assert 0.25 < seconds < 20
        assert len(upstream.requests) <= 1  # it may end before the upstream has read one, but there is no second try

    @in_any_framing
    @pytest.mark.parametrize("silence", [[Wait()], drip(b"d")])
    def test_silence_in_the_answer_has_a_deadline(self, upstream: Upstream, framing: str, silence: list[Step]) -> None:
        upstream.always(*body(token("a"), *silence, token("b"), framing=framing))

        seen, failure, seconds = time_out(upstream, idle_seconds=0.3)

        assert (seen, failure.reason) == ([Delta("a")], "idle_timeout")
        assert seconds < 4
        assert upstream.client_left.wait(5)

    @pytest.mark.parametrize(
        "sign",
        some(
            [
                b": OPENROUTER PROCESSING\n\n",
                token(role="assistant"),
                token(""),
                token(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]),
                event({"choices": [], "usage": None}),
            ],
            4,
        ),
        ids=["comment", "role", "empty delta", "arguments of a tool", "no choices"],
    )
    def test_any_sign_of_life_puts_the_deadlines_of_silence_off(self, upstream: Upstream, sign: bytes) -> None:
        signs = drip(sign, seconds=0.1, times=12)
        upstream.always(*body(*signs, token("a"), *signs, token("b", finish="stop")))

        seen = list(stream_of(upstream, first_token_seconds=1, idle_seconds=1))

        assert merge(seen).text == "ab"

    def test_signs_of_life_do_not_put_off_the_whole_answers_deadline(self, upstream: Upstream) -> None:
        upstream.always(*body(*drip(b": beat\n\n")))

        seen, failure, seconds = time_out(upstream, first_token_seconds=1, total_seconds=1.5)

        assert (seen, failure.reason) == ([], "total_timeout")
        assert seconds < 4

    def test_the_whole_answer_has_a_deadline(self, upstream: Upstream) -> None:
        upstream.always(*body(*drip(token("a"))))

        seen, failure, seconds = time_out(upstream, idle_seconds=2, total_seconds=1.5)

        assert failure.reason == "total_timeout"
        assert len(seen) > 3
        assert 0.4 < seconds < 4

    def test_a_slow_reader_does_not_make_the_upstream_idle(self, upstream: Upstream) -> None:
        upstream.always(*tokens("a", "b"))
        stream = stream_of(upstream, idle_seconds=0.1)

        texts = []
        for delta in stream:
            texts.append(delta.text)
            time.sleep(0.2)

        assert texts == ["a", "b", ""]

    def test_tokens_slower_than_the_first_deadline_go_on(self, upstream: Upstream) -> None:
        upstream.always(*body(*drip(token("a"), 0.25, 5), token(finish="stop")))

        deltas = list(stream_of(upstream, first_token_seconds=1, idle_seconds=1))

        assert len(deltas) == 6

    def test_connecting_has_a_deadline(self, full_address: str) -> None:
        client = Lockchat(full_address, connect_seconds=0.1, retries=1)
        started = time.monotonic()

        with pytest.raises(UpstreamError) as caught:
            list(client.stream(QUESTION, "gpt-4"))

        assert (caught.value.reason, caught.value.code) == ("connect_timeout", "timeout")
        assert 0.2 < time.monotonic() - started < 4

    def test_no_try_begins_after_the_deadline(self, upstream: Upstream) -> None:
        upstream.always(*error(503, retry_after=5))

        _, failure, seconds = time_out(upstream, first_token_seconds=3)

        assert (failure.reason, failure.retry_after, len(upstream.requests)) == ("unavailable", 5, 1)
        assert seconds < 2

    def test_a_try_shares_the_deadline_of_the_first(self, upstream: Upstream) -> None:
        upstream.answer(Wait(1.0), *error(503))
        upstream.answer(Wait())

        _, failure, seconds = time_out(upstream, first_token_seconds=2)

        assert (failure.reason, len(upstream.requests)) == ("first_token_timeout", 2)
        assert seconds < 3


class TestNothingStays:
    @pytest.mark.parametrize(
        "end",
        [
            pytest.param(lambda stream: list(stream), id="read"),
            pytest.param(lambda stream: (next(stream), stream.close()), id="closed"),
            pytest.param(lambda stream: (next(stream), stream.abort(), list(stream)), id="stopped"),
            pytest.param(lambda stream: next(stream), id="forgotten"),
            pytest.param(lambda stream: None, id="never begun"),
        ],
    )
    def test_no_thread_and_no_connection_stays(self, upstream: Upstream, end: Callable[[Stream], Any]) -> None:
        client, before = Lockchat(upstream.url), lifeline._clock._running

        end(client.stream(QUESTION, "gpt-4"))
        gc.collect()
        client.close()

        upstream.wait_for_open_connections(0)
        assert wait_until(lambda: lifeline._clock._running == before)


def time_out(upstream: Upstream, **settings: Any) -> tuple[list[Delta], UpstreamError, float]:
    """What comes, the error at its end, and how many seconds it took."""
    seen: list[Delta] = []
    started = time.monotonic()
    with pytest.raises(UpstreamError) as caught:
        seen.extend(stream_of(upstream, **settings))
    return seen, caught.value, time.monotonic() - started


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> bool:
    ends_at = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends_at:
        time.sleep(0.005)
    return condition()


class TestLifeline:
    def test_a_second_end_is_nothing(self) -> None:
        running = lifeline._clock._running
        line = Lifeline(60)
        line.start("first_token_timeout", 60)

        line.end()
        line.end()

        assert wait_until(lambda: lifeline._clock._running == running)

    @pytest.mark.parametrize("end", [Lifeline.end, Lifeline.abort])
    def test_no_deadline_passes_after_the_end(self, end: Callable[[Lifeline], None]) -> None:
        line = Lifeline(60)
        line.start("first_token_timeout", 60)
        end(line)

        line.watch("idle_timeout", -1)

        assert (line.check(), line.expired) == (None, False)
        line.end()

    def test_a_deadline_is_looked_at_when_it_is_due(self) -> None:
        looks = []

        class Watched(Lifeline):
            def check(self) -> float | None:
                looks.append(time.monotonic())
                return super().check()

        line = Watched(60)
        line.start("first_token_timeout", 0.1)

        assert wait_until(lambda: line.expired)
        line.end()
        assert len(looks) < 5

    def test_a_deadline_ends_a_sleep(self) -> None:
        line, started = Lifeline(60), time.monotonic()
        line.start("first_token_timeout", 0.01)

        line.sleep(30)
        line.end()

        assert (line.timeout, time.monotonic() - started < 20) == ("first_token_timeout", True)

    def test_a_stop_of_a_connection_that_is_closed_already_is_nothing(self) -> None:
        line, connection = Lifeline(60), socket.socket()
        connection.close()
        line.hold(connection)

        line.abort()

        assert line.aborted

    def test_one_thread_keeps_the_deadlines_of_all(self, upstream: Upstream) -> None:
        upstream.always(*body(token("a"), Wait()))
        client = Lockchat(upstream.url)
        streams = [client.stream(QUESTION, "gpt-4") for _stream in range(3)]

        for stream in streams:
            next(stream)
        is_one = wait_until(lambda: [one.name for one in threading.enumerate()].count("upstream-deadlines") == 1)
        connected = [stream.connect_seconds or -1 for stream in streams]
        for stream in streams:
            stream.close()
        client.close()

        assert is_one
        assert all(0 < seconds < 60 for seconds in connected)
