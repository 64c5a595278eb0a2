"""The threads of a process that run what would block somebody: nodes, databases, and what may never end."""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from graphflow.core.effects import T

WORKERS = 32
"""Helpers of the process that run tasks beside the callers' own threads."""
STORE_WORKERS = 16
"""Helpers of the process that talk to databases for asyncio; apart, so that a commit never waits for somebody's slow node. Most
of the time they wait for a disk, which writes what several of them commit at once."""


class _Asked:
    """What event loops have asked of databases, and the helpers that do it: each goes on until nothing is left, because to send
    for a helper takes longer than much of what is asked.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[Callable[[], None]] = deque()
        self.helpers = ThreadPoolExecutor(STORE_WORKERS, thread_name_prefix="graphflow-store")
        self.working = 0

    def do(self, work: Callable[[], None]) -> None:
        """Have a helper do something that raises nothing."""
        with self.lock:
            if self.working < STORE_WORKERS:
                self.helpers.submit(self._help)
                self.working += 1
            self.waiting.append(work)

    def _help(self) -> None:
        while True:
            with self.lock:
                if not self.waiting:
                    self.working -= 1
                    return
                work = self.waiting.popleft()
            work()


class _PerProcess:
    """Things with threads, made anew in a forked child."""

    def __init__(self) -> None:
        self.pid = 0
        self.lock = threading.Lock()
        self.pools: tuple[ThreadPoolExecutor, _Asked] | None = None

    def get(self) -> tuple[ThreadPoolExecutor, _Asked]:
        """The pool of helpers for nodes, and those for databases."""
        if self.pools is None or self.pid != os.getpid():
            with self.lock:
                if self.pools is None or self.pid != os.getpid():
                    self.pools = ThreadPoolExecutor(WORKERS, thread_name_prefix="graphflow"), _Asked()
                    self.pid = os.getpid()
        return self.pools


_process = _PerProcess()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.__init__)  # type: ignore[misc]


def workers() -> ThreadPoolExecutor:
    """This process's pool of helpers for nodes."""
    return _process.get()[0]


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Run work in a helper thread, with the caller's context variables."""
    return workers().submit(contextvars.copy_context().run, work)


def in_store_thread(work: Callable[[], None]) -> None:
    """Run work that raises nothing in a helper thread for databases."""
    _process.get()[1].do(work)


def caught(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What work gives, or what it raises: futures would exchange or refuse some errors."""
    try:
        return work(), None
    except BaseException as error:
        return None, error


def in_own_thread(work: Callable[[], T], name: str) -> Future[T]:
    """Run work that may never end in a thread that nobody waits for, not even the end of the process."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on nobody can cancel it
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_settle, done, work), name=name, daemon=True).start()
    return done


def _settle(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
