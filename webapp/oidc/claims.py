"""What a provider says of its users: their names and groups, in the shapes that providers send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.text import clean

NAMES = ("preferred_username", "name", "email")  # to show somebody by, the first that there is; none is needed
NAME_CHARS = 60


def name_of(claims: Mapping[str, Any]) -> str:
    """The name to show somebody by; their subject where the provider tells no name."""
    names = (" ".join(clean(str(claims.get(claim) or "")[: 10 * NAME_CHARS]).split()) for claim in (*NAMES, "sub"))
    return next((name[:NAME_CHARS] for name in names if name and name.isprintable()), "?")


def values_of(claims: Mapping[str, Any], name: str) -> frozenset[str] | None:
    """The values of a claim as words; None if it is missing.

    Keycloak nests claims: `realm_access.roles` is the list `roles` in the object `realm_access`. A claim of Auth0 has
    dots in its own name. Zitadel lists roles as the keys of an object.
    """
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if found is None:
        return None
    values = list(found) if isinstance(found, list | dict) else [found]
    return frozenset(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
