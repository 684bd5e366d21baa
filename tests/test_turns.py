"""What a send stores: its turn is returned as it is in the database, and the upstream gets the same."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest
from sqlalchemy import select, update

from tests.upstream import Wait, body, token, tokens
from tests.visitor import Visitor
from tests.wait import wait_until
from webapp.chat import Settings
from webapp.generation import Generation
from webapp.sends import Send
from webapp.settings import Typed, is_like
from webapp.storage import branches, conversations, messages, schema
from webapp.storage.team_schema import counters

ALICE = "alice"
TYPED = Typed("gpt-3.5-turbo", "0,5", "Be very brief now.", {"top_p": "0.9"})


@pytest.fixture
def parts(site):
    return site.extensions["lockchat"]


@pytest.fixture
def ask(parts):
    """Call one of the use cases that ask the upstream, and wait until the reply is saved; its turn."""

    def ask(call, of_id, text="", settings=Typed(), **more):  # noqa: B008
        turn = call(ALICE, of_id, Send(text, "", settings, address="192.0.2.7", **more))
        wait_until(lambda: not parts.hub.all(), 20, "the reply to be saved")
        return turn

    return ask


@pytest.fixture
def stored(parts):
    """The conversation, the question and the reply of a turn, as they are in the database."""

    def stored(turn):
        with parts.storage.read() as tx:
            conversation = conversations.get(tx, ALICE, turn.conversation.id)
            ids = [turn.question.id, turn.reply.id]
            siblings = branches.siblings(tx, conversation.id, [turn.question.parent_id, turn.question.id])
            return conversation, *messages.some(tx, ALICE, conversation.id, ids, siblings=siblings)

    return stored


def test_every_turn_is_returned_as_it_is_stored(parts, ask, stored):
    first = ask(parts.turns.send, None, "One")
    place = first.conversation.id
    turns = [first, ask(parts.turns.send, place, "Two", TYPED)]
    turns.append(ask(parts.turns.retry, turns[1].reply.id))
    turns.append(ask(parts.turns.edit, turns[1].question.id, "Zwei"))
    turns.append(ask(parts.turns.extend, turns[1].reply.id))

    found = [stored(turn) for turn in turns]

    for turn, (conversation, question, reply) in zip(turns, found, strict=True):
        assert conversation.created_at == turn.conversation.created_at
        for name in ("id", "parent_id", "conversation_id", "model", "least_tokens", "created_at", "is_imported"):
            assert getattr(reply, name) == getattr(turn.reply, name), name
        assert (question.role, question.status) == ("user", "done")
        same = {"siblings": (), "outcome": None}
        assert replace(question, **same) == replace(turn.question, **same)
    assert [turn.reply.text for turn in turns] == ["", "", "", "", "Hello world"]
    assert [turn.reply.model for turn in turns] == ["gpt-4", *["gpt-3.5-turbo"] * 4]
    conversation, question, reply = found[-1]
    assert (conversation.leaf_id, conversation.updated_at) == (reply.id, reply.created_at)
    assert is_like(conversation, Settings("gpt-3.5-turbo", 0.5, "Be very brief now.", options={"top_p": 0.9}))
    assert (question.siblings, reply.siblings) == (turns[-1].question.siblings, turns[-1].reply.siblings)


def test_an_edited_first_question_is_returned_with_its_siblings(parts, ask, stored):
    first = ask(parts.turns.send, None, "One")

    edited = ask(parts.turns.edit, first.question.id, "Uno")

    assert edited.question.siblings == (first.question.id, edited.question.id)
    assert [one.siblings for one in stored(edited)[1:]] == [edited.question.siblings, (edited.reply.id,)]


def test_a_retry_below_other_turns_brings_them_along(parts, ask, upstream):
    first = ask(parts.turns.send, None, "One")
    second = ask(parts.turns.send, first.conversation.id, "Two", TYPED)

    ask(parts.turns.retry, second.reply.id)

    assert upstream.requests[2].json == upstream.requests[1].json
    assert [one["content"] for one in upstream.requests[2].json["messages"]][-3:] == ["One", "Hello world", "Two"]


def test_the_least_tokens_of_a_request_are_those_of_all_its_texts(parts, ask, upstream):
    upstream.always(*tokens("one two three four"))  # 3 tokens at least
    first = ask(parts.turns.send, None, "word " * 8)  # 6

    second = ask(parts.turns.send, first.conversation.id, "word " * 16, TYPED)  # 12, and 3 of the system prompt

    assert (first.reply.least_tokens, second.reply.least_tokens) == (6, 6 + 3 + 12 + 3)


def test_the_rest_of_an_answer_keeps_its_reasoning_and_that_it_was_imported(parts, ask, stored, upstream):
    upstream.answer(*body(token(None, reasoning_content="Why"), token("Half", finish="length")))
    begun = ask(parts.turns.send, None, "One").reply
    with parts.storage.begin() as tx:
        tx.execute(update(schema.messages).where(schema.messages.c.id == begun.id).values(is_imported=True))

    turn = ask(parts.turns.extend, begun.id)

    assert (turn.reply.text, turn.reply.reasoning, turn.reply.is_imported) == ("Half", "Why", True)
    _conversation, _question, reply = stored(turn)
    assert (reply.text, reply.reasoning, reply.is_imported) == ("Half Hello world", "Why", True)


def test_without_a_thread_left_the_rest_of_an_answer_keeps_its_beginning(parts, ask, stored, upstream, monkeypatch):
    upstream.answer(*body(token(None, reasoning_content="Why"), token("Half", finish="length")))
    begun = ask(parts.turns.send, None, "One").reply
    monkeypatch.setattr(Generation, "start", Mock(side_effect=RuntimeError("can't start new thread")))

    turn = ask(parts.turns.extend, begun.id)

    _conversation, _question, reply = stored(turn)
    assert (reply.text, reply.reasoning, reply.status) == ("Half", "Why", "error")


def test_another_worker_knows_a_reply_that_runs(alice, upstream, make_site):
    upstream.answer(*body(token("Half"), Wait()))
    reply = alice.new_chat("One", key="k")
    other = Visitor(make_site().extensions["url"])
    other.cookies.update(alice.cookies)
    wait_until(lambda: other.raw(reply) == "Half", 20, "the text so far")

    assert other.new_chat("One", key="k") == reply
    other.end(other.say("Two"))

    assert [one["content"] for one in upstream.requests[1].json["messages"]] == ["One", "Half", "Two"]
    alice.stop(reply)
    other.close()


def test_a_waiting_message_counts_for_the_address_that_it_came_from(parts, upstream):
    upstream.answer(*body(token("Half"), Wait()))
    turn = parts.turns.send(ALICE, None, Send("One", "", Typed(), address="192.0.2.7"))
    parts.queue.put(ALICE, turn.conversation.id, Send("Two", "", Typed(), address="192.0.2.8"))

    parts.following.stop(ALICE, turn.reply.id)

    def sent():
        with parts.storage.read() as tx:
            return dict(tuple(row) for row in tx.execute(select(counters.c.holder, counters.c.messages)))

    wait_until(lambda: sent()[ALICE] == 2, 20, "the waiting message")
    assert sent() == {ALICE: 2, "@192.0.2.7": 1, "@192.0.2.8": 1}
