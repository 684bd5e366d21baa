"""The page on which administrators see how the upstream is, test it, and check the proxy in front of this server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import orjson
from flask import Blueprint, Response, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from itsdangerous import BadData, URLSafeTimedSerializer

from webapp import addresses, proxying, sse
from webapp.errors import AppError, Forbidden
from webapp.language import gettext as _
from webapp.limits import Holder
from webapp.proxying import Arrived, Browser, Check
from webapp.trials import Trial
from webapp.views import hosts
from webapp.views.http import streamed
from webapp.views.marks import for_admins, without_user
from webapp.views.parts import parts
from webapp.views.problems import page_with_list
from webapp.views.visitor import actor, address, current_user

PATH = "/admin/upstream"
TICKET_SECONDS = 600
TICKS = 6
TICK_SECONDS = 0.3
SILENT_SECONDS = 16.0  # a real stream has a beat each 15 s
SAID_CHARS = 100
HEADERS = ("via", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-server")

blueprint = Blueprint("upstream", __name__)


@blueprint.get(PATH)
@for_admins
def show_upstream(
    error: AppError | None = None, trial: Trial | None = None, check: Check | None = None
) -> ResponseReturnValue:
    here, browser = parts(), _browser()
    ended, failures = here.team.trials.failures()
    ticket = _tickets().dumps(current_user().id)
    probe = url_for("upstream.show_probe", ticket=ticket)
    origin = f"{browser.scheme}://{browser.host}" if browser.host else f"{request.scheme}://{request.host}"
    return page_with_list(
        "upstream.html",
        error,
        address=here.team.trials.address,
        models=here.models.names(),
        model=trial.model if trial else "",
        trouble=here.models.trouble(),
        running=len(here.hub.all()),
        most_running=here.config.streams_total,
        ended=ended,
        failures=failures,
        trial=trial,
        check=check,
        is_measured=browser.held is not None,
        probe=probe,
        curl=f"curl -kN '{origin}{probe}'",  # -k: the certificate may be one of their own
    )


@blueprint.post(PATH)
@for_admins
def test_upstream() -> ResponseReturnValue:
    try:
        trial = parts().team.trials.ask(actor(), request.form.get("model", ""))
    except AppError as error:
        return show_upstream(error)
    return show_upstream(trial=trial)


@blueprint.post(f"{PATH}/proxy")
@for_admins
def check_proxy() -> ResponseReturnValue:
    return show_upstream(check=proxying.check(_arrived(), _browser()))


@blueprint.get(f"{PATH}/proxy")
@for_admins
def show_upstream_again() -> ResponseReturnValue:
    # The form that was answered with the page leaves the browser at this address.
    return redirect(url_for("upstream.show_upstream"), 303)


@blueprint.get(f"{PATH}/stream")
@without_user
def show_probe() -> Response:
    """A stream as that of an answer, for the page's script, and for curl, which has no cookie but a ticket."""
    try:
        user_id = _tickets().loads(request.args.get("ticket", ""), max_age=TICKET_SECONDS)
    except BadData:
        raise Forbidden(_("This address is too old. Open the page again.")) from None
    owner = parts().team.users.get(user_id)
    if owner is None or owner.disabled_at or not owner.is_admin:
        raise Forbidden(_("This page is for administrators."))
    gate, holder = parts().probes, Holder(user_id, address())
    gate.enter(holder)
    response = streamed(_ticks(is_silent="silence" in request.args), "text/event-stream; charset=utf-8")
    response.call_on_close(partial(gate.leave, holder))
    return response


def _ticks(*, is_silent: bool) -> Iterator[bytes]:
    started = time.monotonic()
    pauses = [0.0, *[TICK_SECONDS] * (TICKS - 1), *([SILENT_SECONDS] if is_silent else [])]
    for number, pause in enumerate(pauses, 1):
        time.sleep(pause)
        sent = round((time.monotonic() - started) * 1000)
        yield sse.encode(orjson.dumps({"tick": number, "of": len(pauses), "milliseconds": sent}).decode())


def _tickets() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or "", salt="probe")


def _arrived() -> Arrived:
    proxies = parts().config.proxies
    peer = request.remote_addr or addresses.UNIX
    return Arrived(
        scheme=request.scheme,
        host=request.host,
        prefix=request.script_root,
        peer=peer,
        is_trusted=addresses.is_among(peer, proxies),
        is_forwarded=hosts.is_forwarded(),
        proxies=proxies,
        headers={name: request.headers[name] for name in HEADERS if name in request.headers},
    )


def _browser() -> Browser:
    """What the form and the headers say; without script, the form has no measurement of the stream."""
    form = request.form
    address = hosts.split_address(form.get("address") or request.referrer or request.headers.get("Origin", ""))
    is_known = address.scheme in ("http", "https") and hosts.HOST.fullmatch(address.netloc)
    page = address.path.removesuffix("/proxy")
    return Browser(
        scheme=address.scheme if is_known else "",
        host=address.netloc if is_known else "",
        prefix=page.removesuffix(PATH) if is_known and page.endswith(PATH) else None,
        held=form.get("held", type=int),
        is_cut=bool(form.get("cut")),
        encoding=form.get("encoding", "")[:SAID_CHARS],
        server=form.get("server", "")[:SAID_CHARS],
    )
