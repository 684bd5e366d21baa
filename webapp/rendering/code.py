"""Highlight code with Pygments, within a limit of processor time for each text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableMapping
from functools import lru_cache
from html import escape
from time import thread_time
from typing import Any

import pygments
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_all_lexers, get_lexer_by_name

MAX_NAME_CHARS = 200  # of a file
MAX_CODE_CHARS = 20_000  # 25-35 ms of Pygments
MAX_CODE_LINE_CHARS = 500  # several lexers take quadratic time on longer lines
MAX_BLANK_LINES = 100  # and on longer runs of blank lines
MAX_CODE_SECONDS = 0.5  # of processor time for all code of one text; one lexer would turn 20 KB into 400 MB


def language_and_file(info: str) -> tuple[str, str]:
    """Return the language and the file name that stand behind a fence; "" for each that does not.

    Read are `python`, `app.py`, `python:app.py`, `12:40:app.py`, `python app.py`, `{.python}` and, behind a
    language, `title="app.py"` (or `filename`, `file`, `name`, `path`).
    """
    info = info.strip()
    words = info.strip("{}").split(None, 1) or [""]
    first = words[0].removeprefix(".") if info.startswith("{") else words[0]
    behind = words[1] if len(words) > 1 else ""
    language, _, name = (":" + first.rpartition(":")[2] if first[:1].isdigit() else first).partition(":")
    language = _OPTIONS.split(language, maxsplit=1)[0]
    if not name and (given := _TITLE.search(" " + behind) or _FILE.match(behind)):
        name = given["file"].strip("\"'")
    if not name and language.lower() not in _LANGUAGES and _FILE.fullmatch(language):
        language, name = "", language
    if not _LANGUAGE.fullmatch(language):
        language = ""
    return language, name if len(name) <= MAX_NAME_CHARS else ""


def language_of(file: str) -> str:
    """Return the language that the ending of a file name stands for; "" if it is not known."""
    ending = _ENDING.split(file)[-1].lower()
    return _ENDINGS.get(ending, ending if ending in _LANGUAGES else "")


_OPTIONS = re.compile(r"[{,]")
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")
_TITLE = re.compile(
    r"""\s(?:title|file_?name|file|name|path)[=:](?P<file>"[^"]{1,200}"|'[^']{1,200}'|[^\s"']{1,200})""", re.IGNORECASE
)
_FILE = re.compile(r"(?:(?://|\#)\s)?(?P<file>[\w./\\@-]{0,199}(?:\.[a-zA-Z]\w{0,9}|/(?:Docker|Make)file))(?!\S)")
_ENDING = re.compile(r"[./\\]")
_ENDINGS = {"cs": "c#", "cc": "cpp", "hpp": "cpp", "mjs": "js", "cjs": "js", "exs": "ex", "kts": "kt", "pyi": "py"}


def highlighted(code: str, language: str, env: MutableMapping[str, Any]) -> str:
    """Return code as HTML, highlighted where that is quick. Takes the time from `env["code_seconds"]`.

    Code that was coloured while it grew stands in `env["coloured"]`.
    """
    if coloured := env.get("coloured", {}).get((code, language)):
        return str(coloured)
    lexer = lexer_of(language.lower())
    if not lexer or env["code_seconds"] <= 0 or len(code) > MAX_CODE_CHARS:
        return escape(code)
    if blank_lines(code.split("\n")) < 0:
        return escape(code)
    begun = thread_time()
    try:
        return pygments.format(_bounded(lexer.get_tokens(code), len(code), begun + env["code_seconds"]), formatter)
    except Exception:  # a lexer has a bug or took too long: show the code without colours
        return escape(code)
    finally:
        env["code_seconds"] -= thread_time() - begun


def blank_lines(lines: Iterable[str], before: int = 0) -> int:
    """Return how many blank lines the code ends with; -1 if lexers are slow on these lines."""
    blank = before
    for line in lines:
        blank = 0 if line.strip() else blank + 1
        if blank > MAX_BLANK_LINES or len(line) >= MAX_CODE_LINE_CHARS:
            return -1
    return blank


class NotHighlighted(Exception):
    """The lexer took too long, or its tokens are not the code, or not what was shown of it."""


def _bounded(tokens: Iterable[tuple[Any, str]], chars: int, deadline: float) -> Iterator[tuple[Any, str]]:
    for kind, value in tokens:
        chars -= len(value)
        if chars < 0 or thread_time() > deadline:
            raise NotHighlighted
        yield kind, value
    if chars:
        raise NotHighlighted


@lru_cache(maxsize=64)
def lexer_of(language: str) -> Lexer | None:
    """Return the lexer of a language in lower case; None for those that are not highlighted."""
    return get_lexer_by_name(language, stripnl=False, ensurenl=False) if language in _LANGUAGES else None


# The common ones of Pygments' 600 languages, each tested with 20 KB of hostile text.
# One of the others takes 38 seconds for an ordinary file.
_LANGUAGES = frozenset(
    """
    bash sh shell zsh console bat batch powershell ps1 fish python py python3 pycon ruby rb perl pl lua tcl r julia
    javascript js jsx typescript ts tsx json json5 jsonc html xml svg css scss sass less vue php graphql http
    c h cpp c++ objective-c objc csharp c# fsharp f# vb.net java kotlin kt scala groovy swift dart go golang rust rs
    zig nim d ocaml haskell hs elixir ex erlang clojure clj lisp common-lisp elisp scheme racket prolog fortran pascal
    delphi ada cobol matlab octave sql postgresql postgres mysql plpgsql sqlite3 yaml yml toml ini cfg properties env
    nginx apache dockerfile docker make makefile cmake terraform hcl tf nix vim viml awk sed diff patch udiff
    latex tex markdown md rst jinja django erb asm nasm gas llvm wasm verilog systemverilog vhdl solidity cuda glsl
    hlsl proto protobuf thrift regex gherkin jq cypher sparql turtle
    """.split()  # noqa: SIM905
) & frozenset(alias for _, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases)
formatter = HtmlFormatter(nowrap=True)
