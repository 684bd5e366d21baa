"""What all templates know: words in the user's language, parts that are kept, and a few values of the request."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from flask import Flask, Response, current_app, g, render_template, request, session, templating, url_for
from markupsafe import Markup

from webapp import language
from webapp.chat import Conversation, Message, Stamp
from webapp.storage.outlines import PageOf
from webapp.text import new_id
from webapp.views import site, visitor, words
from webapp.views.kept import CHUNK_BYTES, Chunks
from webapp.views.parts import parts

PLACE = Markup("<!--{}-->").format(new_id())  # of kept messages in the HTML of a template; nobody can guess it

KEPT_ADDRESSES = 1000  # making one takes 15 us, and a page has dozens

kept = Chunks()


class Environment(templating.Environment):
    """Gives all templates the same dictionary of globals. Jinja copied a chain of two for each one included."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return super().make_globals(d) if d else self.globals


def init_app(app: Flask) -> None:
    """Make it known to the templates. To be called before anything uses `app.jinja_env`."""
    app.jinja_environment = Environment
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    # Jinja's own extension does the same in four calls for each sentence.
    app.jinja_env.globals.update(_=_words, ngettext=_counted, url_for=_url_for, part=part)
    app.jinja_env.globals.update(notice=site.notice, welcome=site.welcome)
    app.jinja_env.filters.update(words.FILTERS, articles=articles, menu=Menu.of)
    app.context_processor(_shared)


def page_of(models: Sequence[str], whole: Container[object]) -> PageOf:
    """Finished messages with the HTML that is kept for the next pages, by their stamps. None for ids in `whole`."""
    if visitor.is_text_browser():
        return lambda stamp: None
    place = _place(models)

    def page_of(stamp: Stamp) -> Message | None:
        page = None if stamp[0] in whole else kept.get((stamp, *place))
        return page.message if page else None

    return page_of


def _place(models: Sequence[str]) -> tuple[Hashable, ...]:
    """All that a message's HTML is made of, beside its stamp: nobody sees another user's, and nothing is stale."""
    # A reply that does not list the models shows only whether there is another one.
    return tuple(models[:2]), language.current(), request.script_root


def articles(messages: Iterable[Message], models: Sequence[str], retrying: str) -> Markup:
    """The HTML of messages in a row, or its place if the template is for `rendered`.

    `models` are those to retry with; `retrying` is the id of the reply under which they are listed.
    """
    html, run = Markup(), list[bytes]()
    for message in messages:
        page = message.page or _article(message, models, retrying)
        if isinstance(page, bytes):
            run.append(page)
        else:
            html, run = html + _put(run) + page, []
    return html + _put(run)


class Menu(NamedTuple):
    """What the menu of a conversation shows: all of it would be kept with the menu, and change with each message."""

    id: str
    title: str
    pinned: bool
    folder: str

    @classmethod
    def of(cls, conversation: Conversation) -> Menu:
        return cls(conversation.id, conversation.title, conversation.pinned, conversation.folder)


def part(template: str, /, **values: object) -> Markup:
    """The HTML of a template that is made of these values, the language and our addresses alone.

    It is kept for all pages with equal values. So the template reads nothing of the request, the session or the user.
    """
    key = (template, language.current(), request.script_root, *map(_key, values.items()))
    html = kept.get(key)
    if html is None:
        html = kept.add(key, current_app.jinja_env.get_template(template).render(values))
    return Markup(html.decode())


def rendered(template: str, context: Mapping[str, object]) -> Response:
    """The page of a template, in parts: kept messages are compressed already."""
    g.parts = []
    others = iter(render_template(template, **context).split(PLACE))
    parts = [next(others).encode()]
    for pages, other in zip(g.pop("parts"), others, strict=True):
        parts += [*pages, other.encode()] if other else pages
    return Response(parts)


def _put(pages: Sequence[bytes]) -> Markup:
    """The place of these messages, whose HTML `rendered` puts there; without it, the HTML."""
    if not pages or "parts" not in g:
        return Markup(b"".join(pages).decode())
    g.parts.append(pages)
    return PLACE


def _key(value: object) -> Hashable:
    """The value for a key. With its type: 1 and 1.0 are equal, and a text and the same HTML."""
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    return type(value), value


def _article(message: Message, models: Sequence[str], retrying: str) -> bytes | Markup:
    is_plain = visitor.is_text_browser()
    html = _made(message, models, retrying, plain=is_plain)
    if is_plain or not message.stamp or message.id == retrying:
        return html
    page = kept.add((message.stamp, *_place(models)), html)
    if len(page) > CHUNK_BYTES:  # it is not kept
        return page
    page.message = replace(message, text="", reasoning="", html=None, outcome=None, page=page)
    return page


def _made(message: Message, models: Sequence[str], retrying: str, *, plain: bool) -> Markup:
    name = "_question.html" if message.role == "user" else "_reply.html"
    # Without what the other templates know, which takes longer to find out.
    template = current_app.jinja_env.get_template(name)
    return Markup(template.render(message=message, offered=lambda: models, retrying=retrying, plain=plain))


def _words(message: str, /, **values: object) -> Markup:
    """The message in the current language, with these values in it, escaped."""
    words = Markup(language.gettext(message))
    return words % values if values else words


def _url_for(endpoint: str, /, **values: object) -> str:
    return _address(request.script_root, endpoint, tuple(values.items()))


@lru_cache(KEPT_ADDRESSES)
def _address(_root: str, endpoint: str, values: tuple[tuple[str, Any], ...]) -> str:
    return url_for(endpoint, **dict(values))


def _counted(singular: str, plural: str, count: int, /) -> Markup:
    return Markup(language.ngettext(singular, plural, count, num=count))


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
