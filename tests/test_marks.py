"""The marks of views: each is found again as the one that was set."""

from __future__ import annotations

import pytest
from flask import Flask

from webapp.views import marks

ALL = ("public", "without_user", "for_strangers", "for_admins", "renews_cookie", "takes_file")


@pytest.mark.parametrize(
    ("mark", "found"),
    [
        (lambda view: view, ()),
        (marks.public, ("public", "without_user")),
        (marks.without_user, ("without_user",)),
        (marks.for_strangers, ("for_strangers",)),
        (marks.for_admins, ("for_admins",)),
        (marks.renews_cookie, ("renews_cookie",)),
        (marks.takes_file, ("takes_file",)),
    ],
)
def test_a_view_has_the_marks_that_it_was_given(mark, found):
    app = Flask(__name__)
    app.add_url_rule("/", "start", mark(lambda: ""))

    with app.test_request_context("/"):
        assert tuple(name for name in ALL if getattr(marks, name).is_set()) == found


def test_an_unknown_address_has_no_mark():
    app = Flask(__name__)
    app.add_url_rule("/", "start", marks.public(lambda: ""))

    with app.test_request_context("/nowhere"):
        assert not any(getattr(marks, name).is_set() for name in ALL)
