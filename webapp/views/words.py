"""What pages say about a message: its text as HTML, how it ended, its figures. `FILTERS` are for the templates."""

from __future__ import annotations

import re
from datetime import datetime
from html import unescape

from flask import session
from markupsafe import Markup

from webapp import language, markdown, window
from webapp.chat import Message
from webapp.errors import UpstreamError
from webapp.language import gettext as _
from webapp.language import ngettext
from webapp.rendering import process
from webapp.rendering.notes import scoped
from webapp.views import browsers

SHORTEST_SECONDS = 0.2  # a shorter time gives no useful rate
CAPTION = re.compile(r"<figcaption>[^<]*+</figcaption>")
LEAST_HEADINGS = 3
HEADING = re.compile(r"<h[3-6]\b")
TAG = re.compile(r"<[^<>]*+>")


def body(message: Message) -> Markup:
    """The reply as safe HTML: the stored HTML, or the escaped text if none is stored yet.

    The renderer's process renders the text so far of a running reply. A view never renders by itself.
    """
    html = process.shared().render(message.text) if message.status == "streaming" else message.html
    return Markup(markdown.plain(message.text) if html is None else scoped(html, message.id))


def is_unformatted(message: Message) -> bool:
    """Whether a finished reply is shown without formatting, because rendering it costs too much."""
    return (message.html or "").startswith(markdown.PLAIN)


def moment(at: datetime) -> str:
    """The day and the time in UTC; the script says it in the reader's time zone."""
    return f"{language.date(at)}, {at:%H:%M} UTC"


def has_outline(message: Message) -> bool:
    """Whether the reply has so many headings that a list of them helps."""
    return len(HEADING.findall(message.html or "")) >= LEAST_HEADINGS


def script_lang(text: str) -> Markup:
    """The `lang` attribute for a text in another script than the page's; else nothing."""
    found = language.foreign(text)
    return Markup(' lang="{}"').format(found) if found else Markup()


def sentence(message: Message) -> str:
    """The sentence about how the reply ended; empty if it is complete."""
    outcome = message.outcome
    if outcome is None:
        return ""
    if outcome.failure:
        return UpstreamError.of(outcome.failure).sentence
    if not outcome.saved:
        return _("This answer could not be saved yet. Copy it before you leave the page.")
    if outcome.finish_reason == "length":
        if message.reasoning and not message.text.strip():
            return _("The model reached its length limit while it was still thinking, so there is no answer.")
        return _("The answer reached the model's length limit.")
    if outcome.tool and outcome.status == "done":
        return _("The model asked for the tool %(tool)s, and this page runs none.") % {"tool": outcome.tool}
    if outcome.finish_reason == "content_filter":
        return _("The upstream's content filter ended the answer here.")
    return {
        "stopped": _("Stopped."),
        "interrupted": _("The answer was interrupted: the server restarted."),
    }.get(outcome.status, "")


def is_cut_off(message: Message) -> bool:
    """Whether an answer ended before its end, so that the model can be asked for the rest."""
    outcome = message.outcome
    has_ended_early = outcome and (outcome.status == "interrupted" or outcome.finish_reason == "length")
    return bool(has_ended_early and message.text.strip())


def window_note(message: Message) -> str:
    """Whether the model still sees the whole conversation; nothing while it does."""
    if window.is_cut(message):
        return _("The model no longer sees the beginning of this conversation, which is longer than its window.")
    if window.is_nearly_full(message):
        return _("The model's window is nearly full: it no longer sees the beginning, or soon will not.")
    return ""


def window_use(message: Message) -> str:
    """How full the model's window is, where that is known."""
    used = window.used_tokens(message)
    if not used or not message.window:
        return ""
    numbers = {"used": language.number(used), "window": language.number(message.window)}
    return _("%(used)s of %(window)s tokens in the window") % numbers


def said(message: Message) -> str:
    """What a screen reader says at the end of a reply: how it ended, after its text if the user asked for that."""
    text = unescape(TAG.sub("", CAPTION.sub("", body(message)))) if session.get("read_aloud") else ""
    return " ".join(filter(None, (" ".join(text.split()), sentence(message), window_note(message))))


def dropped(message: Message) -> str:
    """What to say about the user's settings that the model refused; nothing where it took them all."""
    names = [name for name in message.outcome.dropped if name != "picture"] if message.outcome else []
    words = {
        "temperature": _("the temperature"),
        "max_tokens": _("the longest answer"),
        "seed": _("the seed"),
        "reasoning_effort": _("the reasoning effort"),
    }
    said = ", ".join(words.get(name, name) for name in names)
    return (
        _("The model does not accept %(settings)s that you set, so it answered without.") % {"settings": said}
        if said
        else ""
    )


def figures(message: Message) -> str:
    """The figures of a reply: its tokens, their rate, and the time to the first one."""
    outcome = message.outcome
    if outcome is None:
        return ""
    tokens = outcome.usage.completion_tokens if outcome.usage else None
    first, seconds = outcome.first_token_seconds, outcome.seconds
    parts = []
    if tokens:
        parts.append(ngettext("%(num)s token", "%(num)s tokens", tokens))
        if reasoning := outcome.usage and outcome.usage.reasoning_tokens:
            parts[0] += " " + _("(%(num)s of reasoning)") % {"num": language.number(reasoning)}
        if first is not None and seconds is not None and seconds - first > SHORTEST_SECONDS:
            parts.append(_("%(rate)s tokens/s") % {"rate": language.number(tokens / (seconds - first))})
    if first is not None:
        parts.append(_("first token after %(seconds)s s") % {"seconds": language.number(first, 1)})
    return " · ".join(parts)


def retention(days: int, *, with_pinned: bool) -> str:
    """What is said to a user whose conversations are kept so many days; nothing if they are kept for ever."""
    if not days:
        return ""
    first = ngettext(
        "A conversation is deleted for good %(num)s day after its last message.",
        "A conversation is deleted for good %(num)s days after its last message.",
        days,
    )
    return first if with_pinned else first + " " + _("Pinned ones are kept.")


FILTERS = {
    "date": language.date,
    "browser": browsers.name_of,
    "number": language.number,
    "used_tokens": window.used_tokens,
    "moment": moment,
    "has_outline": has_outline,
    "body": body,
    "is_unformatted": is_unformatted,
    "script_lang": script_lang,
    "sentence": sentence,
    "is_cut_off": is_cut_off,
    "window_note": window_note,
    "window_use": window_use,
    "dropped": dropped,
    "figures": figures,
}
