"""The worker ends in the middle of an answer: gently, for a new one, or at once."""

from __future__ import annotations

import signal
import time

import pytest

from tests.faults.drip import Drip
from tests.faults.vitals import draft_of
from tests.server import Server
from tests.upstream import tokens
from tests.visitor import text_of
from tests.wait import wait_until
from webapp.storage import Storage
from webapp.storage.migrate import _is_newest, _lock

pytestmark = pytest.mark.faults

GRACEFUL_SECONDS = 10  # gunicorn.conf.py


@pytest.fixture
def bob(open_browser, server):
    return open_browser(server)


def begun(visitor):
    """A reply that has begun, and its stream."""
    reply = visitor.new_chat("Tell me")
    events = visitor.events(reply)
    next(event for event in events if "слово1" in event.data)
    return reply, events


def refusal_of(visitor, seconds):
    """The answer page of a send that is refused."""
    answers = []

    def is_refused():
        answers.append(visitor.post_form("/conversations", text="Typed", key="k"))
        return answers[-1].status_code == 503

    wait_until(is_refused, seconds, "a refusal")
    return answers[-1]


def test_sigterm_ends_every_stream_in_good_order(
    server, alice, bob, drip, upstream, database, start_server, open_browser
):
    reply, events = begun(alice)

    signalled = time.monotonic()
    server.signal(signal.SIGTERM)
    refused = refusal_of(bob, 30)
    stopping = time.monotonic()
    end = [event.data for event in events][-1]
    seconds = time.monotonic() - stopping

    assert "The server is restarting." in text_of(refused.text)
    assert draft_of(refused.text) == "Typed"
    assert stopping - signalled < 15  # it starts no process first
    assert refused.headers["Retry-After"]
    assert '"why":"interrupted"' in end
    assert "the server restarted" in end
    assert seconds < GRACEFUL_SECONDS - 2
    bob.close()
    alice.close()
    assert server.wait() == 0
    stored = database.message(reply)
    assert (stored.status, database.piece_count()) == ("interrupted", 0)
    assert stored.text.startswith(drip.text(before=signalled))
    assert drip.text().startswith(stored.text)
    print(f"end event {seconds:.2f} s after the first refusal")


@pytest.mark.parametrize("stop", [Server.terminate, Server.interrupt])
def test_a_stop_saves_a_reply_that_nobody_watches(server, alice, drip, database, stop):
    reply = alice.new_chat("Tell me")
    wait_until(lambda: "слово30 " in alice.raw(reply), 60)
    received = alice.raw(reply)
    alice.close()

    stop(server)

    assert server.wait() == 0
    stored = database.message(reply)
    assert stored.status == "interrupted"
    assert stored.text.startswith(received)


def test_sighup_moves_to_a_new_worker_and_loses_nothing(server, alice, bob, drip, upstream, database):
    reply, events = begun(alice)
    old = server.worker()

    signalled = time.monotonic()
    server.signal(signal.SIGHUP)
    refused = refusal_of(bob, 30)  # the new code comes to life first, and upgrades the database
    stopping = time.monotonic()
    end = [event.data for event in events][-1]
    seconds = time.monotonic() - stopping

    assert '"why":"interrupted"' in end
    assert seconds < GRACEFUL_SECONDS - 2
    assert "The server is restarting." in text_of(refused.text)
    assert database.wait_for(reply, "interrupted").text.startswith(drip.text(before=signalled))
    upstream.always(*tokens("Hello"))
    bob.close()
    alice.close()
    wait_until(lambda: not old.is_running(), GRACEFUL_SECONDS + 20, "the old worker to go")
    answer = alice.post_form(f"/m/{reply}/retry", key="again")
    again = answer.headers["Location"].partition("#m-")[2]
    database.wait_for(again, "done")


@pytest.fixture
def aged(server, database_url):
    """The database of the running server, as version 0022 left it."""
    storage = Storage(database_url)
    with storage.begin() as tx:
        tx.exec_driver_sql("DROP TABLE allowed_models")
        tx.exec_driver_sql("DROP TABLE site_texts")
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '0022'")
    yield storage
    storage.close()


