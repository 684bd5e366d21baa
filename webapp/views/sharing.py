"""Shared conversations: their owner shares, lists and revokes them; every member with the link reads them."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.views.http import end_with_user
from webapp.views.parts import parts
from webapp.views.pictures import picture_answer
from webapp.views.problems import page_with_list
from webapp.views.visitor import actor, current_user

blueprint = Blueprint("sharing", __name__)


@blueprint.post("/c/<id:conversation_id>/share")
def share_conversation(conversation_id: str) -> ResponseReturnValue:
    parts().team.shares.share(actor(), conversation_id)
    return redirect(url_for("sharing.show_shares"), 303)


@blueprint.get("/shares")
def show_shares() -> ResponseReturnValue:
    return page_with_list("shares.html", shares=parts().team.shares.of(current_user().id))


@blueprint.post("/shares/<id:share_id>/revoke")
def revoke_share(share_id: str) -> ResponseReturnValue:
    parts().team.shares.revoke(actor(), share_id)
    return redirect(url_for("sharing.show_shares"), 303)


@blueprint.get("/s/<id:share_id>")
def show_share(share_id: str) -> ResponseReturnValue:
    reading = parts().team.shares.show(share_id, at=request.args.get("at"), before=request.args.get("before"))
    return page_with_list("shared.html", reading=reading, share=reading.share)


@blueprint.get("/s/<id:share_id>/p/<id:picture_id>")
def show_picture(share_id: str, picture_id: str) -> ResponseReturnValue:
    current_user()
    answer = picture_answer(*parts().team.shares.picture(share_id, picture_id))
    end_with_user(answer, partial(parts().team.shares.is_there, share_id))
    return answer
