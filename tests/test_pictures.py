"""The pictures of a reply: shown to their owner only, kept however it ends, and gone with its conversation."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import html5lib
import pytest
from sqlalchemy import func, select, update

from tests.dialects import DONE, chunk
from tests.pictures import jpeg, pictures_chunk, png, url_of
from tests.samples import some
from tests.upstream import Reset, Wait, body
from tests.wait import wait_until
from webapp.chat import Conversation, Message
from webapp.pictures import MAX_BYTES, picture_of
from webapp.storage.conversations import add as add_conversation
from webapp.storage.conversations import purge_some
from webapp.storage.messages import add as add_messages
from webapp.storage.messages import find, interrupt
from webapp.storage.pictures import PART_BYTES, PARTS_AT_ONCE, get, keep, parts
from webapp.storage.schema import conversations, messages, picture_parts, pictures

SECONDS = 20.0


def images(html: str) -> list[dict[str, str]]:
    """The attributes of all pictures in a page or a part of one."""
    found = html5lib.parse(html, namespaceHTMLElements=False).iter("img")
    return [one.attrib for one in found if one.get("src", "").startswith("/p/")]


def drawn(upstream, visitor, *script: object) -> dict[str, str]:
    """What the end of a reply says whose upstream sends this once somebody follows it."""
    is_followed = threading.Event()
    upstream.answer(*body(Wait(is_followed), *script))
    events = visitor.events(visitor.new_chat("Draw"))
    next(events)
    is_followed.set()
    *_changes, end = events
    assert end.event == "end"
    return json.loads(end.data)


def rows(site, table) -> int:
    with site.extensions["lockchat"].storage.read() as tx:
        return tx.execute(select(func.count()).select_from(table)).scalar_one()


def test_only_the_owner_sees_the_picture_of_a_reply(upstream, alice, bob):
    picture = png(40, 30, 3 * PART_BYTES)

    end = drawn(upstream, alice, pictures_chunk(picture), chunk({}, "stop"), DONE)

    [shown] = images(end["html"])
    answer = alice.get(shown["src"])
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, "image/png", picture)
    assert answer.headers["Content-Length"] == str(len(picture))
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == 'inline; filename="picture.png"'
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert bob.get(shown["src"]).status_code == 404


def test_a_browser_that_has_the_picture_gets_no_second_copy_and_a_stranger_none(upstream, alice, bob):
    [shown] = images(drawn(upstream, alice, pictures_chunk(png(1, 1)), chunk({}, "stop"), DONE)["html"])
    tag = alice.get(shown["src"]).headers["ETag"]

    again = alice.get(shown["src"], headers={"If-None-Match": tag})

    assert (again.status_code, again.content) == (304, b"")
    assert bob.get(shown["src"], headers={"If-None-Match": tag}).status_code == 404


def test_the_stream_and_the_page_show_the_same_pictures_with_their_sizes(upstream, alice):
    events = pictures_chunk(png(40, 30)), chunk({"content": "Two."}), pictures_chunk(png(7, 5), png(40, 30))

    streamed = images(drawn(upstream, alice, *events, chunk({}, "stop"), DONE)["html"])

    assert streamed == images(alice.page())
    assert [(one["width"], one["height"], one["alt"]) for one in streamed] == [
        ("40", "30", "Picture 1 from the model"),
        ("7", "5", "Picture 2 from the model"),
    ]


def test_without_script_the_page_shows_the_picture_at_the_end(upstream, alice):
    go_on = threading.Event()
    upstream.answer(*body(chunk({"content": "Here."}), Wait(go_on), pictures_chunk(png(1, 1)), DONE))
    alice.new_chat("Draw")

    with alice.get(f"/c/{alice.conversation_id}?live", stream=True) as answer:
        start = answer.raw.read1(1024)
        go_on.set()
        page = (start + answer.raw.read()).decode()

    assert len(images(page)) == 1
    assert "base64" not in page


@pytest.mark.parametrize("last", [Reset(), b'data: {"error": {"message": "Boom"}}\n\n'], ids=["cut off", "an error"])
def test_a_reply_that_breaks_off_keeps_its_pictures(upstream, alice, last):

    end = drawn(upstream, alice, chunk({"content": "Here."}), pictures_chunk(png(40, 30)), Wait(0.05), last)

    assert end["why"] in ("interrupted", "error")
    assert len(images(end["html"])) == len(images(alice.page())) == 1


def test_a_stopped_reply_keeps_its_pictures(upstream, site, alice):
    upstream.answer(*body(chunk({"content": "Here."}), pictures_chunk(png(40, 30)), Wait()))
    reply_id = alice.new_chat("Draw")
    wait_until(lambda: images(alice.page()), SECONDS)

    alice.stop(reply_id)

    wait_until(lambda: alice.status(reply_id) == "stopped", SECONDS)
    assert len(images(alice.page())) == 1


def test_a_reply_whose_worker_died_keeps_its_pictures(upstream, site, alice):
    upstream.answer(*body(chunk({"content": "Here."}), pictures_chunk(png(40, 30)), Wait()))
    reply_id = alice.new_chat("Draw")
    wait_until(lambda: images(alice.page()), SECONDS)

    with site.extensions["lockchat"].storage.begin() as tx:
        interrupt(tx, [reply_id])  # as the watch of another worker does

    wait_until(lambda: alice.status(reply_id) == "interrupted", SECONDS)
    assert len(images(alice.page())) == 1


def test_pictures_are_not_sent_back_as_history(upstream, alice):
    upstream.answer(*body(chunk({"content": "Here."}), pictures_chunk(png(40, 30)), chunk({}, "stop"), DONE))
    alice.end(alice.new_chat("Draw"))

    alice.end(alice.say("Another one"))

    assert [message["content"] for message in upstream.requests[-1].json["messages"]] == [
        "Draw",
        "Here.",
        "Another one",
    ]


def test_a_picture_too_many_is_said(upstream, alice):
    sent = [png(1, number) for number in range(1, 6)]

    end = drawn(upstream, alice, *map(pictures_chunk, sent), chunk({}, "stop"), DONE)

    assert [one["height"] for one in images(end["html"])] == ["1", "2", "3", "4"]
    assert "is left out" in end["html"]


def test_pictures_count_in_what_a_user_stores(upstream, make_visitor):
    carol = make_visitor(stored_chars_per_day=100_000)
    upstream.answer(*body(pictures_chunk(png(1, 1, 200_000)), chunk({}, "stop"), DONE))
    carol.end(carol.new_chat("Draw"))

    refused = carol.post_form(f"/c/{carol.conversation_id}/messages", text="Another one")

    assert refused.status_code == 503
    assert "stored" in refused.text


def test_an_export_holds_the_pictures(upstream, alice):
    picture = png(40, 30, 2 * PART_BYTES)
    upstream.answer(*body(chunk({"content": "Here."}), pictures_chunk(picture, jpeg(7, 5)), chunk({}, "stop"), DONE))
    alice.end(alice.new_chat("Draw"))

    told = alice.get(f"/c/{alice.conversation_id}/export?format=json").json()
    markdown = alice.get(f"/c/{alice.conversation_id}/export").text

    assert told["messages"][1]["pictures"][0] == url_of(picture)
    assert f"![Picture 1 from the model]({url_of(picture)})" in markdown


def test_the_same_import_twice_makes_no_picture_twice(upstream, site, alice, bob):
    upstream.answer(*body(pictures_chunk(png(40, 30), png(1, 1)), chunk({}, "stop"), DONE))
    alice.end(alice.new_chat("Draw"))
    file = alice.get("/export").content

    for _time in range(2):
        bob.post("/import", files={"file": ("x.zip", file)})

    assert rows(site, pictures) == 4


@pytest.mark.parametrize(
    "value", some(["data:image/png;base64,AAAA", "data:x;base64,A", "/etc/passwd", 7, None, {}], 3)
)
def test_what_is_no_picture_in_a_file_is_left_out(site, alice, value):
    said = {"id": "a", "parent": None, "role": "assistant", "text": "Here.", "pictures": [value]}
    file = {"format": "lockchat", "version": 1, "messages": [said]}

    place = alice.post("/import", files={"file": ("x.json", json.dumps(file))}, allow_redirects=False)

    assert "Here." in alice.page(place.headers["Location"].removeprefix("/c/"))
    assert rows(site, pictures) == 0


def test_a_deleted_picture_is_in_no_file(upstream, site, alice, bob):
    app = site.extensions["lockchat"]
    [shown] = images(drawn(upstream, alice, pictures_chunk(png(40, 30, 6 * 2**20)), chunk({}, "stop"), DONE)["html"])
    upstream.answer(*body(pictures_chunk(png(1, 1)), chunk({}, "stop"), DONE))
    bob.end(bob.new_chat("Draw"))
    alice.post_form(f"/c/{alice.conversation_id}/delete")
    assert alice.get(shown["src"]).status_code == 404
    long_ago = datetime.now(UTC) - timedelta(days=2)
    with app.storage.begin() as tx:
        tx.execute(update(conversations).where(conversations.c.deleted_at.is_not(None)).values(deleted_at=long_ago))

    app.upkeep.tick()

    assert (rows(site, pictures), rows(site, picture_parts), rows(site, messages)) == (1, 1, 2)
    if app.storage.is_sqlite:
        database = Path(app.storage.url.database)
        left = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
        assert b"quokka" not in left


SIZES = [
    (png(40, 30), (40, 30)),
    (jpeg(7, 5), (7, 5)),
    (b"\xff\xd8\xff\xe0\0\x10" + b"\0" * 9, (0, 0)),
    (b"\xff\xd8\xff\xe1\0\0" * 100_000, (0, 0)),
    (b"GIF89a\x03\0\x02\0" + b"\0" * 9, (3, 2)),
    (b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\x30\x01\0\x9d\x01\x2a\x2c\x41\x90\x00", (300, 144)),
    (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x2b\xc1\x23\0", (300, 144)),
    (b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x2b\x01\0\x8f\0\0", (300, 144)),
    (b"\x89PNG\r\n\x1a\n", (0, 0)),
]


@pytest.mark.parametrize(("data", "size"), SIZES)
def test_the_width_and_height_are_read_from_the_bytes(data, size):
    picture = picture_of(data)

    assert (picture.width, picture.height) == size


@pytest.mark.parametrize("data", [b"", b"<svg>", b"BM", png(1, 1) + b"\0" * MAX_BYTES])
def test_other_kinds_and_too_large_ones_are_no_pictures(data):
    assert picture_of(data) is None


def test_the_address_of_a_picture_cannot_be_guessed(upstream, alice):

    [shown] = images(drawn(upstream, alice, pictures_chunk(png(1, 1)), chunk({}, "stop"), DONE)["html"])

    assert re.fullmatch(r"/p/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]{21}", shown["src"])


def test_a_picture_is_stored_in_parts_and_comes_back_whole(storage):
    now = datetime.now(UTC)
    chat = Conversation("m", None, "", "c" * 36, "alice", "Title", None, now, now)
    reply = Message("r" * 36, chat.id, None, "assistant", "", "done", now)
    with storage.begin() as tx:
        add_conversation(tx, chat)
        add_messages(tx, reply)
    new = [picture_of(png(3, 2, size)) for size in (2 * PART_BYTES + 9, PART_BYTES)]

    kept = [keep(storage, reply.id, picture) for picture in new]

    assert kept == [replace(picture, id=one.id, data=b"") for picture, one in zip(new, kept, strict=True)]
    assert [b"".join(parts(storage, one)) for one in kept] == [picture.data for picture in new]
    with storage.read() as tx:
        assert find(tx, reply.id).pictures == tuple(kept)
        assert [get(tx, "alice", one.id) for one in kept] == [replace(one, width=0, height=0) for one in kept]


def test_one_step_of_the_purge_deletes_a_few_parts(storage):
    now = datetime.now(UTC)
    chat = Conversation("m", None, "", "c" * 36, "alice", "Title", None, now, now)
    reply = Message("r" * 36, chat.id, None, "assistant", "", "done", now)
    with storage.begin() as tx:
        add_conversation(tx, chat, deleted_at=now)
        add_messages(tx, reply)
    keep(storage, reply.id, picture_of(png(1, 1, 20 * PART_BYTES)))

    steps = 0
    while purge(storage, now + timedelta(days=1)):
        steps += 1
        with storage.read() as tx:
            left = tx.execute(select(func.count()).select_from(picture_parts)).scalar_one()
        assert left == max(21 - steps * PARTS_AT_ONCE, 0)

    assert steps == 3  # of 16 parts, of 5, and of the conversation


def purge(storage, before):
    with storage.begin() as tx:
        return purge_some(tx, before)
