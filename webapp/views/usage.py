"""The page that shows administrators how much the models are used."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp import language
from webapp.usage import PERIODS
from webapp.views.marks import for_admins
from webapp.views.parts import parts
from webapp.views.sidebar import sidebar
from webapp.views.visitor import current_user

DAYS = 30

blueprint = Blueprint("usage", __name__)


@blueprint.get("/admin/usage")
@for_admins
def show_usage() -> ResponseReturnValue:
    days = request.args.get("days", DAYS, type=int)
    days = days if days in PERIODS else DAYS
    report = parts().team.usage.report(days)
    return render_template(
        "usage.html",
        **sidebar(current_user().id),
        report=report,
        table_days=[(language.date(day), one) for day, one in reversed(report.days) if one.messages],
        days=days,
        periods=PERIODS,
    )
