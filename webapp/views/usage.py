"""The page that shows administrators how much the models are used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from webapp import language
from webapp.charts import Chart, Point, columns, rows
from webapp.language import gettext as _
from webapp.storage.spending import Figures
from webapp.usage import PERIODS
from webapp.views.marks import for_admins
from webapp.views.parts import parts
from webapp.views.problems import page_with_list

DAYS = 30

blueprint = Blueprint("usage", __name__)


@blueprint.get("/admin/usage")
@for_admins
def show_usage() -> ResponseReturnValue:
    days = request.args.get("days", DAYS, type=int)
    days = days if days in PERIODS else DAYS
    report = parts().team.usage.report(days)
    return page_with_list(
        "usage.html",
        report=report,
        table_days=[(language.date(day), one) for day, one in reversed(report.days) if one.messages],
        day_charts=_charts(columns, [(language.date(day), one) for day, one in report.days]),
        user_charts=_charts(rows, [(name or _("Without an account"), one) for name, one in report.users]),
        model_charts=_charts(rows, report.models),
        days=days,
        periods=PERIODS,
    )


def _charts(draw: Callable[[str, Sequence[Point]], Chart | None], named: Sequence[tuple[str, Figures]]) -> list[Chart]:
    """A chart of each measure that is not nothing."""
    measures: list[tuple[str, Callable[[Figures], float]]] = [
        (_("Sent messages"), lambda one: one.messages),
        (_("Tokens"), lambda one: one.tokens),
        (_("Errors"), lambda one: one.errors),
    ]
    drawn = [
        draw(title, [Point(name, value(one), language.number(value(one))) for name, one in named])
        for title, value in measures
    ]
    waits = [
        Point(name, one.seconds or 0, _("%(seconds)s s") % {"seconds": language.number(one.seconds or 0, 2)})
        for name, one in named
    ]
    return [chart for chart in (*drawn, draw(_("Time to the first token"), waits)) if chart]
