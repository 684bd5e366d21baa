"""Two transactions in each other's way: the database ends one of them, which is tried once more."""

from __future__ import annotations

import re
import threading

import pytest
from sqlalchemy import event, text

from tests.upstream import Wait, body, token
from tests.wait import wait_until
from webapp.errors import StorageUnavailable

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
LOCK = re.compile(r"\s(ORDER BY \S+\s+)?FOR (NO KEY )?UPDATE.*")


@pytest.fixture
def storage(site):
    storage = site.extensions["lockchat"].storage
    if storage.is_sqlite:
        pytest.skip("SQLite lets one writer in at a time")
    return storage


def waiting(storage) -> int:
    with storage.read() as tx:
        return tx.execute(text(WAITING)).scalar_one()


def test_a_send_in_a_deadlock_is_tried_once_more(storage, alice, upstream):
    first = alice.new_chat("One")
    alice.end(first)
    answers = []
    send = threading.Thread(
        target=lambda: answers.append(alice.post_form(f"/c/{alice.conversation_id}/messages", text="Two", key="k"))
    )

    with storage.begin() as tx:  # claims the key before the send, and locks the conversation after it
        tx.execute(text("SET LOCAL deadlock_timeout = '1min'"))  # so that the send is the one to be ended
        tx.execute(
            text("INSERT INTO sends (user_id, key, reply_id) SELECT user_id, 'k', :reply FROM conversations"),
            {"reply": first},
        )
        send.start()
        wait_until(lambda: waiting(storage) == 1, 20)
        tx.execute(text("SELECT id FROM conversations FOR UPDATE"))
        tx.rollback()
    send.join()

    assert [answer.status_code for answer in answers] == [303]
    alice.end(alice.reply_of(answers[0]))
    assert [one["content"] for one in upstream.requests[-1].json["messages"]] == ["One", "Hello world", "Two"]
    with storage.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM messages")).scalar() == 4


def failing(state: str, times: int, tries: list[int]):
    """The work of a transaction that PostgreSQL ends with this state, so many times."""

    def work(tx) -> str:
        tries.append(len(tries))
        if len(tries) <= times:
            tx.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"))
        return "done"

    return work


@pytest.mark.parametrize("state", ["40P01", "40001"])
def test_a_conflict_is_tried_once_more(storage, state):
    assert storage.run(failing(state, 1, [])) == "done"


@pytest.mark.parametrize(("state", "most"), [("40P01", 2), ("40001", 2), ("57014", 1)])
def test_a_second_conflict_and_another_failure_are_said_to_the_user(storage, state, most):
    tries: list[int] = []

    with pytest.raises(StorageUnavailable, match="busy"):
        storage.run(failing(state, 9, tries))

    assert len(tries) == most


def post_at_once(storage, visitor, step: str, *texts: str) -> list[int]:
    """Post these texts, each in a thread, to a conversation that is locked until all wait; the statuses."""
    statuses: list[int] = []
    place = f"/c/{visitor.conversation_id}/{step}"
    threads = [
        threading.Thread(target=lambda said=said: statuses.append(visitor.post_form(place, text=said).status_code))
        for said in texts
    ]
    with storage.begin() as tx:
        tx.execute(text("SELECT id FROM conversations FOR UPDATE"))
        for thread in threads:
            thread.start()
        wait_until(lambda: waiting(storage) == len(texts), 20)
    for thread in threads:
        thread.join()
    return sorted(statuses)


def test_of_two_messages_that_come_at_once_one_waits_and_one_is_given_back(storage, alice, upstream):
    upstream.answer(*body(token("Half"), Wait()))
    reply = alice.new_chat("One")

    assert post_at_once(storage, alice, "queue", "Two", "Three") == [303, 409]

    alice.stop(reply)


def test_of_two_messages_that_are_sent_at_once_one_follows_the_other(storage, alice):
    alice.end(alice.new_chat("One"))

    assert post_at_once(storage, alice, "messages", "Two", "Three") == [303, 303]

    with storage.read() as tx:
        query = text("SELECT count(*), count(DISTINCT parent_id) FROM messages WHERE parent_id IS NOT NULL")
        assert tuple(tx.execute(query).one()) == (5, 5)


def test_what_is_read_to_be_changed_is_locked_first(storage, alice, upstream):
    seen: list[str] = []
    for engine in (storage._durable, storage._cheap):
        event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))

    def locks() -> list[str]:
        """The ends of the statements that lock rows since the last call, without their conditions."""
        found = [one.rpartition("FROM ")[2].split()[0] + lock[0] for one in seen if (lock := LOCK.search(one))]
        seen.clear()
        return [" ".join(one.split()) for one in found]

    alice.end(alice.new_chat("One"))
    assert locks() == ["messages ORDER BY messages.id FOR NO KEY UPDATE OF messages"]
    page = alice.page(alice.conversation_id)
    question, reply = re.findall(r'id="m-([^"]+)"', page)
    for step, fields in (
        (f"/c/{alice.conversation_id}/messages", {"text": "Two"}),
        (f"/m/{reply}/retry", {}),
        (f"/m/{question}/edit", {"text": "Zwei"}),
    ):
        end = threading.Event()
        upstream.answer(*body(Wait(end), token("Hello"), b"data: [DONE]\n\n"))
        begun = alice.reply_of(alice.post_form(step, **fields))
        assert locks() == ["conversations FOR UPDATE"]
        end.set()
        alice.end(begun)
        locks()
    alice.post_form(f"/c/{alice.conversation_id}/delete")
    alice.get(f"/?deleted={alice.conversation_id}")
    assert locks() == []
    alice.post_form(f"/c/{alice.conversation_id}/restore")
    assert locks() == ["conversations FOR UPDATE"]
