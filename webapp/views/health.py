"""Health checks and metrics for machines."""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import text

from webapp.errors import Forbidden, StorageUnavailable
from webapp.language import gettext as _
from webapp.views.hosts import is_insider
from webapp.views.marks import public, without_user
from webapp.views.parts import parts
from webapp.views.problems import status_of

blueprint = Blueprint("health", __name__)

PLAIN = {"Content-Type": "text/plain; charset=utf-8"}


@blueprint.get("/healthz")
@public
def show_health() -> ResponseReturnValue:
    """Answer "ok": the process works."""
    return "ok\n", PLAIN


@blueprint.get("/readyz")
@public
def show_readiness() -> ResponseReturnValue:
    """Answer "ready" if the database answers, else 503; only insiders see the reason."""
    try:
        with parts().storage.read() as tx:
            tx.execute(text("SELECT 1"))
    except StorageUnavailable as error:
        return f"{error.sentence if is_insider() else 'not ready'}\n", status_of(error), PLAIN
    return "ready\n", PLAIN


@blueprint.get("/metrics")
@without_user
def show_metrics() -> ResponseReturnValue:
    """This worker's metrics in the Prometheus text format. Raises Forbidden for outsiders."""
    if not is_insider():
        raise Forbidden(_("The metrics are for this machine, and for requests with the token LOCKCHAT_METRICS_TOKEN."))
    registry = CollectorRegistry()
    running = Gauge("lockchat_running_replies", "Replies that this worker is streaming.", registry=registry)
    running.set(len(parts().hub.all()))
    registry.register(parts().errors)
    return generate_latest(registry), {"Content-Type": CONTENT_TYPE_LATEST}
