"""Export of one or all conversations, and import of a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import IO

from flask import Blueprint, Response, flash, redirect, request, send_file, url_for
from flask.typing import ResponseReturnValue

from webapp.archive import Imported
from webapp.errors import Invalid
from webapp.files import markdown, ours, zips
from webapp.files.record import file_name, save
from webapp.language import gettext as _
from webapp.language import ngettext
from webapp.views.http import end_with_user
from webapp.views.marks import takes_file
from webapp.views.parts import parts
from webapp.views.visitor import current_user, known_actor
from webapp.views.words import sentence

MEMORY_BYTES = 4 * 2**20  # a larger file is built on disk
TITLES = 5  # named of those left out: the sentence is in a cookie until the page shows it

blueprint = Blueprint("transfer", __name__)


@blueprint.get("/c/<id:conversation_id>/export")
def export_conversation(conversation_id: str) -> ResponseReturnValue:
    ending = request.args.get("format", "md")
    if ending not in ("md", "json"):
        raise Invalid(_("A conversation can be exported as md or json."))
    with parts().archive.gate.place(current_user().holder):
        record = parts().archive.export(current_user().id, conversation_id, known_actor())
        file = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 (the answer closes it)
        save(ours.write(record) if ending == "json" else markdown.write(record, sentence), file)
    name = f"{file_name(record.conversation)}.{ending}"
    return _download(file, name, "application/json" if ending == "json" else "text/markdown")


@blueprint.get("/export")
def export_all() -> ResponseReturnValue:
    with parts().archive.gate.place(current_user().holder):
        records = parts().archive.export_all(current_user().id, known_actor())
        file = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 (the answer closes it)
        zips.write(records, file, sentence)
    return _download(file, f"Lockchat {datetime.now(UTC):%Y-%m-%d}.zip", "application/zip")


@blueprint.get("/import")
def show_import() -> ResponseReturnValue:
    # A refused file leaves the browser at this address, and a reload asks for it.
    return redirect(url_for("settings.show_settings", _anchor="transfer"))


@blueprint.post("/import")
@takes_file
def import_file() -> ResponseReturnValue:
    with parts().archive.gate.place(current_user().holder):
        imported = parts().archive.add(current_user().holder, _file(), known_actor())
    ids = [one.id for one in imported.new] + imported.there
    if len(imported.new) != 1 or len(ids) != 1 or imported.left_out:
        for said in _told(imported):
            flash(said, "chat")
    if len(ids) > 1:
        return redirect(url_for("chat.index"), 303)
    return redirect(url_for("chat.show_conversation", conversation_id=ids[0]), 303)


def _told(imported: Imported) -> Iterator[str]:
    """Yield what the page says about an import."""
    if number := len(imported.new):
        yield ngettext("%(num)s conversation was imported.", "%(num)s conversations were imported.", number)
    if number := len(imported.there):
        yield ngettext("%(num)s conversation was already here.", "%(num)s conversations were already here.", number)
    if number := imported.grown:
        yield ngettext("%(num)s of them has new messages now.", "%(num)s of them have new messages now.", number)
    if number := len(imported.left_out):
        titles = ", ".join(f"“{title}”" for title in imported.left_out[:TITLES])
        yield ngettext(
            "%(num)s conversation could not be read and was left out: %(titles)s.",
            "%(num)s conversations could not be read and were left out: %(titles)s.",
            number,
            titles=titles if number <= TITLES else f"{titles}, …",
        )


def _download(file: IO[bytes], name: str, mimetype: str) -> Response:
    size = file.tell()
    file.seek(0)
    answer = send_file(file, mimetype, as_attachment=True, download_name=name)
    answer.content_length = size
    answer.headers["Cache-Control"] = "private, no-store"
    end_with_user(answer)
    return answer


def _file() -> IO[bytes]:
    file = request.files.get("file")
    if not file:
        raise Invalid(_("Choose a file first."))
    return file.stream
