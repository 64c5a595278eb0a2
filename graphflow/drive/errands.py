"""Blocking work, as asyncio waits for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from time import perf_counter
from typing import Any, Final, Generic

from graphflow.core.control import current_task
from graphflow.core.effects import T
from graphflow.core.tasks import Task
from graphflow.drive.threads import GRACE, all_free, start
from graphflow.drive.world import World
from graphflow.errors import NodeTimeout


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


async def threaded(work: Callable[[], T], *, store: bool = False) -> T:
    """Run blocking work in a helper thread; cancelled before it has begun, it is not done."""
    errand = Errand(work, store=store)
    try:
        await errand.end()
    except asyncio.CancelledError:
        errand.call_off()
        raise
    return errand.result()


AT_ONCE: Final = 0.0001
"""Seconds for which the loop itself waits for a function in a thread, when the one before took no longer and no other is
under way: going to sleep and being woken takes longer than most functions that only compute."""


async def run_blocking(work: Callable[[], T], world: World, alone: bool = False) -> T:
    """Run a user's blocking function in a helper thread, or in one of its own. Cancelled meanwhile, it has ``GRACE`` seconds to
    end, since a thread cannot be stopped: then what it did counts, and the run stops after that.
    """
    waits = world.brisk and not alone and all_free()
    errand = Errand(work, alone=alone)
    try:
        if waits:
            await asyncio.sleep(0)  # whoever else has something to do comes first
        if not (waits and errand.ends_within(AT_ONCE)):
            world.brisk = False
            await errand.end()
    except asyncio.CancelledError as stop:
        if (not alone and errand.call_off()) or _given_up(current_task.get()):
            raise
        await settled([errand.end()], GRACE)
        if errand.ended is None:
            raise
        world.stopping = stop
    world.brisk = errand.seconds < AT_ONCE
    return errand.result()


async def settled(futures: Sequence[asyncio.Future[Any]], seconds: float = math.inf) -> asyncio.CancelledError | None:
    """Wait until all are done, for so long at most, whatever cancels the waiting: anyio, for one, cancels again at each turn of
    the loop. Gives the last cancellation, if there was one.
    """
    loop = asyncio.get_running_loop()
    stop, ends = None, loop.time() + seconds
    while not all([future.done() for future in futures]) and (left := ends - loop.time()) > 0:
        try:
            await asyncio.wait(futures, timeout=None if left == math.inf else left)
        except asyncio.CancelledError as cancelled:
            stop = cancelled
    return stop


def _given_up(task: Task | None) -> bool:
    """Whether the task is an attempt that is out of time, so that nothing more is to come of it."""
    try:
        if task is not None:
            task.check_open()
    except NodeTimeout:
        return True
    return False
