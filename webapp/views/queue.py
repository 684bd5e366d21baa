"""The message that waits for the end of an answer: put, shown, edited, taken back; as plain forms and as fragments."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from webapp.chat import Queued
from webapp.sends import Turn
from webapp.views.chat import form, page, place_of, sent
from webapp.views.parts import parts
from webapp.views.visitor import current_user, wants_fragment

blueprint = Blueprint("queue", __name__)


@blueprint.post("/c/<id:conversation_id>/queue")
def create_queued(conversation_id: str) -> ResponseReturnValue:
    return _answer(parts().queue.put(current_user().id, conversation_id, form()))


@blueprint.get("/c/<id:conversation_id>/queue")
def show_queued(conversation_id: str) -> ResponseReturnValue:
    """For the script: the waiting message, the turn that it has become, or nothing where it was taken back."""
    if not wants_fragment():
        return redirect(place_of(conversation_id))
    user_id, key = current_user().id, request.args.get("key", "")
    found = parts().queue.get(user_id, conversation_id) or parts().turns.sent(user_id, key)
    return _answer(found) if found else ("", 204)


@blueprint.post("/c/<id:conversation_id>/queue/edit")
def edit_queued(conversation_id: str) -> ResponseReturnValue:
    return _answer(parts().queue.edit(current_user().id, conversation_id, request.form.get("was", ""), form()))


@blueprint.post("/c/<id:conversation_id>/queue/take")
def take_queued(conversation_id: str) -> ResponseReturnValue:
    """Give the text back: alone to the script, else in the box of the page."""
    user_id = current_user().id
    text = parts().queue.take_back(user_id, conversation_id, request.form.get("key", ""))
    if wants_fragment():
        return text, {"Content-Type": "text/plain; charset=utf-8"}
    return page(parts().conversations.show(user_id, conversation_id), draft=text)


@blueprint.post("/c/<id:conversation_id>/queue/send")
def send_queued(conversation_id: str) -> ResponseReturnValue:
    return sent(parts().queue.send_now(current_user().id, conversation_id))


@blueprint.get("/c/<id:conversation_id>/queue/<any(edit, take, send):step>")
def show_conversation(conversation_id: str, step: str) -> ResponseReturnValue:
    """The conversation, for a reload after one of these forms."""
    return redirect(place_of(conversation_id))


def _answer(found: Queued | Turn) -> ResponseReturnValue:
    if isinstance(found, Turn):
        return sent(found)
    if wants_fragment():
        return render_template("_queued.html", queued=found), 202
    return redirect(place_of(found.conversation_id, "queued"), 303)
