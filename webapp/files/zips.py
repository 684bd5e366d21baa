"""Zip files: all conversations of an export, and the JSON inside of an import."""

from __future__ import annotations

import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO

from webapp.chat import Message
from webapp.errors import Invalid, TooLarge
from webapp.files import markdown, ours
from webapp.files.record import Record, file_name, save
from webapp.language import gettext as _

MAX_MEMBERS = 20_000

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others use as much memory as the file asks for
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
EXPORT_NAME = re.compile(r"conversations(-\d+)?\.json")


def documents(file: IO[bytes], max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the JSON documents of a file, each with its name: those inside a zip, or the file itself, "".

    Raises Invalid, and TooLarge for more than `max_bytes` of JSON.
    """
    is_zip = zipfile.is_zipfile(file)
    file.seek(0)
    if not is_zip:
        yield "", file.read()
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for member in _members(archive, max_bytes):
                yield PurePosixPath(member.filename).name, archive.read(member)
    except UNREADABLE:
        raise Invalid(_("This zip file cannot be read.")) from None


def _members(archive: zipfile.ZipFile, max_bytes: int) -> list[zipfile.ZipInfo]:
    """The members to read, if they are within the limits. `zipfile` unpacks no more than their stated sizes."""
    if len(archive.infolist()) > MAX_MEMBERS:
        raise too_large(max_bytes)
    paths = [(PurePosixPath(member.filename), member) for member in archive.infolist()]
    # macOS adds files that start with "._" and have the same endings.
    found = [(path, one) for path, one in paths if path.suffix == ".json" and not path.name.startswith("._")]
    # The zip files of ChatGPT and Claude have other JSON beside the conversations.
    members = [one for path, one in found if EXPORT_NAME.fullmatch(path.name)] or [one for _path, one in found]
    if any(member.compress_type not in METHODS for member in members):
        raise Invalid(_("This zip file cannot be read."))
    if sum(member.file_size for member in members) > max_bytes:
        raise too_large(max_bytes)
    return members


def too_large(max_bytes: int) -> TooLarge:
    """The error for a file that unpacks to more than the limits allow."""
    return TooLarge(_("What this file holds is too large: %(limit)s MB are allowed.") % {"limit": max_bytes // 2**20})


def write(records: Iterable[Record], file: IO[bytes], note: Callable[[Message], str]) -> None:
    """Write each conversation as Markdown and as JSON, under a unique name."""
    taken: set[str] = set()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in records:
            name = _free(file_name(record.conversation), taken)
            for ending, parts in (("md", markdown.write(record, note)), ("json", ours.write(record))):
                with archive.open(f"{name}.{ending}", "w") as member:
                    save(parts, member)


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken. Some file systems ignore case and Unicode composition."""
    tries = (name if number == 1 else f"{name} ({number})" for number in range(1, len(taken) + 2))
    free = next(one for one in tries if unicodedata.normalize("NFC", one).casefold() not in taken)
    taken.add(unicodedata.normalize("NFC", free).casefold())
    return free
