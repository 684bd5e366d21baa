"""The settings that the forms of this request bring: those of sends and of presets."""

from __future__ import annotations

from flask import request

from webapp.presets import NAME_CHARS
from webapp.settings import EFFORTS, OPTIONS, Typed

FIELDS = ("name", "model", "temperature", "system")


def options() -> dict[str, str] | None:
    """The options of the form; None where it has none of their fields."""
    return {name: request.form[name] for name in OPTIONS if name in request.form} or None


def preset() -> tuple[str, Typed]:
    """The name and the settings of a preset, which has all of them."""
    name, model, temperature, system = (request.form.get(field, "") for field in FIELDS)
    return name, Typed(model, temperature, system, options() or {})


def again() -> dict[str, object]:
    """What the template of presets needs: the values that were typed, and what a preset may hold."""
    typed = {field: request.form.get(field, "") for field in FIELDS} | {"options": options() or {}}
    return {"typed": typed, "efforts": EFFORTS, "name_chars": NAME_CHARS}
