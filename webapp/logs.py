"""The lines of the log: one an event, with the id of its request, without control characters and secrets.

See https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from webapp.text import ends_of
from webapp.upstream.cleaning import mask

LINE_CHARS = 8000  # the start and the end: a traceback ends with what happened
# Lines in which PostgreSQL quotes the values of a row or a statement: messages of users.
QUOTING = ("DETAIL:", "CONTEXT:")

_secrets: set[str] = set()


def hide(secrets: Iterable[str | None]) -> None:
    """Mask these secrets in every line from now on."""
    _secrets.update(secret for secret in secrets if secret)


def start() -> None:
    """Write the log to the standard error stream."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def take_over(loggers: Iterable[logging.Logger]) -> None:
    """Give the handlers of these loggers our format."""
    for logger in loggers:
        for handler in logger.handlers:
            handler.setFormatter(Formatter())


class Formatter(logging.Formatter):
    """Formats an event and its traceback as one line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s%(request)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        record.request = _request()
        lines = [line for line in super().format(record).split("\n") if not line.startswith(QUOTING)]
        return escaped(mask(ends_of("\n".join(lines), LINE_CHARS), _secrets))


def escaped(text: str) -> str:
    """The text with control, format and separator characters as Python writes them: `\\n`, `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _request() -> str:
    """The id of the current request, which its user sees on an error page."""
    from flask import g, has_request_context  # late: gunicorn's settings come here before gevent patches the sockets

    found = g.get("request_id") if has_request_context() else None
    return f" [{found}]" if found else ""
