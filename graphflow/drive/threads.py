"""The threads of a process that run what would block somebody: nodes, databases, and what may never end."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any

from graphflow.core.effects import T

WORKERS = 32
"""Helpers of the process that run tasks beside the callers' own threads."""
STORE_WORKERS = 8
"""Helpers of the process that talk to databases for asyncio; apart, so that a commit never waits for somebody's slow node."""

Tell = Callable[[Any, BaseException | None], object]
"""Is told, in the helper's thread, what work gave or what it raised. Raises nothing."""


class _Helpers:
    """Threads that take work from one queue, first come first served; one more is made when none is free, up to ``limit``.

    A plain queue, for an executor's book-keeping costs more than waking a thread and being woken by it.
    """

    def __init__(self, limit: int, name: str) -> None:
        self.limit = limit
        self.name = name
        self.lock = threading.Lock()
        self.queue: SimpleQueue[tuple[Callable[[], Any], Tell] | None] = SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.free = 0
        """Helpers without work; less the work that waits for one."""
        self.closed = False

    def start(self, work: Callable[[], Any], tell: Tell) -> None:
        """Have work done by the next helper that is free."""
        with self.lock:
            if self.closed:
                raise RuntimeError("the process is ending: nothing new can begin")
            if self.free <= 0 and len(self.threads) < self.limit:
                self._add()
            self.free -= 1
            self.queue.put((work, tell))

    def _add(self) -> None:
        if not self.threads:
            threading.Thread(target=self._close, name=f"{self.name}-end").start()
        helper = threading.Thread(target=self._help, name=f"{self.name}_{len(self.threads)}")
        helper.start()
        self.threads.append(helper)
        self.free += 1

    def _help(self) -> None:
        while (taken := self.queue.get()) is not None:
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

    def _close(self) -> None:
        """Send the helpers home when the main thread has come to its end: the process ends when their work has."""
        threading.main_thread().join()
        with self.lock:
            self.closed = True
            for _ in self.threads:
                self.queue.put(None)


class _PerProcess:
    """The helpers for nodes, and those for databases; made anew in a forked child."""

    def __init__(self) -> None:
        self.nodes = _Helpers(WORKERS, "graphflow")
        self.stores = _Helpers(STORE_WORKERS, "graphflow-store")


_process = _PerProcess()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.__init__)  # type: ignore[misc]


def _unheard(value: Any, error: BaseException | None) -> None:
    """For work that tells by itself what comes of it."""


def start(work: Callable[[], Any], tell: Tell = _unheard, *, store: bool = False, alone: str | None = None) -> None:
    """Begin work in a helper thread, with the caller's context variables, or in one of its own that is called ``alone`` and
    that nobody waits for, not even the end of the process: for what may never end.
    """
    inside = partial(contextvars.copy_context().run, work)
    if alone is None:
        (_process.stores if store else _process.nodes).start(inside, tell)
    else:
        threading.Thread(target=_told, args=(inside, tell), name=alone, daemon=True).start()


def all_free() -> bool:
    """Whether no helper for nodes has anything to do."""
    return _process.nodes.free == len(_process.nodes.threads)


def _told(work: Callable[[], Any], tell: Tell) -> None:
    try:
        value = work()
    except BaseException as error:
        tell(None, error)
    else:
        tell(value, None)


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Run work in a helper thread, unless it is cancelled before."""
    done: Future[T] = Future()
    start(lambda: work() if done.set_running_or_notify_cancel() else None, partial(_settle, done))
    return done


def in_own_thread(work: Callable[[], T], name: str) -> Future[T]:
    """Run work that may never end in a thread that nobody waits for, not even the end of the process."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on nobody can cancel it
    start(work, partial(_settle, done), alone=name)
    return done


def _settle(future: Future[Any], value: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
