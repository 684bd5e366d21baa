"""The page on which users delete their account, and all that is theirs."""

from __future__ import annotations

from flask import Blueprint, g, render_template, request, session
from flask.typing import ResponseReturnValue

from webapp.errors import AppError
from webapp.views import visitor
from webapp.views.door import client_of, signed_out
from webapp.views.parts import parts
from webapp.views.problems import page_with_list

blueprint = Blueprint("leaving", __name__)


@blueprint.get("/account/delete")
def show_leaving(error: AppError | None = None) -> ResponseReturnValue:
    return page_with_list("leave.html", error, account=visitor.current_user().account)


@blueprint.post("/account/delete")
def delete_account() -> ResponseReturnValue:
    account = visitor.current_user().account
    assert account is not None
    try:
        parts().team.leaving.leave(account, client_of(account.login), request.form.get("proof", ""))
    except AppError as error:
        return show_leaving(error)
    g.user = None
    session.clear()
    return signed_out(render_template("left.html"))
