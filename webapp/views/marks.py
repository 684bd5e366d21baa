"""Decorators for what a view needs. `webapp.views.http` and `forms` read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, request

View = TypeVar("View", bound=Callable[..., Any])


def public(view: View) -> View:
    """Mark a view that answers everyone, under every host name, and needs no user."""
    return without_user(_mark(view, "is_public"))


def without_user(view: View) -> View:
    """Mark a view that needs no user: it reads no session and sets no cookie."""
    return _mark(view, "is_without_user")


def for_strangers(view: View) -> View:
    """Mark a view for visitors who have not signed in."""
    return _mark(view, "is_for_strangers")


def for_newcomers(view: View) -> View:
    """Mark a view for those whom a proxy signed in and who have no account yet."""
    return for_strangers(_mark(view, "is_for_newcomers"))


def for_admins(view: View) -> View:
    """Mark a view for administrators only."""
    return _mark(view, "is_for_admins")


def renews_cookie(view: View) -> View:
    """Mark a page that renews the cookie once a day, so that it does not expire while in use."""
    return _mark(view, "is_renewing")


def takes_file(view: View) -> View:
    """Mark a view whose form may hold a file of up to `max_import_bytes`."""
    return _mark(view, "is_taking_file")


def is_public() -> bool:
    return _has("is_public")


def is_without_user() -> bool:
    return _has("is_without_user")


def is_for_strangers() -> bool:
    return _has("is_for_strangers")


def is_for_newcomers() -> bool:
    return _has("is_for_newcomers")


def is_for_admins() -> bool:
    return _has("is_for_admins")


def is_renewing() -> bool:
    return _has("is_renewing")


def is_taking_file() -> bool:
    return _has("is_taking_file")


def _mark(view: View, name: str) -> View:
    setattr(view, name, True)
    return view


def _has(name: str) -> bool:
    """Whether the view of this request has the mark; False for an unknown address."""
    return hasattr(current_app.view_functions.get(request.endpoint or ""), name)
