"""The pages on which administrators set the limits of roles and of users."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import AppError
from webapp.language import gettext as _
from webapp.quotas import NAMES
from webapp.team import ROLES
from webapp.views.marks import for_admins
from webapp.views.parts import parts
from webapp.views.people import people
from webapp.views.problems import page_with_list
from webapp.views.visitor import actor

blueprint = Blueprint("limits", __name__)


@blueprint.get("/admin/limits")
@for_admins
def show_limits() -> ResponseReturnValue:
    return _page(ROLES)


@blueprint.get("/admin/limits/<id:user_id>")
@for_admins
def show_limits_of(user_id: str) -> ResponseReturnValue:
    return _page((user_id,))


@blueprint.post("/admin/limits")
@for_admins
def change_limits() -> ResponseReturnValue:
    return _change(request.form.get("role", ""), ROLES, url_for("limits.show_limits"))


@blueprint.post("/admin/limits/<id:user_id>")
@for_admins
def change_limits_of(user_id: str) -> ResponseReturnValue:
    return _change(user_id, (user_id,), url_for("limits.show_limits_of", user_id=user_id))


def _change(scope: str, shown: tuple[str, ...], place: str) -> ResponseReturnValue:
    try:
        parts().team.users.set_limits(actor(), scope, {name: request.form.get(name, "") for name in NAMES})
    except AppError as error:
        return _page(shown, error, scope)
    flash(_("The limits are saved."), "limits")
    return redirect(place, 303)


def _page(scopes: tuple[str, ...], error: AppError | None = None, typed: str = "") -> ResponseReturnValue:
    """The page with a form for each of `scopes`, roles or a user's id. The form of `typed` keeps what was typed."""
    users = parts().team.users
    values: dict[str, Mapping[str, object]] = {scope: users.limits(scope) for scope in scopes}
    if typed in values:
        values[typed] = request.form.to_dict()
    is_for_roles = scopes == ROLES
    account = None if is_for_roles else users.known(scopes[0])
    return page_with_list(
        "limits.html",
        error,
        values=values,
        names=NAMES,
        account=account,
        of_role=users.limits(account.role) if account else {},
        **(people() if is_for_roles else {}),
        own=users.limited() if is_for_roles else (),
    )
