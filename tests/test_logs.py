"""The log: one line an event, with the request's id, and neither control characters, messages nor secrets."""

from __future__ import annotations

import logging
import re
import socket

import pytest
from flask import g
from sqlalchemy import text

from tests.server import Server
from tests.test_start import start
from webapp import logs
from webapp.config import Config


def line(message: str, *arguments: object, error: Exception | None = None) -> str:
    kind = (type(error), error, error.__traceback__) if error else None
    return logs.Formatter().format(logging.LogRecord("name", logging.INFO, "", 1, message, arguments, kind))


@pytest.fixture(autouse=True)
def no_secrets_of_others(monkeypatch):
    """Another test's secret may stand in what is logged here."""
    monkeypatch.setattr(logs, "_secrets", set())


@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x00", "\x85", "\u2028", "\u202e", "\ud800"])
def test_a_control_character_is_escaped(character):
    logged = line("said %s", f"a{character}b")

    assert logged.isprintable()
    assert logged.endswith(f"said a{character.encode('unicode_escape').decode()}b")


def test_a_traceback_is_one_line(site):
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        logged = line("it failed", error=error)

    assert "\n" not in logged
    assert logged.endswith("ValueError: first\\nsecond")


def test_secrets_are_masked_in_every_line():
    config = Config(
        auth="auth-of-the-upstream",
        api_key="sk-abcdefgh12345678",
        secret_key="k9f3k9f3k9f3k9f3",
        login_secret="proxys-own-word",
        metrics_token="figures-token-77",
        proxy="http://me:egress-pass@proxy",
        database_url="postgresql://u:db%2Fpassw0rd@h/n",
    )
    logs.hide(config.secrets)

    logged = [line("it said %s here", secret) for secret in config.secrets]

    assert len(logged) == 7
    assert [one for one in logged if not one.endswith("it said … here") and "…" not in one] == []
    assert not any(secret in one for one, secret in zip(logged, config.secrets, strict=True))


def test_a_line_has_the_id_of_its_request_and_is_bounded(site):
    with site.test_request_context():
        g.request_id = "abc123abc123"
        logged = line("%s", "x" * 100_000)

    assert " name [abc123abc123]: xxx" in logged
    assert len(logged) < 1.1 * logs.LINE_CHARS


def test_an_error_of_the_database_quotes_no_message(storage):
    message = "For my eyes only"
    with storage.begin() as tx:
        try:
            tx.execute(text("INSERT INTO nowhere VALUES (:text)"), {"text": message})
        except Exception as error:
            logged = line("it failed", error=error)

    assert "nowhere" in logged
    assert message not in logged


def test_what_postgresql_quotes_of_a_row_is_left_out():
    logged = line("database: %s", "null value\nDETAIL:  Failing row contains (1, For my eyes only).\nHINT: none")

    assert logged.endswith("database: null value\\nHINT: none")


def test_gunicorns_own_lines_are_of_the_same_kind(start_server):
    server: Server = start_server()

    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"G\x1bET\n\x1b[31mred / HTTP/1.1\r\n\r\n")
        while connection.recv(65536):
            pass

    log = server.log.read_text()
    assert "Invalid request" in log
    assert log.replace("\n", "").isprintable()
    assert [one for one in log.splitlines() if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ", one)] == []


@pytest.mark.parametrize("arguments", [("FLASK_DEBUG=1", ()), ("", ("--env", "FLASK_DEBUG=true"))])
def test_debug_mode_is_refused_under_gunicorn(tmp_path, arguments):
    setting, options = arguments
    environment = dict([setting.split("=")]) if setting else {}

    status, said = start(tmp_path, "-m", "gunicorn", *options, "wsgi:app", **environment)

    assert status != 0
    assert "FLASK_DEBUG is set" in said
