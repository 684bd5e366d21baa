"""PostgreSQL goes away and comes back: sends are refused with their text, running answers go on and are saved."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from tests import databases
from tests.faults.vitals import Vitals, send_in_vain
from tests.faults.watcher import Watcher
from tests.relay import Relay
from tests.visitor import text_of
from tests.wait import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.skipif(not databases.SERVER, reason="no PostgreSQL server is named")]

UNSAVED = "This answer could not be saved yet."


@pytest.fixture
def wire(database_url):
    """The wire to PostgreSQL."""
    with Relay(make_url(database_url).port) as wire:
        yield wire


@pytest.fixture
def server(start_server, database_url, wire):
    return start_server(DATABASE_URL=make_url(database_url).set(port=wire.port).render_as_string(hide_password=False))


def test_an_outage_refuses_sends_and_no_stream(alice, server, upstream, drip, database, wire):
    before = Vitals.of(server, upstream)
    watcher = Watcher(alice, reply := alice.new_chat("Drip"))

    wire.refuse = True
    wire.cut_all()

    send_in_vain(alice, "Typed <b>", "k")
    assert alice.get("/").status_code == 503
    watcher.goes_on()
    drip.finish.set()
    assert UNSAVED in watcher.end().data

    wire.refuse = False
    assert database.wait_for(reply, "done").text == drip.text()
    assert [row.text for row in database.all("user")] == ["Drip"]
    database.wait_for(alice.say("Typed <b>", key="k"), "done")
    assert len(upstream.requests) == 2
    before.are_back(server, upstream)


def test_a_server_that_says_nothing_refuses_sends_and_no_stream(alice, server, upstream, drip, database, wire):
    before = Vitals.of(server, upstream)
    watcher = Watcher(alice, reply := alice.new_chat("Drip"))

    wire.silence()

    assert watcher.went_on(*send_in_vain(alice, "Typed <b>", "k"))

    wire.speak()
    drip.finish.set()
    assert watcher.end().event == "end"
    assert database.wait_for(reply, "done").text == drip.text()
    database.wait_for(alice.say("Typed <b>", key="k"), "done")
    assert [row.text for row in database.all("user")] == ["Drip", "Typed <b>"]
    before.are_back(server, upstream)


def test_a_worker_begins_while_there_is_no_database(alice, server, drip, wire):
    reply = alice.new_chat("Drip")
    wire.refuse = True
    wire.cut_all()

    server.replace_worker()

    page = alice.get("/")
    assert page.status_code == 503
    assert "The database is busy." in text_of(page.text)
    wire.refuse = False
    wait_until(lambda: alice.get("/").status_code == 200, 60, "the database")
    assert alice.end(reply).get("why", "interrupted") == "interrupted"  # without an end: it has ended before
    assert alice.status(reply) == "interrupted"
