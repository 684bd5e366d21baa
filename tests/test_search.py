"""Search: words in titles and texts of one's own, in any script, whatever else the query holds."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from html import unescape

import html5lib
import pytest
from sqlalchemy import select

from tests.upstream import Wait, body, token, tokens
from tests.visitor import text_of
from tests.wait import wait_until
from webapp import snippets
from webapp.chat import Conversation, Message
from webapp.storage import conversations, messages
from webapp.storage.message_words import YIELD_CHARS
from webapp.storage.schema import users
from webapp.text import new_id


def links(page: str) -> list[str]:
    """Where the hits of a search page lead."""
    main = html5lib.parse(page, namespaceHTMLElements=False).find(".//main")
    return [link.get("href") for link in main.iter("a")]


def marks(page: str) -> list[str]:
    return re.findall("<mark>(.*?)</mark>", page)


@pytest.fixture
def search(alice):
    """Search as Alice; the page."""

    def search(query: str) -> str:
        answer = alice.get("/search", params={"q": query})
        assert answer.status_code == 200, answer.text
        return answer.text

    return search


@pytest.fixture
def saved(site):
    """Wait until every reply is saved: it is found from then on."""

    def is_saved() -> bool:
        with site.extensions["lockchat"].storage.read() as tx:
            return not tx.exec_driver_sql("SELECT count(*) FROM messages WHERE status = 'streaming'").scalar()

    return lambda: wait_until(is_saved, 20, "replies to be saved")


@pytest.fixture
def chat(alice, upstream, saved):
    """Alice asks and is answered; returns the reply's id once it is saved."""

    def chat(question: str, answer: str) -> str:
        upstream.answer(*tokens(answer))
        reply = alice.new_chat(question)
        saved()
        return reply

    return chat


@pytest.mark.parametrize("query", ["", "   "])
def test_an_empty_query_shows_the_form_alone(chat, search, query):
    chat("Hello", "World")

    page = search(query)

    assert 'role="search"' in page
    assert "Nothing found." not in page
    assert links(page) == []


def test_a_message_is_found_in_its_place_with_its_words_marked(alice, chat, search):
    reply = chat("Tell me of whales", "The blue whale is the largest animal.")

    page = search("LARGEST anim")

    assert links(page) == [f"/c/{alice.conversation_id}?at={reply}#m-{reply}"]
    assert marks(page) == ["largest", "animal"]
    assert "The blue whale is the" in text_of(page)


def test_the_place_shows_the_message(alice, chat, search):
    chat("Tell me of whales", "The blue whale is the largest animal.")

    place = links(search("largest"))[0]

    assert "largest animal" in text_of(alice.get(place).text)


def test_a_title_is_found_too(alice, chat, search):
    chat("Tell me", "Nothing")
    alice.post_form(f"/c/{alice.conversation_id}/rename", title="Цены на Жильё")

    page = search("жиль")

    assert links(page) == [f"/c/{alice.conversation_id}"]
    assert marks(page) == ["Жильё"]


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("кит", ["Кит"]),
        ("КИТ", ["Кит"]),
        ("зеленый", ["зелёный"]),
        ("зелёный", ["зелёный"]),
        ("еще", ["ещё"]),
        ("живет", ["живет"]),
        ("живёт", ["живет"]),
    ],
)
def test_russian_is_found_without_regard_to_case_and_yo(chat, search, query, marked):
    chat("Вопрос", "Кит живет в море, он ещё и зелёный.")

    page = search(query)

    assert marks(page) == marked


def test_every_word_must_be_there(chat, search):
    chat("Question", "One apple and two pears")

    assert len(links(search("pear apple"))) == 1
    assert "Nothing found." in search("apple plum")


def test_words_are_found_by_their_beginning_only(chat, search):
    chat("Question", "An understanding")

    assert len(links(search("underst"))) == 1
    assert links(search("standing")) == []


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "'",
        "\\",
        "' OR 1=1 --",
        '" OR "',
        "a AND",
        "NOT",
        "NEAR(a b)",
        "text:hello",
        "-hello",
        "^hello *",
        "hello:*",
        "(hello",
        "a & | ! <-> b",
        "a\0b",
        "\udcff",
        "%_",
        "++",
        "е" * 300,
        "a " * 150,
        "'hello\\' | '",
        "𝒳 👍",
    ],
)
def test_no_query_is_an_error(chat, search, query):
    chat("Question", "Something else")

    page = search(query.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))

    assert "Nothing found." in page


