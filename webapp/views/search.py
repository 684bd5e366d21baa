"""The search page."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp.snippets import QUERY_CHARS
from webapp.views.parts import parts
from webapp.views.sidebar import sidebar
from webapp.views.visitor import current_user

blueprint = Blueprint("search", __name__)


@blueprint.get("/search")
def show_search() -> ResponseReturnValue:
    user_id, query = current_user().id, request.args.get("q", "")[:QUERY_CHARS].strip()
    return render_template(
        "search.html",
        **sidebar(user_id),
        query=query,
        query_chars=QUERY_CHARS,
        hits=parts().archive.find(user_id, query),
    )
