"""Rendering in a process of its own: it may be slow, hang or die, and nobody but its text suffers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.wait import wait_until
from webapp.markdown import PLAIN, render
from webapp.rendering import process as renderer
from webapp.rendering.process import Renderer


@pytest.fixture
def own():
    """A renderer for one test."""
    own = Renderer()
    yield own
    own.close()


@pytest.mark.parametrize("text", ["", "**bold** and $x^2$", "```python\nx = 1\n```", "\ud800 half a pair", "[a]: b"])
def test_the_process_makes_the_same_html(own, text):
    html = own.render(text)

    assert (html or "").strip("\n") == str(render(text)).strip("\n")


def test_a_text_beyond_all_measure_needs_no_process(own):
    assert own.render("<" * 100_001) == PLAIN + "&lt;" * 100_001 + "</p>\n"
    assert own._process is None


def test_a_text_that_takes_too_long_is_ended_and_shown_as_it_is_written(own, monkeypatch):
    monkeypatch.setattr(renderer, "START", HANGING)

    assert own.render("# <never>") == f"{PLAIN}# &lt;never&gt;</p>\n"


def test_the_text_after_it_is_rendered_as_ever(own, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(renderer, "START", HANGING)
        own.render("# never")

    assert own.render("*now*") == str(render("*now*"))


def test_a_process_that_was_killed_is_replaced(own):
    own.render("first")
    process = own._process
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: process.poll() is not None, 10, "its end")

    assert own.render("*second*") == str(render("*second*"))


def test_without_a_process_the_text_waits_for_its_html(own, monkeypatch):
    monkeypatch.setattr(renderer.sys, "executable", "/nonexistent")

    assert own.render("*later*") is None


def test_many_threads_share_one_process(own):
    found: dict[int, str | None] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.__setitem__(n, own.render(f"*{n}*")), daemon=True) for n in range(20)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert found == {n: str(render(f"*{n}*")) for n in range(20)}


# The same process, but that its clock runs out at once in the middle of a text.
HANGING = (
    "import sys; sys.path.insert(0, sys.argv[1]); from webapp.rendering import process as renderer;"
    "renderer.CPU_SECONDS = 0.05; renderer.render = lambda text: [x for x in iter(int, 1)];"
    "renderer.serve(int(sys.argv[2]))"
)


UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
import time
from webapp.rendering.process import Renderer
renderer = Renderer()
first = renderer.render("*one*")
process = renderer._process
time.sleep(0.2)
second = renderer.render("*two*")
print(first, second, process is renderer._process, process.poll())
renderer.close()
"""


def test_under_gevent_one_process_renders_text_after_text():
    done = subprocess.run([sys.executable, "-c", UNDER_GEVENT], capture_output=True, check=True, timeout=60, text=True)

    assert done.stdout.split("\n") == [
        '<p dir="auto"><em>one</em></p>',
        ' <p dir="auto"><em>two</em></p>',
        " True None",
        "",
    ]


def test_a_process_that_dies_in_the_middle_is_replaced(own, monkeypatch, tmp_path):
    seen = tmp_path / "seen"
    dying = f"import os, pathlib; seen = pathlib.Path({str(seen)!r})\nif not seen.exists(): seen.touch(); os._exit(0)\n"
    monkeypatch.setattr(renderer, "START", dying + renderer.START)

    assert own.render("*now*") == str(render("*now*"))