@pytest.mark.parametrize("query", ['"hello"', "hello!", "(hello)", "foo.bar", "it's", "hello & world"])
def test_punctuation_around_and_in_words_is_no_syntax(chat, search, query):
    chat("Question", "Well, hello world: it's foo.bar here")

    assert len(links(search(query))) == 1


def test_what_is_marked_is_text_and_no_markup(chat, search):
    chat("Question", "A <b>bold</b> & <i>script</i> word")

    page = search("script")

    assert "&lt;b&gt;bold&lt;/b&gt; &amp; &lt;i&gt;<mark>script</mark>&lt;/i&gt; word" in page


def test_bob_finds_nothing_of_alices(bob, chat):
    chat("My secret question", "A secret answer")

    page = bob.get("/search?q=secret").text

    assert "Nothing found." in page
    assert links(page) == []


def test_bob_finds_nothing_of_alices_even_if_their_words_have_the_same_prefix(bob, chat, search, monkeypatch):
    monkeypatch.setattr("webapp.storage.message_words._owner", lambda user_id: "0" * 8)
    chat("Where does the platypus live?", "In Australia.")

    page = bob.get("/search?q=platypus").text

    assert "Nothing found." in page
    assert links(search("platypus")) != []


def test_long_texts_are_found_by_their_last_word_and_so_is_what_follows_them(chat, search):
    long = "word " * (YIELD_CHARS // 5 + 1)
    chat(f"{long}aardvark", f"{long}zebra")

    for word in ("aardvark", "zebra"):
        assert marks(search(word)) == [word]


def test_a_deleted_conversation_is_not_found_until_it_is_restored(alice, chat, search):
    chat("My secret question", "A secret answer")
    assert len(links(search("secret"))) == 3

    alice.post_form(f"/c/{alice.conversation_id}/delete")

    assert links(search("secret")) == []
    alice.post_form(f"/c/{alice.conversation_id}/restore")
    assert len(links(search("secret"))) == 3


def test_a_reply_is_found_once_it_is_finished(alice, upstream, search, saved):
    upstream.answer(*body(token("unfinished"), Wait()))
    reply = alice.new_chat("Question")
    next(event for event in alice.events(reply) if "unfinished" in event.data)
    assert links(search("unfinished")) == []

    alice.stop(reply)
    saved()

    assert len(links(search("unfinished"))) == 1


def test_the_newest_come_first_and_fifty_are_on_a_page(alice, site, search):
    answer = alice.post("/import", files={"file": ("x.json", big_conversation())}, allow_redirects=False)
    assert answer.status_code == 303

    page = search("needle")

    assert len(links(page)) == 51  # with the one to the next page
    assert "60 found" in page
    assert page.index("<mark>needle</mark> 59") < page.index("<mark>needle</mark> 58")
    assert "<mark>needle</mark> 9<" not in page


def big_conversation() -> str:
    messages = [
        f'{{"id": "{n}", "parent": {f""""{n - 1}" """ if n else "null"}, "role": "user", "text": "needle {n}",'
        f' "created_at": "2024-01-01T00:{n:02}:00+00:00"}}'
        for n in range(60)
    ]
    return f'{{"format": "lockchat", "version": 1, "title": "Big", "messages": [{",".join(messages)}]}}'


def pages_of(alice, **fields: str) -> list[str]:
    """The pages of a search, one after the other."""
    pages = [alice.get("/search", params=fields).text]
    while next_page := re.search(r'<a class="button" href="(/search[^"]*)">More results', pages[-1]):
        assert len(pages) < 9, "the pages have no end"
        pages.append(alice.get(unescape(next_page[1])).text)
    return pages


@pytest.fixture
def store(site, alice):
    """Store conversations of Alice's with these titles; each has one message with the text."""

    def store(
        titles: list[str], text: str = "", *, model: str = "gpt-4", days_ago: int = 0, at: datetime | None = None
    ) -> None:
        alice.get("/")
        alice.end(alice.new_chat("First"))
        now = at or datetime.now(UTC) - timedelta(days=days_ago)
        with site.extensions["lockchat"].storage.begin() as tx:
            user_id = tx.execute(select(users.c.id)).scalar_one()
            for title in titles:
                one = Conversation(model, None, "", new_id(), user_id, title, None, now, now)
                conversations.add(tx, one)
                if text:
                    messages.add(tx, Message(new_id(), one.id, None, "user", text, "done", now))

    return store


def counts(page: str) -> list[str]:
    return re.findall('<p class="search__count">(.*?)</p>', page)


def test_all_titles_and_then_all_messages_are_found_page_by_page(alice, store):
    store([f"Whale {number}" for number in range(70)], "A whale of a time")

    pages = pages_of(alice, q="whale")

    assert list(map(counts, pages)) == [["140 found"], [], []]
    hits = [re.findall('<li class="hit">', page) for page in pages]
    assert [len(page) for page in hits] == [50, 50, 40]
    titles = re.findall(r"<mark>Whale</mark> (\d+)</a>", "".join(pages))
    assert sorted(map(int, titles)) == list(range(70))
    assert len(set(re.findall(r"#m-([0-9a-f-]{36})", "".join(pages)))) == 70


@pytest.mark.parametrize("number", [49, 50, 51])
def test_no_hit_is_lost_where_the_titles_end_at_a_page(alice, store, number):
    store([f"Whale {place}" for place in range(number)])
    store(["Other"], "A whale")

    pages = pages_of(alice, q="whale")

    assert len(re.findall('<li class="hit">', "".join(pages))) == number + 1
    assert f"{number + 1} found" in pages[0]


def test_a_thousand_are_counted_and_more_are_called_more(alice, store):
    store(["Many"] * 1600, "needle")

    assert counts(alice.get("/search?q=needle").text) == ["More than 1,500 found"]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, 4),
        ({"in": "titles"}, 2),
        ({"in": "texts"}, 2),
        ({"model": "old"}, 2),
        ({"model": "none"}, 0),
        ({"since": "2 days ago"}, 2),
        ({"until": "2 days ago"}, 2),
        ({"since": "10 days ago", "until": "10 days ago"}, 2),
        ({"since": "9 days ago", "until": "1 days ago"}, 0),
        ({"since": "10 days ago", "in": "titles", "model": "gpt-4"}, 1),
    ],
)
def test_a_search_can_be_limited_to_titles_or_texts_models_and_days(alice, store, fields, found):
    store(["Whale"], "A whale")
    store(["Whale, old"], "An old whale", model="old", days_ago=10)

    page = alice.get("/search", params={"q": "whale", **{name: _day(value) for name, value in fields.items()}}).text

    assert len(re.findall('<li class="hit">', page)) == found


