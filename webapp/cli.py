"""Commands for who has a shell on the server: `flask create-admin`, `flask prune`. gunicorn's start runs `main`."""

from __future__ import annotations

import os
import sys

import click
from flask import Flask

from webapp.config import Config
from webapp.errors import AppError
from webapp.invites import FIRST_TIME, SERVER, Invites
from webapp.passwords import Passwords
from webapp.quotas import MOST, NAMES, said
from webapp.storage import Storage, audit, spending
from webapp.team import ROLES
from webapp.views import parts

ELSEWHERE = ("unix:", "fd:", "0.0.0.0", "[::]", ":")  # these do not say an address that a browser could open


def init_app(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.command("prune", help="Delete for good the conversations that are kept no longer.")(prune)
    app.cli.command("create-admin", help="Print a link that makes one account, for an administrator.")(create_admin)
    app.cli.command("set-limit", help="Set a limit of a role; without a value remove it.")(set_limit)


def create_admin() -> None:
    """Print a link that makes one more administrator."""
    here = parts.parts()
    if here.config.login == "open":
        raise click.ClickException("with LOCKCHAT_LOGIN=open nobody has an account.")
    click.echo(_said(here.team.invites.make_for_admin()))


def prune() -> None:
    """Delete the conversations that are kept no longer, and purge those deleted more than a day ago."""
    try:
        count = parts.parts().upkeep.prune()
    except AppError as error:
        raise click.ClickException(error.sentence) from None
    click.echo(f"Deleted {count} conversations that are kept no longer.")


@click.argument("role", type=click.Choice(ROLES))
@click.argument("name", type=click.Choice(NAMES))
@click.argument("value", type=click.IntRange(0, MOST), required=False)
def set_limit(role: str, name: str, value: int | None) -> None:
    """Set a limit. With open login, where there is no page for it, everybody is a member."""
    storage = parts.parts().storage
    with storage.begin() as tx:
        spending.set_limit(tx, role, name, value)
        audit.note(tx, SERVER, "limit_changed", said(role, name, value))
    click.echo(f"{said(role, name, value)}, in {storage.url.render_as_string(hide_password=True)}")


def main() -> None:
    """Print a link for the first administrator, if users sign in and there is no administrator yet."""
    try:
        config = Config.from_env()
        if config.login == "open":
            return
        storage = Storage(config.storage_url)
        token = Invites(storage, Passwords(), config.login).first()
        storage.close()
    except AppError as error:
        print(f"The link for the first administrator could not be made: {error.sentence}", file=sys.stderr)
        return
    if token:
        print(f"There is no administrator yet. {_said(token)}", file=sys.stderr, flush=True)


def _said(token: str) -> str:
    bind = os.environ.get("LOCKCHAT_BIND", "").split(",")[0].strip() or "127.0.0.1:8000"
    address = "" if bind.startswith(ELSEWHERE) else f", here http://{bind}/invite/{token}"
    minutes = int(FIRST_TIME.total_seconds() / 60)
    return (
        f"Within {minutes} minutes, open /invite/{token} at the page's address{address}"
        " to become an administrator. The link works once."
    )


if __name__ == "__main__":
    main()
