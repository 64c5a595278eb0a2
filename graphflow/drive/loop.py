"""The event loops behind sync calls: a few for the whole process, in threads of their own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any

from graphflow.core.effects import T
from graphflow.drive.selfwaits import NODE
from graphflow.drive.threads import DEEPEST, GRACE, LOOP, deeper


class _Loops:
    """The loops for async nodes of sync runs, one for each depth: what runs in one may hold it up with another sync run, whose
    async nodes then need one that goes on. Made anew in a forked child.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: dict[int, asyncio.AbstractEventLoop] = {}

    def at(self, depth: int) -> asyncio.AbstractEventLoop:
        """The loop of a depth."""
        if depth not in self.running:
            with self.lock:
                if depth not in self.running:
                    self.running[depth] = _begun(lambda loop: loop.run_forever())
        return self.running[depth]


def _begun(run: Callable[[asyncio.AbstractEventLoop], object]) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=run, args=(loop,), name=LOOP, daemon=True).start()
    return loop


def _run_to_end(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


_loops = _Loops()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_loops.__init__)  # type: ignore[misc]


class Started(Future[T]):
    """What comes of a coroutine on a background loop."""

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[None] | None = None

    def cancel_task(self) -> None:
        """Leave the coroutine where it awaits."""
        with suppress(RuntimeError):  # the loop has ended, and with it the coroutine
            self.loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self.task is not None:
            self.task.cancel()


def start(work: Coroutine[Any, Any, T]) -> Started[T]:
    """Start a coroutine on a background loop, with the caller's context variables."""
    started: Started[T] = Started()
    depth, context = deeper()
    if depth < DEEPEST:
        loop = _loops.at(depth)
    else:
        loop = _begun(_run_to_end)
        started.add_done_callback(lambda _: loop.call_soon(loop.stop))
    started.loop = loop

    async def caught() -> None:
        # Whatever the coroutine raises belongs to who waits for it: a SystemExit would end the loop of everybody.
        try:
            started.set_result(await work)
        except BaseException as error:
            started.set_exception(error)

    def ended(task: asyncio.Task[None]) -> None:
        if not started.done():  # cancelled before it began
            work.close()
            started.set_exception(asyncio.CancelledError())

    def begin() -> None:
        started.task = loop.create_task(caught(), name=NODE, context=context)
        started.task.add_done_callback(ended)

    loop.call_soon_threadsafe(begin)
    return started


def background(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a background loop and wait for it; how sync runs execute async nodes, also inside a running loop.

    When the waiting is interrupted (Ctrl-C), the coroutine is left where it awaits, and has ``GRACE`` seconds to clean up.
    """
    started = start(work)
    try:
        return started.result()
    except BaseException:
        if not started.done():
            started.cancel_task()
            wait([started], GRACE)
        raise
