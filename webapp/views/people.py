"""The list of people on pages of administrators: a part at a time, and those whose names have what was typed."""

from __future__ import annotations

from typing import Any

from flask import request

from webapp.views.parts import parts

MOST_PEOPLE = 100  # on one page


def people() -> dict[str, object]:
    """What `_people.html` needs, and the accounts as `users`. The address says which: `name` and `start`."""
    name, start = request.args.get("name", "").strip(), max(request.args.get("start", 0, type=int), 0)
    found = [account for account in parts().team.users.all() if name.casefold() in account.name.casefold()]
    end = start + MOST_PEOPLE
    next_start = end if end < len(found) else 0
    return {"users": found[start:end], "named": name, "start": start, "next_start": next_start, "place": place()}


def place() -> dict[str, Any]:
    """The part of the list that this request is about, as arguments of an address."""
    return {key: request.args[key] for key in ("name", "start") if request.args.get(key)}
