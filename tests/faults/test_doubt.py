"""A worker and the database disagree about what runs: the truth is told, no word is lost, nothing runs for ever."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from tests.faults.vitals import Vitals, running_replies
from tests.faults.watcher import Watcher
from tests.upstream import tokens
from tests.wait import wait_until
from webapp.storage import Storage, messages
from webapp.storage.schema import messages as rows

pytestmark = pytest.mark.faults


@pytest.fixture
def storage(database_url, server):
    """What another worker would use."""
    storage = Storage(database_url)
    yield storage
    storage.close()


def test_a_reply_that_was_stored_and_never_began_is_interrupted(alice, server, storage, upstream, database):
    """A send whose commit was not acknowledged: its worker does not know that it has to begin."""
    reply = alice.new_chat("Hello")
    database.wait_for(reply, "done")
    wait_until(lambda: running_replies(server) == 0, 60, "the worker to forget it")
    with storage.begin() as tx:
        tx.execute(update(rows).where(rows.c.id == reply).values(status="streaming", text=""))

    assert alice.end(reply).get("why", "interrupted") == "interrupted"  # without an end: it has ended before
    assert database.message(reply).status == "interrupted"

    upstream.always(*tokens("Again"))
    again = alice.reply_of(alice.post_form(f"/m/{reply}/retry", key="again"))
    assert database.wait_for(again, "done").text == "Again"


def test_a_reply_that_was_buried_ends_with_all_its_words(alice, server, drip, storage, upstream, database):
    """Its worker stood still for so long that another one declared it dead; then it went on."""
    before = Vitals.of(server, upstream)
    watcher = Watcher(alice, reply := alice.new_chat("Drip"))
    wait_until(lambda: "слово20 " in alice.raw(reply), 60)

    with storage.begin() as tx:
        messages.interrupt(tx, [reply])

    assert '"why":"interrupted"' in watcher.end().data
    assert upstream.client_left.wait(30)
    stored = database.wait_for(reply, "interrupted")
    assert "слово20 " in stored.text
    assert drip.text().startswith(stored.text)
    assert database.piece_count() == 0
    before.are_back(server, upstream)
