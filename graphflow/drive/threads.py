"""The threads of a process that run what would block somebody: nodes, databases, and what may never end."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from graphflow.core.effects import T

WORKERS = 32
"""Helpers of the process that run tasks beside the callers' own threads."""
STORE_WORKERS = 8
"""Helpers of the process that talk to databases for asyncio; apart, so that a commit never waits for somebody's slow node."""


class _PerProcess:
    """Things with threads, made anew in a forked child."""

    def __init__(self) -> None:
        self.pid = 0
        self.lock = threading.Lock()
        self.pools: tuple[ThreadPoolExecutor, ThreadPoolExecutor] | None = None

    def pool(self, store: bool = False) -> ThreadPoolExecutor:
        """The pool of helpers for nodes, or that for databases."""
        if self.pools is None or self.pid != os.getpid():
            with self.lock:
                if self.pools is None or self.pid != os.getpid():
                    nodes = ThreadPoolExecutor(WORKERS, thread_name_prefix="graphflow")
                    self.pools = nodes, ThreadPoolExecutor(STORE_WORKERS, thread_name_prefix="graphflow-store")
                    self.pid = os.getpid()
        return self.pools[store]


_process = _PerProcess()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.__init__)  # type: ignore[misc]


def workers(store: bool = False) -> ThreadPoolExecutor:
    """This process's pool of helpers for nodes, or that for databases."""
    return _process.pool(store)


def in_thread(work: Callable[[], T], *, store: bool = False) -> Future[T]:
    """Run work in a helper thread, with the caller's context variables."""
    return workers(store).submit(contextvars.copy_context().run, work)


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
