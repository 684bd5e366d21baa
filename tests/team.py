"""A team on a site with password login: people who come by invite, each with a browser of their own."""

from __future__ import annotations

import re
from functools import cache

import html5lib
import requests
from argon2 import PasswordHasher
from flask import Flask

from tests.visitor import Visitor
from webapp.invites import SERVER
from webapp.passwords import Passwords

PASSWORD = "correct horse battery staple"


class OnceHasher:
    """The real hasher, which takes 30 ms for a password: once for each in all tests. A wrong one takes it each time."""

    hash = staticmethod(cache(Passwords().hash_again))
    verify = staticmethod(cache(Passwords()._hasher.verify))

    def __init__(self, real: PasswordHasher) -> None:
        self.real, self.check_needs_rehash = real, real.check_needs_rehash


class Team:
    """`join` makes an account and returns the browser that is signed in with it; `stranger` is one without."""

    def __init__(self, site: Flask) -> None:
        self.site = site
        self.url = site.extensions["url"]
        self.parts = site.extensions["lockchat"]
        self.visitors: list[Visitor] = []
        passwords = self.parts.team.accounts._passwords
        passwords._hasher = OnceHasher(passwords._hasher)

    def stranger(self) -> Visitor:
        self.visitors.append(Visitor(self.url))
        return self.visitors[-1]

    def join(self, name: str, role: str = "member") -> Visitor:
        visitor = self.stranger()
        answer = visitor.post_form(f"/invite/{self.invite(role)}", name=name, password=PASSWORD)
        assert answer.status_code == 303, answer.text
        return visitor

    def invite(self, role: str = "member") -> str:
        """The token of an invite."""
        return self.parts.team.invites.make(SERVER, role)

    def user_id(self, name: str) -> str:
        return next(account.user_id for account in self.parts.team.users.all() if account.name == name)


def sign_in(visitor: Visitor, name: str, password: str = PASSWORD, **fields: str) -> requests.Response:
    return visitor.post_form("/sign-in", name=name, password=password, **fields)


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.get("/settings", allow_redirects=False).status_code == 200


def problem(answer: requests.Response) -> str:
    """What the page of a refused form says."""
    page = html5lib.parse(answer.text, namespaceHTMLElements=False)
    return next(("".join(one.itertext()) for one in page.iter() if one.get("role") == "alert"), "")


def links(page: str, path: str) -> list[str]:
    return re.findall(rf'(?:href|action)="({path}[^"]*)"', page)
