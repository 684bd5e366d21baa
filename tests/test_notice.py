"""The administrator's words: a notice above every page, and a text for the first visit."""

from __future__ import annotations

import html5lib
import pytest
from sqlalchemy import text

from tests.team import links, problem
from tests.visitor import text_of
from webapp.errors import StorageUnavailable
from webapp.notices import MOST_CHARS
from webapp.views import site

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


def test_the_texts_are_rendered_once(make_visitor):
    alice = make_visitor(notice=NOTICE + " Once.", welcome="Hello *there*")
    before = site.html_of.cache_info()

    shown = [len(notices(alice.get("/").text)) for _ in range(2)]

    after = site.html_of.cache_info()
    assert shown == [2, 2]
    assert (after.misses - before.misses, after.hits - before.hits) == (2, 2)


def test_without_settings_there_is_neither(alice):
    assert notices(alice.get("/").text) == []


@pytest.fixture
def team(make_team):
    return make_team(notice="From the *settings*", welcome="Welcome!")


def said(page) -> list[str]:
    return ["".join(one.itertext()).strip() for one in notices(page)]


def save(carol, **fields):
    answer = carol.post_form("/admin/notice", **fields)
    assert answer.status_code == 303, answer.text


def entries(team) -> list[tuple[str, str]]:
    query = "SELECT action, target FROM audit WHERE action IN ('notice_changed', 'welcome_changed') ORDER BY id"
    with team.parts.storage.read() as tx:
        return [tuple(row) for row in tx.exec_driver_sql(query)]


def test_what_an_administrator_saves_takes_the_place_of_the_settings_for_everybody(team, carol):
    alice, stranger = team.join("Alice"), team.stranger()
    before = said(alice.get("/").text)

    save(carol, notice="Down on **Friday** <script>x</script>", welcome="Ask us.")

    assert before == ["From the settings", "Welcome!"]
    assert said(alice.get("/").text) == ["Down on Friday <script>x</script>", "Ask us."]
    assert said(stranger.get("/sign-in").text) == ["Down on Friday <script>x</script>"]
    assert notices(alice.get("/").text)[0].find(".//strong").text == "Friday"


def test_every_worker_shows_it_at_once(team, carol, make_site):
    alice = team.join("Alice")
    other = make_site(login="password", notice="From the *settings*").extensions["url"]
    before = said(alice.get(f"{other}/settings").text)

    save(carol, notice="New")

    assert before == ["From the settings"]
    assert said(alice.get(f"{other}/settings").text) == ["New"]


def test_an_empty_field_shows_nothing_and_the_text_of_the_settings_shows_it_again(team, carol):
    save(carol, notice="", welcome="")
    page = carol.get("/admin/notice").text
    nothing = said(carol.get("/").text)

    save(carol, notice="From the *settings*", welcome="Welcome!")

    assert nothing == []
    assert "The setting LOCKCHAT_NOTICE says: From the *settings*" in text_of(page)
    assert said(carol.get("/").text) == ["From the settings", "Welcome!"]
    with team.parts.storage.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM site_texts")).scalar_one() == 0


def test_a_preview_is_clean_keeps_what_was_typed_and_changes_nothing(team, carol):
    fields = {"notice": "*New*[^1]\n\n[^1]: note", "welcome": "", "preview": "1"}

    page = carol.post_form("/admin/notice", **fields)

    assert page.status_code == 200
    assert said(page.text)[0] == "From the settings"
    assert said(page.text)[1].startswith("New")
    assert 'id="fn-preview-notice-' in page.text
    assert ">\n*New*[^1]" in page.text
    assert "Nothing is shown." in text_of(page.text)
    assert said(carol.get("/").text) == ["From the settings", "Welcome!"]
    assert entries(team) == []


def test_a_text_that_is_too_long_is_refused_and_kept(team, carol):
    long = "x" * (MOST_CHARS + 1)

    answers = [carol.post_form("/admin/notice", notice=long, **more) for more in ({}, {"preview": "1"})]

    for answer in answers:
        assert answer.status_code == 413
        assert problem(answer) == "The text is too long: 10,001 characters, 10,000 are allowed."
        assert f">\n{long}</textarea>" in answer.text
    assert entries(team) == []


def test_the_audit_log_has_each_text_that_changed(team, carol):
    alice = team.join("Alice")
    save(carol, notice="One", welcome="Welcome!")
    save(carol, notice="One", welcome="Two")

    assert entries(team) == [("notice_changed", "One"), ("welcome_changed", "Two")]
    assert alice.post_form("/admin/notice", notice="Mine").status_code == 403
    assert links(carol.get("/settings").text, "/admin/notice") == ["/admin/notice"]
    assert links(alice.get("/settings").text, "/admin/notice") == []


def test_with_open_login_the_settings_hold(team, carol, make_visitor):
    save(carol, notice="Saved")

    assert said(make_visitor(login="open", notice="Of the settings").get("/settings").text) == ["Of the settings"]


def test_while_the_database_does_not_answer_pages_show_the_notice_that_was_read_last(team, carol):
    save(carol, notice="Saved")
    before = said(carol.get("/settings").text)
    with team.parts.storage.begin() as tx:
        tx.exec_driver_sql("DROP TABLE site_texts")

    after = carol.get("/settings")

    assert before == said(after.text) == ["Saved"]
    assert after.status_code == 200


def test_the_page_of_an_error_of_the_database_does_not_ask_it_for_the_notice(team, carol):
    def fail() -> None:
        raise StorageUnavailable("Away.")

    save(carol, notice="Read")
    carol.get("/settings")
    with team.parts.storage.begin() as tx:
        tx.exec_driver_sql("UPDATE site_texts SET text = 'Asked for'")
    team.site.view_functions["listing.show_conversations"] = fail

    answer = carol.get("/conversations")

    assert answer.status_code == 503
    assert said(answer.text) == ["Read"]
