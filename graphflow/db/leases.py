"""Who runs a session: a lease in the database, for processes to keep out of each other's way.

A lease says which process runs a session and until when; a thread of the process renews its leases. Whoever finds one that
has run out, or whose process is known to be dead, takes the session over with a higher epoch, and the old holder's next
write is refused (the fencing of Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

import atexit
import math
import os
import platform
import secrets
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol

# --- who we are ------------------------------------------------------------------------------------------------------------


def _machine() -> str:
    """What tells this machine (and process-id namespace) from others."""
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        facts.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return blake2b("\n".join(facts).encode(), digest_size=6).hexdigest()


def _born(pid: int) -> str:
    """When a process began, as the system counts it: a number used again belongs to another process.

    Empty where that is unknown, and for a process that has ended but whose parent has not noticed.
    """
    try:
        state, *facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else facts[18]
    except (OSError, IndexError):
        return ""


def _name() -> str:
    return f"{_machine()}:{os.getpid()}:{_born(os.getpid())}:{secrets.token_hex(4)}"


class _Process:
    """What this process is called, made up when it is first asked for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.name = ""

    def called(self) -> str:
        """The name."""
        with self.lock:
            self.name = self.name or _name()
        return self.name


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.__init__)  # type: ignore[misc]


def process_name() -> str:
    """What this process writes into its leases; a forked child has a name of its own."""
    return _process.name or _process.called()


def is_dead(name: str) -> bool:
    """Whether the process of that name is known to have ended: it ran on this machine and is gone."""
    machine, pid, born = _parts(name)
    if machine != process_name().split(":")[0]:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return born != _born(int(pid))


def _parts(name: str) -> tuple[str, str, str]:
    """Machine, process and when it was born; what is no such name is a process of another machine, whose lease runs out."""
    machine, *others = name.split(":")
    return (machine, others[0], others[1]) if len(others) == 3 and others[0].isdigit() else ("", "unknown", "")


def in_words(name: str, seconds: float) -> str:
    """A lease's holder, for people."""
    machine, pid, _ = _parts(name)
    where = "this machine" if machine == process_name().split(":")[0] else "another machine"
    return f"process {pid} on {where} (its lease runs for {max(seconds, 0):.0f} more seconds)"


# --- keeping leases ----------------------------------------------------------------------------------------------------------


LOOK_EVERY: Final = 1.0
"""Seconds after which a process notices that another one asks a run of its own to stop."""


class LeaseStore(Protocol):
    """What the keeper needs of a database."""

    lease_ttl: float

    def renew_leases(self, held: Sequence[str], given_back: Sequence[tuple[str, int]] = ()) -> None:
        """Prolong this process's leases of the sessions ``held``, and end those ``given_back`` (session, epoch); stop the runs
        that are to stop.
        """

    def stop_asked(self, held: Sequence[str]) -> None:
        """Stop the runs of this process, in the sessions ``held``, that another one asks to stop."""

    def end_leases(self, held: Sequence[str]) -> None:
        """End this process's leases of these sessions."""


@dataclass(slots=True)
class _Leases:
    """The leases of one database, by session, with the epoch each was taken under: those whose runs go on, and those that a
    run could not give back itself.
    """

    held: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)


class Keeper:
    """Renews the leases of this process in one thread, as long as there are any; event loops have no part in it.

    A lease that its run could not give back (its last commit failed) is given back here.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._stores: weakref.WeakKeyDictionary[LeaseStore, _Leases] = weakref.WeakKeyDictionary()
        self._thread: threading.Thread | None = None
        self._pause = math.inf
        """Seconds the thread sleeps between two turns."""
        self._ends = False
        """Whether leases are given back when this process ends."""

    def hold(self, store: LeaseStore, session_id: str, epoch: int) -> None:
        """A lease was taken under this epoch."""
        with self._lock:
            leases = self._stores.get(store)
            if leases is None:
                leases = self._stores[store] = _Leases()
            leases.held[session_id] = epoch
            leases.left.pop(session_id, None)
            if store.lease_ttl / 3 < self._pause:
                self._changed.notify_all()
            if self._thread is None:
                self._end_at_exit()
                thread = threading.Thread(target=self._run, name="graphflow-leases", daemon=True)
                thread.start()
                self._thread = thread  # once it runs: who is interrupted before leaves it to the next

    def drop(self, store: LeaseStore, session_id: str) -> None:
        """The lease was given back by a commit of its run."""
        with self._lock:
            leases = self._stores.get(store)
            if leases is not None:
                leases.held.pop(session_id, None)

    def leave(self, store: LeaseStore, session_id: str) -> None:
        """The run has ended; if it still holds its lease, give it back."""
        with self._lock:
            leases = self._stores.get(store)
            if leases is not None and session_id in leases.held:
                leases.left[session_id] = leases.held[session_id]
                del leases.held[session_id]
                self._changed.notify_all()

    def _run(self) -> None:
        failed, called, renewed = False, False, time.monotonic()
        while True:
            with self._changed:
                if failed or not any(leases.left for leases in self._stores.values()):
                    self._pause = min((store.lease_ttl for store in self._stores), default=0) / 3
                    called = self._changed.wait(min(self._pause, LOOK_EVERY))
                due = [(store, [*leases.held], [*leases.left.items()]) for store, leases in self._in_use()]
                if not due:
                    self._thread = None
                    return
            to_give_back = any(left for _, _, left in due)
            if called or failed or to_give_back or time.monotonic() - renewed + LOOK_EVERY / 2 >= self._pause:
                renewed = time.monotonic()
                failed = not all([self._renew(store, held, left) for store, held, left in due])
            else:
                for store, held, _ in due:
                    with suppress(Exception):  # the next look, or the next renewal, tells
                        store.stop_asked(held)
                del store
            called = False
            del due  # while it sleeps, this thread keeps no database alive

    def _in_use(self) -> list[tuple[LeaseStore, _Leases]]:
        return [(store, leases) for store, leases in self._stores.items() if leases.held or leases.left]

    def _renew(self, store: LeaseStore, held: list[str], left: list[tuple[str, int]]) -> bool:
        """What fails is tried again at the next turn; a lease that runs out meanwhile is fenced off by its epoch."""
        try:
            store.renew_leases(held, left)
        except Exception:
            return False
        with self._lock:
            still = self._stores[store].left
            for session_id, epoch in left:
                if still.get(session_id) == epoch:
                    del still[session_id]
        return True

    def _end_at_exit(self) -> None:
        """Registered late, so that it comes before databases are closed; a forked child has to do so itself."""
        pid = os.getpid()
        if not self._ends:
            self._ends = True
            atexit.register(lambda: self.end() if os.getpid() == pid else None)

    def end(self) -> None:
        """Give all leases back: the process ends, and whatever still runs in it ends with it."""
        with self._lock:
            held = [(store, [*leases.held, *leases.left]) for store, leases in self._in_use()]
        for store, sessions in held:
            with suppress(Exception):  # they run out by themselves
                store.end_leases(sessions)


_keeper = Keeper()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keeper.__init__)  # type: ignore[misc]


def keeper() -> Keeper:
    """The keeper of this process; a forked child begins with none of its parent's leases."""
    return _keeper
