"""The page on which administrators write the notice above every page, and the text of the first visit."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import AppError
from webapp.language import gettext as _
from webapp.notices import MOST_CHARS, NAMES, checked
from webapp.views import site
from webapp.views.marks import for_admins
from webapp.views.parts import parts
from webapp.views.problems import page_with_list
from webapp.views.visitor import actor

blueprint = Blueprint("notices", __name__)


@blueprint.get("/admin/notice")
@for_admins
def show_notices(error: AppError | None = None, previews: dict[str, str] | None = None) -> ResponseReturnValue:
    """The page with the texts that were typed, or else hold now."""
    texts = parts().notices.texts()
    return page_with_list(
        "notices.html",
        error,
        texts={name: request.form.get(name, texts[name]) for name in NAMES},
        of_settings=parts().notices.of_settings,
        stored=texts,
        previews=previews or {},
        most_chars=MOST_CHARS,
    )


@blueprint.post("/admin/notice")
@for_admins
def change_notices() -> ResponseReturnValue:
    typed = {name: request.form[name] for name in NAMES if name in request.form}
    try:
        if "preview" in request.form:
            return show_notices(
                previews={name: site.html_of(checked(text), f"preview-{name}") for name, text in typed.items()}
            )
        parts().notices.change(actor(), typed)
    except AppError as error:
        return show_notices(error)
    flash(_("Saved."), "notices")
    return redirect(url_for("notices.show_notices"), 303)
