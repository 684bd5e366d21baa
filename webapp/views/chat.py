"""The pages of a chat: show, send, stop; each works as a plain form, and as a fragment for the script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote, urlsplit

from flask import Blueprint, redirect, render_template, request, session, stream_template, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from webapp.chat import Delta, Folder, Message, Preset
from webapp.conversations import LAST_MESSAGES, Shown
from webapp.errors import Busy, NotFound
from webapp.presets import beginning, fields_in
from webapp.sends import Send, Turn
from webapp.settings import Typed, is_like
from webapp.views import pages, site, typed
from webapp.views.hosts import came_from
from webapp.views.http import hold_open
from webapp.views.marks import renews_cookie
from webapp.views.parts import parts
from webapp.views.sidebar import sidebar
from webapp.views.visitor import current_user, known_actor, wants_fragment
from webapp.views.words import said

END_OF_PART = Markup("<!-- -->")

blueprint = Blueprint("chat", __name__)


@blueprint.get("/")
@renews_cookie
def index() -> ResponseReturnValue:
    return page(None)


@blueprint.get("/c/<id:conversation_id>")
@renews_cookie
def show_conversation(conversation_id: str) -> ResponseReturnValue:
    last = max(request.args.get("last", LAST_MESSAGES, type=int), 1)
    at, before = request.args.get("at"), request.args.get("before")
    page_of = pages.page_of(site.models(), whole=(request.args.get("edit"), request.args.get("again")))
    user_id = current_user().id
    with parts().storage.reads():
        shown = parts().conversations.show(user_id, conversation_id, at=at, before=before, last=last, page_of=page_of)
        context = _context(shown)
    return _answer(shown, context)


@blueprint.post("/c/<id:conversation_id>/rename")
def rename_conversation(conversation_id: str) -> ResponseReturnValue:
    parts().conversations.rename(current_user().id, conversation_id, request.form.get("title", ""))
    return managed(place_of(conversation_id))


@blueprint.post("/c/<id:conversation_id>/pin")
def pin_conversation(conversation_id: str) -> ResponseReturnValue:
    parts().conversations.pin(current_user().id, conversation_id, request.form.get("pinned") == "1")
    return managed(place_of(conversation_id))


@blueprint.post("/c/<id:conversation_id>/delete")
def delete_conversation(conversation_id: str) -> ResponseReturnValue:
    parts().conversations.delete(current_user().id, conversation_id, known_actor())
    return managed(url_for("chat.index", deleted=conversation_id), deleted=conversation_id)


@blueprint.post("/c/<id:conversation_id>/restore")
def restore_conversation(conversation_id: str) -> ResponseReturnValue:
    parts().conversations.restore(current_user().id, conversation_id, known_actor())
    return managed(place_of(conversation_id))


@blueprint.post("/conversations")
def create_conversation() -> ResponseReturnValue:
    user_id = current_user().id
    turn = parts().turns.send(user_id, None, form())
    if folder_id := request.args.get("folder", ""):
        with suppress(NotFound):  # deleted since the page was loaded
            parts().folders.move(user_id, turn.conversation.id, folder_id)
    return sent(turn, is_new=True)


@blueprint.post("/c/<id:conversation_id>/messages")
def create_message(conversation_id: str) -> ResponseReturnValue:
    return sent(parts().turns.send(current_user().id, conversation_id, form()))


@blueprint.get("/m/<id:message_id>")
@blueprint.get("/m/<id:message_id>/<any(retry, continue, select, stop):kind>")  # a reload of what these forms answer
def show_message(message_id: str, kind: str = "") -> ResponseReturnValue:
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
    """`full` says why a stream would be refused now: a script that follows streams cannot read the answer to it."""
    status = parts().conversations.message(current_user().id, message_id).status
    return {"status": status} | (_refusal() if status == "streaming" else {})


def _refusal() -> dict[str, str]:
    try:
        with parts().followers.place(current_user().holder):
            return {}
    except Busy as error:
        return {"full": error.sentence}


@blueprint.post("/m/<id:message_id>/stop")
def stop_message(message_id: str) -> ResponseReturnValue:
    message = parts().following.stop(current_user().id, message_id)
    return ("", 204) if wants_fragment() else _shown(message)


@blueprint.post("/m/<id:message_id>/retry")
def retry_message(message_id: str) -> ResponseReturnValue:
    turn = parts().turns.retry(current_user().id, message_id, form())
    return _with_unsent(turn.conversation.id, last=2) or sent(turn)


@blueprint.post("/m/<id:message_id>/continue")
def continue_message(message_id: str) -> ResponseReturnValue:
    turn = parts().turns.extend(current_user().id, message_id, form())
    return _with_unsent(turn.conversation.id, last=2) or sent(turn)


@blueprint.post("/m/<id:message_id>/select")
def select_message(message_id: str) -> ResponseReturnValue:
    return _shown(parts().conversations.select(current_user().id, message_id))


@blueprint.post("/m/<id:message_id>/edit")
def edit_message(message_id: str) -> ResponseReturnValue:
    return sent(parts().turns.edit(current_user().id, message_id, form()))


def page(shown: Shown | None, draft: str = "", preset: Preset | None = None) -> ResponseReturnValue:
    """The chat page; for a browser without script, a page that grows with the reply. `draft` stands in its box."""
    with parts().storage.reads():
        context = _context(shown, draft, preset)
    return _answer(shown, context, draft)


def _answer(shown: Shown | None, context: dict[str, object], draft: str = "") -> ResponseReturnValue:
    running = next((message for message in shown.messages if message.status == "streaming"), None) if shown else None
    if running is None or not (draft or "live" in request.args):
        return pages.rendered("chat.html", context)
    try:
        return _growing(context, running)
    except Busy as error:  # shows the text so far, on a page that reloads
        return render_template("chat.html", **context), {} if draft else {"Refresh": str(error.retry_after)}


def _context(shown: Shown | None, draft: str = "", preset: Preset | None = None) -> dict[str, object]:
    """The variables of `chat.html`."""
    user_id, models = current_user().id, site.models()
    deleted = request.args.get("deleted", "")
    conversation, messages = (shown.conversation, shown.messages) if shown else (None, [])
    presets = parts().presets.of(user_id)
    folder, preset = (None, preset) if conversation else _beginning(user_id, presets, preset)
    start = conversation or preset
    return {
        "conversation": conversation,
        "folder": folder,
        "messages": messages,
        "running": [message for message in messages if message.status == "streaming"],
        "shown": shown,
        "revision": shown.revision if shown else parts().changes.revision(user_id),
        "deleted": deleted if deleted and parts().conversations.is_restorable(user_id, deleted) else "",
        "models": models,
        "presets": presets,
        "preset_names": [(one.id, one.name) for one in presets],
        "preset": preset,
        "like": next((one for one in presets if start and is_like(one, start)), None),
        "fields": fields_in(preset) if preset else [],
        "model": _first_offered([start.model] if start else _last_used(user_id, models), models),
        "trouble": site.trouble() if not conversation or not models else "",
        "missing": start.model if start and models and start.model not in models else "",
        "temperature": start.temperature if start else None,
        "system": start.system if start else "",
        "options": start.options if start else {},
        "editing": next((one.id for one in messages if one.role == "user" and one.id == request.args.get("edit")), ""),
        "retrying": request.args.get("again", ""),
        "draft": draft,
        "queued": parts().queue.get(user_id, conversation.id) if conversation else None,
        "parent": shown.leaf_id if shown else "",
        "live": None,
        **sidebar(user_id),
    }


def _growing(context: dict[str, object], running: Message) -> ResponseReturnValue:
    """The page that grows with the running reply, to its end. Raises Busy."""
    ended: list[Message] = []
    live: dict[str, object] = {
        "live_id": running.id,
        "live": _live_text(parts().following.follow(running), ended),
        "finished": lambda: ended[0],
    }
    return hold_open(_in_parts(stream_template("chat.html", **context | live)), "text/html; charset=utf-8")


def _beginning(user_id: str, presets: list[Preset], preset: Preset | None) -> tuple[Folder | None, Preset | None]:
    """The folder that a new chat begins in, and its preset: the one given or asked for, the folder's or the user's."""
    folder_id = request.args.get("folder", "")
    folder = parts().folders.get(user_id, folder_id) if folder_id else None
    default = (folder.preset_id if folder else "") or session.get("preset", "")
    return folder, preset or beginning(presets, request.args.get("preset"), default)


def _last_used(user_id: str, models: list[str]) -> list[str]:
    return parts().conversations.models(user_id) if len(models) > 1 else []  # else there is no choice


def _first_offered(choices: list[str], models: list[str]) -> str:
    """The first of these models that is offered, else the default; empty where none is offered."""
    return next((model for model in choices if model in models), (models or [""])[0])


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


def _with_unsent(conversation_id: str, last: int = LAST_MESSAGES) -> ResponseReturnValue | None:
    """The page with the text that its box has not sent; None without such a text.

    Without script only the answer to a form can bring it back.
    """
    unsent = request.form.get("text", "")
    if not unsent.strip() or "text/html" not in request.headers.get("Accept", ""):
        return None
    return page(parts().conversations.show(current_user().id, conversation_id, last=last), unsent)


def _shown(message: Message) -> ResponseReturnValue:
    """The way to the message, or the page with the text that its box has not sent."""
    return _with_unsent(message.conversation_id) or redirect(_place_of(message), 303)


def form() -> Send:
    """What the form sends."""
    return Send(
        text=request.form.get("text", ""),
        key=request.form.get("key", ""),
        parent_id=request.form.get("parent"),
        address=current_user().address,
        settings=Typed(
            model=request.form.get("with") or request.form.get("model"),  # of the list beside Retry, or of the composer
            temperature=request.form.get("temperature"),
            system=request.form.get("system"),
            options=typed.options(),
        ),
    )


def sent(turn: Turn, *, is_new: bool = False) -> ResponseReturnValue:
    """The answer to a send: the way to its place, or the turn as a fragment for the script."""
    place = place_of(turn.conversation.id)
    if not wants_fragment():
        return redirect(f"{place}#m-{turn.reply.id}", 303)
    headers = {"Location": place, "X-Title": quote(turn.conversation.title)}
    began = turn.conversation if is_new else None
    folders = parts().folders.of(current_user().id) if is_new else []
    turned = {"question": turn.question, "reply": turn.reply, "conversation": began, "folders": folders}
    fragment = render_template("_turn.html", **turned)
    return fragment, 201, headers


def _fragment(message: Message) -> str:
    if message.role == "user":
        return render_template("_question.html", message=message)
    return render_template("_reply.html", message=message, said=said(message))


def managed(place: str, *, deleted: str = "") -> ResponseReturnValue:
    """Lead back to the list, or to the page that the list is beside, if the form was theirs; else to `place`.

    A page that can undo the deletion of `deleted` is told its id.
    """
    origin, start, listing = request.form.get("from"), url_for("chat.index"), url_for("listing.show_conversations")
    page = listing if origin == "list" else urlsplit(came_from()).path
    has_undo = page in (start, listing) or (page.startswith(place_of("")) and page != place_of(deleted))
    if not origin or (deleted and not has_undo):
        return redirect(place, 303)
    return redirect(f"{page}?deleted={deleted}" if deleted else page, 303)


def place_of(conversation_id: str, anchor: str | None = None) -> str:
    return url_for("chat.show_conversation", conversation_id=conversation_id, _anchor=anchor)


def _place_of(message: Message) -> str:
    return place_of(message.conversation_id, f"m-{message.id}")
