"""Failures of a database that pass are outlived, those that stay are raised, and a commit in doubt is looked up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from graphflow.db import PostgresDb, SqliteDb
from graphflow.db.retries import Repeated, patiently
from graphflow.errors import DatabaseFailed, LeaseLost

from .conftest import Writer

PASSING, STAYING = DatabaseFailed("cut off", transient=True), DatabaseFailed("no room")


def unsure() -> DatabaseFailed:
    return DatabaseFailed("cut off in COMMIT", transient=True, written=None)


class Attempts:
    """Raises what it is given, one at a time, then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_what_passes_is_tried_again_and_what_stays_is_not() -> None:
    attempts = Attempts(PASSING, PASSING)
    assert patiently(attempts, 10) == "done" and attempts.made == 3
    for errors in ([STAYING], [PASSING, STAYING], [PASSING, LeaseLost("taken")]):
        attempts = Attempts(*errors)
        with pytest.raises(type(errors[-1]), match=str(errors[-1])):
            patiently(attempts, 10)
        assert attempts.made == len(errors)


def test_trying_again_ends_with_the_deadline_and_says_so() -> None:
    attempts = Attempts(*[DatabaseFailed("cut off", transient=True) for _ in range(1000)])
    started = time.monotonic()
    with pytest.raises(DatabaseFailed, match="cut off") as caught:
        patiently(attempts, 0.3)
    assert 0.2 < time.monotonic() - started < 5 and 2 < attempts.made < 100
    assert "retry_timeout=" in caught.value.__notes__[0]
    attempts = Attempts(PASSING)
    with pytest.raises(DatabaseFailed):
        patiently(attempts, 0)
    assert attempts.made == 1


def test_work_in_doubt_is_not_done_twice() -> None:
    done: list[str] = []
    failures = [PASSING, unsure()]

    def write(work: Callable[[Any], int]) -> int:
        result = work(None)
        if failures:
            raise failures.pop(0)
        return result

    def work(tx: Any) -> int:
        done.append("work")
        return len(done)

    def in_doubt(tx: Any, earlier: int) -> int:
        done.append("in doubt")
        return earlier

    assert patiently(Repeated(write, work, in_doubt), 10) == 2
    assert done == ["work", "work", "in doubt"], "what was surely not written is done again"


# --- commits in doubt --------------------------------------------------------------------------------------------------------


class Doubtful:
    """Makes the next commit of a database end in doubt, after it was written or before."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.commit_once = db._commit_once
        self.count = 0
        self.between: Callable[[], object] = lambda: None

    def next(self, *, written: bool) -> None:
        def commit_once(ready: Any) -> None:
            self.db._commit_once = self.counted
            if written:
                self.commit_once(ready)
            self.between()
            raise unsure()

        self.db._commit_once = commit_once

    def counted(self, ready: Any) -> None:
        self.count += 1
        self.commit_once(ready)


@pytest.fixture(params=["sqlite", "postgres"])
def shared_db(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    if request.param == "postgres":
        yield request.getfixturevalue("postgres_db")
        return
    made = SqliteDb(tmp_path / "s.db")
    yield made
    made.close()


@pytest.mark.parametrize("written", [True, False])
def test_every_kind_of_commit_that_ended_in_doubt_is_there_once(shared_db: SqliteDb | PostgresDb, written: bool) -> None:
    doubtful, session = Doubtful(shared_db), Writer(shared_db)
    steps: list[Callable[[], None]] = [
        lambda: session.begin("r1", {"notes": {"append": ["begun"]}}),
        lambda: session.step({"notes": {"append": ["plain"]}}),
        lambda: session.step({"notes": {"append": ["more"]}}, [], drop_tasks=True),
        lambda: session.end({"notes": {"append": ["ended"]}}),
    ]
    for number, step in enumerate(steps, 1):
        doubtful.next(written=written)
        step()
        assert doubtful.count == (0 if written else number), "what is there is not written again"
        assert session.load().seq == number - 1
    assert session.load().values["notes"] == ["begun", "plain", "more", "ended"]
    assert [run.status for run in shared_db.get_runs("s1")] == ["completed"] and shared_db.check().ok


def test_a_session_that_was_taken_over_meanwhile_is_lost(shared_db: SqliteDb | PostgresDb) -> None:
    """The commit was not written, and while its outcome was not known, another run took the session over."""
    doubtful, session, rival = Doubtful(shared_db), Writer(shared_db), Writer(shared_db)
    session.begin("r1")
    rival.head, rival.epoch = session.head, session.epoch

    def take_over() -> None:
        rival.begin("r2")

    doubtful.between = take_over
    doubtful.next(written=False)
    with pytest.raises(LeaseLost):
        session.step({"count": {"set": 1}})
    assert "count" not in rival.load().values


def test_a_commit_that_was_written_is_done_although_the_session_was_taken_over_since(shared_db: SqliteDb | PostgresDb) -> None:
    doubtful, session, rival = Doubtful(shared_db), Writer(shared_db), Writer(shared_db)
    session.begin("r1")

    def take_over() -> None:
        rival.head, rival.epoch = session.head + 1, session.epoch
        rival.begin("r2")

    doubtful.between = take_over
    doubtful.next(written=True)
    session.step({"count": {"set": 1}})
    with pytest.raises(LeaseLost):
        session.step({"count": {"set": 2}})
    assert rival.load(at=1).values["count"] == 1
