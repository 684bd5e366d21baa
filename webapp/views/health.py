"""What machines ask: is it alive, is it ready, how much does it do."""

from __future__ import annotations

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import text

from webapp.errors import Forbidden, StorageUnavailable
from webapp.generation import Hub
from webapp.language import gettext as _
from webapp.storage import Storage
from webapp.views.hosts import is_insider
from webapp.views.http import status_of

blueprint = Blueprint("health", __name__)

PLAIN = {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.get("/healthz")
def show_health() -> ResponseReturnValue:
    """The process answers."""
    return "ok\n", PLAIN


@blueprint.get("/readyz")
def show_readiness() -> ResponseReturnValue:
    """The database answers, or 503; why it does not is for insiders."""
    storage: Storage = current_app.extensions["storage"]
    try:
        with storage.read() as tx:
            tx.execute(text("SELECT 1"))
    except StorageUnavailable as error:
        return f"{error.sentence if is_insider() else 'not ready'}\n", status_of(error), PLAIN
    return "ready\n", PLAIN


@blueprint.get("/metrics")
def show_metrics() -> ResponseReturnValue:
    """This worker's figures in the Prometheus text format. Raises Forbidden for whoever is no insider."""
    if not is_insider():
        raise Forbidden(_("Only this machine sees these figures, or who brings the token LOCKCHAT_METRICS_TOKEN."))
    hub: Hub = current_app.extensions["hub"]
    registry = CollectorRegistry()
    Gauge("lockchat_running_replies", "Replies that this worker is streaming.", registry=registry).set(len(hub.all()))
    return generate_latest(registry), {"Content-Type": CONTENT_TYPE_LATEST}
