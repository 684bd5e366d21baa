"""Writers that wait at the same time share a transaction of the SQLite file, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select

from tests.wait import wait_until
from webapp import language
from webapp.errors import NotFound, StorageFull, StorageUnavailable
from webapp.storage import Storage, _PatientConnection
from webapp.storage.group_commit import GroupCommit, _Job
from webapp.storage.schema import workers

LANGUAGE: ContextVar[str] = ContextVar("LANGUAGE", default="none")
Work = Callable[[Connection], Any]


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A crowd may take long to gather."""
    monkeypatch.setattr("webapp.storage.WAIT_SECONDS", 60.0)


def add(name: str) -> Work:
    """Store a row and return its name."""

    def work(tx: Connection) -> str:
        tx.execute(insert(workers).values(id=name, beats=1))
        return name

    return work


def fail(tx: Connection) -> None:
    add("undone")(tx)
    raise NotFound("there is none")


def together(storage: Storage, *works: Work) -> list[Any]:
    """Have all works wait for one lock, then free it; what each returned or raised."""
    outcomes: list[Any] = [None] * len(works)

    def run(place: int) -> None:
        LANGUAGE.set(str(place))
        try:
            outcomes[place] = storage.run(works[place])
        except BaseException as error:
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=[place]) for place in range(len(works))]
    with storage.begin():
        for number, thread in enumerate(threads, start=1):
            thread.start()
            wait_until(partial(is_waiting, storage, number), seconds=20)
    for thread in threads:
        thread.join(timeout=30)
    return outcomes


def is_waiting(storage: Storage, number: int) -> bool:
    return len(storage._group._waiting) == number


def names(storage: Storage) -> set[str]:
    with storage.read() as tx:
        return set(tx.scalars(select(workers.c.id)))


@pytest.fixture
def commits(storage):
    """The commits of the durable connections, as they come."""
    if not storage.is_sqlite:
        pytest.skip("PostgreSQL gathers commits by itself")
    seen: list[Connection] = []
    event.listen(storage._durable, "commit", seen.append)
    return seen


def test_those_who_wait_share_one_commit(storage, commits):
    found = together(storage, *(add(f"row {number}") for number in range(20)))

    assert found == [f"row {number}" for number in range(20)]
    assert names(storage) == set(found)
    assert len(commits) == 2  # the one they waited for, and theirs


def test_a_crowd_makes_several_transactions(storage, commits):
    found = together(storage, *(add(f"row {number}") for number in range(70)))

    assert names(storage) == set(found)
    assert len(commits) == 1 + 3


@pytest.mark.usefixtures("commits")
def test_an_error_of_one_undoes_that_one(storage):
    found = together(storage, add("a"), fail, add("b"))

    assert (found[0], found[2]) == ("a", "b")
    assert isinstance(found[1], NotFound)
    assert names(storage) == {"a", "b"}


@pytest.mark.usefixtures("commits")
def test_an_error_of_the_database_in_one_undoes_that_one(storage):
    found = together(storage, add("a"), lambda tx: tx.exec_driver_sql("SELECT * FROM nowhere"), add("b"))

    assert (found[0], found[2]) == ("a", "b")
    assert isinstance(found[1], StorageUnavailable)
    assert names(storage) == {"a", "b"}


@pytest.mark.usefixtures("commits")
def test_each_runs_in_the_context_of_its_caller(storage):
    found = together(storage, *[lambda tx: LANGUAGE.get()] * 3)

    assert found == ["0", "1", "2"]


@pytest.mark.usefixtures("commits")
def test_a_commit_that_fails_is_an_error_of_all(storage):
    def break_commit(connection: Connection) -> None:
        event.remove(storage._durable, "commit", break_commit)
        raise OSError("the disk is gone")

    def begin_to_break(tx: Connection) -> None:
        event.listen(storage._durable, "commit", break_commit)

    found = together(storage, add("a"), begin_to_break, add("b"))

    assert [repr(outcome) for outcome in found] == ["OSError('the disk is gone')"] * 3
    assert names(storage) == set()


@pytest.mark.usefixtures("commits")
def test_who_is_killed_in_the_middle_leaves_the_others_to_the_next(storage):
    calls: list[Connection] = []

    def kill_once(tx: Connection) -> str:
        calls.append(tx)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return add("killer")(tx)

    found = [storage.run(add("first")), *together(storage, add("a"), kill_once, add("b"))]

    killed = [isinstance(outcome, KeyboardInterrupt) for outcome in found]
    assert killed.count(True) == 1
    assert names(storage) == {outcome for outcome in found if isinstance(outcome, str)}
    assert len(names(storage)) == 3


