"""The event loop behind sync calls: one for the whole process, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from graphflow.core.effects import T
from graphflow.drive.selfwaits import NODE
from graphflow.drive.threads import in_thread


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


def start(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Start a coroutine on the background loop, with the caller's context variables."""
    loop = _background.get()
    future: Future[T] = Future()
    context = contextvars.copy_context()

    async def caught() -> None:
        # Whatever the coroutine raises belongs to who waits for it: a SystemExit would end the loop of everybody.
        try:
            future.set_result(await work)
        except BaseException as error:
            future.set_exception(error)

    loop.call_soon_threadsafe(lambda: loop.create_task(caught(), name=NODE, context=context))
    return future


def background(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for it; how sync runs execute async nodes, also inside a running loop."""
    if _background.is_current():
        # An async node that calls a graph: its loop waits here, so what it waits for needs a loop of its own.
        return in_thread(lambda: asyncio.run(work)).result()
    return start(work).result()
