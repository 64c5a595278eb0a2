"""Ending a process without losing or blocking anything: its runs stop at a superstep border, stored and free to be resumed.

A run that is stopped so has the status ``cancelled``; its session's lease is given back with its last commit, so another
process can resume it at once. What does not stop in time is no worse off than after a kill: resume goes on from its last
commit.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from graphflow.db.turns import session_queue

TIMEOUT: Final = 25.0
"""Seconds that runs may take to reach their next border: less than the 30 that most supervisors give before they kill."""
AGAIN: Final = 0.05
"""Seconds after which the main thread is told again to end the process, if it has not heard it."""

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


def stop_runs(timeout: float = TIMEOUT) -> bool:
    """Stop all runs of this process that have a session, begin no more, and wait for them; whether all stopped in time.

    Runs that wait for a busy session end with SessionBusy, and so do new ones from now on. Call it in a thread of its own from
    asyncio (``await asyncio.to_thread(stop_runs)``): the runs need the event loop to come to their end.
    """
    session_queue().close()
    return session_queue().wait(timeout)


@contextmanager
def graceful_shutdown(*, signals: Sequence[int] = (signal.SIGTERM,), timeout: float = TIMEOUT) -> Iterator[None]:
    """Within this block, a SIGTERM stops the runs of this process before it ends it; see ``install_shutdown_handler``.

    Leaving the block stops what still runs, brings the handlers back that were there before, and lets runs begin again, unless
    the process is on its way out. Main thread only.
    """
    handler, restore = _installed(signals, timeout)
    ending = False
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        ending = True
        raise
    finally:
        restore()
        stop_runs(timeout)
        if not ending and handler.asked is None:
            session_queue().reopen()
    if handler.asked is not None:
        raise SystemExit(128 + handler.asked)  # the block was left before the handler could


def install_shutdown_handler(*, signals: Sequence[int] = (signal.SIGTERM,), timeout: float = TIMEOUT) -> Callable[[], None]:
    """Have ``signals`` stop the runs of this process first; returns a function that brings the old handlers back.

    The handler asks all runs to stop and returns at once. A handler that was there before (a server's own) is then called, so
    that the server ends its requests meanwhile. Where there was none, SystemExit(128 + signal) is raised in the main thread
    when the runs have stopped, or after ``timeout`` seconds. A second signal ends the process without waiting. Install it after
    the server has installed its own, in the main thread (ValueError elsewhere).
    """
    return _installed(signals, timeout)[1]


def _installed(signals: Sequence[int], timeout: float) -> tuple[_ShutdownHandler, Callable[[], None]]:
    before: dict[int, _Handler] = {}

    def restore() -> None:
        handler.heard = True
        for number, previous in before.items():
            signal.signal(number, signal.SIG_DFL if previous is None else previous)

    handler = _ShutdownHandler(before, timeout)
    for number in signals:
        before[number] = signal.signal(number, handler)
    return handler, restore


class _ShutdownHandler:
    """What is called with a signal."""

    def __init__(self, before: dict[int, _Handler], timeout: float) -> None:
        self._before = before
        self._timeout = timeout
        self._told = False
        self.asked: int | None = None
        """The signal that this is to end the process with."""
        self.heard = False
        """Whether the main thread needs not be told again: it ends the process, or has other handlers by now."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        previous = self._before[number]
        first, self._told = not self._told, True
        if callable(previous):
            if first:
                _in_thread(session_queue().close)
            previous(number, frame)
        elif first:
            self.asked = number
            _in_thread(lambda: self._drain(number))
        else:
            self.heard = True
            raise SystemExit(128 + number)

    def _drain(self, number: int) -> None:
        """Come back with the same signal when nothing runs any more."""
        stop_runs(self._timeout)
        main = threading.main_thread().ident
        while not self.heard:  # else the block it belongs to was left, and ends the process itself
            if hasattr(signal, "pthread_kill") and main is not None:
                signal.pthread_kill(main, number)  # which wakes it, where it waits for an event loop's sockets
            else:
                signal.raise_signal(number)
            time.sleep(AGAIN)  # again, if it was just about to wait, and went to sleep all the same


def _in_thread(work: Callable[[], Any]) -> None:
    """Not in the handler itself: it may interrupt a thread that holds the very locks."""
    threading.Thread(target=work, name="graphflow-shutdown", daemon=True).start()
