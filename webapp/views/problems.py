"""Turns errors into answers: a page for a person, a sentence for the script. Counts them by code."""

from __future__ import annotations

import logging

from flask import Flask, g, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from webapp.errors import (
    AppError,
    Busy,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    Limited,
    Misdirected,
    NotFound,
    ProviderError,
    SignedOut,
    StorageFull,
    StorageUnavailable,
    Throttled,
    TooLarge,
    UpstreamError,
)
from webapp.language import gettext as _
from webapp.loop import give_way
from webapp.settings import OPTIONS
from webapp.views import api_errors, site
from webapp.views.hosts import SAFE_METHODS, came_from
from webapp.views.parts import parts
from webapp.views.sidebar import sidebar
from webapp.views.visitor import current_user, is_open, known_user, wants_fragment

STATUSES: dict[type[AppError], int] = {
    Invalid: 400,
    SignedOut: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    TooLarge: 413,
    Misdirected: 421,
    Throttled: 429,
    Limited: 429,
    UpstreamError: 502,
    ProviderError: 502,
    Busy: 503,
    StorageUnavailable: 503,
    StorageFull: 507,
}

log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Answer every error of the app with a page or a sentence."""
    app.register_error_handler(AppError, _show_error)
    app.register_error_handler(HTTPException, _show_http_error)
    app.register_error_handler(Exception, _show_bug)


def status_of(error: AppError) -> int:
    """The HTTP status of an error."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def headers_of(error: AppError) -> dict[str, str]:
    """The headers that belong to the status of an error."""
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if status_of(error) == 401:  # https://www.rfc-editor.org/rfc/rfc9110#section-15.5.2
        headers["WWW-Authenticate"] = 'Cookie realm="Lockchat"'
    return headers


def count(code: str) -> None:
    """Count an answer with this error code for `/metrics`."""
    parts().errors.labels(code).inc()


def form_page(template: str, error: AppError | None, **values: object) -> ResponseReturnValue:
    """A page of forms: with the sentence of the error that refused one, as `problem`. The error is counted."""
    page = render_template(template, problem=error.sentence if error else "", **values)
    if error is None:
        return page
    count(error.code)
    return page, status_of(error), headers_of(error)


def page_with_list(template: str, error: AppError | None = None, **values: object) -> ResponseReturnValue:
    """Such a page, or one without forms, beside the list of the user's conversations."""
    return form_page(template, error, **sidebar(current_user().id), **values)


def _show_error(error: AppError) -> ResponseReturnValue:
    count(error.code)
    if api_errors.is_api():
        return api_errors.answer(error, status_of(error))
    is_away = type(error) is StorageUnavailable  # then the list would ask the same database again
    if is_away:
        site.ask_no_more()
    return _answer(status_of(error), error.sentence, headers_of(error), with_list=not is_away)


def _show_http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error
    count(f"http_{status}")
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return _answer(status, _http_sentence(status), headers)


def _show_bug(error: Exception) -> ResponseReturnValue:
    count("internal")
    log.exception("request %s failed", g.get("request_id"))
    return _answer(500, _http_sentence(500), {})


def _http_sentence(status: int) -> str:
    sentences = {
        400: _("The form is broken. Reload the page and send it again."),
        404: _("This page does not exist."),
        408: _("The form did not arrive in time. Send it again."),
        405: _("This address cannot be used this way."),
        411: _("The form does not say how long it is, so it was refused."),
        413: _("That is more than this server accepts in one message."),
        500: _("Something went wrong in this server. The administrator can find the error in the log."),
    }
    return sentences.get(status, _("This request cannot be answered."))


def _answer(status: int, sentence: str, headers: dict[str, str], *, with_list: bool = True) -> ResponseReturnValue:
    """The sentence: as plain text for the script, as a page with the typed text for a person."""
    give_way()  # the deadlines of many slow forms may end at once
    if api_errors.is_api():
        return api_errors.answer_of(status, sentence), status, headers
    if wants_fragment():
        return sentence, status, {**headers, "Content-Type": "text/plain; charset=utf-8"}
    models, model = site.models(), _typed("model")
    if not is_open() and known_user() is None:  # who posts without a sign-in reads no more than they typed
        models = [model]
    page = render_template(
        "error.html",
        status=status,
        sentence=sentence,
        models=models,
        model=model if model in models else (models or [""])[0],
        draft=_typed("text"),
        temperature=_typed("temperature"),
        system=_typed("system"),
        options={name: value for name in OPTIONS if (value := _typed(name))},
        parent=_typed("parent"),
        back=came_from() if request.method not in SAFE_METHODS and request.referrer else "",
        action=_action(status),
        **(_sidebar() if with_list else {}),
    )
    return page, status, headers


def _action(status: int) -> str:
    """The address for the typed text: the same one, or a new conversation."""
    if status == 404 or request.endpoint is None:
        return url_for("chat.create_conversation")
    return url_for(request.endpoint, **(request.view_args or {}), folder=request.args.get("folder"))


def _sidebar() -> dict[str, object]:
    """The list beside an error page; nothing if the database fails, so that the page does not show an empty list."""
    try:
        return sidebar(user.id) if (user := known_user()) else {"groups": []}
    except AppError:
        return {}


def _typed(field: str) -> str:
    try:
        return request.form.get(field, "")
    except (AppError, HTTPException):  # the form is broken
        return ""
