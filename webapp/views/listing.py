"""The page of all conversations, a part of them at a time; its fragments go on with the list beside every page."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp.views.parts import parts
from webapp.views.sidebar import retention, sidebar
from webapp.views.visitor import current_user, wants_fragment

blueprint = Blueprint("listing", __name__)


@blueprint.get("/conversations")
def show_conversations() -> ResponseReturnValue:
    user_id, after = current_user().id, request.args.get("after", "")
    if wants_fragment():
        return render_template("_list.html", menus=True, **sidebar(user_id, after))
    folder_id = request.args.get("folder", "")
    folder = parts().folders.get(user_id, folder_id) if folder_id else None
    beside = sidebar(user_id)
    deleted = request.args.get("deleted", "")
    deleted = deleted if deleted and parts().conversations.is_restorable(user_id, deleted) else ""
    return render_template(
        "conversations.html",
        here=folder,
        listed=sidebar(user_id, after, folder_id) if after or folder_id else beside,
        after=after,
        deleted=deleted,
        retention=retention(current_user()),
        presets=parts().presets.of(user_id) if folder else [],
        **beside,
    )


@blueprint.get("/c/<id:conversation_id>/menu")
def show_menu(conversation_id: str) -> ResponseReturnValue:
    user_id = current_user().id
    conversation = parts().conversations.get(user_id, conversation_id)
    if wants_fragment():
        return render_template(
            "_menu.html", conversation=conversation, folders=parts().folders.of(user_id), origin="menu"
        )
    return render_template("menu.html", conversation=conversation, **sidebar(user_id))
