"""The threads of a process that run what would block somebody: nodes, databases, and what may never end."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from graphflow.core.effects import T

WORKERS = 32
"""Helpers of the process that run tasks beside the callers' own threads."""
STORE_WORKERS = 16
"""Helpers of the process that talk to databases for asyncio; apart, so that a commit never waits for somebody's slow node. Most
of the time they wait for a disk, which writes what several of them commit at once."""

DEEPEST = 8
"""As many waits as may be for one another, each in a thread that is one of a limited number. Deeper ones are in threads without
a limit."""

GRACE = 1.0
"""Seconds that what a run does elsewhere (in a thread, in the background loop, in a task of asyncio) has to end when the run is
interrupted or cancelled, before that goes on without it."""
LINGERING = 10.0
"""Seconds that a helper without a limit waits for more work."""

LOOP: Final = "graphflow-loop"
"""What the threads of the background loops are called."""

Tell = Callable[[Any, BaseException | None], object]
"""Is told, in the helper's thread, what work gave or what it raised. Raises nothing."""


class _Helper(threading.Thread):
    """A thread of this module."""


class _Helpers:
    """Threads that take work from one queue, first come first served; one more is made when none is free, up to ``limit``.

    The process ends when what they do has, and what threads of others have them do. Without a limit it waits for none of them,
    and those end that had nothing to do for a while. A plain queue, for an executor's book-keeping costs more than waking a
    thread and being woken by it.
    """

    def __init__(self, name: str, limit: int | None = None) -> None:
        self.name = name
        self.limit = limit
        self.lock = threading.Lock()
        self.queue: SimpleQueue[tuple[Callable[[], Any], Tell] | None] = SimpleQueue()
        self.threads: list[_Helper] = []
        self.end: _Helper | None = None
        """Waits for the end of the process."""
        self.free = 0
        """Helpers without work; less the work that waits for one."""
        self.closed = False

    def start(self, work: Callable[[], Any], tell: Tell) -> None:
        """Have work done by the next helper that is free."""
        with self.lock:
            if self.closed:
                raise RuntimeError("the process is ending: nothing new can begin")
            if self.free <= 0 and (self.limit is None or len(self.threads) < self.limit):
                try:
                    self._add()
                except RuntimeError:  # there can be no more threads
                    if not self.threads or self.limit is None:
                        raise
            self.free -= 1
            self.queue.put((work, tell))

    def _add(self) -> None:
        if self.limit is not None and self.end is None:
            end = _Helper(target=self._close, name=f"{self.name}-end")
            end.start()
            self.end = end  # once it runs: else the next one makes it
        helper = _Helper(target=self._help, name=f"{self.name}_{len(self.threads)}", daemon=self.limit is None)
        self.threads.append(helper)  # before it starts, which Ctrl-C may come in between
        try:
            helper.start()
        except RuntimeError:
            self.threads.remove(helper)
            raise

    def _help(self) -> None:
        with self.lock:  # by itself: one that was interrupted before it ran helps nobody
            self.free += 1
        while (taken := self._next()) is not None:
            work, tell = taken
            value, error = None, None
            try:
                value = work()
            except BaseException as raised:
                error = raised
            with self.lock:  # before it tells: who hears it may have more work at once
                self.free += 1
            tell(value, error)
            del taken, work, tell, value, error  # what nobody else holds is not to live until there is more work

    def _next(self) -> tuple[Callable[[], Any], Tell] | None:
        """The next work; None when the helper is to end."""
        while True:
            try:
                taken = self.queue.get(timeout=LINGERING if self.limit is None else None)
                if taken is None:
                    self.queue.put(None)  # for the others
                return taken
            except Empty:
                with self.lock:
                    if self.free > 0:  # else something is in the queue by now
                        self.free -= 1
                        self.threads.remove(threading.current_thread())  # type: ignore[arg-type]
                        return None

    def _close(self) -> None:
        """Send the helpers home when the threads of others have come to their end: the process ends when their work has."""
        threading.main_thread().join()
        while others := [thread for thread in threading.enumerate() if _may_begin_more(thread)]:
            for thread in others:
                thread.join()
        with self.lock:
            self.closed = True
            self.queue.put(None)


def _may_begin_more(thread: threading.Thread) -> bool:
    """Whether the end of the process waits for a thread of others. One that is just being started is not alive yet, and whoever
    starts it is.
    """
    own = thread is threading.main_thread() or isinstance(thread, _Helper)
    return not (own or thread.daemon) and thread.is_alive()


class _PerProcess:
    """The helpers of a process; made anew in a forked child."""

    def __init__(self) -> None:
        self.nodes = [_Helpers(f"graphflow-{depth}" if depth else "graphflow", WORKERS) for depth in range(DEEPEST)]
        """By depth: what a helper does may wait for others, and these are never those that wait for it."""
        self.stores = _Helpers("graphflow-store", STORE_WORKERS)
        self.lone = _Helpers("graphflow-lone")
        """For what may never end."""


_process = _PerProcess()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.__init__)  # type: ignore[misc]


_depth: ContextVar[int] = ContextVar("graphflow_depth", default=0)
"""How many helpers and background loops wait for what is done here, one for the other."""


def deeper() -> tuple[int, contextvars.Context]:
    """How deep the caller is, and a copy of its context variables, for what it begins and may wait for."""
    depth, context = _depth.get(), contextvars.copy_context()
    context.run(_depth.set, depth + 1)
    return depth, context


def _unheard(value: Any, error: BaseException | None) -> None:
    """For work that tells by itself what comes of it."""


def start(work: Callable[[], Any], tell: Tell = _unheard, *, store: bool = False, alone: bool = False) -> None:
    """Begin work in a helper thread, with the caller's context variables; ``alone``: what may never end, in one that nobody
    waits for, not even the end of the process.
    """
    if alone or store:  # of the first there are always more, the second wait for none of these
        helpers, context = _process.lone if alone else _process.stores, contextvars.copy_context()
    else:
        depth, context = deeper()
        helpers = _process.nodes[depth] if depth < DEEPEST else _process.lone
    helpers.start(partial(context.run, work), tell)


def may_wait() -> bool:
    """Whether only this work is held up when its thread waits, and not all that shares a background loop with it."""
    return threading.current_thread().name != LOOP


def all_free() -> bool:
    """Whether no helper for nodes, of those that the caller might have, has anything to do."""
    helpers = _process.nodes[min(_depth.get(), DEEPEST - 1)]
    return helpers.free == len(helpers.threads)


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Run work in a helper thread, unless it is cancelled before."""
    done: Future[T] = Future()
    start(lambda: work() if done.set_running_or_notify_cancel() else None, partial(_settle, done))
    return done


def in_own_thread(work: Callable[[], T]) -> Future[T]:
    """Run work that may never end in a thread that nobody waits for, not even the end of the process."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on nobody can cancel it
    start(work, partial(_settle, done), alone=True)
    return done


def _settle(future: Future[Any], value: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
