"""Two workers, 200 replies, reloads, stops, second tabs, and a `kill -9` every second: nothing is lost or doubled."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import closing, suppress

import psutil
import pytest
import requests
import urllib3

from tests.faults.vitals import ENDED
from tests.upstream import Request, Wait, body, token
from tests.visitor import Visitor
from tests.wait import wait_until

pytestmark = pytest.mark.faults

REPLIES = 200
PEOPLE = 8
SECONDS = 30.0
KILL_SECONDS = 1.0
LEAST_KILLS = SECONDS / KILL_SECONDS / 2
RECOVERY_SECONDS = 40.0  # the promise is 30; a page may come in the middle of a look
PATIENCE_SECONDS = 60.0

BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, AssertionError)


def words_for(question: str) -> list[str]:
    """The answer to a question, which depends on nothing else."""
    choose = random.Random(question)
    return [f"{choose.choice(['eins', 'два', '三', '👩‍🚀'])}{number} " for number in range(choose.randrange(5, 80))]


def answer(request: Request):
    """The script of the answer, at a pace of its own."""
    question = request.json["messages"][-1]["content"]
    pause = random.Random(question).uniform(0.005, 0.05)
    steps = [step for word in words_for(question) for step in (token(word), Wait(pause))]
    return body(*steps, b"data: [DONE]\n\n")


class Person:
    """Sends questions on time, and plays with their pages; what breaks is tried again."""

    def __init__(self, url: str, seed: int, numbers: range, started: float, killed: list[float]) -> None:
        self.thread = threading.Thread(target=self._run)
        self.visitor = Visitor(url)
        self.acknowledged: dict[str, str] = {}  # reply id -> question
        self.differing: list[str] = []  # what was shown of a reply and is no beginning of it
        self._numbers = numbers
        self._choose = random.Random(seed)
        self._began_at = started
        self._killed = killed

    def _run(self) -> None:
        self._insist(lambda: self.visitor.get("/").status_code == 200)
        for number in self._numbers:
            time.sleep(max(0.0, self._began_at + number * SECONDS / REPLIES - time.monotonic()))
            # Where workers take long to start, there are fewer kills, and the questions wait for them.
            due = number * LEAST_KILLS / REPLIES
            wait_until(lambda due=due: len(self._killed) >= due, PATIENCE_SECONDS, "the kills so far")
            question = f"question {number} "
            self._insist(lambda question=question: self._ask(question))
            play = self._choose.choice([self._reload, self._reload, self._stop, self._second_tab, self._leave])
            try:
                play(list(self.acknowledged)[-1])
            except BROKEN:
                self.visitor.close()
        self.visitor.close()

    def _insist(self, act) -> None:
        """Do it until it is done."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                if act():
                    return
            except BROKEN:
                pass
            time.sleep(0.1)
        raise AssertionError("the server did not come back")

    def _ask(self, question: str) -> bool:
        reply = self.visitor.new_chat(question, key=question)
        self.acknowledged[reply] = question
        return True

    def _reload(self, reply: str) -> None:
        for _ in range(self._choose.randrange(1, 4)):
            self._look(reply)
            shown = self.visitor.get(f"/m/{reply}/raw")
            if shown.ok and not "".join(words_for(self.acknowledged[reply])).startswith(shown.content.decode()):
                self.differing.append(shown.text)

    def _second_tab(self, reply: str) -> None:
        with closing(self.visitor.events(reply)) as first:
            next(first, None)
            self._look(reply)

    def _stop(self, reply: str) -> None:
        self._look(reply)
        self.visitor.stop(reply)

    def _leave(self, reply: str) -> None:
        self.visitor.close()  # the connections, not the cookie

    def _look(self, reply: str) -> None:
        self.visitor.page()
        with closing(self.visitor.events(reply)) as events:
            for _ in range(self._choose.randrange(1, 5)):
                next(events, None)


def test_replies_survive_the_death_of_workers(start_server, upstream, database):
    seed = random.randrange(2**32)
    print("seed", seed)
    choose = random.Random(seed)
    upstream.always(answer)
    server = start_server(workers=2, STREAMS_PER_USER=1000, STREAMS_TOTAL=1000, RETRIES=0)
    started = time.monotonic()
    killed: list[float] = []
    people = [
        Person(server.url, choose.randrange(2**32), range(first, REPLIES, PEOPLE), started, killed)
        for first in range(PEOPLE)
    ]
    for person in people:
        person.thread.start()

    while any(person.thread.is_alive() for person in people):
        wait_until(lambda: is_answering(server), PATIENCE_SECONDS, "a worker")
        time.sleep(KILL_SECONDS)
        if workers := server.workers():
            with suppress(psutil.NoSuchProcess):  # it ended by itself
                choose.choice(workers).kill()
                killed.append(time.monotonic())
    over = time.monotonic()
    assert [shown for person in people for shown in person.differing] == []
    statuses = wait_until(lambda: all_ended(database), RECOVERY_SECONDS, "all replies to end")

    print(
        f"{len(killed)} kills in {over - started:.0f} s, then {time.monotonic() - over:.1f} s;"
        f" {Counter(statuses.values())}"
    )
    acknowledged = {reply: question for person in people for reply, question in person.acknowledged.items()}
    questions = {row.id: row.text for row in database.all("user")}
    asked = Counter(request.json["messages"][-1]["content"] for request in upstream.requests)
    assert len(acknowledged) == len(statuses) == len(questions) == len(set(questions.values())) == REPLIES
    assert set(asked.values()) == {1}
    for row in database.all("assistant"):
        question, whole = questions[row.parent_id], "".join(words_for(questions[row.parent_id]))
        assert acknowledged[row.id] == question
        assert whole == row.text if row.status == "done" else whole.startswith(row.text)
    assert database.piece_count() == 0
    assert Counter(statuses.values())["done"] > REPLIES / 10


def is_answering(server):
    with suppress(requests.RequestException):
        return requests.get(f"{server.url}/healthz", timeout=10).ok
    return False


def all_ended(database):
    """The status of each reply once none is running."""
    statuses = database.statuses()
    return statuses if set(statuses.values()) <= ENDED else None
