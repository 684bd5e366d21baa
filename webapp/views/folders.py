"""Folders: make, change and delete them, and move conversations."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.language import gettext as _
from webapp.views.chat import managed
from webapp.views.parts import parts
from webapp.views.visitor import current_user, wants_fragment

blueprint = Blueprint("folders", __name__)


@blueprint.post("/folders")
def create_folder() -> ResponseReturnValue:
    return _shown(parts().folders.add(current_user().id, request.form.get("name", "")))


@blueprint.post("/folders/<id:folder_id>")
def update_folder(folder_id: str) -> ResponseReturnValue:
    name, preset_id = request.form.get("name", ""), request.form.get("preset", "")
    parts().folders.change(current_user().id, folder_id, name, preset_id)
    return _shown(folder_id)


@blueprint.post("/folders/<id:folder_id>/delete")
def delete_folder(folder_id: str) -> ResponseReturnValue:
    parts().folders.delete(current_user().id, folder_id)
    return redirect(url_for("listing.show_conversations"), 303)


@blueprint.get("/folders")
@blueprint.get("/folders/<id:folder_id>")
def show_folder(folder_id: str = "") -> ResponseReturnValue:
    # A refused form leaves the browser at this address, and a reload asks for it.
    return redirect(url_for("listing.show_conversations", folder=folder_id or None))


@blueprint.post("/c/<id:conversation_id>/move")
def move_conversation(conversation_id: str) -> ResponseReturnValue:
    into, new_name = request.form.get("folder", ""), request.form.get("name", "")
    name = parts().folders.move(current_user().id, conversation_id, into, new_name)
    if wants_fragment():
        said = _("Moved to %(folder)s.") % {"folder": name} if name else _("Moved out of its folder.")
        return said, {"Content-Type": "text/plain; charset=utf-8"}
    return managed(url_for("chat.show_conversation", conversation_id=conversation_id))


def _shown(folder_id: str) -> ResponseReturnValue:
    return redirect(url_for("listing.show_conversations", folder=folder_id), 303)
