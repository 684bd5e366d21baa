"""The settings page: appearance, language, the user's presets, export and import of conversations."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from webapp import language
from webapp.chat import Preset
from webapp.errors import AppError, NotFound
from webapp.language import gettext as _
from webapp.presets import fields_in, filled
from webapp.views import site, typed
from webapp.views.chat import page
from webapp.views.hosts import came_from
from webapp.views.parts import parts
from webapp.views.problems import page_with_list
from webapp.views.sidebar import retention
from webapp.views.visitor import current_user, wants_fragment

THEMES = ("light", "dark")
ID_CHARS = 36

blueprint = Blueprint("settings", __name__)


@blueprint.get("/settings")
def show_settings(error: AppError | None = None, preset_id: str = "") -> ResponseReturnValue:
    """The page. After an error: its sentence, and the typed values in the form of that preset or the new one."""
    return page_with_list(
        "settings.html",
        error,
        **typed.again(),
        presets=parts().presets.of(current_user().id),
        default_preset=session.get("preset"),
        models=site.models(),
        is_mac=_is_mac(),
        retention=retention(current_user()),
        import_megabytes=parts().config.max_import_bytes // 2**20,
        typed_id=preset_id if error else None,
    )


@blueprint.get("/shortcuts")
def show_shortcuts() -> ResponseReturnValue:
    """The list alone, for the dialog of the script; else its place on the page."""
    if wants_fragment():
        return render_template("_shortcuts.html", is_mac=_is_mac())
    return redirect(url_for("settings.show_settings", _anchor="keyboard"))


@blueprint.post("/preferences")
def update_preferences() -> ResponseReturnValue:
    theme = request.form.get("theme")
    if theme is not None:
        session["theme"] = theme if theme in THEMES else ""
    if chosen := request.form.get("language"):
        session["language"] = language.choose([chosen])
        language.use(session["language"])
    if (preset_id := request.form.get("preset")) is not None:
        session["preset"] = preset_id[:ID_CHARS]
    if "read_aloud" in request.form:  # only the form of the settings page has this field, also with an empty box
        session["read_aloud"] = "1" in request.form.getlist("read_aloud")
        flash(_("Saved."), "settings")
    return redirect(came_from(), 303)


@blueprint.post("/presets")
def create_preset() -> ResponseReturnValue:
    try:
        preset = parts().presets.add(current_user().id, *typed.preset())
    except AppError as error:
        if wants_fragment():
            raise
        return show_settings(error)
    return (_("Saved."), 201, {"Content-Type": "text/plain; charset=utf-8"}) if wants_fragment() else _saved(preset)


@blueprint.post("/presets/<id:preset_id>")
def update_preset(preset_id: str) -> ResponseReturnValue:
    try:
        preset = parts().presets.change(current_user().id, preset_id, *typed.preset())
    except AppError as error:
        # If it was deleted in another tab, the typed values can become a new preset.
        return show_settings(error, "" if isinstance(error, NotFound) else preset_id)
    return _saved(preset)


@blueprint.get("/presets")
@blueprint.get("/presets/<id:preset_id>")
def show_presets(preset_id: str = "") -> ResponseReturnValue:
    # A refused form leaves the browser at this address; a reload or a change of language asks for it.
    return redirect(url_for("settings.show_settings", _anchor=f"preset-{preset_id}" if preset_id else "presets"))


@blueprint.post("/presets/<id:preset_id>/use")
def use_preset(preset_id: str) -> ResponseReturnValue:
    """A new chat with the preset's {{fields}} filled in. A form, so that no log has what was typed."""
    preset = parts().presets.get(current_user().id, preset_id)
    values = {name: request.form.get(f"field-{number}", "") for number, name in enumerate(fields_in(preset))}
    return page(None, preset=filled(preset, values))


@blueprint.get("/presets/<id:preset_id>/use")
def begin_with_preset(preset_id: str) -> ResponseReturnValue:
    return redirect(url_for("chat.index", preset=preset_id))


@blueprint.post("/presets/<id:preset_id>/delete")
def delete_preset(preset_id: str) -> ResponseReturnValue:
    parts().presets.delete(current_user().id, preset_id)
    return redirect(url_for("settings.show_settings", _anchor="presets"), 303)


def _is_mac() -> bool:
    """Whether the browser runs on macOS, iOS or iPadOS, where Cmd takes the place of Ctrl."""
    return "Mac OS" in request.user_agent.string


def _saved(preset: Preset) -> ResponseReturnValue:
    flash(_("Saved."), preset.id)  # shown beside this preset
    return redirect(url_for("settings.show_settings", _anchor=f"preset-{preset.id}"), 303)
