"""The first visit of somebody whom a proxy signed in, in a browser that has chats from open login."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from webapp.views import identity, visitor
from webapp.views.door import place_of
from webapp.views.hosts import local_path
from webapp.views.marks import for_strangers
from webapp.views.parts import parts

blueprint = Blueprint("welcome", __name__)


@blueprint.get("/welcome")
@for_strangers
def show() -> ResponseReturnValue:
    wanted = request.args.get("next", "")
    if visitor.known_user():
        return redirect(place_of(wanted), 303)
    return render_template("welcome.html", next=local_path(wanted))


@blueprint.post("/welcome")
@for_strangers
def answer() -> ResponseReturnValue:
    if not visitor.known_user():
        user_id = visitor.user_of_open_login() if "take_along" in request.form else ""
        parts().team.accounts.make_for_proxy(identity.of_request(), visitor.client(), user_id=user_id)
    return redirect(place_of(request.form.get("next", "")), 303)