def test_sighup_upgrades_the_database_before_a_new_worker_starts(server, alice, aged, open_browser):
    old = server.worker()

    with _lock(aged):  # so the upgrade has to wait
        server.signal(signal.SIGHUP)
        wait_until(lambda: is_upgrading(server), 60, "the upgrade")
        assert alice.get("/healthz").text == "ok\n"
        assert old in server.workers()
    wait_until(lambda: not old.is_running(), GRACEFUL_SECONDS + 50, "the old worker to go")

    assert _is_newest(aged)
    bob = open_browser(server)
    bob.end(reply := bob.new_chat("Hello?"))
    assert bob.status(reply) == "done"


def test_a_new_worker_upgrades_an_older_database(server, aged, open_browser):
    server.replace_worker()

    bob = open_browser(server)
    assert _is_newest(aged)
    bob.end(reply := bob.new_chat("Hello?"))
    assert bob.status(reply) == "done"


def is_upgrading(server):
    """Whether the master runs the upgrade, in a process that is no worker."""
    return any("webapp.storage.migrate" in " ".join(process.cmdline()) for process in server.workers())


@pytest.fixture
def patient(start_server):
    """A server that does not judge workers by their heartbeats."""
    return start_server(app="tests.patient:app")


def test_kill_9_of_a_worker_loses_a_second_at_most_and_the_next_worker_says_so(
    patient, open_browser, drip, upstream, database
):
    alice = open_browser(patient)
    reply, events = begun(alice)
    wait_until(lambda: "слово60 " in drip.text(), 60)
    wait_until(lambda: all(is_in_step(database, reply, drip) for _ in range(5)), 60, "the worker to keep up")

    killed = time.monotonic()
    patient.replace_worker()
    safe = drip.text(before=killed - 1)
    with pytest.raises(Exception, match=r"broken|reset|closed|aborted|ended prematurely"):
        list(events)
    sent = drip.text()

    stored = database.wait_for(reply, "interrupted", 60)
    print(f"interrupted after {time.monotonic() - killed:.1f} s, lost {len(sent) - len(stored.text)}")
    assert database.piece_count() == 0
    assert stored.text.startswith(safe)
    assert sent.startswith(stored.text)
    page = wait_until(lambda: alice.get(f"/c/{alice.conversation_id}"), 60).text
    assert "data-stream=" not in page
    assert "The answer was interrupted: the server restarted." in text_of(page)
    upstream.always(*tokens("Hello"))
    answer = alice.post_form(f"/m/{reply}/retry", key="again")
    database.wait_for(answer.headers["Location"].partition("#m-")[2], "done")
    assert database.message(reply).text == stored.text


def is_in_step(database, reply, drip):
    """Whether what went out by 0.7 s ago is saved, as it is in a worker that runs; it may yet die within 0.3 s."""
    now = time.monotonic()
    return database.saved(reply).startswith(drip.text(before=now - 0.7))


def test_a_dead_worker_ends_no_reply_of_another_server_on_the_database(
    patient, start_server, open_browser, upstream, database
):
    drips = [Drip(), Drip()]
    scripts = iter(drips)
    upstream.always(lambda request: next(scripts)(request))
    alice, bob = open_browser(patient), open_browser(start_server(app="tests.patient:app"))
    dead, broken = begun(alice)
    alive, events = begun(bob)
    broken.close()

    patient.replace_worker()
    database.wait_for(dead, "interrupted", 60)
    drips[1].finish.set()
    end = [event.data for event in events][-1]

    assert '"why":"done"' in end
    assert database.message(alive).text == drips[1].text()


def test_kill_9_of_the_whole_server_is_told_within_thirty_seconds(server, alice, drip, start_server, database):
    reply, broken = begun(alice)
    broken.close()

    server.kill()
    start_server(port=server.port)
    ready = time.monotonic()
    page = alice.get(f"/c/{alice.conversation_id}").text
    end = alice.end(reply)  # a page that came back waits for it here

    seconds = time.monotonic() - ready
    print(f"interrupted {seconds:.1f} s after the new start")
    assert f'data-stream="/m/{reply}/stream"' in page
    assert seconds < 30
    assert end.get("why", "interrupted") == "interrupted"  # without an end: it has ended before
    assert database.message(reply).status == "interrupted"
    assert drip.text().startswith(database.message(reply).text)
