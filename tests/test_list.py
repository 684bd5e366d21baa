"""The list of conversations: every one can be reached, a page at a time, in groups by the reader's day."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from html import unescape

import html5lib
import pytest
from sqlalchemy import select

from webapp.chat import Conversation, Listed
from webapp.groups import grouped
from webapp.storage import conversations
from webapp.storage.schema import users
from webapp.text import new_id
from webapp.views.visitor import local_now

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
NEW_YORK = timezone(timedelta(hours=-5))


def links(page: str, within: str = ".//main") -> list[str]:
    """The titles of the conversations that a page lists."""
    place = html5lib.parse(page, namespaceHTMLElements=False).find(within)
    return [link.text for link in place.iter("a") if re.fullmatch("/c/[0-9a-f-]{36}", link.get("href", ""))]


def address_of(page: str, name: str) -> str | None:
    """Where a link of this name leads."""
    main = html5lib.parse(page, namespaceHTMLElements=False).find(".//main")
    return next((link.get("href") for link in main.iter("a") if "".join(link.itertext()) == name), None)


@pytest.fixture
def fill(site, alice):
    """Give Alice conversations: one an hour, the last `pinned` of them the oldest."""

    def fill(number: int, pinned: int = 0) -> list[str]:
        alice.end(alice.new_chat("The newest"))
        with site.extensions["lockchat"].storage.begin() as tx:
            user_id = tx.execute(select(users.c.id)).scalar_one()
            for place in range(number):
                at = datetime.now(UTC) - timedelta(hours=place + 1)
                conversations.add(tx, conversation(user_id, f"Chat {place}", at, pinned=place >= number - pinned))
        return [f"Chat {place}" for place in range(number)]

    return fill


def conversation(user_id: str, title: str, at: datetime, *, pinned: bool = False) -> Conversation:
    return Conversation("gpt-4", None, "", new_id(), user_id, title, None, at, at, pinned)


def test_every_one_of_many_conversations_can_be_reached_by_links(alice, fill):
    titles = fill(210, pinned=70)

    found, address = [], "/conversations"
    while address:
        page = alice.get(address).text
        found += links(page)
        address = address_of(page, "More conversations")

    assert found == [*titles[140:], "The newest", *titles[:140]]


def test_the_list_beside_every_page_leads_to_all_of_them(alice, fill):
    fill(61)

    for path in ("/", "/settings", "/search", "/nowhere", "/conversations"):
        page = alice.get(path).text

        assert len(links(page, ".//nav")) == 60
        assert 'href="/conversations" data-next="/conversations?after=' in page


def test_conversations_of_the_same_time_are_listed_once_each(site, alice, fill):
    fill(0)
    with site.extensions["lockchat"].storage.begin() as tx:
        user_id = tx.execute(select(users.c.id)).scalar_one()
        for place in range(150):
            conversations.add(tx, conversation(user_id, f"Same {place}", NOON))

    found, address = [], "/conversations"
    while address:
        page = alice.get(address).text
        found += links(page)
        address = address_of(page, "More conversations")

    assert sorted(found) == sorted(["The newest", *(f"Same {place}" for place in range(150))])


def test_the_script_gets_the_next_part_of_the_list_alone(alice, fill):
    titles = fill(100)
    start = alice.get("/").text
    after = start.split('data-next="')[1].split('"')[0]

    part = alice.get(unescape(after), headers={"X-Fragment": "1"}).text

    assert links(f"<nav>{part}</nav>", ".//nav") == titles[59:]
    assert "<nav" not in part
    assert "data-next" not in part
    assert 'data-group="today"' not in part


def test_the_list_has_a_place_for_the_first_chat_of_the_day(alice):
    assert '<section class="group" data-group="today" hidden>' in alice.get("/").text


@pytest.mark.parametrize("after", ["x", "0 2026 x y", "1 2026-01-01T00:00:00+00:00", "\0", "0 9999-99-99 x", "% %"])
def test_a_broken_place_shows_the_beginning(alice, fill, after):
    fill(3)

    assert len(links(alice.get("/conversations", params={"after": after}).text)) == 4


@pytest.mark.parametrize("after", ["0 0001-01-01T00:00:00+14:00 x", "1 9999-12-31T23:59:59-14:00 x"])
def test_a_place_at_the_end_of_time_is_no_error(alice, fill, after):
    fill(3)

    assert alice.get("/conversations", params={"after": after}).status_code == 200


def test_bob_sees_none_of_alices_conversations(alice, bob, fill):
    fill(100)
    after = unescape(alice.get("/").text.split('data-next="')[1].split('"')[0])

    assert links(bob.get(after).text) == []


def listed(*ago: timedelta, pinned: int = 0) -> list[Listed]:
    return [Listed(str(place), "x", place < pinned, NOON - one) for place, one in enumerate(ago)]


def names(ones: list[Listed], now: datetime = NOON) -> list[tuple[str, int]]:
    return [(group.name, len(group.conversations)) for group in grouped(ones, now)]


def test_conversations_stand_under_their_days():
    days = [400, 1, 0, 0, 1, 2, 7, 8, 14, 15, 46, 380]

    found = names(listed(*(timedelta(days=day) for day in days), pinned=2))

    assert found == [
        ("Pinned", 2),
        ("Today", 2),
        ("Yesterday", 1),
        ("Previous 7 days", 2),
        ("March 2026", 2),
        ("February 2026", 1),
        ("January 2026", 1),
        ("February 2025", 1),
    ]


def test_a_day_ends_where_the_readers_day_ends():
    ones = listed(timedelta(hours=6, minutes=59), timedelta(hours=7, minutes=1), timedelta(hours=12, minutes=1))

    assert names(ones) == [("Today", 2), ("Yesterday", 1)]
    assert names(ones, NOON.astimezone(NEW_YORK)) == [("Today", 1), ("Yesterday", 2)]


def test_a_time_to_come_is_today_and_the_first_year_is_no_error():
    first = Listed("1", "x", False, datetime(1, 1, 1, tzinfo=UTC))

    assert names([*listed(timedelta(days=-9)), first], NOON.astimezone(NEW_YORK)) == [
        ("Today", 1),
        ("December 1969", 1),
    ]


def test_a_group_that_goes_on_has_the_same_key_on_the_next_page():
    ones = listed(*[timedelta(days=20)] * 4)

    first, second = grouped(ones[:2], NOON), grouped(ones[2:], NOON, is_start=False)

    assert [group.key for group in first] == ["today", "2026-02"]
    assert [group.key for group in second] == ["2026-02"]


def test_the_page_counts_days_as_the_browser_does(alice, fill):
    fill(47)
    here = alice.get("/conversations").text
    alice.cookies.set("offset", "600")  # ten hours west of Greenwich

    there = alice.get("/conversations").text

    today = datetime.now(UTC).astimezone(timezone(timedelta(hours=-10))).date()
    expected = sum(
        (datetime.now(UTC) - timedelta(hours=ago)).astimezone(timezone(timedelta(hours=-10))).date() == today
        for ago in range(48)
    )
    assert here.count("Today</h2>") == there.count("Today</h2>") == 2
    main = there.split("<main")[1].split("Today</h2>")[1].split("</section>")[0]
    assert abs(main.count("<li>") - expected) <= 1  # an hour may end between the two


@pytest.mark.parametrize(("offset", "hours"), [("-840", 14), ("840", -14), ("-330", 5.5)])  # -840: Kiritimati
def test_the_clock_is_right_in_every_time_zone(site, offset, hours):
    with site.test_request_context("/", headers={"Cookie": f"offset={offset}"}):
        assert local_now().utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("offset", ["x", "841", "-99999999999999999999", ""])
def test_a_strange_time_zone_counts_as_none(alice, fill, offset):
    fill(2)
    alice.cookies.set("offset", offset)

    assert alice.get("/").status_code == 200


def test_each_conversation_is_managed_from_its_menu_and_leads_back_to_the_list(alice):
    alice.end(alice.new_chat("Before"))
    place = f"/c/{alice.conversation_id}"
    assert f'href="{place}/menu" aria-label="Menu: Before"' in alice.get("/conversations").text
    page = alice.get(f"{place}/menu").text
    assert page.count('<input type="hidden" name="from" value="list">') == 4

    renamed = alice.post_form(f"{place}/rename", title="After", **{"from": "list"})
    pinned = alice.post_form(f"{place}/pin", pinned="1", **{"from": "list"})
    deleted = alice.post_form(f"{place}/delete", **{"from": "list"})

    assert [one.headers["Location"] for one in (renamed, pinned)] == ["/conversations"] * 2
    page = alice.get(deleted.headers["Location"]).text
    assert "The conversation was deleted." in page
    assert links(page) == []
    restored = alice.post_form(f"{place}/restore", **{"from": "list"})
    page = alice.get(restored.headers["Location"]).text
    assert links(page) == ["After"]
    assert "Pinned</h2>" in page


def test_the_list_offers_undo_only_for_what_is_deleted(alice, bob):
    alice.end(alice.new_chat("Here"))
    address = f"/conversations?deleted={alice.conversation_id}"
    assert "was deleted" not in alice.get(address).text

    alice.post_form(f"/c/{alice.conversation_id}/delete")

    assert "was deleted" in alice.get(address).text
    assert "was deleted" not in bob.get(address).text
    assert "was deleted" not in alice.get("/conversations?deleted=%00").text


def test_the_script_gets_a_menu_alone(alice, bob):
    alice.end(alice.new_chat("Mine"))
    place = f"/c/{alice.conversation_id}"

    menu = alice.get(f"{place}/menu", headers={"X-Fragment": "1"}).text

    assert "<html" not in menu
    assert 'value="Mine"' in menu
    assert '<input type="hidden" name="from" value="menu">' in menu
    assert bob.get(f"{place}/menu").status_code == 404


@pytest.mark.parametrize(
    ("page", "after_rename", "after_deletion"),
    [
        ("/", "/", "/?deleted={id}"),
        ("/c/{other}?at=x", "/c/{other}", "/c/{other}?deleted={id}"),
        ("/c/{id}", "/c/{id}", "/?deleted={id}"),
        ("/conversations?after=x", "/conversations", "/conversations?deleted={id}"),
        ("/settings", "/settings", "/?deleted={id}"),
        ("https://evil.example//evil.example/x", "/", "/?deleted={id}"),
    ],
)
def test_a_menu_beside_a_page_leads_back_to_it(alice, page, after_rename, after_deletion):
    alice.end(alice.new_chat("Other"))
    other = alice.conversation_id
    alice.end(alice.new_chat("Mine"))
    names = {"id": alice.conversation_id, "other": other}
    alice.headers["Referer"] = (
        page.format(**names) if page.startswith("http") else alice.base_url + page.format(**names)
    )

    renamed = alice.post_form(f"/c/{alice.conversation_id}/rename", title="New", **{"from": "menu"})
    deleted = alice.post_form(f"/c/{alice.conversation_id}/delete", **{"from": "menu"})

    assert (renamed.status_code, deleted.status_code) == (303, 303)
    assert renamed.headers["Location"] == after_rename.format(**names)
    assert deleted.headers["Location"] == after_deletion.format(**names)
