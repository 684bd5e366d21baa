"""The page of one's own keys of the API."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.accounts import NAME_CHARS
from webapp.errors import AppError
from webapp.keys import DAYS
from webapp.views.parts import parts
from webapp.views.problems import page_with_list
from webapp.views.visitor import actor, current_user

USUAL_DAYS = 90

blueprint = Blueprint("keys", __name__)


@blueprint.get("/keys")
def show_keys(error: AppError | None = None, key: str = "") -> ResponseReturnValue:
    """The page; `key` is a new one, to show once."""
    return page_with_list(
        "keys.html",
        error,
        keys=parts().team.keys.of(current_user().id),
        key=key,
        days=DAYS,
        chosen_days=request.form.get("days", "") if error else str(USUAL_DAYS),
        name=request.form.get("name", "")[:NAME_CHARS] if error else "",
    )


@blueprint.post("/keys")
def create_key() -> ResponseReturnValue:
    try:
        key = parts().team.keys.make(actor(), request.form.get("name", ""), request.form.get("days", ""))
    except AppError as error:
        return show_keys(error)
    return show_keys(key=key)  # shown once: neither a cookie nor an address keeps it


@blueprint.post("/keys/<id:key_id>/revoke")
def revoke_key(key_id: str) -> ResponseReturnValue:
    parts().team.keys.revoke(actor(), key_id)
    return redirect(url_for("keys.show_keys"), 303)
