"""The API under the real gunicorn: clients that leave or do not read, owners who are disabled in another worker."""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager

import openai
import pytest

from tests.team import PASSWORD, links
from tests.test_keys import make_key
from tests.upstream import Wait, body, event, token
from tests.visitor import Visitor
from tests.wait import wait_until
from webapp.invites import SERVER, Invites
from webapp.passwords import Passwords
from webapp.storage import Storage

pytestmark = pytest.mark.faults

HELLO = [{"role": "user", "content": "Hello?"}]
LARGE = "x" * 16_384


@pytest.fixture
def server(start_server):
    return start_server(LOGIN="password", API=1, MODELS="gpt-4", RETRIES=0, MAX_ANSWER_BYTES=2**30, workers=2)


@pytest.fixture
def join(server, database_url):
    storage = Storage(database_url)
    invites, visitors = Invites(storage, Passwords(), "password"), []

    def join(name, role="member"):
        visitors.append(Visitor(server.url))
        answer = visitors[-1].post_form(f"/invite/{invites.make(SERVER, role)}", name=name, password=PASSWORD)
        assert answer.status_code == 303
        return visitors[-1]

    yield join
    for visitor in visitors:
        visitor.close()
    storage.close()


@pytest.fixture
def key(join):
    return make_key(join("Alice"))


@pytest.fixture
def client(server, key):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=30) as client:
        yield client


def ask(client, **fields):
    return client.chat.completions.create(model="gpt-4", messages=HELLO, **fields)


def test_the_client_works_and_the_first_token_does_not_wait(client, upstream):
    upstream.answer(*body(token("Hel"), Wait()))

    stream = ask(client, stream=True)
    assert next(iter(stream)).choices[0].delta.content == "Hel"  # the upstream says no more
    stream.close()

    assert upstream.client_left.wait(30)
    assert ask(client).choices[0].message.content == "Hello world"


@contextmanager
def asking(server, key, stream):
    """Ask as a client that never reads, and leaves in the end."""
    payload = json.dumps({"model": "gpt-4", "messages": HELLO, "stream": stream}).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (key.encode(), len(payload), payload)
        )
        yield


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_gives_up_waiting_stops_the_upstream(server, key, upstream, stream):
    upstream.answer(Wait())

    with asking(server, key, stream):
        upstream.wait_for_requests(1)

    assert upstream.client_left.wait(30)


def test_a_user_who_is_disabled_gets_no_more_of_running_answers(client, upstream, join):
    upstream.answer(*body(token("Hel"), Wait()))
    stream = iter(ask(client, stream=True))
    next(stream)

    carol = join("Carol", "admin")
    [path] = links(carol.get("/admin/users").text, "/admin/users/[0-9a-f-]{36}/disable")[:1]
    assert carol.post_form(path).status_code == 303

    assert upstream.client_left.wait(30)
    with pytest.raises(openai.APIConnectionError):
        next(stream)
    with pytest.raises(openai.AuthenticationError):
        ask(client)


def test_a_client_that_does_not_read_makes_the_upstream_wait(server, key, upstream):
    sent = []

    def flood(_request):
        yield from body(token(LARGE))[:2]
        for _number in range(4000):  # 64 MB
            sent.append(1)
            yield body(token(LARGE))[1]

    upstream.always(flood)
    before = [worker.memory_info().rss for worker in server.workers()]
    with asking(server, key, stream=True):
        upstream.wait_for_requests(1)
        still(sent)
        after = [worker.memory_info().rss for worker in server.workers()]

    assert 0 < len(sent) < 2000
    assert max(new - old for new, old in zip(after, before, strict=True)) < 24 * 2**20
    assert upstream.client_left.wait(30)


def still(counted):
    """Wait until nothing has been added for a second."""
    seen, since = -1, time.monotonic()

    def is_still():
        nonlocal seen, since
        if len(counted) != seen:
            seen, since = len(counted), time.monotonic()
        return seen > 0 and time.monotonic() - since > 1

    wait_until(is_still, 30, "the upstream to wait")


def test_many_events_in_one_packet_all_arrive_in_order(client, upstream):
    events = [event({"choices": [{"index": 0, "delta": {"content": f"{number} "}}]}) for number in range(3000)]
    upstream.answer(*body(b"".join(events), token(finish="stop"), b"data: [DONE]\n\n"))

    text = "".join(chunk.choices[0].delta.content or "" for chunk in ask(client, stream=True))

    assert text.split() == [str(number) for number in range(3000)]
