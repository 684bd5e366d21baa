"""Long conversations: sends, pages and steps between branches read what they need, and others have their turn."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import event, select, update

from tests.test_transfer import chatgpt, exported, import_file, place_of
from tests.upstream import tokens
from tests.visitor import text_of
from webapp import history
from webapp.conversations import LAST_MESSAGES, PAGE_CHARS, PAGE_MESSAGES
from webapp.storage import branches
from webapp.storage.schema import messages

__all__ = ["import_file"]

LENGTH = 2 * branches.STEPS + 500


@pytest.fixture
def make_long(alice, import_file):
    """Import a conversation of so many messages with these texts, `{}` is the number; it is Alice's last one used."""

    def make_long(length: int = LENGTH, text: str = "Message {}.") -> None:
        nodes = [
            (str(n), str(n - 1) if n else None, ("user", "assistant")[n % 2], text.replace("{}", str(n)), {})
            for n in range(length)
        ]
        alice.conversation_id = place_of(import_file(json.dumps(chatgpt(*nodes))))

    return make_long


BACKGROUND = ["pulse", "queue", "upkeep", "changes", "typesetter", "openings"]


@contextmanager
def statements(engine):
    """The statements that an engine executes meanwhile, without those of the background."""
    seen: list[str] = []

    def see(connection, cursor, statement, *_):
        if threading.current_thread().name not in BACKGROUND:
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", see)
    yield seen
    event.remove(engine, "before_cursor_execute", see)


@pytest.mark.usefixtures("site")
def test_the_background_has_these_names():
    assert set(BACKGROUND) <= {thread.name for thread in threading.enumerate()}


def ids_of(page: str) -> list[str]:
    return re.findall(r'<article class="[^"]*" id="m-([0-9a-f-]+)"', page)


def link_of(page: str, words: str) -> str:
    """Where the button with these words leads; "" where there is none."""
    found = re.search(rf'<p class="earlier"><a class="button" href="([^"#]*)[^"]*">[\d,]* {words}', page)
    return found[1] if found else ""


def walk(visitor, start: str, words: str) -> list[list[str]]:
    """The ids on each page from `start` on, following the button with these words."""
    pages, query = [], start
    while True:
        page = visitor.get(f"/c/{visitor.conversation_id}{query}").text
        pages.append(ids_of(page))
        query = link_of(page, words)
        if not query:
            return pages


# What is sent


def test_a_send_into_a_long_conversation_brings_all_of_it(alice, upstream, make_long):
    make_long()

    alice.end(alice.say("The last one"))

    sent = [one["content"] for one in upstream.requests[-1].json["messages"]]
    assert sent == [f"Message {n}." for n in range(LENGTH)] + ["The last one"]


def test_the_history_is_read_before_the_write_transaction(alice, site, make_long):
    make_long(40)
    storage = site.extensions["lockchat"].storage

    with statements(storage._durable) as writing, statements(storage._cheap) as reading:
        alice.say("The last one", parent="")

    assert not [statement for statement in writing if "RECURSIVE" in statement]
    [history] = [statement for statement in reading if "RECURSIVE" in statement]
    assert "html" not in history
    assert "thought" not in history


def test_one_step_of_the_history_is_as_long_in_a_conversation_of_any_length(alice, site, make_long):
    counts = []
    for length in (200, 2 * branches.STEPS):
        make_long(length)
        storage = site.extensions["lockchat"].storage
        with statements(storage._cheap) as reading:
            alice.end(alice.say("Hi"))
        counts.append(sum("RECURSIVE" in statement for statement in reading))

    assert counts == [1, 2]


def test_a_conversation_that_no_model_reads_is_refused_with_a_sentence(alice, upstream, make_long, monkeypatch):
    monkeypatch.setattr(history, "HISTORY_CHARS", 10_000)
    make_long(400)

    answer = alice.post_form(f"/c/{alice.conversation_id}/messages", text="Typed <words>")

    assert answer.status_code == 413
    assert "This conversation is too long to be sent: 10,000 characters are allowed." in text_of(answer.text)
    assert "Typed &lt;words&gt;</textarea>" in answer.text
    assert upstream.requests == []
    assert len(exported(alice)["messages"]) == 400


def test_an_earlier_message_of_a_conversation_that_is_too_long_can_be_edited(alice, upstream, make_long, monkeypatch):
    monkeypatch.setattr(history, "HISTORY_CHARS", 10_000)
    make_long(400)
    question = exported(alice)["messages"][2]["id"]

    answer = alice.post_form(f"/m/{question}/edit", text="Other words")

    alice.end(alice.reply_of(answer))
    sent = [one["content"] for one in upstream.requests[-1].json["messages"]]
    assert sent == ["Message 0.", "Message 1.", "Other words"]


def test_running_sends_share_the_memory_for_histories(alice, upstream, make_long, site):
    make_long(40, "word " * 1000)
    limits = site.extensions["lockchat"].turns._limits
    reply = alice.say("Hi", key="k")
    alice.end(reply)

    assert alice.say("Hi", key="k") == reply
    assert limits.histories.count() == 0
    limits.histories._per_user = 100_000
    refused = alice.post_form(f"/c/{alice.conversation_id}/messages", text="Typed <words>")

    assert refused.status_code == 503
    assert "Typed &lt;words&gt;</textarea>" in refused.text
    assert limits.replies.count() == 0


