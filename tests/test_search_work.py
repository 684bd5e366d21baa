"""What a search costs: linear in foreign text, bounded for any query, and the same whatever others wrote."""

from __future__ import annotations

import hashlib
import importlib
from datetime import UTC, datetime

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import delete, event, select, update

from tests.samples import some
from tests.scaling import MOST, bounded, is_linear, seconds
from webapp import snippets
from webapp.chat import Conversation, Message
from webapp.storage import Storage, conversations, message_words, messages
from webapp.storage.message_words import Wanted
from webapp.storage.migrate import migrate
from webapp.storage.schema import conversations as conversations_table
from webapp.storage.schema import message_words as message_words_table
from webapp.storage.schema import messages as messages_table
from webapp.text import new_id

QUERIES = [
    "x." * 99 + "x",
    "._" * 100,
    "x_" * 100,
    "x " * 100,
    "e\u0301" * 100,
    "é.e\u0301." * 40,
    "е" * 200,
    " ".join("abcdefghijklmnopqrstuvwxyz"),
    "xx x.x.y x_y",
    "x." * 40 + "y",
    "我" * 200,
    "我x" * 100,
    "か\u3099." * 60,
]
PIECES = [
    "x\u0301",
    "x.",
    "x\u0301.",
    "._",
    "\u0301",
    "x\u0301\u0301.",
    "é ",
    "e\u0301",
    "ё",
    "*",
    "`",
    "#",
    "# ",
    " ",
    "我",
    "我x",
    "ที่.",
    "か\u3099",
]


@pytest.mark.parametrize("query", QUERIES[::4])
@pytest.mark.parametrize("piece", some(PIECES, 6))
def test_marking_is_linear_in_the_text(query, piece):
    terms = snippets.terms_of(query) or ["x"]
    wanted = snippets.pattern(terms)

    assert is_linear(lambda text: snippets.marked(text, wanted), lambda size: piece * size)


@pytest.mark.parametrize("piece", some(PIECES, 3))
def test_snippets_and_words_are_linear_in_the_text(piece):
    terms = snippets.terms_of(QUERIES[0])
    wanted = snippets.pattern(terms)

    def work(text):
        snippets.snippet(text, terms, wanted)
        snippets.words_of(text)

    assert is_linear(work, lambda size: piece * size)


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_looks_for_more_than_a_few_words(query):
    terms = snippets.terms_of(query)

    assert sum(len(term.split()) for term in terms) <= snippets.QUERY_WORDS


def test_a_match_far_behind_is_seen():
    text = "word " * 10_000 + "The Needle here " + "more " * 5000

    parts = snippets.snippet(text, ["needle"], snippets.pattern(["needle"]))

    assert ("Needle", True) in parts


def write(storage, user_id, texts, title="Title"):
    """Store a conversation of these questions."""
    now = datetime.now(UTC)
    conversation = Conversation("gpt-4", 0.7, "", new_id(), user_id, title, None, now, now)
    with storage.begin() as tx:
        conversations.add(tx, conversation)
        messages.add(tx, *(Message(new_id(), conversation.id, None, "user", text, "done", now) for text in texts))


def steps(storage, user_id, query):
    """How much the database does for a search: steps of SQLite's machine, or blocks that PostgreSQL looks at."""
    terms, counted = snippets.terms_of(query), []
    fetched = (
        "SELECT sum(pg_stat_get_xact_blocks_fetched(oid)) FROM pg_class WHERE relkind IN ('r', 'i') AND oid > 16383"
    )
    with storage.read() as tx:
        if storage.is_sqlite:
            tx.connection.dbapi_connection.set_progress_handler(lambda: counted.append(1), 1)
        hits = message_words.find(tx, user_id, Wanted(terms)).hits
        if storage.is_sqlite:
            tx.connection.dbapi_connection.set_progress_handler(None, 1)
            return len(counted), hits
        return int(tx.exec_driver_sql(fetched).scalar()), hits


@pytest.mark.parametrize("query", ["common", "commo", "co", "common words", "com.mon", "共", "共通", "共通語"])
def test_a_search_costs_the_same_whatever_others_wrote(storage, query):
    alice = new_id()
    write(storage, alice, [f"mine {number}" for number in range(50)])
    for _ in range(20):
        write(storage, new_id(), [f"common com.mon words commonly 共通語 {number}" for number in range(100)])

    theirs, hits = steps(storage, alice, query)
    nobodys, _hits = steps(storage, alice, query.translate({ord("o"): "q", ord("共"): "狼", ord("通"): "虎"}))

    assert hits == []
    assert theirs < 1.5 * nobodys


