"""What is held still while this process is copied: the databases it has, so that none is copied in the middle of something."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Held(Protocol):
    """A database, as far as copies of its process are concerned."""

    def _before_fork(self) -> None:
        """Get to a point where this process can be copied, and stay there."""

    def _after_fork(self, in_child: bool) -> None:
        """Go on. In the child, where nothing is held, locks and connections that are left are the parent's: drop them."""


class Databases:
    """The databases of this process. None is added between the two ends of a fork, and each goes on that was held."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[Held] = weakref.WeakSet()
        self._held: list[Held] = []

    def add(self, db: Held) -> None:
        """From now on, hold this database, which is complete, when the process is copied."""
        with self._lock:
            self._all.add(db)

    def before_fork(self) -> None:
        """Hold all of them, always in the same order. One that cannot be held keeps no other from it."""
        self._lock.acquire()
        failure: Exception | None = None
        for db in sorted(self._all, key=id):
            try:
                db._before_fork()
                self._held.append(db)
            except Exception as error:
                failure = error
        if failure is not None:
            raise failure  # whoever forks is told of it, and is not kept from it

    def after_in_parent(self) -> None:
        """Let those go on that were held."""
        held, self._held = self._held, []
        try:
            for db in reversed(held):
                db._after_fork(in_child=False)
        finally:
            self._lock.release()

    def after_in_child(self) -> None:
        """Begin anew with all of them: nobody else is here, and nothing is held."""
        self._lock, self._held = threading.Lock(), []
        for db in list(self._all):
            db._after_fork(in_child=True)


databases = Databases()
"""Those of this process."""

if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=databases.before_fork,
        after_in_parent=databases.after_in_parent,
        after_in_child=databases.after_in_child,
    )
