"""The line of threads that want to write to one file, and how those that meet share a transaction.

A commit waits for the disk, and while one thread waits, others arrive. Who comes when nobody writes, writes at once. The others
stand in line; when the writer is done, the first of them leads: it does the work of all that wait in one transaction, and each
returns when that transaction is committed (group commit: Gawlick and Kinkade, "Varieties of concurrency control in IMS/VS Fast
Path", 1985).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from graphflow.errors import DatabaseFailed

T = TypeVar("T")

LARGEST_GROUP: Final = 64
"""Transactions that are committed together at most: nobody waits longer than for these."""
LOOK_EVERY: Final = 1.0
"""Seconds after which whoever waits looks whether it was forgotten: a signal may have interrupted who was to call it."""


class Request:
    """A thread's work in line. It is done when ``value`` or ``error`` says how it ended."""

    __slots__ = ("done", "error", "value", "woken", "work")

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work
        self.woken = threading.Lock()
        self.woken.acquire()
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        """Say how the work ended; its thread hears of it when the leader is through."""
        self.value, self.error, self.done = value, error, True

    def attempt(self, alone: Callable[[Callable[[Any], T]], T]) -> None:
        """Have the work done by itself."""
        try:
            self.settle(alone(self.work))
        except Exception as error:
            self.settle(error=error)
        except BaseException:
            self.settle(error=_interrupted())  # it may have come when all was committed
            raise

    def wake(self) -> None:
        """Have its thread look what has become of it."""
        if self.woken.locked():
            self.woken.release()

    def outcome(self) -> Any:
        """What the work returned; what it raised is raised."""
        if self.error is not None:
            raise self.error
        return self.value


class WriteLine:
    """Who writes now, and who waits.

    Who finds that it ``is_free`` writes with the ``lock``, and then, if others are ``waiting``, lets them ``go_on``. Else the
    work is done in line (``outcome``). The lock is taken by ``with``: no signal's handler comes between taking and noting it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Held while anybody writes."""
        self.waiting: list[Request] = []
        """Those whose work is not done, in the order they came."""
        self._taken: Sequence[Request] = ()
        """Those of them whose work is just being done."""
        self._order = threading.Lock()
        """Held for moments, while the line changes."""

    def is_free(self) -> bool:
        """Whether nobody writes and nobody waits. Another thread may come before the lock is taken: then that waits for it."""
        return not self.waiting and not self.lock.locked()

    def outcome(self, work: Callable[[Any], T], together: Callable[[Sequence[Request]], None]) -> T:
        """What comes of work in line, which is done among others by ``together``."""
        request = Request(work)
        try:
            with self._order:
                self.waiting.append(request)
            self.go_on()  # who gave the lock back may have looked before this stood in line: then nobody would call it
            while not request.woken.acquire(timeout=LOOK_EVERY):
                self.go_on()
            if not request.done:
                self._lead(together)
        except BaseException:
            self._withdraw(request)
            raise
        result: T = request.outcome()
        return result

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Nobody writes meanwhile."""
        try:
            with self.lock:
                yield
        finally:
            self.go_on()

    def leave(self) -> None:
        """Give the lock back."""
        self.lock.release()
        self.go_on()

    def go_on(self) -> None:
        """Tell those whose work is done, and let the first of the others lead, unless somebody writes: that one looks later."""
        with self._order:
            for request in [*self.waiting]:
                if request.done:
                    request.wake()
                    self.waiting.remove(request)
            if self.waiting and not self.lock.locked():
                self.waiting[0].wake()  # another time, if whoever called it was interrupted

    def _lead(self, together: Callable[[Sequence[Request]], None]) -> None:
        try:
            with self.lock:
                try:
                    with self._order:
                        self._taken = self.waiting[:LARGEST_GROUP]
                    together(self._taken)
                finally:
                    self._taken = ()  # after an interruption: what was not done is done by the next leader
        finally:
            self.go_on()

    def _withdraw(self, request: Request) -> None:
        """Take a request out of the line, and let the others go on. Work that another thread does just now is not left in
        doubt, but waited for.
        """
        while not self._has_withdrawn(request):
            request.woken.acquire(timeout=LOOK_EVERY)
        self.go_on()

    def _has_withdrawn(self, request: Request) -> bool:
        with self._order:
            if request in self._taken and not request.done:
                return False
            if request in self.waiting:
                self.waiting.remove(request)
            return True


def _interrupted() -> DatabaseFailed:
    return DatabaseFailed(
        "the thread that wrote for others, too, was interrupted (it is not known whether the transaction was written)",
        transient=True,
        written=None,
    )
