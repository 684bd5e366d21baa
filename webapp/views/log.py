"""The audit log, for administrators: a page, and a file with one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import orjson
from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from webapp.language import gettext as _
from webapp.language import mark
from webapp.team import Entry
from webapp.views.http import hold_open
from webapp.views.marks import for_admins
from webapp.views.parts import parts
from webapp.views.sidebar import sidebar
from webapp.views.visitor import actor, current_user

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
    "conversations_expired": mark("deleted conversations that are kept no longer"),
    "retention_changed": mark("changed how long conversations are kept"),
    "limit_changed": mark("changed a limit"),
    "key_made": mark("made an API key"),
    "key_revoked": mark("revoked an API key"),
    "shared": mark("shared a conversation"),
    "share_revoked": mark("revoked a shared conversation"),
}

blueprint = Blueprint("log", __name__)


@blueprint.get("/admin/log")
@for_admins
def show_log() -> ResponseReturnValue:
    before = request.args.get("before", type=int)
    entries, has_older = parts().team.audit.page(min(max(before, 0), MOST_ID) if before is not None else None)
    return render_template(
        "log.html",
        entries=entries,
        older=entries[-1].id if has_older else None,
        said=lambda entry: _(ACTIONS[entry.action]) if entry.action in ACTIONS else entry.action,
        days=parts().config.audit_days,
        **sidebar(current_user().id),
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
        yield orjson.dumps(entry) + b"\n"
