"""The audit log, for administrators: a page, and a file with one JSON object a line.

A conversation is named by its id: titles are its owner's words, which an administrator does not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import orjson
from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from webapp.language import gettext as _
from webapp.language import mark
from webapp.team import Entry
from webapp.views.http import hold_open
from webapp.views.marks import for_admins
from webapp.views.parts import parts
from webapp.views.problems import page_with_list
from webapp.views.visitor import actor

MOST_ID = 2**31 - 1
ACTIONS = {
    "sign_in": mark("signed in"),
    "sign_in_failed": mark("failed to sign in"),
    "sign_out": mark("signed out"),
    "sign_in_ended": mark("signed another browser out"),
    "sign_ins_ended": mark("signed all other browsers out"),
    "password_changed": mark("changed the password"),
    "password_set": mark("set a new password by a link"),
    "account_made": mark("made an account"),
    "invite_made": mark("made an invitation"),
    "invite_withdrawn": mark("withdrew an invitation"),
    "invite_used": mark("used an invitation"),
    "reset_made": mark("made a link for a new password"),
    "role_changed": mark("changed a role"),
    "disabled": mark("disabled an account"),
    "enabled": mark("enabled an account"),
    "signed_out": mark("signed somebody out everywhere"),
    "audit_exported": mark("exported the audit log"),
    "account_deleted": mark("deleted their own account"),
    "conversation_deleted": mark("deleted a conversation"),
    "conversation_restored": mark("restored a conversation"),
    "conversation_exported": mark("exported a conversation"),
    "conversations_exported": mark("exported all their conversations"),
    "conversations_imported": mark("imported conversations"),
    "conversations_expired": mark("deleted conversations that are kept no longer"),
    "retention_changed": mark("changed how long conversations are kept"),
    "limit_changed": mark("changed a limit"),
    "preset_made": mark("made a preset for everybody"),
    "preset_changed": mark("changed a preset for everybody"),
    "preset_deleted": mark("deleted a preset for everybody"),
    "notice_changed": mark("changed the notice"),
    "welcome_changed": mark("changed the text for the first visit"),
    "models_allowed": mark("changed the allowed models"),
    "key_made": mark("made an API key"),
    "key_revoked": mark("revoked an API key"),
    "keys_revoked": mark("revoked all their API keys"),
    "shared": mark("shared a conversation"),
    "share_revoked": mark("revoked a shared conversation"),
    "upstream_tested": mark("tested the upstream"),
}

blueprint = Blueprint("log", __name__)


@blueprint.get("/admin/log")
@for_admins
def show_log() -> ResponseReturnValue:
    before = request.args.get("before", type=int)
    entries, has_older = parts().team.audit.page(min(max(before, 0), MOST_ID) if before is not None else None)
    return page_with_list(
        "log.html",
        entries=entries,
        older=entries[-1].id if has_older else None,
        said=_said,
        days=parts().config.audit_days,
    )


@blueprint.post("/admin/log/export")
@for_admins
def export_log() -> Response:
    answer = hold_open(_lines(parts().team.audit.export(actor())), "application/jsonl; charset=utf-8")
    answer.headers.set(
        "Content-Disposition", "attachment", filename=f"Lockchat audit {datetime.now(UTC):%Y-%m-%d}.jsonl"
    )
    return answer


def _lines(entries: Iterable[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield orjson.dumps(asdict(entry) | {"words": _said(entry)}) + b"\n"


def _said(entry: Entry) -> str:
    """What was done, in the reader's language."""
    return _(ACTIONS[entry.action]) if entry.action in ACTIONS else entry.action
