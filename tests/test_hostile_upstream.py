"""An upstream may say anything, of any size and speed: it holds nobody else up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.growth import seconds
from tests.samples import some
from tests.upstream import Upstream, body, error, event, head
from tests.watched_loop import WATCHED
from webapp import sse
from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat
from webapp.upstream import cleaning, failures, payloads

QUESTION = [{"role": "user", "content": "hi"}]
FLOOD_BYTES = 2**27  # more than any machine works through in a second

# One greenlet reads the answer. It has a fifth of a second of processor time at least, however busy the machine is.
READER = (
    WATCHED
    + """
from types import SimpleNamespace
from webapp import clock
from webapp.upstream import lifeline

began_at, used = time.monotonic(), time.process_time()
enough = lambda: min(time.monotonic() - began_at, 5 * (time.process_time() - used))
clock.time = lifeline.time = SimpleNamespace(monotonic=enough)

from webapp.errors import UpstreamError
from webapp.lockchat import Lockchat

reason = None
gevent.spawn(watch)
try:
    for _delta in Lockchat(sys.argv[1], total_seconds=1, retries=0).stream([{"role": "user", "content": "x"}], "m"):
        pass
except UpstreamError as error:
    reason = error.reason
gevent.sleep(0.01)
print(json.dumps([reason, max(turns), sum(turns)]))
"""
)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"\n" * 65536, id="line ends"),
        pytest.param(b":\n" * 32768, id="comments", marks=pytest.mark.long),
        pytest.param(b"data:{}\n\n" * 7281, id="events that say nothing", marks=pytest.mark.long),
        pytest.param(b'data:{"choices":[{"text":"a"}]}\n\n' * 1985, id="tokens"),
    ],
)
def test_an_upstream_that_never_pauses_leaves_the_others_their_turns(upstream: Upstream, piece: bytes) -> None:
    upstream.always(head(connection="close", content_type="text/event-stream"), *[piece] * (FLOOD_BYTES // len(piece)))

    command = [sys.executable, "-c", READER, upstream.url]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=120)
    reason, longest_turn, all_turns = json.loads(done.stdout)

    assert reason == "total_timeout"
    assert longest_turn < all_turns / 4


@pytest.mark.parametrize("said", ["model ", "model " * 30 + "x" * 200, "context ", "<", "Traceback ", "\\ud800", "é"])
def test_a_long_error_takes_no_longer_than_a_short_one(said: str) -> None:
    def fail(chars: int) -> Callable[[object], object]:
        payload = {"error": {"message": said * (chars // len(said)), "code": "x" * chars}}
        return lambda _: cleaning.clean(failures.failure_of(None, payload).detail, ("some-key-1234567",))

    assert seconds(fail(4_000_000), None, 3) < 20 * max(seconds(fail(10_000), None, 3), 0.002)


def test_of_a_long_error_both_ends_are_read() -> None:
    long = "x" * 100_000

    assert failures.failure_of(None, f"No such model. {long}").reason == "model_not_found"
    assert failures.failure_of(None, f"{long} Too many requests").reason == "rate_limited"
    assert cleaning.clean(failures.failure_of(400, f"Bad luck. {long}").detail) == "Bad luck."


@pytest.mark.parametrize(
    "values",
    ["[]", "{}", '{"a":1}', "1", "1.5e-300", '"\\ud800"'],
    ids=["lists", "empty objects", "objects", "numbers", "fractions", "halves of pairs"],
)
@pytest.mark.parametrize("last", ["1", "NaN"])
def test_json_of_very_many_values_is_not_read(values: str, last: str) -> None:
    text = f"[{','.join([values] * 400_000)},{last}]"

    assert payloads.load(text) is None
    assert payloads.load(text.encode()) is None


@pytest.mark.parametrize(("values", "is_read"), [(20_000, True), (20_001, False)])
def test_json_that_takes_long_to_parse_may_have_fewer_values(values: int, is_read: bool) -> None:
    text = "[" + "1," * (values - 1) + "NaN]"

    assert (payloads.load(text) is not None) == is_read


def test_a_long_answer_with_many_commas_is_read(upstream: Upstream) -> None:
    text = "1, 2, [3], {4}, " * 20_000
    upstream.always(*body(json.dumps({"choices": [{"text": text}]}).encode(), content_type="application/json"))
    client = Lockchat(upstream.url)

    deltas = list(client.stream(QUESTION, "gpt-4", stream=False))
    client.close()

    assert "".join(delta.text for delta in deltas) == text


@pytest.mark.parametrize("framed", [event, lambda payload: json.dumps(payload).encode()], ids=["event", "body"])
def test_an_answer_of_very_many_values_is_no_answer(upstream: Upstream, framed: Callable[[object], bytes]) -> None:
    upstream.always(*body(framed({"choices": [{"logprobs": [[]] * 230_000, "text": "a"}]})))
    client = Lockchat(upstream.url, max_answer_bytes=2**20)

    with pytest.raises(UpstreamError) as caught:
        list(client.stream(QUESTION, "gpt-4"))
    client.close()

    assert caught.value.reason == "protocol"


def test_an_error_of_megabytes_with_a_status_is_cut(upstream: Upstream) -> None:
    upstream.always(*error(400, {"error": {"message": "model " * 4_000_000}}))
    client = Lockchat(upstream.url, retries=0)

    with pytest.raises(UpstreamError) as caught:
        list(client.stream(QUESTION, "gpt-4"))
    client.close()

    assert len(caught.value.detail) <= cleaning.MAX_DETAIL_CHARS + 2


@pytest.mark.parametrize(
    "line", some([b"\r\n", b"\n", b"\r", b"data:\n\n", b":\n", b"data\n", b"id:1\n", b"retry:1\n"], 4)
)
@pytest.mark.parametrize("size", [1, 16384])
def test_the_time_of_many_short_lines_grows_as_their_number(line: bytes, size: int) -> None:
    def run(count: int) -> Callable[[object], object]:
        stream = line * count
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        return lambda _: sum(1 for _event in sse.decode(pieces))

    assert seconds(run(80_000), None, 3) < 20 * max(seconds(run(10_000), None, 3), 0.005)
