"""The app with a watch that takes no worker for dead because of its heartbeat: `gunicorn tests.patient:app`."""

from __future__ import annotations

from webapp.watch import Watch

Watch.__init__.__kwdefaults__["lease_seconds"] = float("inf")

from wsgi import app  # noqa: E402

__all__ = ["app"]
