"""Measures how the time of a regular expression grows with inputs made from its own alphabet.

Run as a program it tries every pattern of webapp/, each in a process of its own that may take CPU_SECONDS, and prints
one line of JSON for each: see `tests/test_growth.py`.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import resource
import string
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from re import _compiler as compiler
from re import _constants as ops
from re import _parser as parser
from typing import Any

from tests.patterns import BOUNDS, WINDOWED, find_sites, patterns_of

ANY_SIZE = 2**15  # the longest input otherwise; as long as it is too short to tell, it grows no further
TELLING_CHARS = 4096
FREE_SECONDS = 0.002  # what takes less for TELLING_CHARS is not quadratic
ENOUGH_SECONDS = 0.02  # what takes as much shows how it grows
CERTAIN_SECONDS = 0.1  # what has taken as much and grew too fast is not going to slow down
ENOUGH_CPU_SECONDS = 2 if os.environ.get("CI") else 0.02  # of one pattern, all of whose inputs were fine so far
CPU_SECONDS = 5
MOST_EXPONENT = 1.5  # linear is 1, quadratic 2
NEVER_ENDS = 99.0

Input = tuple[str, str, str]  # a beginning, a part to repeat, an end


# The inputs: symbols repeated, pairs and words of them, and what the pattern's own repeats like to read


def families(pattern: re.Pattern[Any]) -> Iterator[Input]:
    """What to try a pattern with: the same each time."""
    return (given for given in _families(pattern) if given[1])


def _families(pattern: re.Pattern[Any]) -> Iterator[Input]:
    tree = _tree(pattern)
    chance = random.Random(7)
    symbols = list(dict.fromkeys([*_symbols(tree, chance), " ", "\n", "a", "\x01"]))[:18]
    for one in symbols:
        yield "", one, ""
        for other in symbols:
            if one != other:
                yield "", one + other, ""
    for _ in range(50):
        yield "", "".join(chance.choices(symbols, k=chance.randint(3, 7))), chance.choice(["", "\x01"])
    for before, body in _repeats(tree, []):
        for _ in range(3):
            start, pump = _sample(before, chance), "".join(_sample(body, chance) for _ in range(chance.randint(1, 2)))
            yield "", start + pump, ""
            for end in ("", "\x01", "\n", chance.choice(symbols)):
                yield start, pump, end


def _tree(pattern: re.Pattern[Any]) -> Iterable[Any]:
    """The pattern, parsed."""
    if isinstance(pattern.pattern, str):
        return parser.parse(pattern.pattern, pattern.flags)
    return parser.parse(pattern.pattern.decode("latin-1"), pattern.flags & ~re.UNICODE)


def _symbols(tree: Iterable[Any], chance: random.Random) -> Iterator[str]:
    """Words of the pattern, its characters, and one of each of its classes."""
    word = ""
    for op, argument in tree:
        if op is ops.LITERAL:
            word += chr(argument)
            continue
        if word:
            yield word
            yield from word[:1] + word[-1:]
        word = ""
        if op in (ops.IN, ops.NOT_LITERAL, ops.ANY, ops.CATEGORY):
            yield _sample([(op, argument)], chance)
        for inner in _inner(op, argument):
            yield from _symbols(inner, chance)
    if word:
        yield word
        yield from word[:1] + word[-1:]


def _inner(op: Any, argument: Any) -> list[Any]:
    """The patterns inside one node."""
    if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
        return [argument[2]]
    if op is ops.SUBPATTERN:
        return [argument[3]]
    if op is ops.ATOMIC_GROUP:
        return [argument]
    if op is ops.BRANCH:
        return list(argument[1])
    if op in (ops.ASSERT, ops.ASSERT_NOT):
        return [argument[1]]
    return [branch for branch in argument[1:] if branch] if op is ops.GROUPREF_EXISTS else []


def _repeats(tree: Iterable[Any], before: list[Any]) -> Iterator[tuple[list[Any], Any]]:
    """Each repeat of the pattern: what comes before it, and what it repeats."""
    for op, argument in tree:
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT) and argument[1] > 8:
            yield list(before), argument[2]
        for inner in _inner(op, argument):
            yield from _repeats(inner, before)
        before = [*before, (op, argument)]


def has_repeats(tree: Iterable[Any]) -> bool:
    """Whether any part of the pattern may come several times, or may be left out."""
    repeats = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
    return any(op in repeats or any(map(has_repeats, _inner(op, argument))) for op, argument in tree)


def _sample(tree: Iterable[Any], chance: random.Random) -> str:
    """A short text that the pattern matches, as far as that is easy to say."""
    text = ""
    for op, argument in tree:
        if op is ops.LITERAL:
            text += chr(argument)
        elif op in (ops.ANY, ops.NOT_LITERAL, ops.CATEGORY, ops.IN):
            text += _one_of(op, argument, chance)
        elif op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            least, most, body = argument
            text += "".join(_sample(body, chance) for _ in range(min(least + chance.randint(0, 1), most)))
        elif op is ops.BRANCH:
            text += _sample(chance.choice(argument[1]), chance)
        elif op not in (ops.ASSERT, ops.ASSERT_NOT):
            text += "".join(_sample(inner, chance) for inner in _inner(op, argument))
    return text


def _one_of(op: Any, argument: Any, chance: random.Random) -> str:
    if op is ops.IN and argument[0][0] is not ops.NEGATE:
        kind, value = chance.choice(argument)
        if kind is ops.LITERAL:
            return chr(value)
        if kind is ops.RANGE:
            return chr(chance.choice(value))
        return _of_category(value)
    if op is ops.CATEGORY:
        return _of_category(argument)
    parsed = parser.parse("x")
    parsed.data = [(op, argument)]
    fits = compiler.compile(parsed)
    return next((one for one in chance.sample(string.printable, len(string.printable)) if fits.match(one)), "a")


def _of_category(category: Any) -> str:
    return {ops.CATEGORY_SPACE: " ", ops.CATEGORY_DIGIT: "1", ops.CATEGORY_WORD: "a"}.get(category, "-")


# The measuring


def runs_of(pattern: re.Pattern[Any], use: str) -> Callable[[Any], object]:
    """What the code does with the pattern, all over a text."""
    if use == "search":
        return pattern.search
    if use in ("match", "fullmatch"):
        return getattr(pattern, use)
    if use == "at each":
        is_bytes = isinstance(pattern.pattern, bytes)
        source = pattern.pattern.decode("latin-1") if is_bytes else pattern.pattern
        source = re.sub(r"^\(\?[a-zA-Z]+\)", "", source) + ("\n" if pattern.flags & re.VERBOSE else "")
        source = f"(?=(?:{source}))"
        pattern = re.compile(source.encode("latin-1") if is_bytes else source, pattern.flags)
    return lambda text: deque(pattern.finditer(text), 0)


def seconds(run: Callable[[Any], object], text: Any, times: int = 1) -> float:
    """The least processor time of some runs."""
    least = math.inf
    for _ in range(times):
        started = time.thread_time()
        run(text)
        least = min(least, time.thread_time() - started)
    return least


def exponent(run: Callable[[Any], object], make: Callable[[int], Any], most_chars: int) -> float:
    """How the time grows: 1 for linear, 2 for quadratic; 0 where it is too short to matter."""
    for size in sizes(most_chars):
        took = seconds(run, make(size))
        if took >= FREE_SECONDS:
            took = seconds(run, make(size), 3)
        if took >= ENOUGH_SECONDS or (took >= FREE_SECONDS and size == most_chars):
            quarter = seconds(run, make(size // 4), 5)
            found = math.log(took / max(quarter, 1e-7), 4)
            # What looks ahead only so far grows like a square at first: go on until it is certain.
            if found <= MOST_EXPONENT or took >= CERTAIN_SECONDS or size == most_chars:
                return found
        if took < FREE_SECONDS and size >= TELLING_CHARS:
            break
    return 0.0


def sizes(most_chars: int) -> Iterator[int]:
    """Small steps first: an exponential pattern takes a second at one size and years at twice as much."""
    size = 16
    while size < most_chars:
        yield size
        size += size // 2 if size < 64 else size
    yield most_chars


def first_bad(
    pattern: re.Pattern[Any], use: str, most_chars: int, note: Callable[[object], None]
) -> tuple[float, Input | None]:
    """The first input whose time grows too fast, and how fast; or the largest exponent of all."""
    run, largest = runs_of(pattern, use), 0.0
    for given in families(pattern):
        note(given)
        make = partial(_text_of, given, isinstance(pattern.pattern, bytes))
        found = exponent(run, make, most_chars)
        if found > MOST_EXPONENT:
            return found, given
        largest = max(largest, found)
        if time.thread_time() > ENOUGH_CPU_SECONDS:
            break
    return largest, None


def _text_of(given: Input, is_bytes: bool, size: int) -> Any:
    start, part, end = given
    text = start + part * max(1, (size - len(start) - len(end)) // len(part)) + end
    return text.encode("utf-8", "replace") if is_bytes else text


def measure(pattern: re.Pattern[Any], use: str, most_chars: int = ANY_SIZE) -> dict[str, Any]:
    """The result for one pattern, tried in a process that ends after CPU_SECONDS at the latest.

    A pattern without any repeat takes the same few steps in each place: it need not be tried.
    """
    if not has_repeats(_tree(pattern)):
        return {"use": use, "pattern": str(pattern.pattern), "exponent": 0.0, "input": None}
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))

        def note(value: object) -> None:
            os.write(writer, json.dumps(value).encode() + b"\n")

        try:
            note(first_bad(pattern, use, most_chars, note))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = deque(pipe, 1)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"{pattern.pattern!r} could not be measured")
    last = json.loads(said[0])
    found, given = last if status == 0 else (NEVER_ENDS, last)
    return {"use": use, "pattern": str(pattern.pattern), "exponent": round(found, 2), "input": given}


def main(arguments: list[str]) -> None:
    """Measure the pattern that is given, with its use before it; without arguments every pattern of the source."""
    if arguments:
        use, pattern = arguments
        print(json.dumps(measure(re.compile(pattern), use)))
        return
    for site in find_sites():
        with suppress(NameError):  # a test of its own names those that cannot be reached
            for pattern in patterns_of(site):
                for use in ["match"] if site.name in WINDOWED else sorted(site.uses):
                    result = measure(pattern, use, BOUNDS.get(site.name, (ANY_SIZE, ""))[0])
                    print(json.dumps({"site": site.name, "line": site.line} | result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
