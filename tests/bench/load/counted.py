"""The app, and a line a few seconds in a file with the number of its greenlets: `gunicorn --env GREENLETS=FILE ...`."""

from __future__ import annotations

import gc
import os

import gevent
from greenlet import greenlet

from wsgi import app

__all__ = ["app"]

SECONDS = 2.0


def _count() -> None:
    with open(os.environ["GREENLETS"], "a", encoding="utf-8", buffering=1) as log:
        while True:
            log.write(f"{sum(isinstance(one, greenlet) for one in gc.get_objects())}\n")
            gevent.sleep(SECONDS)


gevent.spawn(_count)
