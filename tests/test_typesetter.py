"""Replies that were stored without HTML get it in the background; no page renders one."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import update

from tests.replies import add_reply
from tests.upstream import Wait, tokens
from tests.wait import wait_until
from webapp import siblings, typesetter
from webapp.chat import Delta
from webapp.markdown import RENDERER
from webapp.rendering import process
from webapp.storage import messages
from webapp.storage.schema import messages as table


@pytest.fixture
def storage(site):
    return site.extensions["lockchat"].storage


@pytest.fixture
def reply(alice, upstream, storage):
    """A reply that says `*so*`, and whose HTML is gone."""
    upstream.answer(*tokens("*so*"))
    reply_id = alice.new_chat("How?")
    alice.end(reply_id)
    with storage.begin() as tx:
        tx.execute(update(table).where(table.c.id == reply_id).values(html=None, renderer=None))
    return reply_id


def stored(storage, reply_id):
    with storage.read() as tx:
        return messages.find(tx, reply_id)


def test_a_reply_without_html_is_shown_as_it_is_written(alice, reply):
    assert '<p class="message__plain">*so*</p>' in alice.page()


def test_it_gets_its_html_in_the_background(site, alice, storage, reply):
    site.extensions["lockchat"].typesetter.catch_up(10)

    assert wait_until(lambda: stored(storage, reply).html, 15) == '<p dir="auto"><em>so</em></p>\n'
    assert stored(storage, reply).renderer == RENDERER
    assert "<em>so</em>" in alice.page()


def test_a_reply_of_a_dead_worker_gets_it_as_soon_as_it_is_interrupted(make_site, monkeypatch):
    monkeypatch.setattr(typesetter, "LOOK_SECONDS", 600)
    monkeypatch.setattr(siblings, "dead", ["dead worker"])
    parts = make_site().extensions["lockchat"]
    parts.typesetter.catch_up(10)

    reply_id = add_reply(parts.storage, "dead worker")
    with parts.storage.begin() as tx:
        messages.append(tx, [(reply_id, 1, Delta("*so*"))])

    assert wait_until(lambda: stored(parts.storage, reply_id).html, 60) == '<p dir="auto"><em>so</em></p>\n'


def test_so_does_one_of_an_older_renderer(site, storage, reply):
    with storage.begin() as tx:
        messages.set_html(tx, [(reply, "<p>old</p>")], 0)

    site.extensions["lockchat"].typesetter.catch_up(10)

    assert wait_until(lambda: stored(storage, reply).renderer == RENDERER, 15)


def test_a_page_of_finished_replies_renders_nothing(alice, reply, monkeypatch):
    monkeypatch.setattr(process.Renderer, "render", lambda self, text: pytest.fail("rendered at view time"))

    alice.page()


def test_an_answer_that_costs_too_much_says_why_it_looks_so(alice, upstream):
    opened = threading.Event()
    upstream.answer(Wait(opened), *tokens("<[" * 50_001))
    reply_id = alice.new_chat("Draw")

    end = alice.end(reply_id, opened)

    assert "shown without formatting, which would take" in end["html"]
    assert "shown without formatting, which would take" in alice.page()
