"""Rewrite the TeX that models write as TeX that math-core reads: chemistry, tags, words, environments, macros."""

from __future__ import annotations

import re
from collections.abc import Callable

from webapp.rendering.chemistry import reaction

MAX_ARGUMENT_CHARS = 1_000  # a longer one is left to math-core

# What math-core does not know. A macro uses each argument once: nested ones then grow the formula no further.
MACROS = {
    **dict.fromkeys(("dotsc", "dotso", "hdots", "mathellipsis", "textellipsis"), r"\ldots"),
    **dict.fromkeys(("dotsb", "dotsm", "dotsi"), r"\cdots"),
    **{name: rf"\mathbb{{{name}}}" for name in "QCE"},
    **{
        name: rf"\operatorname{{{name}}}"
        for name in ("Tr", "tr", "rank", "diag", "sgn", "Var", "Cov", "lcm", "softmax")
    },
    **dict.fromkeys(("smash", "rlap", "llap", "clap", "mathrlap", "mathllap", "mathclap", "vcenter"), "#1"),
    **dict.fromkeys(("mathnormal", "mathup", "symup", "si", "unit", "sout", "ensuremath"), r"\mathrm{#1}"),
    **dict.fromkeys(("mathds", "mathbbm"), r"\mathbb{#1}"),
    **dict.fromkeys(("nicefrac", "sfrac", "xfrac"), r"#1/#2"),
    # Of math-core itself, but with braces: an argument must not take the closing bracket.
    "bra": r"\langle{#1}\rvert",
    "ket": r"\lvert{#1}\rangle",
    "braket": r"\langle{#1}\rangle",
    "set": r"\{{#1}\}",
    "pod": r"\quad({#1})",
    "pmod": r"\quad(\mathrm{mod}\;{#1})",
    "substack": r"\begin{subarray}{c}#1\end{subarray}",
    "abs": r"\left\lvert #1\right\rvert",
    "norm": r"\left\lVert #1\right\rVert",
    "ketbra": r"\ket{#1}\bra{#2}",
    "expval": r"\braket{#1}",
    "dd": r"\mathrm{d}",
    "dv": r"\frac{\mathrm{d}#1}{\mathrm{d}#2}",
    "pdv": r"\frac{\partial #1}{\partial #2}",
    "flatfrac": "#1/#2",
    "cancelto": r"\cancel{#2}^{#1}",
    "pmb": r"\boldsymbol{#1}",
    "SI": r"#1\,\mathrm{#2}",
    "num": "#1",
    "ang": r"#1^{\circ}",
    "varlimsup": r"\overline{\lim}",
    "varliminf": r"\underline{\lim}",
    "defeq": r"\coloneqq",
    "qed": r"\square",
    "degree": r"^{\circ}",
    "celsius": r"^{\circ}\mathrm{C}",
    "ohm": r"\Omega",
    "micro": r"\mu",
    "smallint": r"\int",
    "thicksim": r"\sim",
    "grad": r"\nabla",
    "euro": "€",
    "sdot": r"\cdot",
    "textsuperscript": r"{}^{\text{#1}}",
    "textsubscript": r"{}_{\text{#1}}",
    **dict.fromkeys(("wideparen", "overgroup"), r"\overparen{#1}"),
}


def readable(source: str) -> str:
    """Return a formula in the TeX of math-core and MACROS. Takes linear time, grows it by a constant factor."""
    parts: list[str] = []
    position = 0
    while found := _COMMAND.search(source, position):
        written, end = _rewritten(source, found)
        parts += [source[position : found.start()], written]
        position = end
    whole = "".join([*parts, source[position:]])
    marks = _marks_of_lines(whole)
    if "\\\\" not in marks:
        return whole
    environment = "aligned" if "&" in marks else "gathered"
    return rf"\begin{{{environment}}}{whole}\end{{{environment}}}"


_COMMAND = re.compile(
    r"""\}\s*+\\(?:no)?limits(?![a-zA-Z])
      | \\(?: [a-zA-Z]++\*? | \\(?:\*|[ ]*+\[-?[\d.]++[ ]*+[a-z]{2}\])? | . )
      | \# | √\s*+(?:\d++|\w)? | (?<=\d)% | %[^\n]*+""",
    re.VERBOSE | re.DOTALL,
)


def _rewritten(source: str, found: re.Match[str]) -> tuple[str, int]:
    """What math-core reads in place of a command, and where the command ends, its arguments included."""
    command, end = found[0], found.end()
    if command.startswith("\\\\"):
        return "\\\\", end
    if command[0] == "}":  # math-core has limits behind its own signs only
        return "}", end
    if command[0] == "√":
        return rf"\sqrt{{{command[1:]}}}" if command[1:].strip() or source[end : end + 1] != "{" else r"\sqrt", end
    if command[0] == "%":  # a comment, but behind a number
        return r"\%" if command == "%" and source[found.start() - 1 : found.start()].isdigit() else "", end
    if command in _SIGNS:
        return _SIGNS[command], end
    name = command[1:] if command[1:] in _RULES else command[1:].rstrip("*")
    if name not in _RULES:
        return command, end
    count, rule = _RULES[name]
    end = found.start() + 1 + len(name)
    arguments: list[str] = []
    while len(arguments) < count + (name == "begin" and arguments[:1] in _WITH_COLUMNS):
        argument = _ARGUMENT.match(source, end, end + MAX_ARGUMENT_CHARS)
        if not argument:
            return command, found.end()
        arguments.append(argument[1])
        end = argument.end()
    return rule(*arguments), end


