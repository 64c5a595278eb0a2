"""The event loop behind sync calls: one for the whole process, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any

from graphflow.core.effects import T
from graphflow.drive.selfwaits import NODE
from graphflow.drive.threads import GRACE, in_thread


class _Background:
    """One event loop in a thread of its own, for async nodes of sync runs; made anew in a forked child."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.pid = 0

    def get(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        if self.loop is None or self.pid != os.getpid():
            with self.lock:
                if self.loop is None or self.pid != os.getpid():
                    self.loop = asyncio.new_event_loop()
                    self.pid = os.getpid()
                    threading.Thread(target=self.loop.run_forever, name="graphflow-loop", daemon=True).start()
        return self.loop

    def is_current(self) -> bool:
        """Whether this is the background loop's own thread."""
        return self.loop is not None and asyncio._get_running_loop() is self.loop


_background = _Background()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_background.__init__)  # type: ignore[misc]


class Started(Future[T]):
    """What comes of a coroutine on the background loop."""

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[None] | None = None

    def cancel_task(self) -> None:
        """Leave the coroutine where it awaits."""
        self.loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self.task is not None:
            self.task.cancel()


def start(work: Coroutine[Any, Any, T]) -> Started[T]:
    """Start a coroutine on the background loop, with the caller's context variables."""
    started: Started[T] = Started()
    loop = started.loop = _background.get()
    context = contextvars.copy_context()

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
    """Run a coroutine on the background loop and wait for it; how sync runs execute async nodes, also inside a running loop.

    When the waiting is interrupted (Ctrl-C), the coroutine is left where it awaits, and has ``GRACE`` seconds to clean up.
    """
    if _background.is_current():
        # An async node that calls a graph: its loop waits here, so what it waits for needs a loop of its own.
        return in_thread(lambda: asyncio.run(work)).result()
    started = start(work)
    try:
        return started.result()
    except BaseException:
        if not started.done():
            started.cancel_task()
            wait([started], GRACE)
        raise