@pytest.mark.parametrize(("offset", "hours"), [("", 0), ("x", 0), ("841", 0), ("-841", 0), ("-120", -2), ("300", 5)])
def test_a_day_is_one_of_the_readers_zone_and_of_utc_where_that_is_unknown(alice, store, offset, hours):
    begin = datetime(2026, 3, 15, tzinfo=UTC) + timedelta(hours=hours)
    for title, seconds in [("before", -1), ("first", 0), ("last", 86_399), ("after", 86_400)]:
        store([f"Whale {title}"], at=begin + timedelta(seconds=seconds))
    alice.cookies.set("offset", offset)

    page = alice.get("/search?q=whale&since=2026-03-15&until=2026-03-15").text

    assert re.findall("<mark>Whale</mark> ([a-z]+)", page) == ["last", "first"]


def _day(value: str) -> str:
    if not value.endswith(" days ago"):
        return value
    return (datetime.now(UTC) - timedelta(days=int(value.split()[0]))).date().isoformat()


@pytest.mark.parametrize(
    "fields",
    [
        {"since": "9999-12-31", "until": "9999-12-31"},
        {"since": "0001-01-01", "until": "x"},
        {"skip": "-1"},
        {"skip": "9" * 30},
        {"before": "9" * 30},
        {"before": "-9"},
        {"in": "x", "model": "\0"},
    ],
)
def test_no_filter_is_an_error(alice, store, fields):
    store(["Whale"])

    assert alice.get("/search", params={"q": "whale", **fields}).status_code == 200


def test_a_place_before_the_first_hit_is_that_of_the_first(alice, store):
    store(["Whale"])

    assert "<mark>Whale</mark>" in alice.get("/search?q=whale&skip=-1").text


def test_the_script_gets_the_hits_alone(alice, store):
    store(["Whale"])

    part = alice.get("/search?q=whale", headers={"X-Fragment": "1"}).text

    assert "<mark>Whale</mark>" in part
    assert "<form" not in part


