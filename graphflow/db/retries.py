"""Doing a transaction again when a failure of the database has passed, and finding out what became of one whose end is unknown.

Every attempt is a whole transaction, and none is open during a pause.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from graphflow.errors import DatabaseFailed

if TYPE_CHECKING:
    from graphflow.db.commits import Ready
    from graphflow.db.sql import SqlDb
    from graphflow.db.transactions import Transaction

T = TypeVar("T")
Found = TypeVar("Found", bool, int)

FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 1.0
"""Seconds between two attempts: at random below a bound that begins with the first and doubles up to the second."""


def patiently(attempt: Callable[[], T], timeout: float) -> T:
    """What ``attempt`` returns, tried again for ``timeout`` seconds from now while it fails for a reason that passes.

    Raises what the last attempt raised.
    """
    begun = time.monotonic()
    try:
        return attempt()
    except DatabaseFailed as failure:
        return again(attempt, failure, begun + timeout)


def again(attempt: Callable[[], T], failure: DatabaseFailed, deadline: float) -> T:
    """What ``attempt`` returns after it failed at first, tried until ``deadline`` (by time.monotonic())."""
    timeout = deadline - time.monotonic()
    if not failure.transient or timeout <= 0:
        raise failure
    # Loaded with the first failure: a program whose database does not fail does without.
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential  # noqa: PLC0415

    # Random pauses, so that processes which were cut off together do not come back together.
    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, DatabaseFailed) and error.transient),
        stop=stop_after_delay(timeout),
        wait=wait_random_exponential(multiplier=FIRST_PAUSE, min=FIRST_PAUSE / 2, max=LONGEST_PAUSE),
        reraise=True,
    )
    first = [failure]

    def one() -> T:
        if first:
            raise first.pop()
        return attempt()

    try:
        return retrying(one)
    except DatabaseFailed as error:
        error.add_note(f"tried again for {timeout:.3g} seconds; retry_timeout= of the database says how long")
        raise


# --- work that must not be done twice ----------------------------------------------------------------------------------------


class Repeated(Generic[T]):
    """Attempts at ``work``; once an earlier one may have been committed, at ``in_doubt``, given what the work returned then."""

    def __init__(
        self,
        write: Callable[[Callable[[Transaction], T]], T],
        work: Callable[[Transaction], T],
        in_doubt: Callable[[Transaction, T], T],
    ) -> None:
        self._write = write
        self._work = work
        self._in_doubt = in_doubt
        self._returned: list[T] = []
        self._doubted = False

    def __call__(self) -> T:
        try:
            return self._write(self._do)
        except DatabaseFailed as failure:
            self._doubted = self._doubted or (failure.written is None and bool(self._returned))
            raise

    def _do(self, tx: Transaction) -> T:
        if self._doubted:
            return self._in_doubt(tx, self._returned[0])
        self._returned[:] = [self._work(tx)]
        return self._returned[0]


def unless_there(work: Callable[[Transaction], None]) -> Callable[[Transaction, None], None]:
    """For work that refuses to make what is there already: when it was about to be committed, it is ours that is there."""

    def in_doubt(tx: Transaction, _: None) -> None:
        try:
            work(tx)
        except ValueError:
            return

    return in_doubt


def at_least(work: Callable[[Transaction], Found]) -> Callable[[Transaction, Found], Found]:
    """For work that deletes and tells what there was: an earlier attempt may have deleted it already."""
    return lambda tx, before: max(work(tx), before)


class Committing:
    """Attempts at a commit of a run.

    When the connection is lost while a transaction is committed, nobody tells whether it was. So the next attempt looks for
    what this one would have left, and writes only when it is not there. The server may still be at it at that moment: then
    our second attempt waits for the row it holds and finds the session moved, and looks again before it believes that
    somebody else moved it.
    """

    def __init__(self, db: SqlDb, ready: Ready) -> None:
        self._db = db
        self._ready = ready
        self._doubted = False

    def go_on(self, failure: DatabaseFailed, begun: float) -> None:
        """Make more attempts after the first one failed."""
        if not self._is_done(failure):
            again(self._attempt, failure, begun + self._db.retry_timeout)

    def _attempt(self) -> None:
        if self._doubted and self._landed():
            return
        try:
            self._db._commit_once(self._ready)
        except DatabaseFailed as failure:
            if not self._is_done(failure):
                raise
        except Exception:
            if self._doubted and self._landed():
                return
            raise

    def _is_done(self, failure: DatabaseFailed) -> bool:
        """Take note of a failure; whether it left the commit written, where no further attempt would find out."""
        if failure.written is None:
            self._doubted = True
            return not failure.transient and self._landed()
        if self._doubted:
            failure.written = None
            failure.add_note("an earlier attempt was cut off while it was committed, and may be written or not")
        return False

    def _landed(self) -> bool:
        found: Any = self._db._read_once(self._ready.landed)
        return bool(found)
