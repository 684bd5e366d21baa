"""The usage page: what was used by day, user and model, also of chats that are gone."""

from __future__ import annotations

from datetime import UTC, datetime

import html5lib
import pytest

from tests.team import links
from tests.test_quotas import import_file
from tests.upstream import error, tokens
from tests.visitor import Visitor, text_of

TODAY = f"'{datetime.now(UTC).date()}'"
ROW = "INSERT INTO usage VALUES ({day}, {user}, 'm', 1, 0, 5, 5, 0, {begun}, {seconds})"
USAGE = {"prompt_tokens": 1200, "completion_tokens": 34}


@pytest.fixture
def carol(team):
    return team.join("Carol", "admin")


@pytest.fixture
def alice(team, carol):
    return team.join("Alice")


def tables(admin: Visitor, **query: int) -> list[list[list[str]]]:
    """The rows of each table: by day, by user, by model; without the time, which differs."""
    page = html5lib.parse(admin.get("/admin/usage", params=query).text, namespaceHTMLElements=False)
    return [
        [["".join(cell.itertext()) for cell in row][:-1] for row in table.iter("tr")][1:]
        for table in page.iter("table")
    ]


def test_messages_errors_and_tokens_are_counted_by_day_user_and_model(carol, alice, upstream):
    upstream.answer(*tokens("Hi", usage=USAGE))
    alice.end(alice.new_chat("One"))
    upstream.answer(*error(400, "no"))
    carol.end(carol.new_chat("Two", model="gpt-3.5-turbo"))

    by_day, by_user, by_model = tables(carol)

    assert [row[1:] for row in by_day] == [["2", "1", "1,200", "34", "0"]]
    assert by_user == [["Alice", "1", "0", "1,200", "34", "0"], ["Carol", "1", "1", "0", "0", "0"]]
    assert by_model == [["gpt-4", "1", "0", "1,200", "34", "0"], ["gpt-3.5-turbo", "1", "1", "0", "0", "0"]]


def test_estimated_tokens_are_called_so(carol, upstream):
    upstream.answer(*tokens("x" * 400))
    carol.end(carol.new_chat("Hi"))

    page = carol.get("/admin/usage").text

    assert "tokens are estimated from the length of the text" in text_of(page)
    assert tables(carol)[1] == [["Carol", "1", "0", "0", "100", "100"]]


def test_the_time_to_the_first_token_is_a_mean(team, carol, alice):
    with team.parts.storage.begin() as tx:
        tx.exec_driver_sql(ROW.format(user="'x'", begun=4, seconds=2.0, day=TODAY))

    assert "0.50 s" in text_of(carol.get("/admin/usage").text)


def test_figures_of_users_without_an_account_are_summed_up(team, carol):
    with team.parts.storage.begin() as tx:
        for user in ("'x'", "'y'"):
            tx.exec_driver_sql(ROW.format(user=user, begun=0, seconds=0, day=TODAY))

    assert tables(carol)[1] == [["Without an account", "2", "0", "10", "10", "0"]]


def test_a_period_leaves_out_older_days(team, carol):
    with team.parts.storage.begin() as tx:
        tx.exec_driver_sql(ROW.format(user="'x'", begun=0, seconds=0, day="'2001-01-01'"))

    assert tables(carol, days=365) == []
    assert "No answer has ended in these days." in text_of(carol.get("/admin/usage?days=7").text)


def test_an_import_is_not_usage(carol):
    import_file(carol)

    assert tables(carol) == []


def test_the_page_is_for_administrators(carol, alice):
    assert alice.get("/admin/usage").status_code == 403
    assert links(carol.get("/settings").text, "/admin/usage") == ["/admin/usage"]
    assert links(alice.get("/settings").text, "/admin/usage") == []
