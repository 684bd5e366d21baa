"""Colour code line by line while it grows: a finished line is coloured once.

What the lexer knows at the end of a line is carried to the next one. Where a comment or a string is still open, its
lines are lexed again with the next one, as if it ended there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from functools import cache
from time import thread_time
from typing import Any

import pygments
from pygments.lexer import ExtendedRegexLexer, Lexer, LexerContext, RegexLexer
from pygments.token import Comment, Name, String

from webapp.rendering.cleaner import clean
from webapp.rendering.code import MAX_CODE_CHARS, MAX_CODE_SECONDS, NotHighlighted, blank_lines, formatter, lexer_of

MAX_OPEN_CHARS = 3_000  # of lines that are lexed again with each next one
TOKENS_TIMED = 32  # to look at the clock costs as much as a token
# What may be open at the end of a line, and what ends it.
ENDS = {
    "/*": "*/", '"""': '"""', "'''": "'''", "`": "`", "<!--": "-->", '"': '"', "'": "'", "=begin": "\n=end\n",
}  # fmt: skip
HERE_DOCUMENT = re.compile(r"<<[-~]?[ ]?[\"'\\]?(\w{1,40})")
# Of these the lines were as the whole code's, in real files. Others look further ahead than the end of a line.
LANGUAGES = frozenset(
    """
    python py python3 javascript js jsx css json bash sh shell sql go golang rust rs ruby rb xml awk vim diff
    """.split()  # noqa: SIM905
)


Tokens = list[tuple[Any, str]]
"""Kinds, as Pygments names them, and texts."""


@cache
def _is_whole(kind: Any) -> bool:
    """Whether a token of this kind has an end; `<!--` alone is Comment.Preproc."""
    return kind in String or (kind in Comment and kind not in Comment.Preproc) or kind in Name.Tag


class ColouredLines:
    """The code of one block, by finished lines. `code` is all of it, `html` its colours."""

    def __init__(self, lexer: Lexer, language: str) -> None:
        self.language = language
        self.code = ""
        self.html = ""
        self._lexer = lexer
        self._context = LexerContext("", 0)
        self._open = ""  # the lines that are lexed again
        self._open_html = ""
        self._blank = 0
        self._seconds = MAX_CODE_SECONDS
        self._deadline = 0.0

    @classmethod
    def of(cls, language: str) -> ColouredLines | None:
        """None if code in this language is coloured when it has ended."""
        lexer = lexer_of(language.lower()) if language.lower() in LANGUAGES else None
        return cls(lexer, language) if lexer else None

    def add(self, lines: str, env: MutableMapping[str, Any]) -> str | None:
        """Take finished lines; return their clean HTML, or None if they and all others stay without colours.

        Takes the time from `env["code_seconds"]`.
        """
        begun = thread_time()
        self._deadline = begun + min(self._seconds, env["code_seconds"])
        try:
            added = "".join(self._add(f"{line}\n") for line in lines.split("\n")[:-1])
        except Exception:  # NotHighlighted, or a lexer has a bug
            return None
        finally:
            passed = thread_time() - begun
            self._seconds -= passed
            env["code_seconds"] -= passed
        self.code += lines
        self.html += added
        return added

    def _add(self, line: str) -> str:
        self._blank = blank_lines([line.removesuffix("\n")], self._blank)
        self._open += line
        if self._blank < 0 or len(self._open) > MAX_OPEN_CHARS or len(self.code) + len(line) > MAX_CODE_CHARS:
            raise NotHighlighted
        tokens, context = self._lexed(self._open)
        html = pygments.format(tokens, formatter)
        is_open = bool(tokens[-1][1].strip())
        for end in self._ends(tokens, context):
            closed, _ = self._lexed(self._open + end)
            if closed != tokens and (closed_html := pygments.format(closed, formatter)) != html:
                html, is_open = closed_html, True
                break
        if not html.startswith(self._open_html):
            raise NotHighlighted
        added = html[len(self._open_html) :]
        if is_open:
            self._open_html = html
        else:
            self._open, self._open_html, self._context = "", "", context
        return clean(added)

    def _ends(self, tokens: Tokens, context: LexerContext) -> Iterator[str]:
        """What may end a comment or a string that is open behind these tokens."""
        code = self._open
        if context.stack == self._context.stack:
            # What is whole is a token of its kind, and says nothing of what it contains.
            code = "".join(" " if _is_whole(kind) else value for kind, value in tokens)
        yield from (end for start, end in ENDS.items() if start in code)
        if document := HERE_DOCUMENT.search(self._open):
            yield f"{document[1]}\n"

    def _lexed(self, code: str) -> tuple[Tokens, LexerContext]:
        """The tokens of the lines at hand, and what the lexer knows then."""
        context = LexerContext(code, 0, list(self._context.stack))
        if isinstance(self._lexer, RegexLexer):
            # This one loop of Pygments tells the stack that it ends with; any RegexLexer may go through it.
            found = ExtendedRegexLexer.get_tokens_unprocessed(self._lexer, None, context)  # type: ignore[arg-type]
        else:
            found = self._lexer.get_tokens_unprocessed(code)
        tokens: Tokens = []
        left = len(self._open)
        for number, (_, kind, value) in enumerate(found):
            if number % TOKENS_TIMED == 0 and thread_time() > self._deadline:
                raise NotHighlighted
            if left > 0:
                tokens.append((kind, value[:left]))
            left -= len(value)
        if left > 0 or not tokens:
            raise NotHighlighted
        return tokens, context
