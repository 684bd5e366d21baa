"""Write chemistry as TeX: the common part of mhchem, https://ctan.org/pkg/mhchem."""

from __future__ import annotations

import re


def reaction(source: str) -> str:
    r"""Return what `\ce{source}` shows, as TeX: upright, numbers lowered, charges raised. Takes linear time."""
    return "{" + _PART.sub(_rewrite, source) + "}"


def _rewrite(part: re.Match[str]) -> str:
    kind = part.lastgroup
    if part["arrow"]:
        name, over, under = _ARROWS[part["arrow"]], part["over"], part["under"]
        return rf" \x{name}[{reaction(under or '')}]{reaction(over)} " if over else rf" \{name} "
    shown = {"letters": r"\mathrm{%s}", "number": "_{%s}", "charge": "^{%s}", "sign": "^{%s}", "formula": "{%s}"}.get(
        kind or ""
    )
    return shown % part[kind] if shown and kind else _SIGNS.get(part[0].strip(), part[0])


_ARROWS = {
    **dict.fromkeys(("<=>", "<=>>", "<<=>"), "rightleftharpoons"),
    **dict.fromkeys(("<->", "<-->"), "leftrightarrow"),
    **dict.fromkeys(("->", "=>"), "rightarrow"),
    "<-": "leftarrow",
}
_SIGNS = {"^": r"\uparrow ", "v": r"\downarrow ", "*": r"\cdot ", ".": r"\cdot ", "#": r"\equiv "}
_PART = re.compile(
    r"""\\[a-zA-Z]++(?:\{[^{}]*+\})? | \\. | [_^]\{[^{}]*+\}
      | \$(?P<formula>[^$]*+)\$
      | (?P<arrow><=>>|<<=>|<=>|<-->|<->|<-|->|=>)(?:\[(?P<over>[^\]]*+)\](?:\[(?P<under>[^\]]*+)\])?)?+
      | \^(?P<charge>\d*+[+-]|[a-zA-Z\d]++)
      | (?<=[A-Za-z\d)\]}])(?P<sign>[+-])(?=[\s),\]]|\Z)
      | (?<=[A-Za-z)\]}])(?P<number>\d++)
      | \d++(?:\.\d++)?
      | (?<=\s)[v^](?=\s|\Z)
      | (?P<letters>[A-Za-z]++)
      | [*.\#]""",
    re.VERBOSE | re.DOTALL,
)