@pytest.mark.usefixtures("commits")
def test_who_is_killed_while_the_commit_goes_on_makes_nothing_run_twice(storage, monkeypatch):
    calls: list[str] = []
    commit = _PatientConnection.commit

    def commit_and_kill(connection: _PatientConnection) -> None:
        commit(connection)
        if calls:
            monkeypatch.undo()
            raise KeyboardInterrupt

    def note(name: str) -> Work:
        return lambda tx: calls.append(add(name)(tx))

    monkeypatch.setattr(_PatientConnection, "commit", commit_and_kill)

    found = together(storage, note("a"), note("b"), note("c"))

    assert sorted(calls) == ["a", "b", "c"]
    assert sorted(type(outcome).__name__ for outcome in found) == ["KeyboardInterrupt", *["StorageUnavailable"] * 2]
    assert [str(outcome)[:20] for outcome in found].count("The database is busy") == 2


@pytest.mark.usefixtures("commits")
@pytest.mark.parametrize("is_committing", [True, False])
def test_who_is_killed_leaves_what_runs_alone_to_the_next_unless_its_commit_has_begun(
    storage, monkeypatch, is_committing
):
    calls: list[Connection] = []

    def work(tx: Connection) -> None:
        calls.append(tx)
        if len(calls) == 2 and not is_committing:
            raise KeyboardInterrupt

    def kill(connection: _PatientConnection) -> None:
        raise KeyboardInterrupt

    other = _Job(work, time.monotonic() + 20)
    storage._group._waiting.append(other)
    monkeypatch.setattr(_PatientConnection, "commit", kill)

    with pytest.raises(KeyboardInterrupt):
        storage.run(lambda tx: tx.exec_driver_sql("SELECT * FROM nowhere"))

    assert len(calls) == 2  # with the one who is killed, then alone
    assert (other.is_done, list(storage._group._waiting)) == ((True, []) if is_committing else (False, [other]))


@pytest.mark.usefixtures("commits")
def test_who_waits_too_long_is_refused_and_nothing_of_theirs_is_stored(storage, monkeypatch):
    monkeypatch.setattr("webapp.storage.WAIT_SECONDS", 0.2)

    with storage.begin(), pytest.raises(StorageUnavailable, match="busy"):
        storage.run(add("late"))
    storage.run(add("later"))

    assert names(storage) == {"later"}


def test_who_waits_too_long_while_another_runs_their_work_gets_its_result(storage):
    waits: list[float] = []

    def acquire(timeout: float) -> bool:
        waits.append(timeout)
        if len(waits) == 1:
            group._run_next()  # by the one who has the lock
        return len(waits) > 1

    lock: Any = SimpleNamespace(acquire=acquire, release=lambda: None)
    group = GroupCommit(lock, lambda _seconds: storage.begin(), lambda error: error)

    assert group.run(add("a"), wait_seconds=1) == "a"
    assert names(storage) == {"a"}


def test_the_wait_for_the_others_counts(storage, monkeypatch):
    now, given = [100.0], []

    def acquire(timeout: float) -> bool:
        now[0] += 5
        return True

    @contextmanager
    def begin(seconds: float) -> Iterator[Connection]:
        given.append(seconds)
        with storage.begin() as tx:
            yield tx

    monkeypatch.setattr("webapp.storage.group_commit.time", SimpleNamespace(monotonic=lambda: now[0]))
    lock: Any = SimpleNamespace(acquire=acquire, release=lambda: None)
    group = GroupCommit(lock, begin, lambda error: error)

    group.run(add("a"), wait_seconds=20)

    assert given == [15]


def test_a_transaction_of_several_begins_in_the_time_of_the_first(storage):
    given: list[float] = []

    @contextmanager
    def begin(seconds: float) -> Iterator[Connection]:
        given.append(seconds)
        with storage.begin() as tx:
            yield tx

    group = GroupCommit(threading.Lock(), begin, lambda error: error)
    group._waiting.append(_Job(add("first"), time.monotonic() + 5))

    group.run(add("second"), wait_seconds=20)

    assert given[0] <= 5
    assert names(storage) == {"first", "second"}


@pytest.mark.usefixtures("commits")
def test_an_error_of_all_is_told_each_in_their_language(storage):
    def fill_disk(connection: Connection) -> None:
        event.remove(storage._durable, "commit", fill_disk)
        raise StorageFull("full")

    def speak(name: str) -> Work:
        return lambda tx: language.use(name)

    def listen(tx: Connection) -> None:
        event.listen(storage._durable, "commit", fill_disk)

    found = together(storage, listen, speak("ru"), speak("en"))

    assert [str(outcome)[:10] for outcome in found[1:]] == ["На диске с", "The server"]
