"""Tokens of sign-ins and invites: 256 random bits, of which the database keeps the hash."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """A random token for a cookie or a link."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """Its SHA-256. A slow hash would add nothing: nobody can try 256 bits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
