"""SqlDb: sessions in a SQL database, whatever its dialect. What differs between databases is how a transaction is had."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from graphflow.core import options
from graphflow.core.effects import (
    Advance,
    CancelRun,
    Commit,
    FindKey,
    ForkSession,
    KeyedRun,
    Load,
    LoadMany,
    ReadGraph,
    ReadHistory,
    ReadMessages,
    Standing,
)
from graphflow.core.stored import Stored
from graphflow.db import conversations, history, loading, migrations, outlines, runs, sessions, transfer
from graphflow.db.checkpoints import ReadyAdvance
from graphflow.db.commits import NO_LEASE, Lease, Ready, ReadyCommit
from graphflow.db.jsontext import dumps
from graphflow.db.leases import is_dead, keeper, process_name
from graphflow.db.limits import Limits
from graphflow.db.recent import Recent
from graphflow.db.retries import Committing, Repeated, patiently, unless_there
from graphflow.db.sqltext import statements_for
from graphflow.db.transactions import Transaction
from graphflow.db.turns import session_queue
from graphflow.db.usermemories import UserMemories
from graphflow.db.usersessions import UserSessions
from graphflow.errors import CorruptCheckpoint, DatabaseFailed, SchemaTooNew
from graphflow.messages import Message

if TYPE_CHECKING:
    from graphflow.db.statements import Statements

T = TypeVar("T")


class SqlDb(UserSessions, UserMemories):
    """A store of sessions. What flows ask of it is here, what users ask in ``UserSessions`` and ``UserMemories``.

    Constructing connects to nothing; tables appear on first use. ``clock`` gives seconds since 1970; stamps made from it
    increase strictly, so that what comes later sorts later. A dialect adds itself to ``databases`` when it is complete.
    """

    blocking = True
    shared = True
    """Whether other processes see the same sessions, so that leases are needed."""
    identity: str
    dialect: Literal["sqlite", "postgresql"]
    _light = False
    """Whether a run that is completed leaves a snapshot, unless the last one was long."""

    def __init__(
        self,
        *,
        lease_ttl: float,
        busy_timeout: float,
        retry_timeout: float,
        clock: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        options.seconds("retry_timeout", retry_timeout, above_zero=False)
        options.seconds("lease_ttl", lease_ttl)
        options.seconds("busy_timeout", busy_timeout)
        options.function("clock", clock, "a function that gives seconds, such as time.time")
        options.instance("limits", limits, Limits, "Limits(…)", none="the defaults")
        self.lease_ttl = lease_ttl
        self.busy_timeout = busy_timeout
        self.limits = limits or Limits()
        self.retry_timeout = retry_timeout
        self._clock = clock
        self._last_stamp = 0
        self._stamp_lock = threading.Lock()
        self._graphs: dict[str, str] = {}
        """Outlines of graphs that are known to be stored, by fingerprint."""
        self._recent = Recent()

    # --- transactions (what a dialect brings) ------------------------------------------------------------------------------

    @abstractmethod
    def _read_once(self, work: Callable[[Transaction], T]) -> T:
        """Do ``work`` in a transaction that sees one state of the database. What fails for good or for now: DatabaseFailed."""

    @abstractmethod
    def _write_once(self, work: Callable[[Transaction], T]) -> T:
        """Do ``work`` in a transaction that is committed when it returns and rolled back when it raises."""

    def _commit_once(self, ready: Ready) -> None:
        self._write_once(ready.write)

    @abstractmethod
    def _before_fork(self) -> None:
        """Get to a point where this process can be copied, and stay there."""

    @abstractmethod
    def _after_fork(self, in_child: bool) -> None:
        """Go on after ``_before_fork``. In the child, locks and connections that are left are the parent's: drop them."""
        if in_child:
            self._stamp_lock = threading.Lock()
            self._recent = Recent()

    @abstractmethod
    def close(self) -> None:
        """Close all connections. Using the object again opens new ones."""

    def _forget(self) -> None:
        """Have nothing in mind."""
        self._graphs.clear()
        self._recent = Recent()

    # --- transactions that are done again when a failure passes --------------------------------------------------------------

    def _read(self, work: Callable[[Transaction], T]) -> T:
        try:
            return patiently(lambda: self._read_once(work), self.retry_timeout)
        except CorruptCheckpoint as error:
            self._refuse_newer(error)
            raise

    def _refuse_newer(self, error: CorruptCheckpoint) -> None:
        """Raise SchemaTooNew when a newer library has upgraded the database since it was opened: its rows are not damaged."""
        with suppress(DatabaseFailed, CorruptCheckpoint):
            try:
                self._read_once(migrations.current_version)
            except SchemaTooNew as newer:
                raise newer from error

    def _read_alone(self, work: Callable[[Transaction], T]) -> T:
        return self._read(work)

    def _write(self, work: Callable[[Transaction], T], in_doubt: Callable[[Transaction, T], T] | None = None) -> T:
        if in_doubt is None:
            return patiently(lambda: self._write_once(work), self.retry_timeout)
        return patiently(Repeated(self._write_once, work, in_doubt), self.retry_timeout)

    def _statements(self) -> Statements:
        return statements_for(self.dialect)

    def _stamp(self) -> int:
        with self._stamp_lock:
            now = int(self._clock() * 1_000_000)
            if now <= self._last_stamp:
                now = self._last_stamp + 1
            self._last_stamp = now
            return now

    # --- what flows ask for (see core.effects) -------------------------------------------------------------------------------

    def at_hand(self, effect: Any) -> Any:
        """Where a session stands and what was said in it, if its last run was one of this object; else None."""
        if type(effect) is Load:
            known = effect.recent is not None and self._recent.knows(effect.session_id) and self._is_sure()
            return self._recent.load(effect) if known else None
        return self._recent.history(effect) if type(effect) is ReadHistory else None

    def _is_sure(self) -> bool:
        """Whether what the object has in mind is as good as what the database would say. Waits for nobody, but for a write that
        begins at this very moment.
        """
        return True

    def load(self, effect: Load) -> Stored | None:
        """A session, or None when there is none."""
        return self.at_hand(effect) or self._load(effect)

    def _load(self, effect: Load) -> Stored | None:
        return self._read(partial(loading.load, effect=effect, is_run=self.is_run))

    def load_many(self, effect: LoadMany) -> list[Stored]:
        """A session at each of its checkpoints, newest first."""
        return self._read(partial(loading.load_many, effect=effect, is_run=self.is_run))

    def commit(self, effect: Commit | Advance) -> None:
        """Write everything the effect says, or nothing."""
        try:
            ready: Ready
            if type(effect) is Advance:
                ready = ReadyAdvance(effect, self._stamp(), self.limits, self._light)
            else:
                ready = self._made_ready(effect)
            begun = time.monotonic()
            try:
                self._commit_once(ready)
            except DatabaseFailed as failure:
                Committing(self, ready).go_on(failure, begun)
            if ready.checkpoint is not None:
                ready.checkpoint.settle(ready.session, ready.run)
            if type(ready) is ReadyCommit:
                self._note(ready)
        except BaseException:
            self._recent.drop(effect.session_id)
            raise

    def _made_ready(self, effect: Commit) -> ReadyCommit:
        lease = self._lease() if effect.take_over or effect.epoch == 0 else NO_LEASE
        opened = effect.opened
        if opened is not None:
            self.limits.check_id(effect.session_id, "session_id")
            if effect.user_id is not None:
                self.limits.check_id(effect.user_id, "user_id")
        ready = ReadyCommit(effect, self._stamp(), lease, self.limits, light=self._light)
        if opened is not None and opened.fingerprint not in self._graphs:
            ready.outline = opened.outline
        return ready

    def _note(self, ready: ReadyCommit) -> None:
        """Have in mind what was committed: whose lease is held, what is known to be stored."""
        effect = ready.effect
        if ready.outline is not None and effect.opened is not None:
            self._graphs[effect.opened.fingerprint] = ready.outline
        if ready.takes_lease:
            keeper().hold(self, effect.session_id, effect.epoch + 1)
        elif effect.status is not None and self.shared:
            keeper().drop(self, effect.session_id)
        self._recent.committed(effect)

    def _lease(self) -> Lease:
        return Lease(process_name(), int(self.lease_ttl * 1_000_000)) if self.shared else NO_LEASE

    def leave(self, session_id: str) -> None:
        """A run of this session has ended here, one way or another; a lease that it could not give back ends soon."""
        if self.shared:
            keeper().leave(self, session_id)

    def renew_leases(self, held: Sequence[str], given_back: Sequence[tuple[str, int]] = ()) -> None:
        """Prolong this process's leases of the sessions ``held``, and end those ``given_back`` (called by the keeper's thread).

        A lease is ended only under the epoch it was taken with: meanwhile another run of this process may have taken it.
        """
        mine = _mine(held)

        def work(tx: Transaction) -> list[tuple[str, str | None]]:
            for session_id, epoch in given_back:
                tx.execute(tx.sql.end_lease, {"session_id": session_id, "me": mine["me"], "taken_under": epoch})
            tx.execute(tx.sql.renew_leases, {**mine, "lease_ttl": int(self.lease_ttl * 1_000_000)})
            return tx.all(tx.sql.asked_to_stop, mine)

        # The keeper tries again by itself, and has other databases to look after.
        self._stop(self._write_once(work))

    def stop_asked(self, held: Sequence[str]) -> None:
        """Stop the runs of this process that another one asks to stop (called by the keeper's thread)."""
        self._stop(self._read_once(lambda tx: tx.all(tx.sql.asked_to_stop, _mine(held))))

    def _stop(self, asked: Sequence[tuple[Any, ...]]) -> None:
        for session_id, run_id in asked:
            if run_id is not None:
                session_queue().stop(self.identity, session_id, run_id)

    def end_leases(self, held: Sequence[str]) -> None:
        """End this process's leases of these sessions: it ends."""
        self._write_once(lambda tx: tx.execute(tx.sql.end_all_leases, _mine(held)))

    def is_run(self, session_id: str, owner: str | None, left: int | None) -> bool:
        """Whether somebody runs a session, given its lease: a run that nobody runs has crashed."""
        if not self.shared:
            return session_queue().is_used(self.identity, session_id)
        return owner is not None and left is not None and left > 0 and not is_dead(owner)

    def _is_run_elsewhere(self, session_id: str, owner: str | None, left: int | None) -> bool:
        return self.shared and owner != process_name() and self.is_run(session_id, owner, left)

    def cancel_run(self, effect: CancelRun) -> Standing:
        """Ask a run to stop; one of this process hears of it at once, those of others within a second."""
        is_run = self._is_run_elsewhere if effect.have_turn else self.is_run
        standing = self._write(partial(runs.cancel, effect=effect, now=self._stamp(), is_run=is_run))
        if standing.state == "asked":
            session_queue().stop(self.identity, standing.session_id, effect.run_id)
        return standing

    def find_key(self, effect: FindKey) -> KeyedRun | None:
        """The run that an idempotency key has begun."""
        return self._read(partial(runs.find_key, effect=effect))

    def read_history(self, effect: ReadHistory) -> Any:
        """Earlier messages of a session."""
        if effect.before <= 1:
            return []
        known = self.at_hand(effect)
        if known is None:
            known = self._read_alone(partial(history.read_history, effect=effect))
            self._recent.read(effect, known)
        return known

    def read_messages(self, effect: ReadMessages) -> list[Message]:
        """All messages of a session that a user's runs may use."""

        def work(tx: Transaction) -> list[Message]:
            sessions.usable(tx, effect.session_id, effect.user_id)
            return conversations.messages(tx, effect.session_id)

        return self._read(work)

    def read_graph(self, effect: ReadGraph) -> str | None:
        """What a graph looked like, if it is known."""
        known = self._graphs.get(effect.fingerprint)
        if known is None:
            known = self._read(partial(outlines.read, fingerprint=effect.fingerprint))
            if known is not None:
                self._graphs[effect.fingerprint] = known
        return known

    def fork(self, effect: ForkSession) -> str:
        """A copy of a session that a user's runs may use."""
        new = self._new_session_id(effect.new_session_id)

        def work(tx: Transaction) -> None:
            ordinal = sessions.usable(tx, effect.session_id, effect.user_id, hold=True)
            transfer.fork(tx, ordinal, effect.at, new, self._stamp())

        self._write(work, unless_there(work))
        return new


def _mine(held: Sequence[str]) -> dict[str, str]:
    """How statements are told which leases of this process are meant."""
    return {"held": dumps([*held]), "me": process_name()}


system_clock = time.time
