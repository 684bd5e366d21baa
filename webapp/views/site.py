"""What the pages of this request offer: the models that its user may use. Read once a request."""

from __future__ import annotations

from flask import g

from webapp.offers import Offer
from webapp.views.parts import parts
from webapp.views.visitor import known_user


def offer() -> Offer:
    """The models for the user of this request; for a stranger's error page, all. Raises StorageUnavailable."""
    if "offer" not in g:
        user = known_user()
        g.offer = parts().offers.to(user.id) if user else Offer(parts().models.names())
    found: Offer = g.offer
    return found


def models() -> list[str]:
    """The names of these models, the default first. Raises StorageUnavailable."""
    return offer().names


def trouble() -> str:
    """What is wrong with the models of this page; an empty string if nothing is."""
    mine = offer()
    return mine.problem().sentence if mine.is_limited and not mine.names else parts().models.trouble()
