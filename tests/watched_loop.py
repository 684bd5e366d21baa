"""The beginning of a program with the app's loop, in which one greenlet notes how long others hold the processor."""

WATCHED = """
from gevent import monkey; monkey.patch_all()
import json, sys, time, gevent

turns = []  # seconds of processor time between two turns of the watcher

def watch():
    while True:
        before = time.thread_time()
        gevent.sleep(0.001)
        turns.append(time.thread_time() - before)
"""
