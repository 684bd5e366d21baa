"""What all templates know: words in the user's language, finished messages, and a few values of the request."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any

from flask import Flask, current_app, g, request, session, templating
from markupsafe import Markup

from webapp import language
from webapp.chat import Message
from webapp.text import new_id
from webapp.views import site, visitor, words
from webapp.views.parts import parts

KEPT_ARTICLES = 500
KEPT_CHARS = 16_000  # of the HTML of one; longer ones are made again each time


class Environment(templating.Environment):
    """Gives all templates the same dictionary of globals. Jinja copied a chain of two for each one included."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return super().make_globals(d) if d else self.globals


def init_app(app: Flask) -> None:
    """Make it known to the templates. To be called before anything uses `app.jinja_env`."""
    app.jinja_environment = Environment
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    # Jinja's own extension does the same in four calls for each sentence.
    app.jinja_env.globals.update(_=_words, ngettext=_counted)
    app.jinja_env.globals.update(notice=site.notice, welcome=site.welcome)
    app.jinja_env.filters.update(words.FILTERS, article=article)
    app.context_processor(_shared)


def article(message: Message, models: Sequence[str], retrying: str = "") -> Markup:
    """The HTML of a message in a conversation. That of finished ones is kept, as most pages show them again.

    `models` are those to retry with; `retrying` is the id of the reply under which they are listed.
    """
    if visitor.is_text_browser():
        return _made(message, models, retrying, plain=True)
    if message.status == "streaming" or message.id == retrying or len(message.html or message.text) > KEPT_CHARS:
        return _made(message, models, retrying)
    # A reply that does not list the models shows only whether there is another one.
    return kept(message, tuple(models[:2]), language.current(), request.script_root)


@lru_cache(KEPT_ARTICLES)
def kept(message: Message, models: tuple[str, ...], _language: str, _root: str) -> Markup:
    """The arguments are all that the HTML is made of, so nobody sees what is another user's, and nothing is stale."""
    return _made(message, models, "")


def _made(message: Message, models: Sequence[str], retrying: str, *, plain: bool = False) -> Markup:
    name = "_question.html" if message.role == "user" else "_reply.html"
    # Without what the other templates know, which takes longer to find out.
    template = current_app.jinja_env.get_template(name)
    return Markup(template.render(message=message, offered=lambda: models, retrying=retrying, plain=plain))


def _words(message: str, /, **values: object) -> Markup:
    """The message in the current language, with these values in it, escaped."""
    words = Markup(language.gettext(message))
    return words % values if values else words


def _counted(singular: str, plural: str, count: int, /) -> Markup:
    return Markup(language.ngettext(singular, plural, count)) % {"num": count}


def _shared() -> dict[str, Any]:
    return {
        "theme": session.get("theme", ""),
        "language": language.current(),
        "demo": parts().config.url is None,
        "request_id": g.get("request_id", ""),
        "languages": language.names(),
        "read_aloud": bool(session.get("read_aloud")),
        "new_key": new_id,
        "offered": site.models,
        "user_tag": visitor.user_tag(),
        "plain": visitor.is_text_browser(),  # then no control is shown that needs script or a popover
        "login": parts().config.login,
        "can_share": parts().config.sharing == "team",
        "api": parts().config.api,
        "user": visitor.known_user(),
    }
