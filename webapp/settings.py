"""The settings that a form or a file brings: one check for sends, presets and imports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypedDict

from webapp.chat import Option, Settings
from webapp.errors import Invalid, TooLarge
from webapp.language import gettext as _
from webapp.language import number
from webapp.text import clean

if TYPE_CHECKING:
    from webapp.offers import Offers  # a process that reads a file loads no database


@dataclass(frozen=True, slots=True)
class Typed:
    """Settings as a form brings them; None keeps a setting as it is, an empty temperature or option unsets it."""

    model: str | None = None
    temperature: str | None = None
    system: str | None = None
    options: Mapping[str, Any] | None = None  # all of them: what it lacks is unset


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
OPTIONS: Mapping[str, tuple[type, float, float]] = {
    "max_tokens": (int, 1, 2**31 - 1),
    "top_p": (float, 0, 1),
    "seed": (int, -(2**63), 2**63 - 1),
    "reasoning_effort": (str, 0, 0),
}
"""Settings that are sent only when set, by their names in the request: the kind, the least and the largest value.

https://platform.openai.com/docs/api-reference/chat/create
"""


class Changes(TypedDict, total=False):
    """Checked settings, for `dataclasses.replace`."""

    model: str
    temperature: float | None
    system: str
    options: Mapping[str, Option]


class SettingsCheck:
    """Checks settings against the user's models and the longest system prompt."""

    def __init__(self, offers: Offers, max_system_chars: int) -> None:
        self._offers = offers
        self._max_system_chars = max_system_chars

    def defaults(self, user_id: str) -> Settings:
        """The settings of a new conversation. Raises UpstreamError and Forbidden where there is no model."""
        return Settings(self._offers.to(user_id).default(), None, "")

    def changes(self, user_id: str, typed: Typed) -> Changes:
        """The settings that a form of this user changes. Raises Invalid, TooLarge."""
        changes: Changes = {}
        if (model := typed.model) is not None:
            if model not in self._offers.to(user_id).names:
                raise Invalid(_("The model %(model)s is not offered here. Choose another one.") % {"model": model[:80]})
            changes["model"] = model
        if typed.temperature is not None:
            changes["temperature"] = temperature_of(typed.temperature)
        if typed.system is not None:
            changes["system"] = self._system(clean(typed.system))
        if typed.options is not None:
            changes["options"] = options_of(typed.options)
        return changes

    def _system(self, system: str) -> str:
        if len(system) > self._max_system_chars:
            raise TooLarge(
                _("The system prompt is too long: %(length)s characters, %(limit)s are allowed.")
                % {"length": number(len(system)), "limit": number(self._max_system_chars)}
            )
        return system


def temperature_of(value: Any) -> float | None:
    """The temperature in a form's field or a file's value; "0,7" is one in some languages. Raises Invalid.

    None where it is empty: many models of today refuse any but their own default.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    temperature: float = _number(float, value)
    if not 0 <= temperature <= 2:
        raise Invalid(_("The temperature is a number from 0 to 2."))
    return temperature


def is_like(one: Settings, other: Settings) -> bool:
    """Whether two conversations or presets have the same settings."""
    settings = attrgetter("model", "temperature", "system", "options")
    return bool(settings(one) == settings(other))


def options_of(values: Mapping[str, Any]) -> dict[str, Option]:
    """The options in a form's fields or a file's object, without empty ones and other names. Raises Invalid."""
    return {name: _option(name, values[name]) for name in OPTIONS if values.get(name) not in (None, "")}


def _option(name: str, value: Any) -> Option:
    kind, least, most = OPTIONS[name]
    if kind is str:
        if value in EFFORTS:
            return str(value)
        raise Invalid(_("%(name)s is one of %(choices)s.") % {"name": name, "choices": ", ".join(EFFORTS)})
    number: int | float = _number(kind, value)
    if not least <= number <= most:
        limits = {"name": name, "least": least, "most": most}
        raise Invalid(_("%(name)s is a number from %(least)s to %(most)s.") % limits)
    return number


def _number(kind: type, value: Any) -> Any:
    """The number in a form's field or a file's value; NaN for anything else."""
    try:
        return kind(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