def test_a_search_in_titles_is_linear_in_their_number(storage):
    alice, bob = new_id(), new_id()
    for number in range(900):
        write(storage, alice if number < 100 else bob, [], title="x\u0301\u0301" * 66)

    def find(user_id):
        with storage.read() as tx:
            message_words.find(tx, user_id, Wanted(snippets.terms_of("x." * 40 + "y")))

    with bounded():
        assert any(seconds(find, bob) < MOST * seconds(find, alice) for _ in range(3))


def test_words_are_found_in_any_spelling(storage):
    alice = new_id()
    write(storage, alice, ["Cafe\u0301 ΟΔΟΣ зелёный еще Й и\u0306од"])

    def found(query):
        return len(steps(storage, alice, query)[1])

    assert [found(query) for query in ("café", "cafe", "CAFÉ", "οδο", "зеленый", "ещё", "йод")] == [1] * 7
    assert [found(query) for query in ("иод", "afe", "зел.еще")] == [0] * 3


@pytest.mark.parametrize("word_chars", [1, 2, 7, 70, 100_000])
def test_texts_of_many_different_words_are_stored_and_found(storage, word_chars):
    alice, letters = new_id(), [chr(code) for code in range(0x20000, 0x2A6D0)]  # four bytes each
    words = [
        "".join(letters[(place + n) % len(letters)] for n in range(word_chars))
        for place in range(0, 60_000, word_chars)
    ]
    write(storage, alice, [" ".join(words)])

    assert len(steps(storage, alice, words[0][:50])[1]) == 1


@pytest.mark.parametrize(("matches", "queries"), [(100, 1), (1100, 3), (2600, 3)])
def test_no_query_looks_at_more_than_a_few_hundred_messages(storage, matches, queries):
    alice, seen = new_id(), []
    write(storage, alice, ["needle"] * matches)

    with storage.read() as tx:
        event.listen(tx, "before_cursor_execute", lambda *given: seen.append(given[2]))
        found = message_words.find(tx, alice, Wanted(["needle"], "texts"))

    assert sum("LIMIT" in statement for statement in seen) == queries
    assert found.is_counted == (matches < 1500)
    assert found.count == min(matches, 1500)


def test_a_search_whose_filter_lets_nothing_pass_ends_and_can_go_on(storage):
    alice, number = new_id(), message_words.LOOKED_AT + 700
    write(storage, alice, ["needle"] * number, title="Other")
    wanted = Wanted(["needle"], "texts", model="another")

    with storage.read() as tx:
        first = message_words.find(tx, alice, wanted)
        second = message_words.find(tx, alice, wanted, before=first.before)

    assert (first.hits, first.is_counted, second.hits, second.before) == ([], False, [], None)
    assert first.before


def pages(storage, user_id, wanted):
    """The hits of each page, by their texts, and what the pages say of their number."""
    skip, before, seen = 0, None, []
    while not seen or skip is not None or before is not None:
        with storage.read() as tx:
            found = message_words.find(tx, user_id, wanted, skip=skip or 0, before=before)
        skip, before = found.skip, found.before
        hits = ["".join(part for part, _is_match in hit.parts) for hit in found.hits]
        seen.append((sorted(hits), found.count, found.is_counted))
    return seen


@pytest.fixture
def small_pages(monkeypatch):
    """Three hits on a page; six matches are looked at for it, three at a time; four are counted."""
    for name, number in {"HITS": 3, "COUNTED": 4, "CHUNK": 3, "LOOKED_AT": 6, "TITLES_AT_ONCE": 2}.items():
        monkeypatch.setattr(message_words, name, number)


@pytest.mark.usefixtures("small_pages")
def test_pages_of_messages_go_on_where_the_last_one_ended(storage):
    alice = new_id()
    write(storage, alice, [f"needle {number}" for number in range(1, 10)])

    assert pages(storage, alice, Wanted(["needle"])) == [
        (["needle 7", "needle 8", "needle 9"], 6, False),
        (["needle 4", "needle 5", "needle 6"], 6, False),
        (["needle 1", "needle 2", "needle 3"], 3, True),
    ]


@pytest.mark.usefixtures("small_pages")
def test_messages_follow_on_the_page_on_which_the_titles_end(storage):
    alice = new_id()
    for number in range(4):
        write(storage, alice, [], title=f"Needle {number}")
    write(storage, alice, [f"needle {number}" for number in range(1, 6)])

    found = pages(storage, alice, Wanted(["needle"]))

    titles = [one for hits, _count, _is_counted in found[:2] for one in hits if one.startswith("N")]
    assert sorted(titles) == [f"Needle {number}" for number in range(4)]
    assert [len(hits) for hits, _count, _is_counted in found] == [3, 3, 3]
    assert [hits for hits, _count, _is_counted in found[1:]] == [
        [titles[3], "needle 4", "needle 5"],
        ["needle 1", "needle 2", "needle 3"],
    ]
    assert found[0][1:] == (9, True)


