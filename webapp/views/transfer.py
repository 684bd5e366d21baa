"""Conversations as files: one or all of them out, one file of them in."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO

from flask import Blueprint, Response, current_app, flash, redirect, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import language, transfer
from webapp.archive import Archive
from webapp.errors import Invalid, TooLarge
from webapp.language import gettext as _
from webapp.language import ngettext
from webapp.views.chat import sentence
from webapp.views.http import current_user_id

MEMORY_BYTES = 4 * 2**20  # a larger zip is built on disk

blueprint = Blueprint("transfer", __name__)


def archive() -> Archive:
    """The app's archive."""
    archive: Archive = current_app.extensions["archive"]
    return archive


@blueprint.get("/c/<id:conversation_id>/export")
def export_conversation(conversation_id: str) -> ResponseReturnValue:
    ending = request.args.get("format", "md")
    if ending not in ("md", "json"):
        raise Invalid(_("A conversation is exported as md or json."))
    record = archive().get(current_user_id(), conversation_id)
    text = transfer.to_json(record) if ending == "json" else transfer.to_markdown(record, sentence)
    name = f"{transfer.file_name(record.conversation)}.{ending}"
    return _download(BytesIO(text.encode()), name, "application/json" if ending == "json" else "text/markdown")


@blueprint.get("/export")
def export_all() -> ResponseReturnValue:
    file = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 (the answer closes it)
    transfer.write_zip(archive().all(current_user_id()), file, sentence)
    file.seek(0)
    return _download(file, f"Lockchat {datetime.now(UTC):%Y-%m-%d}.zip", "application/zip")


@blueprint.get("/import")
def show_import() -> ResponseReturnValue:
    # A refused file leaves the browser at this address.
    return redirect(url_for("settings.show_settings", _anchor="transfer"))


@blueprint.post("/import")
def import_file() -> ResponseReturnValue:
    conversations = archive().add(current_user_id(), _file())
    if (number := len(conversations)) > 1:
        flash(
            ngettext("%(num)s conversation was imported.", "%(num)s conversations were imported.", number)
            % {"num": language.number(number)},
            "chat",
        )
        return redirect(url_for("chat.index"), 303)
    return redirect(url_for("chat.show_conversation", conversation_id=conversations[0].id), 303)


def _download(file: IO[bytes], name: str, mimetype: str) -> Response:
    answer = send_file(file, mimetype, as_attachment=True, download_name=name)
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


def _file() -> IO[bytes]:
    try:
        file = request.files.get("file")
    except RequestEntityTooLarge:
        limit = (request.max_content_length or 0) // 2**20
        raise TooLarge(_("The file is too large: %(limit)s MB are allowed.") % {"limit": limit}) from None
    if not file:
        raise Invalid(_("Choose a file first."))
    return file.stream
