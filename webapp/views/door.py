"""Sign in with a password, and out; the account page: the password, and where one is signed in."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from webapp.accounts import login_of
from webapp.errors import AppError, NotFound, ProviderError
from webapp.language import gettext as _
from webapp.passwords import MIN_CHARS
from webapp.team import OIDC, PASSWORD, Client
from webapp.text import new_id
from webapp.views import visitor
from webapp.views.hosts import local_path
from webapp.views.marks import for_strangers
from webapp.views.parts import parts
from webapp.views.problems import form_page, page_with_list

KNOWN_NAMES = 10  # that a browser remembers of those who signed in there
# Without "cookies": that would sign the user out of every site of this domain. Without "executionContexts", which few
# browsers know: it reloads other tabs. Over plain http browsers ignore all of it. https://www.w3.org/TR/clear-site-data/
CLEARED = '"cache", "storage"'
CLEARED_BELOW = '"cache"'  # below a path of a larger site, whose other pages share the storage

blueprint = Blueprint("door", __name__)


@blueprint.get("/sign-in")
@for_strangers
def show_sign_in() -> ResponseReturnValue:
    if visitor.known_user():
        return redirect(place_of(request.values.get("next", "")))
    return sign_in_page()


@blueprint.post("/sign-in")
@for_strangers
def sign_in() -> ResponseReturnValue:
    _check_passwords()
    name, password = request.form.get("name", ""), request.form.get("password", "")
    old_token = request.cookies.get(visitor.token_cookie(), "")
    try:
        token, account = parts().team.accounts.sign_in(name, password, client_of(name), old_token=old_token)
    except AppError as error:
        return sign_in_page(error)
    return signed_in(redirect(place_of(request.values.get("next", "")), 303), token, account.login)


@blueprint.post("/sign-out")
@for_strangers
def sign_out() -> ResponseReturnValue:
    user = visitor.known_user()
    if user and user.sign_in:
        parts().team.accounts.sign_out(visitor.actor(), user.sign_in.token_hash)
    place = _place_of_sign_out(user.sign_in.id_token) if user and user.sign_in else ""
    g.user = None
    return signed_out(
        render_template("signed_out.html", place=place) if place else redirect(url_for("door.show_sign_in"), 303)
    )


@blueprint.get("/account")
def show_account(error: AppError | None = None) -> ResponseReturnValue:
    user = visitor.current_user()
    return page_with_list(
        "account.html",
        error,
        account=user.account,
        current=user.sign_in,
        sign_ins=parts().team.accounts.sign_ins(user.id),
        keys=len(parts().team.keys.of(user.id)),
        min_chars=MIN_CHARS,
        saved=_("Your password is changed. All other browsers are signed out.") if "saved" in request.args else "",
    )


@blueprint.post("/account/password")
def change_password() -> ResponseReturnValue:
    _check_passwords()
    account = visitor.current_user().account
    assert account is not None
    current, new = request.form.get("current", ""), request.form.get("password", "")
    try:
        token = parts().team.accounts.change_password(
            account, client_of(account.login), current, new, revokes_keys="revoke_keys" in request.form
        )
    except AppError as error:
        return show_account(error)
    return signed_in(redirect(url_for("door.show_account", saved=1), 303), token, account.login)


@blueprint.post("/account/sign-ins/<id:sign_in_id>/end")
def end_sign_in(sign_in_id: str) -> ResponseReturnValue:
    parts().team.accounts.end_sign_in(visitor.actor(), sign_in_id)
    return redirect(url_for("door.show_account"), 303)


@blueprint.post("/account/sign-ins/end")
def end_other_sign_ins() -> ResponseReturnValue:
    sign_in = visitor.current_user().sign_in
    assert sign_in is not None
    parts().team.accounts.end_others(visitor.actor(), sign_in.token_hash)
    return redirect(url_for("door.show_account"), 303)


def signed_in(answer: Response | ResponseReturnValue, token: str, login: str = "") -> Response:
    """The answer with the cookie of a new sign-in; the browser remembers that this name has signed in here."""
    answer = make_response(answer)
    seconds = int(parts().team.accounts.longest.total_seconds())
    answer.set_cookie(
        visitor.token_cookie(),
        token,
        max_age=seconds,
        path=visitor.cookie_path(),
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    if login:
        session.setdefault("device", new_id())
        tag = visitor.tag_of(login)
        session["known"] = [tag, *(one for one in session.get("known", []) if one != tag)][:KNOWN_NAMES]
    return answer


def signed_out(answer: ResponseReturnValue) -> Response:
    """The answer that takes the cookie of the sign-in away, and what the page keeps in the browser."""
    response = make_response(answer)
    response.delete_cookie(
        visitor.token_cookie(), path=visitor.cookie_path(), secure=request.is_secure, httponly=True, samesite="Lax"
    )
    response.headers["Clear-Site-Data"] = CLEARED_BELOW if request.script_root else CLEARED
    return response


def client_of(name: str) -> Client:
    """The browser, with its device if this name has signed in there before."""
    is_known = visitor.tag_of(login_of(name)) in session.get("known", [])
    return replace(visitor.client(), device=session["device"] if is_known else "")


def place_of(wanted: str) -> str:
    """The page that the visitor wanted, on this server."""
    wanted = local_path(wanted)
    return request.script_root + wanted if wanted else url_for("chat.index")


def _check_passwords() -> None:
    """Raise NotFound where users have no passwords here."""
    if parts().config.login != PASSWORD:
        raise NotFound(_("This page does not exist."))


def _place_of_sign_out(id_token: str) -> str:
    """Where to sign out at the identity provider too; empty without one, and if it does not answer."""
    flow = parts().team.flow
    try:
        return flow.end(id_token) if flow else ""
    except ProviderError:
        return ""


def sign_in_page(error: AppError | None = None) -> ResponseReturnValue:
    return form_page(
        "sign_in.html",
        error,
        name=request.form.get("name", "")[:200],
        next=local_path(request.values.get("next", "")),
        has_chats=parts().config.login == OIDC and visitor.has_chats_of_open_login(),
    )
