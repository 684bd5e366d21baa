"""Sign in at the identity provider: the way there and back.

Both are links, no forms: browsers apply our `form-action 'self'` also to where the answer of a form leads.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import AppError, Forbidden, Invalid, ProviderError
from webapp.language import gettext as _
from webapp.team import Identity
from webapp.tokens import new_token
from webapp.views import visitor
from webapp.views.door import place_of, sign_in_page, signed_in
from webapp.views.hosts import local_path
from webapp.views.marks import for_strangers
from webapp.views.parts import flow, parts

BEGUN = "oidc"  # in the session
MOST_BEGUN = 4  # tabs at the same time
SECONDS_THERE = 3600
PATH_CHARS = 300  # of the wanted page, of which the cookie keeps several
STATE_CHARS = 100

blueprint = Blueprint("oidc", __name__)


@blueprint.get("/sign-in/begin")
@for_strangers
def begin() -> ResponseReturnValue:
    wanted = local_path(request.args.get("next", ""))
    state = new_token()
    try:
        place = flow().begin(state)
    except AppError as error:
        return sign_in_page(error)
    wanted = wanted if len(wanted) <= PATH_CHARS else ""
    session[BEGUN] = [*_begun(), [state, int(time.time()), wanted, "take_along" in request.args]][-MOST_BEGUN:]
    return redirect(place, 303)


@blueprint.get("/sign-in/done")
@for_strangers
def finish() -> ResponseReturnValue:
    if "state" not in request.args:  # back from the sign-out there
        return redirect(url_for("door.show_sign_in"), 303)
    try:
        wanted, takes_along = _take(request.args["state"][:STATE_CHARS])
        user_id = visitor.user_of_open_login() if takes_along else ""
        old_token = request.cookies.get(visitor.token_cookie(), "")
        token = parts().team.identities.sign_in(_identity(), visitor.client(), old_token=old_token, user_id=user_id)
    except AppError as error:
        is_refused = isinstance(error, Forbidden) or (isinstance(error, ProviderError) and not error.is_away)
        if is_refused:
            parts().team.identities.note_failure(visitor.client(), getattr(error, "name", ""))
        return sign_in_page(error)
    return signed_in(redirect(place_of(wanted), 303), token)


def _identity() -> Identity:
    """Who came back. Raises as `Flow.finish`."""
    parts().team.identities.begin(visitor.client())
    if "code" not in request.args:
        raise Forbidden(_("The identity provider did not let you in, or you left its page. Try again."))
    return flow().finish(request.args["state"], request.args["code"], request.args.get("iss", ""))


def _begun() -> list[Any]:
    """The sign-ins that this browser has begun: each with its state, time, wanted page, and whether to take chats."""
    return list(session.get(BEGUN, []))


def _take(state: str) -> tuple[str, bool]:
    """The wanted page of a sign-in that this browser has begun, and whether to take its chats along, once."""
    begun = _begun()
    session[BEGUN] = [one for one in begun if one[0] != state]
    for one, at, wanted, takes_along in begun:
        if one == state and time.time() - at <= SECONDS_THERE:
            return wanted, takes_along
    raise Invalid(
        _(
            "This sign-in was not begun here, has been used, or is too old. Begin it again, at the address that"
            " the page has for everybody."
        )
    )
