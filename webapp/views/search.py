"""The search page. Its results are a fragment too, for the script that searches while the user types."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta, tzinfo

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import language, snippets
from webapp.language import gettext as _
from webapp.language import ngettext
from webapp.snippets import QUERY_CHARS
from webapp.storage.message_words import Found, Wanted
from webapp.text import clean
from webapp.views.parts import parts
from webapp.views.sidebar import sidebar
from webapp.views.visitor import current_user, local_now, wants_fragment

FIELDS = ("q", "in", "model", "since", "until")
LARGEST = 2**31 - 1  # that fits the column of `before`
MODELS_OF = 1000  # conversations, whose models can be chosen from

blueprint = Blueprint("search", __name__)


@blueprint.get("/search")
def show_search() -> ResponseReturnValue:
    user_id = current_user().id
    typed = {field: clean(request.args.get(field, ""))[:QUERY_CHARS].strip() for field in FIELDS}
    found = parts().archive.find(user_id, _wanted(typed), skip=_place("skip") or 0, before=_place("before"))
    results = {"query": typed["q"], "found": found, "count": _count(found), "next": _next(typed, found)}
    if wants_fragment():
        return render_template("_found.html", **results)
    models = parts().conversations.models(user_id, of_last=MODELS_OF)
    page = {**results, "typed": typed, "models": models, "query_chars": QUERY_CHARS}
    return render_template("search.html", **page, **sidebar(user_id))


def _wanted(typed: dict[str, str]) -> Wanted:
    """The search that these fields ask for; dates are days of the reader."""
    zone, place = local_now().tzinfo, typed["in"]
    return Wanted(
        snippets.terms_of(typed["q"]),
        "titles" if place == "titles" else "texts" if place == "texts" else "",
        typed["model"],
        _start_of(typed["since"], zone),
        _start_of(typed["until"], zone, days_later=1),
    )


def _start_of(day: str, zone: tzinfo | None, *, days_later: int = 0) -> datetime | None:
    """The beginning of a day such as 2026-03-15, or of a later one; None for any other text."""
    with suppress(ValueError, OverflowError):
        later = date.fromisoformat(day) + timedelta(days=days_later)
        moment = datetime(later.year, later.month, later.day, tzinfo=zone)
        moment.timestamp()
        return moment
    return None


def _place(name: str) -> int | None:
    place = request.args.get(name, type=int)
    return None if place is None else min(max(place, 0), LARGEST)


def _count(found: Found) -> str:
    """How many hits there are; "" on later pages, which do not count them."""
    if not found.count or "skip" in request.args or "before" in request.args:
        return ""
    if not found.is_counted:
        return _("More than %(num)s found") % {"num": language.number(found.count)}
    return ngettext("%(num)s found", "%(num)s found", found.count)


def _next(typed: dict[str, str], found: Found) -> str:
    """The address of the next page of hits; "" on the last one."""
    place = {"skip": found.skip} if found.skip is not None else {"before": found.before}
    if None in place.values():
        return ""
    given = {field: value for field, value in typed.items() if value}
    return url_for("search.show_search", **given, **place)  # type: ignore[arg-type]
