"""Group commit for SQLite: callers that wait while another one commits share one transaction.

A commit waits for the disk and, in a busy worker, for the loop. With a commit each, the last of two hundred sends
waited for 199 commits, and was refused. The caller who gets the lock runs what all others wait for too, each in a
savepoint (https://sqlite.org/lang_savepoint.html): an error in one undoes that one alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from webapp.errors import StorageUnavailable
from webapp.loop import give_way

MOST_JOBS = 32  # a transaction holds back every other process
LEAST_SECONDS = 0.1  # to begin a transaction


@dataclass(eq=False, slots=True)
class _Job:
    """What one caller waits for. Runs in the caller's context, so that its errors are in their language."""

    work: Callable[[Connection], Any]
    deadline: float  # of the monotonic clock, for the transaction to begin
    context: Context = field(default_factory=copy_context)
    result: Any = None
    error: Exception | None = None
    is_done: bool = False

    def run(self, tx: Connection) -> None:
        self.result = self.context.run(self.work, tx)

    def end(self, error: Exception | None = None) -> None:
        self.error, self.is_done = error, True


class _DatabaseError(Exception):
    """One of several works met an error of the database, which may have ended the transaction of all."""


class GroupCommit:
    """Safe to share between threads and greenlets. Who uses it holds `lock` while they write in any other way.

    `begin` begins a transaction within so many seconds. `renewed` makes the error of a transaction anew, in the
    language of each who shared it.
    """

    def __init__(
        self,
        lock: threading.Lock,
        begin: Callable[[float], AbstractContextManager[Connection]],
        renewed: Callable[[Exception], Exception],
    ) -> None:
        self._lock = lock
        self._begin = begin
        self._renewed = renewed
        self._waiting: deque[_Job] = deque()
        self._is_committing = False

    def run(self, work: Callable[[Connection], Any], wait_seconds: float) -> Any:
        """Call `work` in a write transaction, committed on return; return its result, or raise its error.

        Raises TimeoutError if no transaction begins within `wait_seconds`, and what `begin` raises. `work` may be
        called twice: the first time, what it wrote was rolled back.
        """
        job = _Job(work, time.monotonic() + wait_seconds)
        self._waiting.append(job)
        try:
            self._acquire(job)
            try:
                while not job.is_done:
                    self._run_next()
            finally:
                self._lock.release()
        finally:  # a killed greenlet leaves nothing behind
            self._withdraw(job)
        if job.error:
            raise job.error
        return job.result

    def _acquire(self, job: _Job) -> None:
        while not self._lock.acquire(timeout=_seconds_until(job.deadline)):
            if self._withdraw(job):
                raise TimeoutError  # otherwise somebody runs it now

    def _withdraw(self, job: _Job) -> bool:
        try:
            self._waiting.remove(job)
        except ValueError:
            return False
        return True

    def _run_next(self) -> None:
        self._is_committing = False
        jobs = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_JOBS))]
        try:
            if len(jobs) == 1:
                self._run_alone(jobs[0])
            else:
                self._run_together(jobs)
        except BaseException:  # the greenlet is killed
            self._give_back([job for job in jobs if not job.is_done])
            raise

    def _give_back(self, jobs: list[_Job]) -> None:
        """Leave the jobs to the next of those who wait. A commit that has begun goes on: they must not run twice."""
        if not self._is_committing:
            self._waiting.extendleft(reversed(jobs))
            return
        for job in jobs:
            job.end(job.context.run(self._renewed, StorageUnavailable("")))

    def _run_alone(self, job: _Job) -> None:
        self._is_committing = False  # another one may have ended before
        try:
            with self._begin(_seconds_until(job.deadline)) as tx:
                job.run(tx)
                self._is_committing = True
        except Exception as error:
            job.end(error)
        else:
            job.end()

    def _run_together(self, jobs: list[_Job]) -> None:
        errors: list[Exception | None]
        try:
            with self._begin(_seconds_until(jobs[0].deadline)) as tx:  # of the one who waits longest
                errors = [_run_in_savepoint(tx, job) for job in jobs]
                self._is_committing = True
        except _DatabaseError:
            for job in jobs:
                self._run_alone(job)
            return
        except Exception as error:  # no transaction began, or its commit failed
            errors = [job.context.run(self._renewed, error) for job in jobs]
        for job, its_error in zip(jobs, errors, strict=True):
            job.end(its_error)


def _seconds_until(deadline: float) -> float:
    return max(deadline - time.monotonic(), LEAST_SECONDS)


def _run_in_savepoint(tx: Connection, job: _Job) -> Exception | None:
    """Run one of several. Returns its error; raises _DatabaseError."""
    give_way()
    savepoint = tx.begin_nested()
    try:
        job.run(tx)
    except DBAPIError as error:
        raise _DatabaseError from error
    except Exception as error:
        savepoint.rollback()
        return error
    savepoint.commit()
    return None