@pytest.mark.usefixtures("small_pages")
def test_titles_go_on_where_no_message_matches(storage):
    alice = new_id()
    for number in range(4):
        write(storage, alice, ["text"], title=f"Needle {number}")

    assert [len(hits) for hits, _count, _is_counted in pages(storage, alice, Wanted(["needle"]))] == [3, 1]


@pytest.mark.usefixtures("small_pages")
def test_a_page_of_titles_says_that_more_messages_match_than_are_counted(storage):
    alice = new_id()
    for number in range(4):
        write(storage, alice, [], title=f"Needle {number}")
    write(storage, alice, [f"needle {number}" for number in range(8)])

    with storage.read() as tx:
        found = message_words.find(tx, alice, Wanted(["needle"]))

    assert (len(found.hits), found.count, found.is_counted, found.skip) == (3, 10, False, 3)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    ("newer", "expected"),
    [(7, [([], 0, False), (["needle old"], 1, True)]), (5, [(["needle old"], 1, False), ([], 0, True)])],
)
def test_pages_go_on_past_messages_that_a_filter_leaves_out(storage, newer, expected):
    alice = new_id()
    write(storage, alice, ["needle"])
    write(storage, alice, ["needle old"])
    write(storage, alice, ["needle"] * newer)
    with storage.begin() as tx:
        first = select(messages_table.c.conversation_id).where(messages_table.c.text == "needle old")
        tx.execute(update(conversations_table).where(conversations_table.c.id.in_(first)).values(model="old"))

    assert pages(storage, alice, Wanted(["needle"], "texts", model="old")) == expected


def test_messages_are_shown_the_newest_first(storage):
    alice = new_id()
    for number in range(6):
        write(storage, alice, [f"needle {number}"])

    with storage.read() as tx:
        hits = message_words.find(tx, alice, Wanted(["needle"], "texts")).hits

    assert [hit.parts[-1][0] for hit in hits] == [f" {number}" for number in reversed(range(6))]
    assert {hit.role for hit in hits} == {"user"}


def test_longer_texts_are_stored_in_several_statements(storage):
    alice = new_id()
    write(storage, alice, ["word " * 2250 + "needle"] * 8)
    with storage.begin() as tx:
        ids = tx.execute(select(messages_table.c.id)).scalars().all()
        tx.execute(delete(message_words_table))
        statements = []
        event.listen(tx, "before_cursor_execute", lambda *given: statements.append(given[2]))

        message_words.add(tx, ids)

        assert sum("INTO message_words" in statement for statement in statements) == 4
        hits = message_words.find(tx, alice, Wanted(["needle"])).hits
        assert [("needle", True) in hit.parts for hit in hits] == [True] * 8
        owners = tx.execute(select(message_words_table.c.owner)).scalars()
        assert set(map(len, owners)) == {message_words.OWNER_CHARS}


def test_an_upgrade_finds_older_texts_without_spaces(database_url):
    storage = Storage(database_url)
    migrate(storage)
    alice = new_id()
    write(storage, alice, ["我爱北京天安门", "Plain words", "고양이는 잔다"])
    with storage.begin() as tx:  # as it was stored before
        for number, words in enumerate(["我爱北京天安门", "plain words", "고양이는 잔다"], start=1):
            split = " ".join(words.split())
            if not storage.is_sqlite:
                owner = hashlib.blake2s(alice.encode(), digest_size=4).hexdigest()
                split = " ".join(f"'{owner}{word}':{place}" for place, word in enumerate(words.split(), start=1))
            these = message_words_table.c.number == number
            tx.execute(update(message_words_table).where(these).values(words=split))
        if storage.is_sqlite:
            tx.exec_driver_sql("INSERT INTO search (search) VALUES ('rebuild')")
    assert steps(storage, alice, "天安门")[1] == []

    older = importlib.import_module("webapp.storage.migrations.versions.0012_words_without_spaces")
    with storage.begin() as tx, Operations.context(MigrationContext.configure(tx)):
        older.upgrade()

    found = [len(steps(storage, alice, query)[1]) for query in ("天安门", "plain", "양이", "门", "爱北京")]
    storage.close()
    assert found == [1] * 5
