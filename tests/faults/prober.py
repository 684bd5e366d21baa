"""Ask /healthz all the time: `python -m tests.faults.prober HOST PORT`, until the standard input ends.

A process of its own, so that the work of a test does not count. Prints one line of JSON: `asked`, `failed` (a
sentence each), and `longest`, the seconds of the slowest answer.
"""

from __future__ import annotations

import http.client
import json
import select
import sys
import time

PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 15.0  # also on a busy machine no sound server takes so long


def main(host: str, port: int) -> None:
    asked, failed, longest = 0, [], 0.0
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
    print("ready", flush=True)
    while not asked or not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        asked += 1
        started = time.monotonic()
        if problem := ask(connection):
            failed.append(problem)
        longest = max(longest, time.monotonic() - started)
    print(json.dumps({"asked": asked, "failed": failed, "longest": longest}), flush=True)


def ask(connection: http.client.HTTPConnection) -> str:
    """What is wrong with the answer; nothing if it is right."""
    for _ in range(2):
        is_new = connection.sock is None
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            body = answer.read()
            return "" if (answer.status, body) == (200, b"ok\n") else f"{answer.status} {body[:100]!r}"
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            # A server may close a connection that it has kept; only a new one must work.
            if is_new or isinstance(error, TimeoutError):
                return repr(error)
    return "the connection was closed twice"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
