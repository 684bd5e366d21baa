"""What the pulse saves when the database does not say whether it has saved."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from tests.upstream import Wait, body, token
from tests.wait import wait_until
from webapp.errors import StorageUnavailable
from webapp.storage.schema import pieces


@pytest.fixture
def storage(site):
    return site.extensions["lockchat"].storage


@pytest.fixture
def saved(storage):
    """The text in the database of the reply that runs."""

    def saved():
        with storage.read() as tx:
            return "".join(tx.scalars(select(pieces.c.text).order_by(pieces.c.number)))

    return saved


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_commit_that_nobody_acknowledged_loses_and_doubles_nothing(
    alice, storage, upstream, saved, monkeypatch, is_stored
):
    steps = [threading.Event() for _ in range(3)]
    parts = [part for number, step in enumerate(steps) for part in (token(f"{number} "), Wait(step))]
    upstream.answer(*body(*parts, b"data: [DONE]\n\n"))
    begin, failed = storage.begin, []

    @contextmanager
    def begin_in_doubt(**options):
        with begin(**options) as tx:
            yield tx
            if not is_stored:
                tx.rollback()
        failed.append(True)
        raise StorageUnavailable("?")

    reply = alice.new_chat("Count")
    wait_until(lambda: saved() == "0 ", 15)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "begin", begin_in_doubt)
        steps[0].set()
        wait_until(lambda: len(failed) > 2, 15, "failures")

    steps[1].set()
    wait_until(lambda: saved() == "0 1 2 ", 15)
    events = alice.events(reply)
    next(events)  # a stream that is opened after the end has no `end` event
    steps[2].set()
    assert json.loads([*events][-1].data)["why"] == "done"
    assert alice.raw(reply) == "0 1 2 "
