"""Reasoning that a model writes into its answer, where the server does not take it out.

DeepSeek R1, QwQ and their kind write `<think>...</think>` before the answer
(https://huggingface.co/deepseek-ai/DeepSeek-R1); some chat templates put the opening tag into the prompt, so that only
the closing one comes. gpt-oss writes channels (https://cookbook.openai.com/articles/openai-harmony). Opening tags count
at the very beginning only: an answer may talk about them.
"""

from __future__ import annotations

import re
from functools import partial

from webapp.chat import Delta, merge
from webapp.upstream.harmony import Harmony

PIECE_CHARS = 1000
MOST_HELD_CHARS = 1000  # white space that waits for a tag
MOST_LINE_CHARS = 2000  # of the current line, which tells code from text

_NAMES = ("think", "thinking", "thought", "reason", "reasoning", "seed:think", "mm:think", "longcat_think")
_CLOSINGS = {
    **{f"<{name}>": f"</{name}>" for name in _NAMES},
    "[think]": "[/think]",  # Magistral
    "◁think▷": "◁/think▷",  # Kimi
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|start_thinking|>": "<|end_thinking|>",  # Command A
    "<|channel>thought": "<channel|>",  # Gemma 4
}
_TAGS = (*_CLOSINGS, *_CLOSINGS.values())
_STARTS = (*_TAGS, *Harmony.STARTS)
_OPENING = re.compile(rf"\s*+({'|'.join(map(re.escape, _CLOSINGS))})", re.I)
_CLOSED = re.compile(rf"\s*+(?:{'|'.join(map(re.escape, _CLOSINGS.values()))})", re.I)
_TAG = re.compile("|".join(map(re.escape, _TAGS)), re.I)
_LONGEST_TAG = max(map(len, _TAGS))
_FENCE = re.compile(r" {0,3}(?:```|~~~)")

Parts = tuple[str, str, bool]
"""Text, reasoning, and whether all text before them was reasoning."""


