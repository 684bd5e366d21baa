"""Connections to PostgreSQL through psycopg. Imported only where the settings name a PostgreSQL server."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg
from sqlalchemy import URL, Engine, create_engine, event

ANSWER_SECONDS = 6.0  # without a byte from PostgreSQL
STATEMENT_SECONDS = 5.5  # below ANSWER_SECONDS: PostgreSQL reports its time-out before we close the connection
LOCK_SECONDS = 5.0
CONNECT_SECONDS = 2
IDLE_SECONDS = 8.0  # in a transaction: its worker has lost the connection


def engine(url: URL, *, durable: bool) -> Engine:
    """The engine for a URL of PostgreSQL; its commits survive a power cut if `durable`."""
    # A send whose idle connection is dead tries another one: 8 s in total.
    options = (
        f"-c statement_timeout={int(STATEMENT_SECONDS * 1000)} -c lock_timeout={int(LOCK_SECONDS * 1000)}"
        f" -c synchronous_commit={'on' if durable else 'off'}"
        f" -c idle_in_transaction_session_timeout={int(IDLE_SECONDS * 1000)}"  # for a worker that lost its connection
    )
    made = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"options": options, "connect_timeout": CONNECT_SECONDS},
        hide_parameters=True,
        pool_pre_ping=True,
        pool_timeout=ANSWER_SECONDS,
        max_overflow=15,
    )

    @event.listens_for(made, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, parameters: Any) -> psycopg.Connection[Any]:
        return _ImpatientConnection.connect(*arguments, **parameters)

    return made


class _ImpatientConnection(psycopg.Connection[Any]):
    """Closes the connection to a silent server: it is frozen, or the network drops packets."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(self._impatient(gen), interval, timeout)

    def _impatient(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        # psycopg's generators yield what they wait for; we send back what is ready, or nothing after each interval.
        heard_at = time.monotonic()
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if ready:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > ANSWER_SECONDS:
                    self.pgconn.finish()  # the statement may or may not have taken effect
                    raise psycopg.OperationalError(f"the server has said nothing for {ANSWER_SECONDS:g} s")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value