_SPACED_COLUMN = re.compile(r"[@!]\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\}|(?<=[pmb])\{[^{}]*+\}|\s+")
# An argument in braces; those inside it are two deep at most.
_GROUP = r"(?:[^{}\\]|\\.|\{(?:[^{}\\]|\\.|\{(?:[^{}\\]|\\.)*+\})*+\})*+"
_ARGUMENT = re.compile(rf"\s*+(?:\[[\w ]*+\]\s*+)?\{{({_GROUP})\}}", re.DOTALL)


def _words(command: str) -> Callable[[str], str]:
    """Words with formulas between them become words and formulas in turn."""

    def rule(words: str) -> str:
        parts = _DOLLARS_IN_WORDS.split(words)
        shown = [
            f"{{{part}}}" if number % 2 else rf"\{command}{{{_SPECIAL.sub(_escaped, part)}}}"
            for number, part in enumerate(parts)
            if part
        ]
        return "{" + "".join(shown) + "}"

    return rule


_DOLLARS_IN_WORDS = re.compile(r"(?<!\\)\$([^$]*+)\$")
_SPECIAL = re.compile(r"(?<!\\)[_^&#%]|\\[,;:!]|\\\(|\\\)")
_text = _words("text")


def _escaped(found: re.Match[str]) -> str:
    return {"^": r"\textasciicircum{}", "\\(": "", "\\)": "", "\\!": ""}.get(
        found[0], " " if found[0][0] == "\\" else "\\" + found[0]
    )


def _begin(name: str, columns: str = "") -> str:
    known = _ENVIRONMENTS.get(name, name)
    if known == "array":
        columns = _SPACED_COLUMN.sub("", columns) if columns else "rcl"
        return rf"\begin{{array}}{{{columns}}}"
    return rf"\begin{{{known}}}" if known else ""


def _end(name: str) -> str:
    known = _ENVIRONMENTS.get(name, name)
    return rf"\end{{{known}}}" if known else ""


def _marks_of_lines(source: str) -> str:
    """The ends of lines and columns outside of environments and braces."""
    depth, marks = 0, []
    for mark in _STRUCTURE.finditer(source):
        if mark[0] in (r"\begin", "{"):
            depth += 1
        elif mark[0] in (r"\end", "}"):
            depth -= 1
        elif depth == 0 and mark[0] in ("\\\\", "&"):
            marks.append(mark[0])
    return "".join(marks)


_STRUCTURE = re.compile(r"\\(?:begin|end)(?![a-zA-Z])|\\.|[{}&]", re.DOTALL)
_MATRICES = [f"{edge}matrix" for edge in ("", "p", "b", "B", "v", "V")]
_ENVIRONMENTS = {
    **{name: f"{name}*" for name in ("align", "equation", "gather", "multline")},  # numbers would begin anew in each
    **dict.fromkeys(("flalign", "flalign*", "alignat", "alignat*"), "align*"),
    **dict.fromkeys(("split", "alignedat"), "aligned"),
    **dict.fromkeys(("eqnarray", "eqnarray*"), "array"),
    **dict.fromkeys(("subequations", "math", "displaymath"), ""),
    **{matrix.replace("matrix", "smallmatrix"): matrix for matrix in _MATRICES},
    **{f"{matrix}*": matrix for matrix in _MATRICES},
    **{"cases*": "cases", "dcases*": "dcases", "tabular": "array"},
}
_WITH_COLUMNS = [[name] for name in ("array", "tabular", "alignat", "alignat*", "alignedat")]
_SIGNS = {"#": r"\#", r"\/": "", r"\-": "", r"\@": "", r"\cr": "\\\\"}
_DROPPED = frozenset(
    """
    nonumber notag hfil hfill allowbreak nobreak noindent strut linebreak break par displaybreak
    tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge
    """.split()  # noqa: SIM905
)
_RULES: dict[str, tuple[int, Callable[..., str]]] = {
    **dict.fromkeys(("text", "mbox", "hbox", "textnormal", "textup", "textmd", "pu", "url"), (1, _text)),
    **{name: (1, _words(name)) for name in ("textbf", "textit", "textrm", "texttt", "textsf", "emph")},
    **dict.fromkeys(("label", "vspace", "vspace*", "textcolor", "color", "href", "hypertarget"), (1, lambda _: "")),
    **dict.fromkeys(_DROPPED, (0, lambda: " ")),
    **dict.fromkeys(("colorbox", "raisebox"), (2, lambda _, words: _text(words))),
    "fcolorbox": (3, lambda _, __, words: _text(words)),
    "rule": (2, lambda _, __: ""),
    **dict.fromkeys(("intertext", "shortintertext"), (1, lambda words: rf"\\ {_text(words)} \\ ")),
    "hspace*": (1, lambda width: rf"\hspace{{{width}}}"),
    "tag": (1, lambda label: rf"\qquad {_text(f'({label})')}"),
    "tag*": (1, lambda label: rf"\qquad {_text(label)}"),
    "eqref": (1, lambda target: _text(f"({target})")),
    "ref": (1, _text),
    "ce": (1, reaction),
    "begin": (1, _begin),
    "end": (1, _end),
}
