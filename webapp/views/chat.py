"""The pages of a chat: show, send, stop; each works as a plain form, and as a fragment for the script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import unescape
from operator import attrgetter
from urllib.parse import quote

from flask import (
    Blueprint,
    redirect,
    render_template,
    request,
    session,
    stream_template,
    url_for,
)
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from webapp import language, markdown, window
from webapp.chat import Conversation, Delta, Message, Preset, Settings
from webapp.conversations import LAST_MESSAGES, Shown
from webapp.errors import Busy, UpstreamError
from webapp.language import gettext as _
from webapp.language import ngettext
from webapp.rendering import process
from webapp.rendering.notes import scoped
from webapp.settings import Typed
from webapp.turns import Send, Turn
from webapp.views.http import hold_open
from webapp.views.marks import renews_cookie
from webapp.views.parts import parts
from webapp.views.visitor import current_user, wants_fragment

SHORTEST_SECONDS = 0.2  # a shorter time gives no useful rate
CAPTION = re.compile(r"<figcaption>[^<]*+</figcaption>")
TAG = re.compile(r"<[^<>]*+>")
END_OF_PART = Markup("<!-- -->")

blueprint = Blueprint("chat", __name__)
blueprint.add_app_template_filter(language.date, "date")
blueprint.add_app_template_filter(window.used_tokens, "used_tokens")


@blueprint.get("/")
@renews_cookie
def index() -> ResponseReturnValue:
    return _page(None)


@blueprint.get("/c/<id:conversation_id>")
@renews_cookie
def show_conversation(conversation_id: str) -> ResponseReturnValue:
    last = max(request.args.get("last", LAST_MESSAGES, type=int), 1)
    at, before = request.args.get("at"), request.args.get("before")
    return _page(parts().conversations.show(current_user().id, conversation_id, at=at, before=before, last=last))


@blueprint.post("/c/<id:conversation_id>/rename")
def rename_conversation(conversation_id: str) -> ResponseReturnValue:
    parts().conversations.rename(current_user().id, conversation_id, request.form.get("title", ""))
    return redirect(url_for("chat.show_conversation", conversation_id=conversation_id), 303)


@blueprint.post("/c/<id:conversation_id>/pin")
def pin_conversation(conversation_id: str) -> ResponseReturnValue:
    parts().conversations.pin(current_user().id, conversation_id, request.form.get("pinned") == "1")
    return redirect(url_for("chat.show_conversation", conversation_id=conversation_id), 303)


@blueprint.post("/c/<id:conversation_id>/delete")
def delete_conversation(conversation_id: str) -> ResponseReturnValue:
    parts().conversations.delete(current_user().id, conversation_id)
    return redirect(url_for("chat.index", deleted=conversation_id), 303)


@blueprint.post("/c/<id:conversation_id>/restore")
def restore_conversation(conversation_id: str) -> ResponseReturnValue:
    parts().conversations.restore(current_user().id, conversation_id)
    return redirect(url_for("chat.show_conversation", conversation_id=conversation_id), 303)


@blueprint.post("/conversations")
def create_conversation() -> ResponseReturnValue:
    return _sent(parts().turns.send(current_user().id, None, _form()), is_new=True)


@blueprint.post("/c/<id:conversation_id>/messages")
def create_message(conversation_id: str) -> ResponseReturnValue:
    return _sent(parts().turns.send(current_user().id, conversation_id, _form()))


@blueprint.get("/m/<id:message_id>")
def show_message(message_id: str) -> ResponseReturnValue:
    message = parts().conversations.message(current_user().id, message_id)
    if wants_fragment():
        return _fragment(message)
    return redirect(_place_of(message))


@blueprint.get("/m/<id:message_id>/raw")
def raw_message(message_id: str) -> ResponseReturnValue:
    message = parts().conversations.message(current_user().id, message_id)
    return message.text, {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.get("/m/<id:message_id>/status")
def show_status(message_id: str) -> ResponseReturnValue:
    return {"status": parts().conversations.message(current_user().id, message_id).status}


@blueprint.post("/m/<id:message_id>/stop")
def stop_message(message_id: str) -> ResponseReturnValue:
    message = parts().following.stop(current_user().id, message_id)
    return ("", 204) if wants_fragment() else redirect(_place_of(message), 303)


@blueprint.post("/m/<id:message_id>/retry")
def retry_message(message_id: str) -> ResponseReturnValue:
    return _sent(parts().turns.retry(current_user().id, message_id, _form()))


@blueprint.post("/m/<id:message_id>/select")
def select_message(message_id: str) -> ResponseReturnValue:
    return redirect(_place_of(parts().conversations.select(current_user().id, message_id)), 303)


@blueprint.post("/m/<id:message_id>/edit")
def edit_message(message_id: str) -> ResponseReturnValue:
    return _sent(parts().turns.edit(current_user().id, message_id, _form()))


@blueprint.app_template_filter("body")
def body(message: Message) -> Markup:
    """The reply as safe HTML: the stored HTML, or the escaped text if none is stored yet.

    The renderer's process renders the text so far of a running reply. A view never renders by itself.
    """
    html = process.shared().render(message.text) if message.status == "streaming" else message.html
    return Markup(markdown.plain(message.text) if html is None else scoped(html, message.id))


@blueprint.app_template_filter("is_unformatted")
def is_unformatted(message: Message) -> bool:
    """Whether a finished reply is shown without formatting, because rendering it costs too much."""
    return (message.html or "").startswith(markdown.PLAIN)


@blueprint.app_template_filter("script_lang")
def script_lang(text: str) -> Markup:
    """The `lang` attribute for a text in another script than the page's; else nothing."""
    found = language.foreign(text)
    return Markup(' lang="{}"').format(found) if found else Markup()


