"""Whose turn it is on a session within this process: first come, first served."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Ticket:
    """A place in the line for one session. ``future`` is done when it is this ticket's turn."""

    key: tuple[str, str]
    future: Future[None] = field(default_factory=Future)


class SessionQueue:
    """The lines of this process, one per session that is in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, str], deque[Ticket]] = {}

    def join(self, identity: str, session_id: str) -> Ticket:
        """Stand in line for a session of the store ``identity``."""
        ticket = Ticket((identity, session_id))
        with self._lock:
            line = self._lines.setdefault(ticket.key, deque())
            line.append(ticket)
            if line[0] is ticket:
                ticket.future.set_result(None)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give the turn (or the place in the line) up; the next one goes on."""
        with self._lock:
            line = self._lines.get(ticket.key)
            if line is None or ticket not in line:
                return
            line.remove(ticket)
            if not line:
                del self._lines[ticket.key]
                return
            head = line[0]
        if not head.future.done():
            head.future.set_result(None)


_queue = SessionQueue()
_pid = os.getpid()


def session_queue() -> SessionQueue:
    """This process's lines; a forked child begins with none."""
    global _queue, _pid
    if _pid != os.getpid():
        _queue, _pid = SessionQueue(), os.getpid()
    return _queue
