"""Work that begins at once waits in a row, and the loop has its turn in between."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from webapp.loop import apart

# A hundred greenlets that work 2 ms each, and one that wants to wake up every millisecond.
CROWD = """
from gevent import monkey; monkey.patch_all()
import json, time, gevent
from webapp import loop
rounds = gevent.get_hub().loop.prepare(ref=False)
rounds.start(loop.note_round)
gaps, is_over = [], []

def work():
    loop.give_way()
    until = time.thread_time() + 0.002
    while time.thread_time() < until: pass

def beat():
    while not is_over:
        used = time.thread_time()
        gevent.sleep(0.001)
        gaps.append(time.thread_time() - used)

beating = gevent.spawn(beat)
gevent.sleep(0.01)
gevent.joinall([gevent.spawn(work) for _ in range(100)])
is_over.append(True)
beating.join()
print(json.dumps(gaps))
"""


def test_a_crowd_that_begins_at_once_leaves_the_loop_its_turns():
    done = subprocess.run([sys.executable, "-c", CROWD], capture_output=True, check=True, timeout=60)

    gaps = json.loads(done.stdout)
    # Without turns all of it is one stretch of 200 ms; counted is the processor time of this process alone.
    assert max(gaps) < 0.05
    assert len(gaps) > 10


APART = """
from gevent import monkey; monkey.patch_all()
import json, time, gevent
from gevent.monkey import get_original
from webapp.loop import apart

beats = []

def beat():
    while True:
        beats.append(1)
        gevent.sleep(0.001)

def wait():
    before = len(beats)
    while len(beats) < before + 5:  # for ever, if the loop waited too
        get_original("time", "sleep")(0.001)
    return "done"

def fail():
    raise ValueError("no disk")

gevent.spawn(beat)
threads = {apart(get_original("_thread", "get_ident")) for _ in range(5)}
said = [len(threads), apart(wait)]
try:
    apart(fail)
except ValueError as error:
    said.append(str(error))
print(json.dumps(said))
"""


def test_the_loop_goes_on_while_work_apart_waits():
    done = subprocess.run([sys.executable, "-c", APART], capture_output=True, check=True, timeout=60, text=True)

    assert json.loads(done.stdout) == [1, "done", "no disk"]
    assert done.stderr == ""


def test_without_a_loop_work_apart_runs_here():
    assert apart(threading.current_thread) is threading.current_thread()


# A worker is told to quit twice; it then takes its time to save.
QUIT = """
from gevent import monkey; monkey.patch_all()
import sys, gevent
from gunicorn.config import Config
from gunicorn.workers.ggevent import GeventWorker
from webapp.worker import Worker

GeventWorker.run = lambda self: gevent.sleep(float(sys.argv[1]))
worker = Worker.__new__(Worker)
worker.alive, worker.booted, worker.cfg = True, True, Config()
for _time in range(2):
    gevent.spawn_later(0.05, lambda: worker.handle_quit(2, None))
try:
    worker.run()
except SystemExit as end:
    assert end.code == 0
gevent.sleep(0.3)
print("saved", worker.alive)
"""


@pytest.mark.parametrize("seconds", [0.06, 600], ids=["ends meanwhile", "has to be ended"])
def test_what_a_worker_does_after_its_run_is_not_cut_short(seconds):
    done = subprocess.run([sys.executable, "-c", QUIT, str(seconds)], capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr) == ("saved False\n", "")
