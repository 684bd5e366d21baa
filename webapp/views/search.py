"""The search page."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue

from webapp.archive import Archive
from webapp.snippets import QUERY_CHARS
from webapp.views.chat import use_cases
from webapp.views.http import current_user_id

blueprint = Blueprint("search", __name__)


@blueprint.get("/search")
def show_search() -> ResponseReturnValue:
    archive: Archive = current_app.extensions["archive"]
    user_id, query = current_user_id(), request.args.get("q", "")[:QUERY_CHARS].strip()
    return render_template(
        "search.html",
        conversations=use_cases().of(user_id),
        query=query,
        query_chars=QUERY_CHARS,
        hits=archive.find(user_id, query),
    )