@blueprint.app_template_filter("sentence")
def sentence(message: Message) -> str:
    """The sentence about how the reply ended; empty if it is complete."""
    outcome = message.outcome
    if outcome is None:
        return ""
    if outcome.failure:
        return UpstreamError.of(outcome.failure).sentence
    if not outcome.saved:
        return _("This answer could not be saved yet. Copy it before you leave the page.")
    if outcome.finish_reason == "length":
        if message.reasoning and not message.text.strip():
            return _("The model reached its length limit while it was still thinking, so there is no answer.")
        return _("The answer reached the model's length limit.")
    if outcome.tool and outcome.status == "done":
        return _("The model asked for the tool %(tool)s, and this page runs none.") % {"tool": outcome.tool}
    if outcome.finish_reason == "content_filter":
        return _("The upstream's content filter ended the answer here.")
    return {
        "stopped": _("Stopped."),
        "interrupted": _("The answer was interrupted: the server restarted."),
    }.get(outcome.status, "")


@blueprint.app_template_filter("window_note")
def window_note(message: Message) -> str:
    """Whether the model still sees the whole conversation; nothing while it does."""
    if window.is_cut(message):
        return _("The model no longer sees the beginning of this conversation, which is longer than its window.")
    if window.is_nearly_full(message):
        return _("The model's window is nearly full: it no longer sees the beginning, or soon will not.")
    return ""


@blueprint.app_template_filter("window_use")
def window_use(message: Message) -> str:
    """How full the model's window is, where that is known."""
    used = window.used_tokens(message)
    if not used or not message.window:
        return ""
    numbers = {"used": language.number(used), "window": language.number(message.window)}
    return _("%(used)s of %(window)s tokens in the window") % numbers


def said(message: Message) -> str:
    """What a screen reader says at the end of a reply: how it ended, after its text if the user asked for that."""
    text = unescape(TAG.sub("", CAPTION.sub("", body(message)))) if session.get("read_aloud") else ""
    return " ".join(filter(None, (" ".join(text.split()), sentence(message), window_note(message))))


@blueprint.app_template_filter("dropped")
def dropped(message: Message) -> str:
    """What to say about the user's settings that the model refused; nothing where it took them all."""
    names = message.outcome.dropped if message.outcome else ()
    words = {"temperature": _("the temperature")}
    said = ", ".join(words.get(name, name) for name in names)
    return (
        _("The model does not accept %(settings)s that you set, so it answered without.") % {"settings": said}
        if said
        else ""
    )


@blueprint.app_template_filter("figures")
def figures(message: Message) -> str:
    """The figures of a reply: its tokens, their rate, and the time to the first one."""
    outcome = message.outcome
    if outcome is None:
        return ""
    tokens = outcome.usage.completion_tokens if outcome.usage else None
    first, seconds = outcome.first_token_seconds, outcome.seconds
    parts = []
    if tokens:
        parts.append(ngettext("%(num)s token", "%(num)s tokens", tokens) % {"num": language.number(tokens)})
        if reasoning := outcome.usage and outcome.usage.reasoning_tokens:
            parts[0] += " " + _("(%(num)s of reasoning)") % {"num": language.number(reasoning)}
        if first is not None and seconds is not None and seconds - first > SHORTEST_SECONDS:
            parts.append(_("%(rate)s tokens/s") % {"rate": language.number(tokens / (seconds - first))})
    if first is not None:
        parts.append(_("first token after %(seconds)s s") % {"seconds": language.number(first, 1)})
    return " · ".join(parts)


