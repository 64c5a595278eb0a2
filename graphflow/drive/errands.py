"""Blocking work, as asyncio waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from time import perf_counter
from typing import Any, Generic

from graphflow.core.effects import T
from graphflow.drive.threads import start


class Errand(Generic[T]):
    """Blocking work in a helper thread, as one coroutine waits for it. Cancelled while it does, it can wait on."""

    __slots__ = ("_done", "_loop", "_taken", "_waiter", "_work", "ended", "seconds")

    def __init__(self, work: Callable[[], T], *, store: bool = False, alone: bool = False) -> None:
        self.ended: tuple[Any, BaseException | None] | None = None
        """What the work gave or raised, once it has ended."""
        self.seconds = 0.0
        """How long it took, without the ways there and back."""
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._taken, self._done = Lock(), Lock()
        self._done.acquire()
        start(self._do, self._tell, store=store, alone=alone)

    def _do(self) -> T | None:
        if not self._taken.acquire(blocking=False):
            return None
        begun = perf_counter()
        try:
            return self._work()
        finally:
            self.seconds = perf_counter() - begun

    def _tell(self, value: Any, error: BaseException | None) -> None:
        self.ended = value, error
        self._done.release()
        if self._waiter is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(_wake, self._waiter)

    def call_off(self) -> bool:
        """Whether it had not begun, and never will."""
        return self._taken.acquire(blocking=False)

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends in so short a time, for which nothing else of the loop runs."""
        return self._done.acquire(timeout=seconds)

    def end(self) -> asyncio.Future[None]:
        """Done when the work is; cancelling it calls nothing off."""
        self._waiter = waiter = self._loop.create_future()
        if self.ended is not None:
            waiter.set_result(None)
        return waiter

    async def finish(self) -> asyncio.CancelledError | None:
        """Wait until the work has ended, whatever cancels the waiting; gives the first cancellation, if there was one."""
        stop: asyncio.CancelledError | None = None
        while self.ended is None:
            try:
                await self.end()
            except asyncio.CancelledError as cancelled:
                stop = stop or cancelled
        return stop

    def result(self) -> T:
        """What the work gave; what it raised is raised."""
        assert self.ended is not None
        value, error = self.ended
        if error is not None:
            try:
                raise error
            finally:
                del error, self  # else the error holds this frame, and this frame the error
        return value  # type: ignore[no-any-return]


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
