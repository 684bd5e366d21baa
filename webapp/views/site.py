"""What administrators have set for the pages of this request: models and texts. Read once a request, when needed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from flask import g
from markupsafe import Markup

from webapp import markdown
from webapp.errors import StorageUnavailable
from webapp.notices import NOTICE, WELCOME
from webapp.offers import Offer
from webapp.rendering import process
from webapp.rendering.notes import scoped
from webapp.views.parts import parts
from webapp.views.visitor import known_user

KEPT_TEXTS = 8


def offer() -> Offer:
    """The models to show the user of this request: all to a stranger, and while the database is away."""
    if "offer" not in g:
        user, everything = known_user(), Offer(parts().models.names())
        try:
            g.offer = parts().offers.to(user.id) if user else everything
        except StorageUnavailable:
            g.offer = everything
    found: Offer = g.offer
    return found


def models() -> list[str]:
    """The names of these models, the default first."""
    return offer().names


def trouble() -> str:
    """What is wrong with the models of this page; an empty string if nothing is."""
    mine = offer()
    return mine.problem().sentence if mine.is_limited and not mine.names else parts().models.trouble()


def notice() -> Markup:
    """The notice above every page, as safe HTML."""
    return html_of(_texts()[NOTICE], NOTICE)


def welcome() -> Markup:
    """The text for users without conversations, as safe HTML."""
    return html_of(_texts()[WELCOME], WELCOME)


def ask_no_more() -> None:
    """The database is away: the pages of this request show all models, and the texts that this worker read last."""
    g.offer = Offer(parts().models.names())
    g.texts = parts().notices.texts(asks=False)


@lru_cache(KEPT_TEXTS)
def html_of(text: str, place: str) -> Markup:
    """The HTML of an administrator's markdown, cleaned as an answer is; `place` makes the ids of its notes unique."""
    html = process.shared().render(text)
    return Markup(scoped(str(markdown.render(text)) if html is None else html, place))


def _texts() -> Mapping[str, str]:
    if "texts" not in g:
        g.texts = parts().notices.texts()
    found: Mapping[str, str] = g.texts
    return found
