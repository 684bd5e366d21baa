"""The usage page: what was used by day, user and model, also of chats that are gone."""

from __future__ import annotations

from datetime import UTC, datetime

import html5lib
import pytest

from tests.team import links
from tests.test_quotas import import_file
from tests.upstream import error, tokens
from tests.visitor import Visitor, text_of
from webapp.charts import Point, columns, rows

TODAY = f"'{datetime.now(UTC).date()}'"
ROW = "INSERT INTO usage VALUES ({day}, {user}, 'm', 1, 0, 5, 5, 0, {begun}, {seconds})"
USAGE = {"prompt_tokens": 1200, "completion_tokens": 34}


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


# Charts

SVG = "{http://www.w3.org/2000/svg}"


def charts(admin: Visitor, **query: int) -> list:
    page = html5lib.parse(admin.get("/admin/usage", params=query).text, namespaceHTMLElements=False)
    return [svg for svg in page.iter(f"{SVG}svg") if svg.get("role") == "img"]


def test_each_chart_has_a_name_with_its_highest_value_and_a_table_beside_it(carol, alice, upstream):
    upstream.always(*tokens("Hi", usage=USAGE))
    alice.end(alice.new_chat("One"))

    names = [chart.get("aria-label") for chart in charts(carol)]

    assert "Tokens. Highest: 1,234 (Alice). The table below has the numbers." in names
    assert "Sent messages. Highest: 1 (gpt-4). The table below has the numbers." in names
    assert not [name for name in names if name.startswith("Errors")], "a chart of nothing says nothing"
    assert len(names) == 9  # messages, tokens and time, by day, user and model


def test_the_charts_are_of_messages_tokens_errors_and_the_time_to_the_first_token(team, carol, upstream):
    upstream.answer(*error(400, "no"))
    carol.end(carol.new_chat("One"))
    with team.parts.storage.begin() as tx:
        tx.exec_driver_sql(ROW.replace("'m', 1", "'m', 2").format(user="'x'", begun=4, seconds=2.0, day=TODAY))

    drawn = charts(carol)
    by_model = drawn[-4:]

    assert [chart.get("aria-label").partition(" The table")[0] for chart in by_model] == [
        "Sent messages. Highest: 2 (m).",
        "Tokens. Highest: 10 (m).",
        "Errors. Highest: 1 (gpt-4).",
        "Time to the first token. Highest: 0.50 s (m).",
    ]
    titles = [[title.text for title in chart.iter(f"{SVG}title")] for chart in (by_model[3], drawn[3])]
    assert titles[0] == ["m: 0.50 s"]
    assert {title.partition(": ")[2] for title in titles[1]} == {"0.50 s", "0.00 s"}


def test_a_chart_of_days_has_a_column_for_each_day(team, carol):
    with team.parts.storage.begin() as tx:
        tx.exec_driver_sql(ROW.format(user="'x'", begun=0, seconds=0, day=TODAY))

    heights = [float(bar.get("height")) for bar in charts(carol, days=7)[0].iter(f"{SVG}rect")]

    assert heights[-1] == 96 or heights[-2] == 96  # midnight may have passed
    assert sum(heights) == 96
    assert len(heights) == 7


def test_names_that_are_markup_or_long_stay_text(team, carol):
    model = "<b>" + "m" * 60
    with team.parts.storage.begin() as tx:
        tx.exec_driver_sql(ROW.replace("'m'", f"'{model}'").format(user="'x'", begun=0, seconds=0, day=TODAY))

    page = carol.get("/admin/usage").text

    assert "<b>" not in page
    assert f"&lt;b&gt;{'m' * 24}…</text>" in page


def test_rows_are_as_long_as_their_values_and_ten_at_most():
    points = [Point(str(number), number, str(number)) for number in range(12)]

    chart = rows("Title", points)

    assert chart
    assert [bar.point.value for bar in chart.bars] == [*range(11, 1, -1)]
    assert (chart.bars[0].width, chart.bars[-1].width) == (320, 58.18)
    assert chart.height == 300


def test_little_is_seen_beside_much_and_nothing_is_not_drawn():
    chart = columns("Title", [Point("a", 10**9, ""), Point("b", 1, ""), Point("c", 0, "")])

    assert chart
    assert [bar.height for bar in chart.bars] == [96, 1, 0]
    assert columns("Title", [Point("a", 0, "")]) is None
    assert rows("Title", []) is None
