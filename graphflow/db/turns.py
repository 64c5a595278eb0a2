"""Whose turn it is on a session within this process: first come, first served."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Protocol

from graphflow.core.stopping import Stop
from graphflow.errors import SessionBusy

LONGEST_LINE: Final = 1000
"""Runs that wait for one session at most; one more is refused."""
GRACE: Final = 1.0
"""Seconds that a new run waits when the process is being shut down, before it is refused: most processes end meanwhile."""


class Holder(Protocol):
    """What is known of a run that has its turn, or waits for it."""

    run_id: str | None
    stop: Stop


@dataclass(eq=False, slots=True)
class Ticket:
    """A place in the line for one session. ``future`` is done when it is this ticket's turn, or when that will never come."""

    key: tuple[str, str]
    holder: Holder | None = None
    cancelling: bool = False
    """Whether the run before it is to be cancelled."""
    future: Future[None] = field(default_factory=Future)
    has_turn: bool = False
    """Whether it is this ticket's turn."""
    thread: int = 0
    """The number of the thread that drives the run, or that the loop goes on in which does."""
    task: int | None = None
    """The id of the asyncio task that drives the run."""


class SessionQueue:
    """The lines of this process, one per session that is in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._empty = threading.Condition(self._lock)
        self._lines: dict[tuple[str, str], deque[Ticket]] = {}
        self._closed = False
        self._at_once: Future[None] = Future()
        """That of all whose turn it is when they come."""
        self._at_once.set_result(None)

    def join(self, identity: str, session_id: str, holder: Holder | None = None, *, cancelling: bool = False) -> Ticket:
        """Stand in line for a session of the store ``identity``.

        With ``cancelling``, the run that has its turn is asked to stop, and this ticket comes next. Raises SessionBusy when
        the line is too long. Whoever is interrupted here does not stand in line.
        """
        key = (identity, session_id)
        ticket = None
        try:
            with self._lock:
                line = self._lines.get(key)
                if line is None and not self._closed:
                    ticket = Ticket(key, holder, cancelling, self._at_once, has_turn=True)
                    self._lines[key] = deque([ticket])
                    return ticket
                ticket = Ticket(key, holder, cancelling)
                if line is None or self._closed:
                    _refuse_soon(ticket)
                    return ticket
                if len(line) > LONGEST_LINE:
                    raise SessionBusy(f"{LONGEST_LINE} runs wait for session {session_id!r} already; try again later")
                if cancelling:
                    line.insert(next((n for n, other in enumerate(line) if n and not other.cancelling), len(line)), ticket)
                else:
                    line.append(ticket)
                to_stop = line[0].holder if cancelling else None
            if to_stop is not None:
                to_stop.stop.cancel()
            return ticket
        except BaseException:
            if ticket is not None:
                self.leave(ticket)
            raise

    def leave(self, ticket: Ticket) -> None:
        """Give the turn (or the place in the line) up; the next one goes on. Done again, it does what was left undone."""
        with self._lock:
            line = self._lines.get(ticket.key)
            if line is not None and ticket in line:
                line.remove(ticket)
            if not line:
                if line is not None:
                    del self._lines[ticket.key]
                if not self._lines:
                    self._empty.notify_all()
                return
            head = line[0]
            superseded = len(line) > 1 and line[1].cancelling
            if not head.future.done():  # decided under the lock: two that leave at once would both call the next one
                head.has_turn = True  # before it is told
                head.future.set_result(None)
        if superseded and head.holder is not None:
            head.holder.stop.cancel()

    def first(self, ticket: Ticket) -> Ticket | None:
        """Whose turn it is on the session of a ticket that waits."""
        with self._lock:
            line = self._lines.get(ticket.key)
            return line[0] if line and line[0] is not ticket else None

    def holder(self, identity: str, session_id: str) -> Holder | None:
        """Who has the turn on a session, if anybody in this process has."""
        with self._lock:
            line = self._lines.get((identity, session_id))
            return line[0].holder if line else None

    def waiting(self, identity: str, session_id: str) -> int:
        """How many wait for their turn on a session."""
        with self._lock:
            return max(len(self._lines.get((identity, session_id), ())) - 1, 0)

    def is_used(self, identity: str, session_id: str) -> bool:
        """Whether anybody in this process has the turn on a session."""
        with self._lock:
            return (identity, session_id) in self._lines

    def stop(self, identity: str, session_id: str, run_id: str) -> bool:
        """Cancel a run; whether it has its turn here."""
        holder = self.holder(identity, session_id)
        if holder is None or holder.run_id != run_id:
            return False
        holder.stop.cancel()
        return True

    # --- the end of the process ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Ask all runs to stop, send those away that wait, and let no others begin."""
        with self._lock:
            self._closed = True
            tickets = list(_all([list(line) for line in self._lines.values()]))
            for ticket in tickets:
                if not ticket.future.done():
                    ticket.future.set_exception(_closing(ticket.key[1]))
        for ticket in tickets:
            if ticket.holder is not None:
                ticket.holder.stop.request()

    def reopen(self) -> None:
        """Let runs begin again."""
        with self._lock:
            self._closed = False

    def wait(self, seconds: float) -> bool:
        """Wait until no run has its turn; whether that came to be in time."""
        deadline = time.monotonic() + seconds
        with self._lock:
            while self._lines:
                left = deadline - time.monotonic()
                if left <= 0 or not self._empty.wait(left):
                    return not self._lines
        return True


def _all(lines: list[list[Ticket]]) -> Iterator[Ticket]:
    """Those that wait before those that have their turn, so that nobody gets a turn only to be sent away."""
    for line in lines:
        yield from reversed(line)


def _closing(session_id: str) -> SessionBusy:
    return SessionBusy(
        f"this process is shutting down and begins no run on session {session_id!r}; send the request to another process, "
        "or again when this one has been started anew"
    )


def _refuse_soon(ticket: Ticket) -> None:
    timer = threading.Timer(GRACE, ticket.future.set_exception, [_closing(ticket.key[1])])
    timer.daemon = True
    timer.start()


_queue = SessionQueue()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_queue.__init__)  # type: ignore[misc]


def session_queue() -> SessionQueue:
    """This process's lines; a forked child begins with none."""
    return _queue
