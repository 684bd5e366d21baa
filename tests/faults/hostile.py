"""Answers, forms and files that once held every stream of a worker.

Some come from people and models that mean no harm, some are made for it.
"""

from __future__ import annotations

import io
import json
import zipfile

KILO = 1024

SHELL = (
    "How to look around in {}:\n\n"
    "- Search in a file: `cat file | grep x`\n"
    "- Then: `ls -la`, `pwd`, `mkdir -p dir`, `cp a b`, `mv a b`, `rm a`, `cat a`, `less a`, `head a`, `tail a`,"
    " `chmod u+x a`, `chown me a`, `df -h`, `du -sh`, `ps aux`, `kill 1`, `top`, `uname -a`, `whoami`, `man ls`\n\n"
    "Each of them has a manual page.\n\n"
)

CHARS = 96_000  # nearly the longest text that is read as markdown

# How a bracket opens in a formula: those of which each once doubled the time, and the others.
PAIRED = {"round": "(", "square": "[", "braces": r"\{", "angles": r"\langle ", "floors": r"\lfloor "}
OTHERS = ("{", "|", r"\left(", r"\frac{", r"\sqrt{", "x_{", r"\begin{matrix}", r"\lvert ", r"\lceil ", r"\lbrace ")


def unclosed(opener: str, number: int) -> str:
    """A formula with so many brackets that nothing closes."""
    return f"The value is ${opener * number}x$ here.\n"


def repeated(piece: str, chars: int = CHARS) -> str:
    """The piece again and again, in all not more than so many characters."""
    return piece * (chars // len(piece))


def _blocks(language: str, code: str, number: int) -> str:
    """So many blocks of this code, no two the same."""
    return "".join(f"```{language}\n{code}x{index}\n```\n\n" for index in range(number))


def _table(columns: int) -> str:
    row = "|" + "a|" * columns
    return f"{row}\n|{'-|' * columns}\n{row}\n{row}\n"


TEXTS: dict[str, str] = {
    # Eight, for it matters where the pieces are cut.
    "shell commands": "".join(SHELL.format("x" * number) for number in range(8)),
    "26 open brackets": unclosed("(", 26),
    **{f"40 open {name}": unclosed(opener, 40) for name, opener in PAIRED.items()},
    "other open brackets": "\n".join(unclosed(opener, 40) for opener in OTHERS),
    "200 formulas": unclosed("(", 20) * 200,
    "200 large formulas": "$" + r"\frac{a}{b} + " * 25 + "c$\n" + ("\n$" + r"\frac{a}{b} + " * 25 + "c$\n") * 199,
    "java blocks": _blocks("java", repeated("x x x x x x x x x\n", 2000), 45),
    "tabs in blocks": _blocks("python", ("\t" * 190 + "\n") * 99, 5),
    "opened formulas": repeated(r"\("),
    "table rule": "a | b\n|" + repeated("-|", 60 * KILO) + "x\n",
    "square brackets": repeated("["),
    "image brackets": repeated("!["),
    "cdata": repeated("<![CDATA["),
    "open emphasis": repeated("*a _b"),
    "less-than signs": repeated("<"),
    "ampersands": repeated("&"),
    "endless link": "https://example.com/" + repeated("a"),
    "schemes": repeated("https://"),
    "closing brackets in links": repeated("https://a)"),
    "half schemes": repeated("://"),
    "angle links": repeated("<https://a"),
    "8,000 columns": _table(8000),
    "nested quotes": repeated("> ", 20 * KILO) + "x\n",
    "nested lists": "".join(f"{'  ' * level}- a\n" for level in range(250)),
    "lists in a line": repeated("- ", 20 * KILO) + "x\n",
    "four megabytes": repeated("<&\n", 4 * 10**6),
}

FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
FORM_BYTES = 16 * KILO * KILO
# What a form bomb repeats.
FORMS = {
    "names": b"a&",
    "names and values": b"a=&",
    "escapes": b"%41",
    "escaped cyrillic letters": b"%D1%8B",
    "cyrillic letters": "ы".encode(),
}


def form(name: str) -> bytes:
    """One of FORMS, as large as the product's own limit of one request."""
    return b"text=" + FORMS[name] * (FORM_BYTES // len(FORMS[name]) - 2)


def zipped(text: str, replies: int) -> bytes:
    """A zip for the import: one conversation that holds so many replies of this text."""
    messages: list[dict[str, str | None]] = []
    parent = None
    for index in range(replies):
        messages.append({"id": f"q{index}", "parent": parent, "role": "user", "text": "Hello"})
        messages.append({"id": f"r{index}", "parent": f"q{index}", "role": "assistant", "text": f"{text}{index}"})
        parent = f"r{index}"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        value = {"format": "lockchat", "version": 1, "leaf": parent, "messages": messages}
        archive.writestr("a.json", json.dumps(value))
    return file.getvalue()
