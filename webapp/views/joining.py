"""Invite links: make an account, set a new password, or become an administrator behind a proxy."""

from __future__ import annotations

from flask import Blueprint, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from webapp.accounts import login_of
from webapp.errors import AppError, NotFound
from webapp.passwords import MIN_CHARS
from webapp.team import PASSWORD
from webapp.views import visitor
from webapp.views.door import signed_in
from webapp.views.marks import for_strangers
from webapp.views.parts import parts
from webapp.views.problems import form_page

blueprint = Blueprint("joining", __name__)


@blueprint.get("/invite/<token>")
@for_strangers
def show_invite(token: str) -> ResponseReturnValue:
    if parts().config.login != PASSWORD and not visitor.known_user():  # a link gives a role to who has an account
        return redirect(visitor.way_in(request.path), 303)
    return _page(token)


@blueprint.post("/invite/<token>")
@for_strangers
def accept_invite(token: str) -> ResponseReturnValue:
    if parts().config.login != PASSWORD:
        account = visitor.current_user().account
        assert account is not None
        parts().team.invites.accept_role(token, account, visitor.client())
        return redirect(url_for("chat.index"), 303)
    user_id = visitor.user_of_open_login() if "take_along" in request.form else ""
    name, password = request.form.get("name", ""), request.form.get("password", "")
    try:
        new = parts().team.invites.accept(token, name, password, visitor.client(), user_id=user_id)
    except NotFound:
        raise
    except AppError as error:
        return _page(token, error)
    if user_id:
        session.pop("user_id", None)  # the chats belong to the account now
    return signed_in(redirect(url_for("chat.index"), 303), new, login_of(name))


def _page(token: str, error: AppError | None = None) -> ResponseReturnValue:
    invite, name = parts().team.invites.look(token)
    has_password = parts().config.login == PASSWORD
    return form_page(
        "invite.html",
        error,
        token=token,
        invite=invite,
        account_name=name,
        name=request.form.get("name", "")[:200],
        min_chars=MIN_CHARS,
        has_password=has_password,
        has_chats=has_password and visitor.has_chats_of_open_login(),
        is_taking_along="take_along" in request.form,
    )
