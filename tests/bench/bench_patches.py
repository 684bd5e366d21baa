"""What live rendering costs: python -m tests.bench.bench_patches

Each answer is fed as models send it, one token or four at a time. Written out are the processor time a token,
the mean over all and over the last tenth; the median and the 99th percentile of a feed; and what rendering the
whole answer anew would have cost at each feed, from a sample of these.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import fmean, median, quantiles
from time import thread_time_ns

import orjson

from tests.test_patches import tokens
from webapp.markdown import render
from webapp.patches import LiveRenderer

CORPUS = Path(__file__).parent.parent / "corpus"
NAMES = ["guide", "russian", "prose", "nested_lists", "tables", "math", "code_many_languages", "links", "tasks"]
WORDS = (CORPUS / "prose.md").read_text(encoding="utf-8").split()
SIZES = [2_000, 20_000]


def answers(count: int) -> Iterator[tuple[str, list[str]]]:
    mixed = "\n\n".join((CORPUS / f"{name}.md").read_text(encoding="utf-8") for name in NAMES)
    guide = (CORPUS / "guide.md").read_text(encoding="utf-8")
    rng = Random(1)

    def words(number: int) -> str:
        marked = {3: "**{}**", 11: "*{}*", 17: "`{}`", 23: "[{}](https://example.org/a_b)", 29: "{} (see above)"}
        return " ".join(marked.get(rng.randrange(40), "{}").format(rng.choice(WORDS).strip("*")) for _ in range(number))

    yield "typical answer", repeated(count, f"{guide}\n\n")
    yield "whole corpus", repeated(count, f"{mixed}\n\n")
    yield "one paragraph", tokens(words(count))[:count]
    yield "one paragraph, lines", tokens("\n".join(words(12) for _ in range(count // 12)))[:count]
    yield "one list", tokens("\n".join(f"- {words(12)}" for _ in range(count // 12)))[:count]
    yield "one loose list", tokens("\n\n".join(f"1. {words(12)}" for _ in range(count // 12)))[:count]
    yield "one nested list", tokens("- a\n" + "\n".join(f"  - {words(12)}" for _ in range(count // 12)))[:count]
    yield (
        "one table",
        tokens(
            "|a|b|c|\n|-|-|-|\n" + "\n".join(f"| {words(4)} | {words(3)} | {words(4)} |" for _ in range(count // 8))
        )[:count],
    )
    yield "one code block", tokens("```python\n" + "x = f(1, 'a & b')  # <c>\n" * count)[:count]
    yield "one code block in a list", tokens("1. a\n   ```python\n" + "   x = f(1, 'a & b')  # <c>\n" * count)[:count]
    yield "one quote", tokens("\n".join(f"> {words(12)}" for _ in range(count // 12)))[:count]


def repeated(count: int, text: str) -> list[str]:
    fine = tokens(text)
    return (fine * (count // len(fine) + 1))[:count]


def measure(pieces: list[str], group: int) -> tuple[float, float, float, float, float, float]:
    """Microseconds a token: all, the last tenth; of one feed: median, 99th percentile, maximum; finish."""
    live, times = LiveRenderer(), []
    for index in range(0, len(pieces), group):
        text = "".join(pieces[index : index + group])
        started = thread_time_ns()
        orjson.dumps(live.feed(text))
        times.append((thread_time_ns() - started) / 1000)
    started = thread_time_ns()
    live.finish()
    finish = (thread_time_ns() - started) / 1000
    last = times[-len(times) // 10 :]
    return (
        sum(times) / len(pieces), fmean(last) / group, median(times), quantiles(times, n=100)[98], max(times),
        finish / len(pieces),
    )  # fmt: skip


def rendered_anew(pieces: list[str], group: int) -> float:
    """Microseconds a token when each feed renders all there is."""
    spent = []
    for share in range(1, 11):
        text = "".join(pieces[: len(pieces) * share // 10])
        started = thread_time_ns()
        render(text)
        spent.append((thread_time_ns() - started) / 1000)
    return fmean(spent) / group


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    print(
        f"{'':26}{'tokens':>7}{'by':>3}{'all':>7}{'end':>7}{'median':>8}{'p99':>8}{'max':>9}{'finish':>8}{'anew':>9}{'ratio':>7}"
    )
    for size in sizes:
        for name, pieces in answers(size):
            for group in (1, 4):
                figures = measure(pieces, group)
                anew = rendered_anew(pieces, group)
                row = "".join(f"{figure:{width}.0f}" for figure, width in zip(figures, (7, 7, 8, 8, 9, 8), strict=True))
                print(f"{name:26}{len(pieces):7}{group:3}{row}{anew:9.0f}{anew / figures[0]:7.0f}", flush=True)


if __name__ == "__main__":
    main()
