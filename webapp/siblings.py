"""What gunicorn's first process knows of its workers: the id of the next one, and which are dead.

Each worker is a fork of that process and has a copy of its own. In other processes nothing is known.
"""

from __future__ import annotations

from collections import deque

next_id = ""  # in a worker: its own
dead: deque[str] = deque(maxlen=100)  # the heartbeats tell of older ones