def _page(shown: Shown | None) -> ResponseReturnValue:
    """The chat page; for a browser without script, a page that grows with the reply."""
    user_id, models = current_user().id, parts().models.names()
    conversations = parts().conversations.of(user_id)
    conversation, messages = (shown.conversation, shown.messages) if shown else (None, [])
    start: Conversation | Preset | None = conversation
    if not conversation and (preset_id := request.args.get("preset")):
        start = parts().presets.get(user_id, preset_id)
    context: dict[str, object] = {
        "conversation": conversation,
        "conversations": conversations,
        "messages": messages,
        "shown": shown,
        "deleted": request.args.get("deleted", ""),
        "models": models,
        "presets": parts().presets.of(user_id),
        "model": _first_offered([start] if start else _last_used(conversations), models),
        "trouble": parts().models.trouble() if not conversation or not models else "",
        "temperature": start.temperature if start else None,
        "system": start.system if start else "",
        "editing": next((one.id for one in messages if one.role == "user" and one.id == request.args.get("edit")), ""),
        "draft": "",
        "parent": shown.leaf_id if shown else "",
        "live": None,
    }
    running = next((message for message in messages if message.status == "streaming"), None)
    if running is None or "live" not in request.args:
        return render_template("chat.html", **context)
    ended: list[Message] = []
    live: dict[str, object] = {
        "live_id": running.id,
        "live": _live_text(parts().following.follow(running), ended),
        "finished": lambda: ended[0],
    }
    try:
        return hold_open(_in_parts(stream_template("chat.html", **context | live)), "text/html; charset=utf-8")
    except Busy as error:  # shows the text so far, on a page that reloads
        return render_template("chat.html", **context), {"Refresh": str(error.retry_after)}


def _last_used(conversations: list[Conversation]) -> list[Conversation]:
    """The conversations, the last used first; the list beside the page begins with the pinned ones."""
    return sorted(conversations, key=attrgetter("updated_at"), reverse=True)


def _first_offered(choices: Iterable[Settings], models: list[str]) -> str:
    """The first model of these choices that is offered, else the default; empty where none is offered."""
    return next((choice.model for choice in choices if choice.model in models), (models or [""])[0])


def _live_text(steps: Iterator[Delta | Message], ended: list[Message]) -> Iterator[Markup]:
    """The text of a reply as it comes, escaped. An empty piece keeps proxies from closing the page."""
    for step in steps:
        if isinstance(step, Message):
            ended.append(step)
        else:
            yield escape(step.text) + END_OF_PART


def _in_parts(chunks: Iterator[str]) -> Iterator[str]:
    """The chunks of a template, joined up to each piece of the reply."""
    part: list[str] = []
    for chunk in chunks:
        part.append(chunk)
        if chunk.endswith(END_OF_PART):
            yield "".join(part)
            part.clear()
    yield "".join(part)


def _form() -> Send:
    return Send(
        text=request.form.get("text", ""),
        key=request.form.get("key", ""),
        parent_id=request.form.get("parent"),
        address=current_user().address,
        settings=Typed(
            model=request.form.get("model"),
            temperature=request.form.get("temperature"),
            system=request.form.get("system"),
        ),
    )


def _sent(turn: Turn, *, is_new: bool = False) -> ResponseReturnValue:
    place = url_for("chat.show_conversation", conversation_id=turn.conversation.id)
    if not wants_fragment():
        return redirect(f"{place}#m-{turn.reply.id}", 303)
    headers = {"Location": place, "X-Title": quote(turn.conversation.title)}
    began = turn.conversation if is_new else None
    fragment = render_template("_turn.html", question=turn.question, reply=turn.reply, conversation=began)
    return fragment, 201, headers


def _fragment(message: Message) -> str:
    if message.role == "user":
        return render_template("_question.html", message=message)
    return render_template("_reply.html", message=message, said=said(message))


def _place_of(message: Message) -> str:
    return url_for("chat.show_conversation", conversation_id=message.conversation_id, _anchor=f"m-{message.id}")
