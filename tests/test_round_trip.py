"""A conversation that is exported and imported keeps every field of every value."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime

import pytest

from tests.pictures import jpeg, png
from webapp.chat import Conversation, Failure, Final, Message, Outcome, Picture, Reference, Usage
from webapp.pictures import picture_of
from webapp.storage import conversations, messages, pictures
from webapp.text import new_id

MADE_ANEW = {
    Conversation: {"id", "user_id", "leaf_id"},
    Message: {"id", "conversation_id", "parent_id", "html", "renderer", "siblings", "is_imported", "stamp", "page"},
    Picture: {"id", "data"},  # the data are compared as the page gets them
    Outcome: {"saved"},  # True for whatever was loaded
}


OPTIONS = {"max_tokens": 500, "top_p": 0.9, "seed": -7, "reasoning_effort": "low"}


def values_of(value):
    """Every field that has to survive, in this value and the values inside of it."""
    if isinstance(value, tuple):
        return tuple(map(values_of, value))
    if not is_dataclass(value):
        return value
    kept = [one.name for one in fields(value) if one.name not in MADE_ANEW.get(type(value), ())]
    return {name: values_of(getattr(value, name)) for name in kept}


def moment(minute: int) -> datetime:
    return datetime(2026, 1, 2, 3, minute, 5, 678_901, UTC)


@pytest.fixture
def sent():
    """A conversation whose reply has a value of its own in every field, and its messages."""
    failure, usage = Failure("rate_limited", "Slow down", 30), Usage(11, 22, 7, 8)
    sources = (Reference("https://a.example/1", "A"), Reference("https://b.example/?q=2"))
    outcome = Outcome("error", "length", failure, usage, 0.25, 1.5, sources, "search", ("temperature",))
    conversation = Conversation(
        "gpt-3.5-turbo",
        0.3,
        "Be brief",
        new_id(),
        "",
        "Title",
        None,
        moment(1),
        moment(4),
        pinned=True,
        folder="Work",
        options=OPTIONS,
    )
    question = Message(new_id(), conversation.id, None, "user", "Hi", "done", moment(2), outcome=Outcome("done"))
    reply = Message(new_id(), conversation.id, question.id, "assistant", "Ho", "error", moment(3), "Hm", model="m")
    shown = tuple(map(picture_of, (png(40, 30, 500_000), jpeg(7, 5))))
    reply = replace(reply, window=4096, least_tokens=7, pictures=shown)
    return replace(conversation, leaf_id=reply.id), [question, replace(reply, outcome=outcome)]


def keep(site, message):
    for picture in message.pictures:
        pictures.keep(site.extensions["lockchat"].storage, message.id, picture)


def load(site, user_id, conversation_id):
    with site.extensions["lockchat"].storage.read() as tx:
        conversation = conversations.get(tx, user_id, conversation_id)
        ids = [node.id for node in messages.tree(tx, user_id, conversation_id)]
        return conversation, messages.some(tx, user_id, conversation_id, ids)


def test_every_field_of_the_example_is_set(sent):
    conversation, (_question, reply) = sent

    for value in (conversation, reply, reply.outcome, reply.outcome.failure, reply.outcome.usage):
        for field in fields(value):
            if field.name not in MADE_ANEW.get(type(value), ()):
                assert getattr(value, field.name) not in (field.default, None, "", {}), field.name


def test_every_field_survives_storage_export_and_import(alice, site, sent):
    alice.end(alice.new_chat("Hello"))
    with site.extensions["lockchat"].storage.begin() as tx:
        user_id = tx.exec_driver_sql("SELECT id FROM users").scalar_one()
        conversations.add(tx, replace(sent[0], user_id=user_id))
        messages.add(tx, *sent[1])
    keep(site, sent[1][1])
    file = alice.get(f"/c/{sent[0].id}/export?format=json").content

    place = alice.post("/import", files={"file": ("x.json", file)}, allow_redirects=False).headers["Location"]

    conversation, loaded = load(site, user_id, place.removeprefix("/c/"))
    assert values_of(conversation) == values_of(sent[0])
    assert [values_of(one) for one in loaded] == [values_of(one) for one in sent[1]]
    assert [one.parent_id for one in loaded] == [None, loaded[0].id]
    assert conversation.leaf_id == loaded[1].id
    shown = [alice.get(f"/p/{one.id}").content for one in loaded[1].pictures]
    assert shown == [one.data for one in sent[1][1].pictures]


def test_a_finished_reply_keeps_every_field_of_its_outcome(alice, site, sent):
    alice.end(alice.new_chat("Hello"))
    conversation, (question, reply) = sent
    with site.extensions["lockchat"].storage.begin() as tx:
        user_id = tx.exec_driver_sql("SELECT id FROM users").scalar_one()
        conversations.add(tx, replace(conversation, user_id=user_id))
        messages.add(tx, question, replace(reply, status="streaming", text="", reasoning="", outcome=None))
    keep(site, reply)
    with site.extensions["lockchat"].storage.begin() as tx:
        messages.finish(tx, [Final(reply.id, "Ho", "Hm", None, None, reply.outcome)])

    assert [values_of(one) for one in load(site, user_id, conversation.id)[1]] == [values_of(one) for one in sent[1]]
