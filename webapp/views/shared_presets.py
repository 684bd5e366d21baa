"""The page on which administrators make presets for everybody."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from webapp.chat import Preset
from webapp.errors import AppError, NotFound
from webapp.language import gettext as _
from webapp.views import site, typed
from webapp.views.marks import for_admins
from webapp.views.parts import parts
from webapp.views.problems import page_with_list
from webapp.views.visitor import actor, current_user

blueprint = Blueprint("shared_presets", __name__)


@blueprint.get("/admin/presets")
@for_admins
def show_presets(error: AppError | None = None, preset_id: str = "") -> ResponseReturnValue:
    """The page. After an error: its sentence, and the typed values in the form of that preset or the new one."""
    return page_with_list(
        "shared_presets.html",
        error,
        **typed.again(),
        presets=[preset for preset in parts().presets.of(current_user().id) if preset.is_shared],
        models=site.models(),
        typed_id=preset_id if error else None,
    )


@blueprint.get("/admin/presets/<id:preset_id>")
@for_admins
def show_preset(preset_id: str) -> ResponseReturnValue:
    # A refused form leaves the browser at this address, and a reload asks for it.
    return redirect(url_for("shared_presets.show_presets", _anchor=f"preset-{preset_id}"), 303)


@blueprint.post("/admin/presets")
@for_admins
def create_preset() -> ResponseReturnValue:
    try:
        preset = parts().presets.add(current_user().id, *typed.preset(), sharer=actor())
    except AppError as error:
        return show_presets(error)
    return _saved(preset)


@blueprint.post("/admin/presets/<id:preset_id>")
@for_admins
def update_preset(preset_id: str) -> ResponseReturnValue:
    try:
        preset = parts().presets.change(current_user().id, preset_id, *typed.preset(), sharer=actor())
    except AppError as error:
        # If it was deleted in another tab, the typed values can become a new preset.
        return show_presets(error, "" if isinstance(error, NotFound) else preset_id)
    return _saved(preset)


@blueprint.post("/admin/presets/<id:preset_id>/delete")
@for_admins
def delete_preset(preset_id: str) -> ResponseReturnValue:
    parts().presets.delete(current_user().id, preset_id, sharer=actor())
    return redirect(url_for("shared_presets.show_presets"), 303)


def _saved(preset: Preset) -> ResponseReturnValue:
    flash(_("Saved."), preset.id)  # shown beside this preset
    return redirect(url_for("shared_presets.show_presets", _anchor=f"preset-{preset.id}"), 303)
