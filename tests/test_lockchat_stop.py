"""A Stop and the four deadlines end an answer in any phase, at once, and leave nothing behind."""

from __future__ import annotations

import gc
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from tests.samples import some
from tests.upstream import FRAMINGS, Request, Step, Upstream, Wait, body, chunk, error, event, head, token, tokens
from tests.wait import wait_until
from webapp.chat import Delta, merge
from webapp.clock import Clock
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


class Time:
    """The time of the deadlines, which goes on only where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def pass_for(self, stream: Stream, seconds: float) -> None:
        """Have this time pass, then look whether a deadline of the stream has passed, as their clock does."""
        self.now += seconds
        stream._line.check()

    def pieces(self, stream: Stream, seconds: float, *pieces: bytes) -> Iterator[Step]:
        """An answer of these pieces, with this time before each, to a deadline. Each has to end the silence."""
        yield body()[0]
        for piece in pieces:
            self.pass_for(stream, seconds)
            if stream._line.expired:
                return
            yield chunk(piece)
            wait_until(lambda: stream._line._since == self.now, 20, "the silence to begin anew")
        yield chunk(b"")


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Time:
    """No time passes for the deadlines by itself."""
    frozen = Time()
    monkeypatch.setattr(lifeline, "time", SimpleNamespace(monotonic=lambda: frozen.now))
    monkeypatch.setattr(lifeline, "_clock", Mock())
    return frozen


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
        assert self._first.wait(20)

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

        assert reader.ends_within(20)
        assert upstream.client_left.wait(20)
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

        assert reader.ends_within(20)
        assert upstream.client_left.wait(20)
        assert (reader.deltas, reader.failure, len(upstream.requests)) == ([], None, 1)

    def test_a_stop_between_two_tries(self, upstream: Upstream) -> None:
        upstream.always(*error(429, retry_after=9))
        stream = stream_of(upstream)
        reader = Reader(stream)
        upstream.wait_for_requests(1)

        stream.abort()

        assert reader.ends_within(20)
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

        assert reader.ends_within(20)
        assert reader.failure is None

    def test_a_connection_that_comes_after_the_stop_is_cut(self) -> None:
        line = Lifeline(60)
        line.abort()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.settimeout(20)

            line.hold(ours)

            assert theirs.recv(1) == b""

    def test_a_connection_that_comes_after_the_deadline_is_cut(self) -> None:
        line = Lifeline(0.01)
        line.start("first_token_timeout", 0.01)
        wait_until(lambda: line.expired, 20)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.settimeout(20)

            line.hold(ours)

            assert theirs.recv(1) == b""
        line.end()

    def test_after_a_stop_nothing_more_is_given(self, upstream: Upstream) -> None:
        upstream.always(*body(token("a") + token("b") + token("c"), Wait()))
        stream = stream_of(upstream)
        first = next(stream)

        stream.abort()

        assert (first, list(stream)) == (Delta("a"), [])
        assert upstream.client_left.wait(20)

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

        assert reader.ends_within(20)
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

        assert all(reader.ends_within(20) for reader in readers)
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
        assert seconds < 20
        assert upstream.client_left.wait(20)

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
    def test_any_sign_of_life_puts_the_deadlines_of_silence_off(
        self, upstream: Upstream, frozen: Time, sign: bytes
    ) -> None:
        stream = stream_of(upstream, first_token_seconds=1, idle_seconds=1)
        pieces = [*[sign] * 3, token("a"), *[sign] * 3, token("b")]
        upstream.always(lambda request: frozen.pieces(stream, 0.6, *pieces, b"data: [DONE]\n\n"))

        assert merge(list(stream)).text == "ab"

    def test_signs_of_life_do_not_put_off_the_whole_answers_deadline(self, upstream: Upstream) -> None:
        upstream.always(*body(*drip(b": beat\n\n")))

        seen, failure, seconds = time_out(upstream, first_token_seconds=60, total_seconds=1)

        assert (seen, failure.reason) == ([], "total_timeout")
        assert seconds < 20

    def test_the_whole_answer_has_a_deadline(self, upstream: Upstream) -> None:
        upstream.always(*body(*drip(token("a"))))

        seen, failure, seconds = time_out(upstream, idle_seconds=60, total_seconds=1)

        assert failure.reason == "total_timeout"
        assert set(seen) <= {Delta("a")}
        assert 0.4 < seconds < 20

    def test_tokens_do_not_put_off_the_whole_answers_deadline(self, upstream: Upstream, frozen: Time) -> None:
        stream = stream_of(upstream, first_token_seconds=60, idle_seconds=60, total_seconds=100)
        upstream.always(lambda request: frozen.pieces(stream, 30, *[token("a")] * 4))
        seen: list[Delta] = []

        with pytest.raises(UpstreamError) as caught:
            seen.extend(stream)

        assert (seen, caught.value.reason) == ([Delta("a")] * 3, "total_timeout")

    def test_a_slow_reader_does_not_make_the_upstream_idle(self, upstream: Upstream, frozen: Time) -> None:
        upstream.always(*tokens("a", "b"))
        stream = stream_of(upstream, idle_seconds=1)

        texts = []
        for delta in stream:
            texts.append(delta.text)
            frozen.pass_for(stream, 10)

        assert (texts, stream._line.expired) == (["a", "b", ""], False)

    def test_tokens_slower_than_the_first_deadline_go_on(self, upstream: Upstream, frozen: Time) -> None:
        stream = stream_of(upstream, first_token_seconds=1, idle_seconds=60)
        seen: list[Delta] = []

        def answer(request: Request) -> Iterator[Step]:
            yield body()[0]
            for number in range(1, 4):
                yield chunk(token("a"))
                wait_until(partial(waits_after, number), 20, "the reader to wait for the next one")
                frozen.pass_for(stream, 10)
            yield from [chunk(token(finish="stop")), chunk(b"")]

        def waits_after(number: int) -> bool:
            return len(seen) == number and stream._line._since is not None

        upstream.always(answer)
        seen.extend(stream)

        assert len(seen) == 4

    def test_connecting_has_a_deadline(self, full_address: str) -> None:
        client = Lockchat(full_address, connect_seconds=0.1, retries=1)
        started = time.monotonic()

        with pytest.raises(UpstreamError) as caught:
            list(client.stream(QUESTION, "gpt-4"))

        assert (caught.value.reason, caught.value.code) == ("connect_timeout", "timeout")
        assert 0.2 < time.monotonic() - started < 20

    def test_no_try_begins_after_the_deadline(self, upstream: Upstream) -> None:
        upstream.always(*error(503, retry_after=61))

        _, failure, seconds = time_out(upstream, first_token_seconds=60)

        assert (failure.reason, failure.retry_after, len(upstream.requests)) == ("unavailable", 61, 1)
        assert seconds < 20

    def test_a_try_shares_the_deadline_of_the_first(self, upstream: Upstream, frozen: Time) -> None:
        stream = stream_of(upstream, first_token_seconds=60)

        def answer(request: Request) -> Iterator[Step]:
            frozen.pass_for(stream, 40)
            yield from error(503) if len(upstream.requests) == 1 else [Wait()]

        upstream.always(answer)

        with pytest.raises(UpstreamError) as caught:
            list(stream)

        assert (caught.value.reason, len(upstream.requests)) == ("first_token_timeout", 2)


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
    def test_no_deadline_and_no_connection_stays(self, upstream: Upstream, end: Callable[[Stream], Any]) -> None:
        client = Lockchat(upstream.url)
        stream = client.stream(QUESTION, "gpt-4")
        line = stream._line

        end(stream)
        del stream
        gc.collect()
        client.close()

        upstream.wait_for_open_connections(0)
        assert line._over or line._started_at == math.inf

    def test_no_thread_stays_when_all_deadlines_have_ended(self) -> None:
        clock = Clock("only-here")

        clock.begin()
        clock.begin()
        [thread] = [one for one in threading.enumerate() if one.name == "only-here"]
        clock.end()
        clock.end()

        wait_until(lambda: not thread.is_alive(), 20, "the thread to end")


def time_out(upstream: Upstream, **settings: Any) -> tuple[list[Delta], UpstreamError, float]:
    """What comes, the error at its end, and how many seconds it took."""
    seen: list[Delta] = []
    started = time.monotonic()
    with pytest.raises(UpstreamError) as caught:
        seen.extend(stream_of(upstream, **settings))
    return seen, caught.value, time.monotonic() - started


class TestLifeline:
    @pytest.mark.usefixtures("frozen")
    def test_a_second_end_is_nothing(self) -> None:
        line = Lifeline(60)
        line.start("first_token_timeout", 60)

        line.end()
        line.end()

        assert lifeline._clock.end.call_count == 1  # type: ignore[attr-defined]

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

        wait_until(lambda: line.expired, 20)
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
        wait_until(lambda: [one.name for one in threading.enumerate()].count("upstream-deadlines") == 1, 20)
        connected = [stream.connect_seconds or -1 for stream in streams]
        for stream in streams:
            stream.close()
        client.close()

        assert all(0 < seconds < 60 for seconds in connected)
