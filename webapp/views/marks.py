"""Marks of views, set as decorators: what a view needs. `webapp.views.http`, `visitor` and `forms` ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, request

View = TypeVar("View", bound=Callable[..., Any])


class Mark:
    """A decorator for views, which get the mark `also` with it."""

    def __init__(self, name: str, also: Mark | None = None) -> None:
        self._name = name
        self._also = also

    def __call__(self, view: View) -> View:
        setattr(view, self._name, True)
        return self._also(view) if self._also else view

    def is_set(self) -> bool:
        """Whether the view of this request has the mark; False for an unknown address."""
        return hasattr(current_app.view_functions.get(request.endpoint or ""), self._name)


without_user = Mark("is_without_user")  # it reads no session and sets no cookie
public = Mark("is_public", also=without_user)  # it answers everyone, under every host name
for_strangers = Mark("is_for_strangers")  # for visitors who have not signed in
for_admins = Mark("is_for_admins")  # for administrators only
renews_cookie = Mark("is_renewing_cookie")  # once a day, so that the cookie does not expire while in use
takes_file = Mark("is_taking_file")  # its form may hold a file of up to `max_import_bytes`