class Thinking:
    """Parts the reasoning from one answer, however its tags are cut. `has_reasoning`: it came by another way."""

    def __init__(self) -> None:
        self.has_reasoning = False
        self._held = ""  # may become a tag, or is white space beside one
        self._take = self._start
        self._is_settled = False  # whatever comes is text
        self._is_begun = True  # the part at hand has its first character; False: white space before it is dropped
        self._closing = ""  # the tag that ends the reasoning
        self._line = ""  # the current line of the text
        self._is_fenced = False  # it stands in a block of code
        self._harmony = Harmony()

    def feed(self, text: str) -> Parts:
        """Take more of the answer; return what is certain now."""
        if self._is_settled and self._is_begun:
            return text, "", False
        if len(text) > PIECE_CHARS:
            return self._feed_pieces(text)
        whole, self._held = self._held + text, ""
        return self._take(whole)

    def _feed_pieces(self, text: str) -> Parts:
        """Tags in a row are read by functions that call each other: few enough in one piece."""
        pieces = (self.feed(text[start : start + PIECE_CHARS]) for start in range(0, len(text), PIECE_CHARS))
        whole = merge([Delta(said, reasoning, was_reasoning=moved) for said, reasoning, moved in pieces])
        return whole.text, whole.reasoning, whole.was_reasoning

    def end(self) -> Parts:
        """The answer has ended: return what was held back."""
        held, self._held = self._held, ""
        if self._take == self._think:
            return "", held.rstrip(), False
        if self._take == self._channels:
            return *self._harmony.end(), False
        return self._settle(held, is_last=True)

    def _start(self, whole: str) -> Parts:
        """Before the first character of the answer."""
        if opening := _OPENING.match(whole):
            self._closing, self._is_begun, self._take = _CLOSINGS[opening[1].lower()], False, self._think
            return self._take(whole[opening.end() :])
        if closed := _CLOSED.match(whole):
            self._is_begun = False
            return self._start(whole[closed.end() :])
        begun = whole.lstrip().lower()
        if begun.startswith(Harmony.STARTS):
            self._take = self._channels
            return self._take(whole.lstrip())
        if len(whole) < MOST_HELD_CHARS and any(tag.startswith(begun) for tag in _STARTS):
            self._held = whole
            return "", "", False
        self._is_settled = self.has_reasoning
        self._take = self._pass if self.has_reasoning else self._watch
        return self._take(whole)

    def _think(self, whole: str) -> Parts:
        """Between the tags. A closing tag between backticks is one that the model thinks about."""
        if end := next(filter(partial(self._closes, whole), _TAG.finditer(whole)), None):
            reasoning = self._first(whole[: end.start()]).rstrip()
            self._is_begun, self._take = False, self._start
            self.has_reasoning = True
            text, more, _ = self._start(whole[end.end() :])
            return text, reasoning + more, False
        certain = whole.rstrip()
        last = certain[-len(self._closing) :].lower()
        half = next((n for n in range(len(self._closing), 0, -1) if last.endswith(self._closing[:n])), 0)
        certain = certain[: len(certain) - half].removesuffix("`").rstrip()
        if len(whole) - len(certain) > MOST_HELD_CHARS:
            certain = whole
        self._held = whole[len(certain) :]
        return "", self._first(certain), False

    def _closes(self, whole: str, tag: re.Match[str]) -> bool:
        after = whole[tag.end() : tag.end() + 1]
        is_code = whole.endswith("`", 0, tag.start()) and after in ("", "`")  # nothing yet: the next delta decides
        return tag[0].lower() == self._closing and not is_code

    def _watch(self, whole: str) -> Parts:
        """In the text, while a closing tag may still show that it was reasoning."""
        if "<" not in whole and "[" not in whole and "◁" not in whole:
            self._note(whole)
            return self._first(whole), "", False
        if _TAG.search(whole):
            return self._settle(whole)
        start = max(map(whole.rfind, "<[◁"))
        if len(whole) - start < _LONGEST_TAG and any(tag.startswith(whole[start:].lower()) for tag in _TAGS):
            whole, self._held = whole[:start], whole[start:]
        self._note(whole)
        return self._first(whole), "", False

    def _settle(self, whole: str, *, is_last: bool = False) -> Parts:
        """The first tag in the text: it ends the reasoning, or the answer talks about it."""
        tag = _TAG.search(whole)
        if tag and tag.end() == len(whole) and not is_last:  # what comes next decides
            before, self._held = whole[: tag.start()], whole[tag.start() :]
            self._note(before)
            return self._first(before), "", False
        self._is_settled, self._take = True, self._pass
        if not tag or self.has_reasoning or tag[0].lower() in _CLOSINGS:
            return self._first(whole), "", False
        self._note(whole[: tag.start()])
        if not self._is_end(whole[tag.end() : tag.end() + 1]):
            return self._first(whole), "", False
        self.has_reasoning, self._is_begun, self._take = True, False, self._start
        self._is_settled = False
        text, more, _ = self._start(whole[tag.end() :])
        return text, whole[: tag.start()].rstrip() + more, True

    def _pass(self, whole: str) -> Parts:
        return self._first(whole), "", False

    def _channels(self, whole: str) -> Parts:
        return *self._harmony.feed(whole), False

    def _note(self, text: str) -> None:
        """Keep what tells code from text: the current line, and whether a fence is open."""
        self._line += text
        if "\n" in text:
            *lines, self._line = self._line.split("\n")
            self._is_fenced ^= sum(map(bool, map(_FENCE.match, lines))) % 2 == 1
        self._line = self._line[-MOST_LINE_CHARS:]

    def _is_end(self, after: str) -> bool:
        """Whether a closing tag at the end of the current line ends the reasoning: it does not stand within words."""
        before = self._line.rstrip()
        if self._is_fenced or _FENCE.match(self._line) or self._line.count("`") % 2:
            return False
        if not before or after in ("\n", "\r"):
            return True
        return before[-1] not in "'\"“‘«(" and (before == self._line or before[-1] in ".!?…。！？:)")

    def _first(self, text: str) -> str:
        """The text without the white space that separates it from a tag."""
        if self._is_begun:
            return text
        text = text.lstrip()
        self._is_begun = bool(text)
        return text
