"""The page on which administrators choose the models that each role may use."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import AppError
from webapp.language import gettext as _
from webapp.views.marks import for_admins
from webapp.views.parts import parts
from webapp.views.problems import page_with_list
from webapp.views.visitor import actor

MOST_BOXES = 80  # a form has 100 fields; of more models the names are written

blueprint = Blueprint("models", __name__)


@blueprint.get("/admin/models")
@for_admins
def show_models(error: AppError | None = None, typed_role: str = "") -> ResponseReturnValue:
    """The page. After an error the form of that role keeps what was typed."""
    offered = parts().models.names()
    allowed: Mapping[str, list[str]] = parts().offers.allowed()
    if typed_role in allowed:
        allowed = {**allowed, typed_role: [name for name in map(str.strip, _typed()) if name]}
    boxes = {role: [*offered, *(name for name in names if name not in offered)] for role, names in allowed.items()}
    return page_with_list(
        "models.html",
        error,
        allowed=allowed,
        boxes=boxes,
        most_boxes=MOST_BOXES,
        offered_here=offered,
        is_fixed=parts().models.is_fixed,
    )


@blueprint.post("/admin/models")
@for_admins
def allow_models() -> ResponseReturnValue:
    role = request.form.get("role", "")
    try:
        parts().offers.allow(actor(), role, _typed())
    except AppError as error:
        return show_models(error, role)
    flash(_("The models are saved."), "models")
    return redirect(url_for("models.show_models"), 303)


def _typed() -> list[str]:
    """The models of the form: those ticked, and those written one a line."""
    return request.form.getlist("model") + request.form.get("others", "").splitlines()
