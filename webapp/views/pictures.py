"""The pictures of replies, from our own origin."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from webapp.chat import Picture
from webapp.views.http import end_with_user
from webapp.views.parts import parts
from webapp.views.visitor import current_user

blueprint = Blueprint("pictures", __name__)


@blueprint.get("/p/<id:picture_id>")
def show_picture(picture_id: str) -> ResponseReturnValue:
    answer = picture_answer(*parts().conversations.picture(current_user().id, picture_id))
    end_with_user(answer)
    return answer


def picture_answer(picture: Picture, data: Iterator[bytes]) -> Response:
    """The answer with a picture that this user may see."""
    answer = Response(data, content_type=picture.kind)
    answer.content_length = picture.size
    ending = picture.kind.partition("/")[2]
    answer.headers["Content-Disposition"] = f'inline; filename="picture.{ending}"'
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    # A browser that has the picture asks each time whether this user may still see it.
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.set_etag(picture.id)
    answer.make_conditional(request)
    return answer
