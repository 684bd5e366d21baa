"""The sanitiser: an allow-list of tags, attributes, classes and link schemes."""

from __future__ import annotations

import nh3
from pygments.token import STANDARD_TYPES

from webapp.rendering.notes import ID_PREFIX, LINK_TO_NOTE


def clean(html: str) -> str:
    """Return the HTML without tags, attributes, classes and links that the list does not allow."""
    return _cleaner.clean(html)


def _make_cleaner() -> nh3.Cleaner:
    sides = {"align-left", "align-center", "align-right"}
    return nh3.Cleaner(
        tags=TAGS,
        attributes=ATTRIBUTES,
        tag_attribute_values={
            **{tag: {"dir": {"auto"}} for tag in ("p", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "table")},
            "a": {"role": {"doc-noteref", "doc-backlink"}},
            "section": {"role": {"doc-endnotes"}},
            "div": {"tabindex": {"0"}},
            "pre": {"tabindex": {"0"}},
            "input": {"type": {"checkbox"}, "disabled": {""}, "checked": {""}},
            "math": {"display": {"block"}},
            "mover": {"accent": {"true"}},
            "munder": {"accentunder": {"true"}},
            "mo": {"form": {"prefix", "infix", "postfix"}},
            **{tag: {"displaystyle": {"true", "false"}, "scriptlevel": {"0", "1", "2"}} for tag in ("mrow", "mtable")},
        },
        allowed_classes={
            "figure": {"code"},
            "section": {"notes"},
            "code": {"hl"},
            "span": set(STANDARD_TYPES.values()) - {""},
            "div": {"table", "math"},
            "li": {"task"},
            "th": sides,
            "td": sides,
            "mtd": sides,
        },
        url_schemes={"http", "https", "mailto"},
        url_relative=lambda url: url if LINK_TO_NOTE.fullmatch(url) else None,
        id_prefix=ID_PREFIX,
        link_rel="noopener noreferrer nofollow",
        generic_attribute_prefixes=set(),
    )


TAGS = frozenset(
    """
    p h3 h4 h5 h6 ul ol li blockquote hr br a em strong s b i code pre figure figcaption span div label input
    table thead tbody tr th td sub sup kbd mark u details summary section
    math mrow mi mn mo ms mtext mspace msup msub msubsup mfrac msqrt mroot mover munder munderover mmultiscripts
    mprescripts mtable mtr mtd mpadded mphantom menclose mstyle merror
    """.split()  # noqa: SIM905
)
"""Every tag that the renderer makes."""

ATTRIBUTES = {
    "a": {"href", "title"},
    "li": {"id"},
    "sup": {"id"},
    "ol": {"start"},
    "mo": {"stretchy", "lspace", "rspace", "minsize", "maxsize", "symmetric", "largeop", "movablelimits"},
    "mspace": {"width"},
    "mpadded": {"width", "height", "depth", "lspace", "voffset"},
    "mfrac": {"linethickness"},
    "mi": {"mathvariant"},
    "mtd": {"columnspan"},
    "menclose": {"notation"},
}
"""Attributes with any value; links must also have an allowed scheme, and ids a prefix."""

_cleaner = _make_cleaner()
