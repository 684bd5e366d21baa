"""The app with a meter in its loop: `gunicorn --env LOOP_LOG=FILE tests.watched:app`. For tests only.

A greenlet wakes up every few milliseconds. Whatever kept it from that kept every stream and every request of the
worker too. Each such time is one line of JSON in the file, which `tests.faults.watchdog` reads.

It is measured in processor time that this process used meanwhile, so that a busy machine cannot make it look longer.
All threads count: one that runs C code with the interpreter's lock stops the loop as well.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import FrameType

import gevent
from gevent.monkey import get_original

from wsgi import app

__all__ = ["app"]

BEAT_SECONDS = 0.01
NOTED_SECONDS = 0.02
SILENT_SECONDS = 0.2
LOOK_SECONDS = 0.1  # what holds the loop longer is looked at while it does
STACK_FRAMES = 5
ROOT = Path(__file__).parent.parent

_beats = 0
_stacks: dict[int, list[str]] = {}  # by the number of the beat that it followed


def _beat() -> None:
    """Wake up again and again, and note what was in the way; now and then also that nothing was."""
    global _beats
    noted_at = 0.0
    with open(os.environ["LOOP_LOG"], "a", encoding="utf-8", buffering=1) as log:
        while True:
            began_at, used = time.monotonic(), time.process_time()
            gevent.sleep(BEAT_SECONDS)
            ended_at, busy = time.monotonic(), time.process_time() - used
            seconds = max(ended_at - began_at - BEAT_SECONDS, 0)
            if min(seconds, busy) >= NOTED_SECONDS or ended_at - noted_at >= SILENT_SECONDS:
                stack = _stacks.pop(_beats, [])
                log.write(json.dumps({"at": ended_at, "seconds": seconds, "busy": busy, "stack": stack}) + "\n")
                noted_at = ended_at
            _beats += 1


def _look(loop_thread: int) -> None:
    """In a thread of the system: note where the loop is, while it is held."""
    sleep = get_original("time", "sleep")
    seen = -1
    while True:
        seen = _beats
        sleep(LOOK_SECONDS)
        if _beats == seen:
            _stacks.clear()
            _stacks[seen] = _places(sys._current_frames().get(loop_thread))


def _places(frame: FrameType | None) -> list[str]:
    """Where a thread is: the innermost frame, and the app's own frames around it."""
    places: list[str] = []
    while frame and len(places) < STACK_FRAMES:
        path = Path(frame.f_code.co_filename)
        if not places or ROOT / "webapp" in path.parents:
            places.append(f"{path.name}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return places


gevent.spawn(_beat)
get_original("_thread", "start_new_thread")(_look, (get_original("_thread", "get_ident")(),))