# Branches


def test_retry_and_select_find_their_way_in_a_long_conversation(alice, upstream, make_long):
    make_long()
    ids = [one["id"] for one in exported(alice)["messages"]]
    upstream.answer(*tokens("Another start"))
    alice.end(alice.reply_of(alice.post_form(f"/m/{ids[1]}/retry")))
    assert "Another start" in text_of(alice.page())
    assert "2/2" in text_of(alice.page())

    alice.post_form(f"/m/{ids[1]}/select")

    assert ids_of(alice.page()) == ids[-LAST_MESSAGES:]


# Pages


def test_a_page_holds_a_bounded_number_of_messages(alice, make_long):
    make_long(1000)
    ids = [one["id"] for one in exported(alice)["messages"]]

    pages = [alice.get(f"/c/{alice.conversation_id}?{query}").text for query in ("last=20000", f"at={ids[1]}")]

    assert ids_of(pages[0]) == ids[-PAGE_MESSAGES:]
    assert ids_of(pages[1]) == ids[1 : 1 + PAGE_MESSAGES]
    assert "1 earlier message" in text_of(pages[1])
    assert f"{999 - PAGE_MESSAGES} later messages" in text_of(pages[1])


def test_a_page_of_many_messages_takes_no_more_queries_than_one_of_two(site, alice, make_long):
    storage, counts = site.extensions["lockchat"].storage, []
    for length in (2, LAST_MESSAGES):
        make_long(length)
        with statements(storage._cheap) as seen:
            assert len(ids_of(alice.page())) == length
        counts.append(len(seen))

    assert counts[0] == counts[1] <= 19


def test_every_message_is_reached_by_links(alice, make_long):
    make_long(1000)
    ids = [one["id"] for one in exported(alice)["messages"]]

    back, forth = walk(alice, "", "earlier"), walk(alice, f"?at={ids[0]}", "later")

    assert set().union(*back) == set(ids)
    assert set().union(*forth) == set(ids)


def test_a_page_holds_a_bounded_number_of_characters(alice, make_long):
    make_long(30, "{} " + "word " * 20_000)
    ids = [one["id"] for one in exported(alice)["messages"]]

    page, first = alice.page(), alice.get(f"/c/{alice.conversation_id}?at={ids[0]}").text

    assert len(page) < 1.2 * PAGE_CHARS
    assert len(first) < 1.2 * PAGE_CHARS
    assert ids_of(page) == ids[-len(ids_of(page)) :]
    assert ids_of(first) == ids[: len(ids_of(first))]
    back = [one for page in walk(alice, "", "earlier")[::-1] for one in page]
    assert back == ids


def test_html_and_reasoning_count_on_a_page(alice, make_long, site):
    make_long(10)
    ids = [one["id"] for one in exported(alice)["messages"]]
    with site.extensions["lockchat"].storage.begin() as tx:
        large = {"html": "x" * 400_000, "renderer": 0, "reasoning": "x" * 400_000}
        tx.execute(update(messages).where(messages.c.role == "assistant").values(**large))

    assert ids_of(alice.page()) == ids[-2:]


def test_a_message_goes_below_the_branch_also_from_a_page_in_its_middle(alice, upstream, make_long):
    make_long(300)
    ids = [one["id"] for one in exported(alice)["messages"]]
    page = alice.get(f"/c/{alice.conversation_id}?at={ids[1]}").text
    parent = re.search(r'name="parent" value="([^"]*)"', page)[1]

    alice.end(alice.say("Hi", parent=parent))

    assert len(upstream.requests[-1].json["messages"]) == 301


# The walks themselves


def test_a_walk_takes_many_short_steps(site, alice, make_long):
    make_long()
    storage = site.extensions["lockchat"].storage

    with storage.read() as tx, statements(storage._cheap) as seen:
        user_id = tx.exec_driver_sql("SELECT user_id FROM conversations").scalar_one()
        leaf = tx.exec_driver_sql("SELECT leaf_id FROM conversations").scalar_one()
        path = branches.path(tx, user_id, alice.conversation_id, leaf)
        found = branches.newest_below(tx, user_id, alice.conversation_id, path[0])
        texts = tx.execute(select(messages.c.text).where(messages.c.id.in_(path[:2]))).scalars().all()

    assert (len(path), found, path[-1]) == (LENGTH, leaf, leaf)
    assert set(texts) == {"Message 0.", "Message 1."}
    assert sum("RECURSIVE" in statement for statement in seen) == 3 + 4


def test_a_walk_in_what_is_another_users_finds_nothing(site, alice, make_long):
    make_long(3)
    with site.extensions["lockchat"].storage.read() as tx:
        leaf = tx.exec_driver_sql("SELECT leaf_id FROM conversations").scalar_one()

        assert branches.path(tx, "bob", alice.conversation_id, leaf) == []
        assert branches.newest_below(tx, "bob", alice.conversation_id, leaf) is None
        assert branches.said(tx, "bob", alice.conversation_id, leaf, 1000) == []
