"""What other tabs and devices change is told to each open page of the same user, in every worker, at a small price."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import event

from tests.upstream import Wait, body, token
from webapp import sse
from webapp.changes import Changes, News
from webapp.chat import Conversation
from webapp.generation import Hub
from webapp.storage import changes as stored
from webapp.storage import conversations
from webapp.text import new_id
from webapp.views.changes import events

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Page:
    """An open page of a visitor; `next` is its next event that is no beat."""

    def __init__(self, visitor, since=0):
        self._answer = visitor.get(f"/changes?since={since}", stream=True)
        assert self._answer.status_code == 200, self._answer.text
        self._events = sse.decode(iter(lambda: self._answer.raw.read1(65536), b""))

    def next(self):
        return next(json.loads(one.data) for one in self._events if one.event == "changes")

    def until(self, condition):
        """The first news for which the condition holds."""
        while not condition(news := self.next()):
            pass
        return news

    def close(self):
        self._answer.close()


@pytest.fixture
def open_page():
    pages = []

    def open_page(visitor, since=0):
        pages.append(Page(visitor, since))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture
def watch(storage):
    """The changes of one worker, without its thread: the test ticks."""
    return Changes(storage, Hub(lambda text: None))


def made(user_id, title):
    return Conversation(
        id=new_id(),
        user_id=user_id,
        title=title,
        model="gpt-4",
        temperature=None,
        system="",
        leaf_id=None,
        created_at=NOW,
        updated_at=NOW,
    )


def add(storage, user_id, title="Words"):
    conversation = made(user_id, title)
    storage.run(lambda tx: conversations.add(tx, conversation))
    return conversation.id


def test_a_page_is_told_of_a_new_conversation_its_run_its_end_and_its_title(alice, upstream, open_page):
    end = threading.Event()
    upstream.answer(*body(token("one"), Wait(end), b"data: [DONE]\n\n"))
    page = open_page(alice)
    assert page.next()["running"] == []

    reply = alice.new_chat("Count for me")
    begun = page.until(lambda news: news["running"])
    end.set()
    ended = page.until(lambda news: not news["running"])
    alice.post_form(f"/c/{alice.conversation_id}/rename", title="Numbers")
    renamed = page.next()

    assert begun["running"] == [alice.conversation_id]
    assert begun["changed"] == [
        {
            "id": alice.conversation_id,
            "url": f"/c/{alice.conversation_id}",
            "title": "Count for me",
            "leaf": reply,
            "deleted": False,
        }
    ]
    assert ended["revision"] == begun["revision"]
    assert [changed["title"] for changed in renamed["changed"]] == ["Numbers"]


def test_a_beat_in_silence_is_an_event_after_which_the_stream_goes_on(site):
    with site.test_request_context("/"):
        beat, told = events(iter([None, News(7, frozenset(), [])]))

    assert beat == b"event: beat\ndata: \n\n"
    assert told.startswith(b"event: changes\ndata: {")


def test_a_page_is_told_of_deleting_and_restoring(alice, open_page):
    alice.end(alice.new_chat("Delete me"))
    page = open_page(alice)
    page.next()

    alice.post_form(f"/c/{alice.conversation_id}/delete")
    deleted = page.next()["changed"]
    alice.post_form(f"/c/{alice.conversation_id}/restore")
    restored = page.next()["changed"]

    assert [[one["deleted"] for one in told] for told in (deleted, restored)] == [[True], [False]]


def test_a_page_is_told_what_changed_since_it_was_made_and_nothing_older(alice, open_page):
    alice.end(alice.new_chat("Old"))
    page = alice.get("/").text
    since = int(page.partition("/changes?since=")[2].partition('"')[0])
    assert open_page(alice, since).next()["changed"] == []

    alice.end(alice.new_chat("New"))

    assert [one["title"] for one in open_page(alice, since).next()["changed"]] == ["New"]


def test_a_page_is_told_nothing_of_others(alice, bob, upstream, open_page):
    upstream.always(*body(token("one"), Wait()))
    page = open_page(bob)
    page.next()

    alice.new_chat("Secret")
    alice.post_form(f"/c/{alice.conversation_id}/rename", title="More secret")
    bob.new_chat("Mine")
    told = page.until(lambda news: news["running"])

    assert [one["title"] for one in told["changed"]] == ["Mine"]
    assert told["running"] == [bob.conversation_id]


def test_another_worker_tells_it_too(make_site, make_visitor, upstream, open_page):
    upstream.always(*body(token("one"), Wait()))
    alice = make_visitor()
    page = open_page(alice)
    page.next()
    alice.base_url = make_site().extensions["url"]  # the same database

    alice.new_chat("Over there")

    assert page.until(lambda news: news["running"])["running"] == [alice.conversation_id]


def test_each_change_of_a_conversation_has_the_next_number(storage):
    one, other = add(storage, "alice"), add(storage, "alice")
    add(storage, "bob")

    def told(revision):
        with storage.read() as tx:
            return [(changed.id, changed.title) for changed in stored.since(tx, "alice", revision)]

    storage.run(lambda tx: conversations.change(tx, "alice", one, title="Another"))
    storage.run(lambda tx: conversations.better_title(tx, other, "Words", "Better"))
    storage.run(lambda tx: conversations.change(tx, "bob", one, title="Not his"))

    assert told(0) == told(1) == [(one, "Another"), (other, "Better")]
    assert told(3) == [(other, "Better")]
    assert told(4) == []


def test_an_import_is_told_when_it_is_complete(storage):
    hidden = made("alice", "Imported")
    storage.run(lambda tx: conversations.add(tx, hidden, deleted_at=NOW))
    with storage.read() as tx:
        assert stored.since(tx, "alice", 0) == []

    storage.run(lambda tx: conversations.reveal(tx, "alice", NOW))

    with storage.read() as tx:
        assert [changed.id for changed in stored.since(tx, "alice", 0)] == [hidden.id]


def test_one_query_a_tick_serves_all_pages_and_none_is_made_without_pages(storage, watch):
    users = [f"user {number}" for number in range(100)]
    for user_id in users:
        add(storage, user_id)
    pages = [watch.follow(user_id) for user_id in users for _ in range(3)]
    for page in pages:
        next(page)
    queries = count_queries(storage)

    watch.tick()
    assert len(queries) == 1

    for page in pages:
        page.close()
    watch.tick()
    assert len(queries) == 1


def count_queries(storage):
    """The SELECT statements from now on."""
    queries = []

    def note(connection, cursor, statement, *rest):
        if "SELECT" in statement and "sqlite_schema" not in statement:
            queries.append(statement)

    event.listen(storage._cheap, "before_cursor_execute", note)
    return queries


def test_the_query_reads_indexes_only(storage):
    if not storage.is_sqlite:
        pytest.skip("PostgreSQL reads small tables whole")
    queries = count_queries(storage)
    with storage.read() as tx:
        stored.states(tx, ["alice", "bob"])
        stored.since(tx, "alice", 3)
        plans = [
            row[3]
            for query in queries
            for row in tx.connection.execute(f"EXPLAIN QUERY PLAN {query}", ["x"] * query.count("?"))
        ]

    assert [plan.partition(" USING ")[2].split(" (")[0] for plan in plans if " USING " in plan] == [
        "INDEX sqlite_autoindex_users_1",
        "INDEX ix_messages_streaming",
        "INDEX sqlite_autoindex_conversations_1",
        "INDEX ix_conversations_user_id_revision",
    ]


def test_a_tick_without_news_wakes_nobody(storage, watch):
    add(storage, "alice")
    pages = [watch.follow("alice", 0) for _ in range(3)]
    assert [len(next(page).changed) for page in pages] == [1, 1, 1]
    queries = count_queries(storage)

    watch.tick()
    watch.tick()
    assert len(queries) == 2

    add(storage, "alice")
    watch.tick()
    assert [len(next(page).changed) for page in pages] == [1, 1, 1]


def test_pages_end_with_the_worker(storage, watch):
    watch.start()
    page = watch.follow("alice")
    assert next(page).running == frozenset()

    watch.close()

    assert list(page) in ([], [None])


def test_too_many_open_pages_are_refused_and_replies_go_on(make_visitor, open_page):
    alice = make_visitor(streams_per_user=2)
    alice.get("/")
    pages = [open_page(alice) for _ in range(2)]

    refused = alice.get("/changes")
    reply = alice.new_chat("Hello")
    alice.end(reply)

    assert refused.status_code == 503
    assert alice.status(reply) == "done"
    assert pages[0].until(lambda news: news["changed"])


def test_a_stream_of_changes_is_neither_buffered_nor_compressed(alice, open_page):
    alice.get("/")
    with alice.get("/changes", stream=True) as answer:
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["Cache-Control"] == "no-store, no-transform"
        assert "Content-Encoding" not in answer.headers
