"""The models that each user may use: those of the settings or the upstream, within what administrators allow a role."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from webapp.errors import Forbidden, Invalid, UpstreamError
from webapp.language import gettext as _
from webapp.language import number
from webapp.storage import Storage, audit, site
from webapp.team import ROLES, Actor
from webapp.text import clean
from webapp.upstream.models import Models

NAME_CHARS = 300
MOST_MODELS = 500  # of a role


@dataclass(frozen=True, slots=True)
class Offer:
    """The models that one user may use, the default first.

    `is_limited`: administrators have chosen them. `is_open`: the upstream has not said which models it has.
    """

    names: list[str]
    is_limited: bool = False
    is_open: bool = False

    def default(self) -> str:
        """The model of a new conversation. Raises UpstreamError where none is offered, Forbidden if none is allowed."""
        if not self.names:
            raise self.problem()
        return self.names[0]

    def has(self, name: str) -> bool:
        """Whether the user may ask this model."""
        return name in self.names or self.is_open

    def choose(self, wanted: str) -> str:
        """The wanted model, or the default if the user cannot have it. Raises Forbidden where no model is allowed."""
        if wanted in self.names or (wanted and self.is_open) or not (self.names or self.is_limited):
            return wanted
        return self.default()

    def problem(self) -> UpstreamError | Forbidden:
        """Why there is no model."""
        if self.is_limited:
            return Forbidden(_("No model is allowed to you here. An administrator has to allow one."))
        return UpstreamError("no_models")


class Offers:
    """The models for all users. With open login, where no page could change them, all models are for everybody."""

    def __init__(self, storage: Storage, models: Models, *, has_roles: bool) -> None:
        self._storage = storage
        self._models = models
        self._has_roles = has_roles

    def to(self, user_id: str) -> Offer:
        """The models for this user. Raises StorageUnavailable."""
        names = self._models.names()
        if not (allowed := self._allowed(user_id)):
            return Offer(names, is_open=self._models.is_open())
        unlisted = [] if self._models.is_fixed else sorted(allowed.difference(names))
        return Offer([name for name in names if name in allowed] + unlisted, is_limited=True)

    def allowed(self) -> dict[str, list[str]]:
        """The models that administrators allow, by role; none where a role may use all."""
        with self._storage.read() as tx:
            return {role: site.allowed_of(tx, role) for role in ROLES}

    def allow(self, actor: Actor, role: str, typed: Iterable[str]) -> None:
        """Let a role use these models only; without any, all. Raises Invalid."""
        if role not in ROLES:
            raise Invalid(_("Choose a role."))
        names = self._checked(typed)

        def allow(tx: Connection) -> None:
            if names != site.allowed_of(tx, role):
                site.allow(tx, role, names)
                audit.note(tx, actor, "models_allowed", f"{role}: {', '.join(names) or 'all'}")

        self._storage.run(allow)

    def _allowed(self, user_id: str) -> set[str]:
        if not self._has_roles:
            return set()
        with self._storage.read() as tx:
            return site.allowed_for(tx, user_id)

    def _checked(self, typed: Iterable[str]) -> list[str]:
        names = sorted({clean(name).strip() for name in typed} - {""})
        if len(names) > MOST_MODELS:
            raise Invalid(_("These are too many models: %(limit)s are allowed.") % {"limit": number(MOST_MODELS)})
        for name in names:
            if len(name) > NAME_CHARS or not name.isprintable():
                raise Invalid(_("This is not the name of a model: %(name)s") % {"name": name[:80]})
            if self._models.is_fixed and name not in self._models.names():
                raise Invalid(
                    _("The setting LOCKCHAT_MODELS does not offer the model %(model)s.") % {"model": name[:80]}
                )
        return names