TEXTS = {
    "chinese": "我爱北京天安门，天安门上太阳升。GPT模型",
    "japanese": "東京タワーへ行きました。カタカナとがぎぐ",
    "korean": "고양이는 부엌에서 잔다",
    "thai": "สวัสดีครับผมอยู่ที่กรุงเทพฯ",
    "burmese": "မြန်မာစာ",
    "khmer": "ភាសាខ្មែរ",
}


@pytest.mark.parametrize(
    ("language", "query", "marked"),
    [
        ("chinese", "天安门", ["天安门", "天安门"]),
        ("chinese", "爱北京", ["爱北京"]),
        ("chinese", "门", ["门", "门"]),
        ("chinese", "太阳 北京", ["北京", "太阳"]),
        ("chinese", "gpt模型", ["GPT", "模型"]),
        ("chinese", "模型", ["模型"]),
        ("japanese", "タワー", ["タワー"]),
        ("japanese", "行きま", ["行きま"]),
        ("japanese", "か\u3099き\u3099", ["がぎ"]),
        ("korean", "고양이", ["고양이"]),
        ("korean", "양이", ["양이"]),
        ("korean", unicodedata.normalize("NFD", "부엌"), ["부엌"]),
        ("thai", "กรุงเทพ", ["กรุงเทพ"]),
        ("thai", "อยู่ที่", ["อยู่ที่"]),
        ("burmese", "မာစာ", ["မာစာ"]),
        ("khmer", "ខ្មែរ", ["ខ្មែរ"]),
    ],
)
def test_what_has_no_spaces_is_found_anywhere_and_marked(alice, store, language, query, marked):
    store([TEXTS[language]], TEXTS[language])

    page = alice.get("/search", params={"q": query}).text

    assert "2 found" in page
    assert marks(page) == marked * 2


@pytest.mark.parametrize("query", ["天门", "安天", "北京天安门上", "爱 海", "猫"])
def test_letters_that_do_not_follow_each_other_are_not_found(alice, store, query):
    store([TEXTS["chinese"]], TEXTS["chinese"])

    page = alice.get("/search", params={"q": query}).text
    assert "Nothing found." in page
    assert counts(page) == []


def test_the_end_of_a_long_chinese_text_is_found(alice, store):
    store(["Long"], "的" * 400 + "".join(chr(0x4E00 + place % 5000) for place in range(18_000)) + "龍鳳呈祥")

    assert "1 found" in alice.get("/search", params={"q": "龍鳳呈祥"}).text


def test_the_query_stands_in_the_form_again(search):
    assert 'value="&lt;a&gt; &#34;b"' in search('<a> "b')


def test_a_snippet_stands_around_the_first_match_between_words():
    text = "word " * 100 + "needle " + "more " * 100

    parts = snippets.snippet(text, ["needle"], snippets.pattern(["needle"]))

    assert parts == (
        ("… ", False),
        ("word " * 8, False),
        ("needle", True),
        (" more" * 22, False),
        (" …", False),
    )


def test_a_snippet_shows_no_marks_of_headings_strong_words_and_code():
    parts = snippets.snippet(
        "# Title\n\nThe **bold needle** and `snake_case()`", ["needle"], snippets.pattern(["needle"])
    )

    assert parts == (("Title The bold ", False), ("needle", True), (" and snake_case()", False))


@pytest.mark.parametrize(
    ("text", "terms", "marked"),
    [
        ("Café, cafe\u0301s CAFE decaf", ["cafe"], ["Café", "cafe\u0301s", "CAFE"]),
        ("mой мои", ["мой"], []),
        ("Мой мои", ["мои"], ["мои"]),
        ("a.b a-b a b ab", ["a b"], ["a.b", "a-b", "a b"]),
        ("under_score", ["score"], ["score"]),
    ],
)
def test_words_are_marked_whole_without_regard_to_case_and_accents(text, terms, marked):
    parts = snippets.marked(text, snippets.pattern(terms))

    assert [part for part, is_match in parts if is_match] == marked
    assert "".join(part for part, _is_match in parts) == text


def test_a_text_without_spaces_is_cut_all_the_same():
    parts = snippets.snippet("x" * 100_000, ["y"], snippets.pattern(["y"]))

    assert sum(len(part) for part, _is_match in parts) == snippets.SNIPPET_CHARS + len(" …")
