"""The users page of administrators: accounts and invites."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.config import MOST_DAYS
from webapp.errors import AppError
from webapp.team import ROLES
from webapp.views.marks import for_admins
from webapp.views.parts import parts
from webapp.views.people import people, place
from webapp.views.problems import page_with_list
from webapp.views.visitor import actor

blueprint = Blueprint("admin", __name__)


@blueprint.get("/admin/users")
@for_admins
def show_users(error: AppError | None = None, token: str = "") -> ResponseReturnValue:
    """The page; `token` is that of a link to show once."""
    here = parts()
    return page_with_list(
        "users.html",
        error,
        **people(),
        last_seen=here.team.users.last_seen(),
        pending=here.team.invites.pending(),
        roles=ROLES,
        most_days=MOST_DAYS,
        token=token,
    )


@blueprint.post("/admin/invites")
@for_admins
def create_invite() -> ResponseReturnValue:
    try:
        token = parts().team.invites.make(actor(), request.form.get("role", ""))
    except AppError as error:
        return show_users(error)
    return show_users(token=token)  # shown once: neither a cookie nor an address keeps it


@blueprint.post("/admin/invites/<id:invite_id>/withdraw")
@for_admins
def withdraw_invite(invite_id: str) -> ResponseReturnValue:
    parts().team.invites.withdraw(actor(), invite_id)
    return _to_users()


@blueprint.post("/admin/users/<id:user_id>/reset")
@for_admins
def create_reset(user_id: str) -> ResponseReturnValue:
    return show_users(token=parts().team.invites.make_reset(actor(), user_id))


@blueprint.post("/admin/users/<id:user_id>/role")
@for_admins
def change_role(user_id: str) -> ResponseReturnValue:
    return _changed(parts().team.users.change_role, user_id, request.form.get("role", ""))


@blueprint.post("/admin/users/<id:user_id>/retention")
@for_admins
def change_retention(user_id: str) -> ResponseReturnValue:
    return _changed(parts().team.users.change_retention, user_id, request.form.get("days", ""))


@blueprint.post("/admin/users/<id:user_id>/disable")
@for_admins
def disable_user(user_id: str) -> ResponseReturnValue:
    return _changed(parts().team.users.disable, user_id)


@blueprint.post("/admin/users/<id:user_id>/enable")
@for_admins
def enable_user(user_id: str) -> ResponseReturnValue:
    parts().team.users.enable(actor(), user_id)
    return _to_users()


@blueprint.post("/admin/users/<id:user_id>/sign-out")
@for_admins
def sign_out_user(user_id: str) -> ResponseReturnValue:
    parts().team.users.sign_out(actor(), user_id)
    return _to_users()


@blueprint.get("/admin/invites")
@blueprint.get("/admin/users/<id:user_id>/reset")
@blueprint.get("/admin/users/<id:user_id>/role")
@blueprint.get("/admin/users/<id:user_id>/retention")
@blueprint.get("/admin/users/<id:user_id>/disable")
@for_admins
def show_users_again(user_id: str = "") -> ResponseReturnValue:
    # A form that was answered with the page leaves the browser at these addresses.
    return _to_users()


def _changed(change: Callable[..., None], *values: str) -> ResponseReturnValue:
    """The page again; with the sentence of an error."""
    try:
        change(actor(), *values)
    except AppError as error:
        return show_users(error)
    return _to_users()


def _to_users() -> ResponseReturnValue:
    return redirect(url_for("admin.show_users", **place()), 303)
