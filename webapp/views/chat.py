"""The pages of a chat: show, send, stop; each works as a plain form, and as a fragment for the script."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from flask import (
    Blueprint,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    session,
    stream_template,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from webapp import language, markdown
from webapp.chat import Conversation, Delta, Message
from webapp.conversations import Conversations, Send, Turn
from webapp.errors import Invalid, UpstreamError
from webapp.language import gettext as _
from webapp.views.http import current_user_id, wants_fragment

THEMES = ("light", "dark")

blueprint = Blueprint("chat", __name__)


def use_cases() -> Conversations:
    """The app's conversations."""
    conversations: Conversations = current_app.extensions["conversations"]
    return conversations


@blueprint.get("/")
def index() -> ResponseReturnValue:
    return _page(None, [])


@blueprint.get("/c/<id:conversation_id>")
def show_conversation(conversation_id: str) -> ResponseReturnValue:
    conversation, messages = use_cases().show(current_user_id(), conversation_id)
    return _page(conversation, messages)


@blueprint.post("/conversations")
def create_conversation() -> ResponseReturnValue:
    return _sent(use_cases().send(current_user_id(), None, _form()))


@blueprint.post("/c/<id:conversation_id>/messages")
def create_message(conversation_id: str) -> ResponseReturnValue:
    return _sent(use_cases().send(current_user_id(), conversation_id, _form()))


@blueprint.get("/m/<id:message_id>")
def show_message(message_id: str) -> ResponseReturnValue:
    message = use_cases().message(current_user_id(), message_id)
    if wants_fragment():
        return render_template("_message.html", message=message)
    return redirect(_place_of(message))


@blueprint.get("/m/<id:message_id>/raw")
def raw_message(message_id: str) -> ResponseReturnValue:
    message = use_cases().message(current_user_id(), message_id)
    return message.text, {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.get("/m/<id:message_id>/status")
def show_status(message_id: str) -> ResponseReturnValue:
    return {"status": use_cases().message(current_user_id(), message_id).status}


@blueprint.post("/m/<id:message_id>/stop")
def stop_message(message_id: str) -> ResponseReturnValue:
    message = use_cases().stop(current_user_id(), message_id)
    return ("", 204) if wants_fragment() else redirect(_place_of(message), 303)


@blueprint.post("/m/<id:message_id>/retry")
def retry_message(message_id: str) -> ResponseReturnValue:
    return _sent(use_cases().retry(current_user_id(), message_id, request.form.get("key", "")))


@blueprint.post("/m/<id:message_id>/edit")
def edit_message(message_id: str) -> ResponseReturnValue:
    return _sent(use_cases().edit(current_user_id(), message_id, _form()))


@blueprint.post("/preferences")
def update_preferences() -> ResponseReturnValue:
    theme = request.form.get("theme")
    if theme is not None:
        session["theme"] = theme if theme in THEMES else ""
    if chosen := request.form.get("language"):
        session["language"] = language.choose([chosen])
    # Back to the page of ours that the form was on, wherever the header says that was.
    path = urlsplit(request.referrer or "").path
    return redirect(path if path.startswith("/") and not path.startswith("//") else "/", 303)


@blueprint.app_template_filter("body")
def body(message: Message) -> Markup:
    """The reply as safe HTML: as it was stored, or made now where it was not."""
    if message.html is not None and message.renderer == markdown.RENDERER:
        return Markup(message.html)
    return markdown.render(message.text)


@blueprint.app_template_filter("sentence")
def sentence(message: Message) -> str:
    """What to say about how the reply ended; nothing about one that ended well."""
    outcome = message.outcome
    if outcome is None:
        return ""
    if outcome.failure:
        return UpstreamError.of(outcome.failure).sentence
    if not outcome.saved:
        return _("This answer could not be saved yet. Copy it before you leave the page.")
    if outcome.finish_reason == "length":
        return _("The answer reached the model's length limit.")
    if outcome.finish_reason == "content_filter":
        return _("The upstream's content filter ended the answer here.")
    return {
        "stopped": _("Stopped."),
        "interrupted": _("The answer was interrupted: the server restarted."),
    }.get(outcome.status, "")


def _page(conversation: Conversation | None, messages: list[Message]) -> ResponseReturnValue:
    """The chat page; for a browser without script, a page that goes on while the reply comes."""
    user_id, conversations, models = current_user_id(), use_cases(), _models()
    context: dict[str, object] = {
        "conversation": conversation,
        "conversations": conversations.of(user_id),
        "messages": messages,
        "models": models,
        "model": conversation.model if conversation else models[0],
        "draft": "",
        "live": None,
    }
    running = next((message for message in messages if message.status == "streaming"), None)
    if running is None or "live" not in request.args:
        return render_template("chat.html", **context)
    reply_id = running.id
    context["live"] = _live_text(conversations, reply_id)
    context["finished"] = lambda: conversations.message(user_id, reply_id)
    page = stream_with_context(stream_template("chat.html", **context))
    return Response(page, content_type="text/html; charset=utf-8", headers={"X-Accel-Buffering": "no"})


def _live_text(conversations: Conversations, reply_id: str) -> Iterator[Markup]:
    for step in conversations.follow(reply_id):
        if isinstance(step, Delta):
            yield escape(step.text)


def _form() -> Send:
    return Send(
        text=request.form.get("text", ""),
        key=request.form.get("key", ""),
        model=request.form.get("model"),
        temperature=_temperature(request.form.get("temperature")),
        system=request.form.get("system"),
    )


def _sent(turn: Turn) -> ResponseReturnValue:
    place = url_for("chat.show_conversation", conversation_id=turn.conversation.id)
    if not wants_fragment():
        return redirect(f"{place}#m-{turn.reply.id}", 303)
    headers = {"Location": place, "X-Title": quote(turn.conversation.title)}
    return render_template("_turn.html", messages=[turn.question, turn.reply]), 201, headers


def _temperature(value: str | None) -> float | None:
    try:
        return float(value) if value else None
    except ValueError:
        raise Invalid(_("The temperature is a number from 0 to 2.")) from None


def _place_of(message: Message) -> str:
    return url_for("chat.show_conversation", conversation_id=message.conversation_id, _anchor=f"m-{message.id}")


def _models() -> list[str]:
    names: list[str] = current_app.extensions["models"].names()
    return names
