"""A thread of the process that looks, every few milliseconds, whether work that others do seems to have come to a halt.

It sleeps in between without the interpreter's lock. To wake a thread for each piece of work that might turn out to be slow
would cost the quick ones more than they take themselves.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from contextvars import Context
from time import sleep
from typing import Protocol

from graphflow.drive.threads import start

INTERVAL = 0.005
"""Seconds between two looks."""
LINGERING = 1.0
"""Seconds without work to look at after which the thread ends."""


class Watched(Protocol):
    """What can be looked at."""

    def look(self) -> bool:
        """Called in the thread of the lookout, at intervals: whether to look again. Raises nothing, waits for nothing slow."""


class Lookout:
    """Looks at what has been given to it, until that says it need not be looked at any more or is taken back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: set[Watched] = set()
        self._awake = False

    def watch(self, work: Watched) -> None:
        """Look at it from now on. Where there can be no more threads nobody looks."""
        with self._lock:
            self._watched.add(work)
            if not self._awake:
                with suppress(RuntimeError):
                    Context().run(start, self._stay, alone=True)  # without the caller's variables, which it would keep alive
                    self._awake = True

    def leave(self, work: Watched) -> None:
        """Look at it no more; one look may be on its way."""
        with self._lock:
            self._watched.discard(work)

    def _stay(self) -> None:
        quiet = 0.0
        try:
            while quiet < LINGERING or not self._ended():
                sleep(INTERVAL)
                quiet = 0.0 if self._look() else quiet + INTERVAL
        except BaseException:
            self._awake = False  # whoever comes next calls another one
            raise

    def _look(self) -> bool:
        """Look at everything once; whether there was anything."""
        with self._lock:
            watched = tuple(self._watched)
        for work in watched:
            if not work.look():
                self.leave(work)
        return bool(watched)

    def _ended(self) -> bool:
        with self._lock:
            self._awake = bool(self._watched)
            return not self._awake


lookout = Lookout()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lookout.__init__)  # type: ignore[misc]
