"""The line of threads that want to write to one file, and how those that meet share a transaction.

A commit waits for the disk, and while one thread waits, others arrive. Who comes when nobody writes, writes at once. The others
stand in line; when the writer is done, the first of them leads: it does the work of all that wait in one transaction, and each
returns when that transaction is committed (group commit: Gawlick and Kinkade, "Varieties of concurrency control in IMS/VS Fast
Path", 1985).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

T = TypeVar("T")

LARGEST_GROUP: Final = 64
"""Transactions that are committed together at most: nobody waits longer than for these."""


class Request:
    """A thread's work in line. It is done when ``value`` or ``error`` says how it ended."""

    __slots__ = ("done", "error", "leads", "value", "woken", "work")

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work
        self.woken = threading.Lock()
        self.woken.acquire()
        self.leads = False
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

    def outcome(self) -> Any:
        """What the work returned; what it raised is raised."""
        if self.error is not None:
            raise self.error
        return self.value


class WriteLine:
    """Who writes now, and who waits."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Held while anybody writes."""
        self._order = threading.Lock()
        """Held for moments, while the line changes."""
        self._waiting: list[Request] = []

    def enter(self, work: Callable[[Any], Any]) -> Request | None:
        """None when nobody else writes: then the caller does, and has to ``leave``. Else its work stands in line."""
        if not self._waiting and self.lock.acquire(blocking=False):
            return None
        request = Request(work)
        with self._order:
            self._waiting.append(request)
            # Who has just given the lock back may have looked before this stood in line: then nobody would call it.
            if self._waiting[0] is request and self.lock.acquire(blocking=False):
                self._waiting.clear()
                return None
        return request

    def outcome(self, request: Request, together: Callable[[list[Request]], None]) -> Any:
        """What came of work in line, which is done among others by ``together``."""
        self._wait(request)
        if request.leads:
            self._lead(request, together)
        return request.outcome()

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Nobody writes meanwhile."""
        self.lock.acquire()
        try:
            yield
        finally:
            self.leave()

    def leave(self) -> None:
        """Give the lock back; the first in line leads."""
        self.lock.release()
        if self._waiting:
            with self._order:
                if self._waiting and not self.lock.locked():  # whoever has it by now looks when it leaves
                    self._call_first()

    def _call_first(self) -> None:
        if not self._waiting[0].leads:
            self._waiting[0].leads = True
            self._waiting[0].woken.release()

    def _wait(self, request: Request) -> None:
        try:
            request.woken.acquire()
        except BaseException:
            if not self._withdrawn(request):
                request.woken.acquire()  # its transaction is under way, and is not left in doubt
            raise

    def _withdrawn(self, request: Request) -> bool:
        """Take a request out of the line; whether it still stood there."""
        with self._order:
            if request not in self._waiting:
                return False
            self._waiting.remove(request)
            if self._waiting and not self.lock.locked():
                self._call_first()
        return True

    def _lead(self, request: Request, together: Callable[[list[Request]], None]) -> None:
        try:
            self.lock.acquire()
        except BaseException:
            self._withdrawn(request)
            raise
        with self._order:
            group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
        try:
            together(group)
        finally:
            others = group[1:]
            with self._order:
                # After an interruption: what was not done is done by the next leader.
                self._waiting[:0] = [request for request in others if not request.done]
            self.leave()
            for request in others:
                if request.done:
                    request.woken.release()
