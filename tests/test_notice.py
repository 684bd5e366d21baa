"""The administrator's words: a notice above every page, and a text for the first visit."""

from __future__ import annotations

import html5lib

NOTICE = "Down for **repair** on Friday: [why](https://example.com/why) <script>x</script> [bad](javascript:x)"


def notices(page):
    tree = html5lib.parse(page, namespaceHTMLElements=False)
    return [element for element in tree.iter() if "notice" in element.get("class", "").split()]


def test_a_notice_stands_above_every_page_in_clean_html(make_visitor):
    alice = make_visitor(notice=NOTICE)
    alice.end(alice.new_chat("Hi"))

    for page in (alice.get("/").text, alice.page(), alice.get("/settings").text, alice.get("/nowhere").text):
        [notice] = notices(page)
        assert page.index("Down for") < page.index("<header")
        assert notice.find(".//strong").text == "repair"
        assert [link.get("href") for link in notice.iter("a")] == ["https://example.com/why"]
        assert list(notice.iter("script")) == []
        assert "<script>x</script>" in "".join(notice.itertext())


def test_the_first_visit_shows_the_welcome_until_there_is_a_conversation(make_visitor):
    alice = make_visitor(welcome="Ask the *house model*.[^1]\n\n[^1]: It is slow.")

    [welcome] = notices(alice.get("/").text)
    alice.end(alice.new_chat("Hi"))

    assert welcome.find(".//em").text == "house model"
    assert {note.get("id")[:11] for note in welcome.iter("li") if note.get("id")} == {"fn-welcome-"}
    assert notices(alice.get("/").text) == notices(alice.page()) == []


def test_the_texts_are_rendered_once(make_visitor, monkeypatch):
    alice = make_visitor(notice=NOTICE, welcome="Hello *there*")
    monkeypatch.setattr("webapp.markdown.parse", None)

    assert [len(notices(alice.get("/").text)) for _ in range(2)] == [2, 2]


def test_without_settings_there_is_neither(alice):
    assert notices(alice.get("/").text) == []
