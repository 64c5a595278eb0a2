"""SqlDb: sessions in a SQL database, whatever its dialect. What differs between databases is how a transaction is had."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from graphflow.core import options
from graphflow.core.effects import (
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
from graphflow.core.ids import check_id, check_user, new_id
from graphflow.core.stored import Stored
from graphflow.db import (
    checks,
    conversations,
    history,
    loading,
    migrations,
    outlines,
    repair,
    retention,
    runs,
    sessions,
    summaries,
    transfer,
)
from graphflow.db.archive import write_archive
from graphflow.db.commits import NO_LEASE, Lease, ReadyCommit
from graphflow.db.jsontext import dumps
from graphflow.db.leases import is_dead, keeper, process_name
from graphflow.db.limits import Limits
from graphflow.db.recent import Recent
from graphflow.db.records import CheckReport, Repair, RunRecord, SchemaStatus, Session, SessionType
from graphflow.db.retention import PruneReport
from graphflow.db.retries import Committing, Repeated, patiently, unless_there
from graphflow.db.rows import plain_text
from graphflow.db.sqltext import statements_for
from graphflow.db.transactions import Transaction
from graphflow.db.turns import session_queue
from graphflow.db.usermemories import UserMemories
from graphflow.errors import CorruptCheckpoint, DatabaseFailed, SchemaTooNew
from graphflow.messages import Message

if TYPE_CHECKING:
    from graphflow.db.statements import Statements

T = TypeVar("T")

class SqlDb(UserMemories):
    """A store of sessions and what users call on it. Constructing connects to nothing; tables appear on first use.

    ``clock`` gives seconds since 1970. Stamps made from it increase strictly, so that what comes later sorts later.
    A dialect adds itself to ``databases`` when it is complete.
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

    def _commit_once(self, ready: ReadyCommit) -> None:
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
        """Read what is never written again: no transaction has to keep two statements from disagreeing."""
        return self._read(work)

    def _write(self, work: Callable[[Transaction], T], in_doubt: Callable[[Transaction, T], T] | None = None) -> T:
        """Do ``work`` and commit it. It is done again when it is not known whether it was committed.

        Work that must not be done twice gives ``in_doubt``, which is done instead then, with what the work returned before.
        """
        if in_doubt is None:
            return patiently(lambda: self._write_once(work), self.retry_timeout)
        return patiently(Repeated(self._write_once, work, in_doubt), self.retry_timeout)

    def _statements(self) -> Statements:
        return statements_for(self.dialect)

    def _stamp(self) -> int:
        """The time in microseconds since 1970; later than every earlier stamp of this object."""
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
        """Whether what the object has in mind is as good as what the database would say. Waits for nobody."""
        return True

    def load(self, effect: Load) -> Stored | None:
        """A session, or None when there is none."""
        return self.at_hand(effect) or self._load(effect)

    def _load(self, effect: Load) -> Stored | None:
        return self._read(partial(loading.load, effect=effect, is_run=self.is_run))

    def load_many(self, effect: LoadMany) -> list[Stored]:
        """A session at each of its checkpoints, newest first."""
        return self._read(partial(loading.load_many, effect=effect, is_run=self.is_run))

    def commit(self, effect: Commit) -> None:
        """Write everything the effect says, or nothing."""
        try:
            self._commit(effect)
        except BaseException:
            self._recent.drop(effect.session_id)
            raise

    def _commit(self, effect: Commit) -> None:
        lease = self._lease() if effect.take_over or effect.epoch == 0 else NO_LEASE
        opened = effect.opened
        if opened is not None:
            self.limits.check_id(effect.session_id, "session_id")
            if effect.user_id is not None:
                self.limits.check_id(effect.user_id, "user_id")
        ready = ReadyCommit(effect, self._stamp(), lease, self.limits, light=self._light)
        if opened is not None and opened.fingerprint not in self._graphs:
            ready.outline = opened.outline
        begun = time.monotonic()
        try:
            self._commit_once(ready)
        except DatabaseFailed as failure:
            Committing(self, ready).go_on(failure, begun)
        ready.settle()
        if ready.outline is not None and opened is not None:
            self._graphs[opened.fingerprint] = ready.outline
        if ready.takes_lease:
            keeper().hold(self, effect.session_id, effect.epoch + 1)
        elif effect.status is not None and self.shared:
            keeper().drop(self, effect.session_id)
        if not ready.is_lone_step:
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

    # --- sessions ------------------------------------------------------------------------------------------------------------

    def get_session(self, session_id: str, *, user_id: str | None = None) -> Session | None:
        """One session; None when there is none, or when ``user_id`` is given and it is not that user's."""
        session_id, user_id = _checked(session_id, user_id)
        return self._read(lambda tx: sessions.get_session(tx, self, session_id, user_id))

    def get_sessions(
        self,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        component_id: str | None = None,
        name: str | None = None,
        limit: int | None = 20,
        page: int = 1,
        sort_by: str = "created_at",
        sort_order: str = "desc",
    ) -> list[Session]:
        """One page (the first is 1) of the sessions that fit; ``limit=None`` gives all of them.

        ``sort_by`` is created_at, updated_at or name, ``sort_order`` asc or desc; anything else is a ValueError. Sessions that
        are alike in it come newest first.
        """
        listing = _listing(session_type, user_id, component_id, name)
        options.whole("page", page, 1)
        options.whole("limit", limit, 1, none="all")
        if limit is None and page != 1:
            raise ValueError(f"page={page} needs a limit")
        if sort_by not in sessions.SORTABLE:
            raise ValueError(f"sort_by={sort_by!r}: sessions can be sorted by {', '.join(sessions.SORTABLE)}")
        options.one_of("sort_order", sort_order, ("asc", "desc"))
        return self._read(lambda tx: sessions.list_sessions(tx, self, listing, limit, page, sort_by, sort_order == "desc"))

    def count_sessions(
        self,
        session_type: SessionType | str | None = None,
        user_id: str | None = None,
        component_id: str | None = None,
        name: str | None = None,
    ) -> int:
        """How many sessions fit."""
        return self._read(partial(sessions.count_sessions, listing=_listing(session_type, user_id, component_id, name)))

    def rename_session(self, id: str, name: str | None, *, user_id: str | None = None) -> None:
        """Give a session a name (None takes it away). Raises SessionNotFound, and NotOwner when it is not ``user_id``'s."""
        id, user_id = _checked(id, user_id)
        options.text("name", name, none="no name")
        self._write(lambda tx: sessions.rename(tx, id, plain_text(name), user_id, self._stamp()))

    def delete_session(self, id: str, *, user_id: str | None = None) -> bool:
        """Delete a session with its runs, checkpoints and messages, and what only it holds; returns whether there was one.

        Raises NotOwner when it is not ``user_id``'s. A run that is under way in it ends with LeaseLost at its next step, also
        when a session of the same id has been begun meanwhile: of that one it writes nothing.
        """
        id, user_id = _checked(id, user_id)

        def work(tx: Transaction) -> bool:
            return sessions.delete(tx, id, user_id)

        def in_doubt(tx: Transaction, found: bool) -> bool:
            return work(tx) or found

        return self._write(work, in_doubt)

    def delete_user(self, user_id: str) -> int:
        """Delete everything that belongs to a user: sessions with all they hold, and memories. Returns how many sessions."""
        user_id = check_id(user_id, "user_id")

        def work(tx: Transaction) -> int:
            return sessions.delete_user(tx, user_id)

        def in_doubt(tx: Transaction, count: int) -> int:
            return max(work(tx), count)

        return self._write(work, in_doubt)

    def get_session_state(self, session_id: str, *, user_id: str | None = None) -> dict[str, Any]:
        """The session's dict as of its last checkpoint; empty when it has none, or when it is not ``user_id``'s."""
        session_id, user_id = _checked(session_id, user_id)
        return self._read(lambda tx: sessions.session_state(tx, session_id, user_id))

    def get_session_summary(self, session_id: str, *, user_id: str | None = None) -> str | None:
        """The latest summary of a session; None when there is none, or when the session is not ``user_id``'s."""
        session_id, user_id = _checked(session_id, user_id)
        summary = self._read(lambda tx: summaries.latest(tx, session_id, user_id=user_id))
        return None if summary is None else summary.text

    # --- runs and messages -------------------------------------------------------------------------------------------------

    def get_runs(
        self, session_id: str, *, include_members: bool = False, limit: int | None = None, user_id: str | None = None
    ) -> list[RunRecord]:
        """The runs of a session, oldest first; with ``limit``, its newest. Runs of a team's members only when asked for.

        With ``user_id``, here and below, the session has to be that user's; else there is nothing.
        """
        session_id, user_id = _checked(session_id, user_id)
        options.flag("include_members", include_members)
        options.whole("limit", limit, none="all")
        return self._read(lambda tx: sessions.get_runs(tx, self, session_id, include_members, limit, user_id))

    def get_run(self, run_id: str, *, user_id: str | None = None) -> RunRecord | None:
        """One run, or None."""
        run_id, user_id = _checked(run_id, user_id, "run_id")
        return self._read(lambda tx: sessions.get_run(tx, self, run_id, user_id))

    def get_messages(
        self,
        session_id: str,
        *,
        last_runs: int | None = None,
        limit: int | None = None,
        include_members: bool = False,
        user_id: str | None = None,
    ) -> list[Message]:
        """The messages of a session, oldest first: of its last runs, the last ``limit``, or all; members' when asked for.

        Those of a member stand where they were stored, whole and after what it was asked to do: when it was done. (In a run
        whose checkpoints were pruned, they follow what the run itself said.)
        """
        session_id, user_id = _checked(session_id, user_id)
        options.whole("last_runs", last_runs, none="all")
        options.whole("limit", limit, none="all")
        options.flag("include_members", include_members)

        def work(tx: Transaction) -> list[Message]:
            return conversations.messages(
                tx, session_id, last_runs=last_runs, limit=limit, include_members=include_members, user_id=user_id
            )

        return (self._read if include_members else self._read_alone)(work)

    def get_run_messages(self, run_id: str, *, user_id: str | None = None) -> list[Message]:
        """What was said in a run, oldest first."""
        run_id, user_id = _checked(run_id, user_id, "run_id")
        return self._read(lambda tx: sessions.run_messages(tx, run_id, user_id))

    # --- moving and checking -----------------------------------------------------------------------------------------------

    def fork_session(self, id: str, at: int | None = None, session_id: str | None = None, *, user_id: str | None = None) -> str:
        """Copy a session up to checkpoint ``at`` (default: its last) and return the new id. The source is untouched.

        The copy has the runs and messages up to there, under new run ids. If something was left to run after that checkpoint,
        the copy is paused before it, and ``resume()`` runs it. The copy of a paused session is paused at the same questions,
        under ids of its own: each is answered independently; that of one that failed or was cancelled has done so, too. Where
        it was cancelled, what finished in its last superstep is not done again; where it failed, that begins anew, and asks
        again. Raises SessionNotFound, NotOwner, and ValueError when the new id is taken.
        """
        id, user_id = _checked(id, user_id)
        options.whole("at", at, none="all of it")
        new = self._new_session_id(session_id)

        def work(tx: Transaction) -> None:
            ordinal, _ = sessions.existing(tx, id, user_id, hold=True)
            transfer.fork(tx, ordinal, at, new, self._stamp())

        self._write(work, unless_there(work))
        return new

    def export_session(self, id: str, *, user_id: str | None = None) -> dict[str, Any]:
        """Everything of a session as a dict that JSON can hold, with a checksum. Damaged rows are a CorruptCheckpoint."""
        id, user_id = _checked(id, user_id)
        return self._read(lambda tx: transfer.export(tx, sessions.existing(tx, id, user_id)[0]))

    def import_session(self, exported: dict[str, Any], *, session_id: str | None = None) -> str:
        """Store an exported session, under its own id or as a copy under another, and return that id.

        Raises ValueError when the id is taken or the dict is no export, CorruptCheckpoint when it was changed since.
        """
        archive = transfer.parse_export(exported)
        own_id = archive.session["session_id"]
        as_copy = session_id is not None and session_id != own_id
        new = self._new_session_id(own_id if session_id is None else session_id)
        if as_copy:
            transfer.copy_of(archive)

        def work(tx: Transaction) -> None:
            write_archive(tx, archive, new, as_copy=as_copy)

        self._write(work, unless_there(work))
        return new

    def _new_session_id(self, session_id: str | None) -> str:
        return new_id() if session_id is None else self.limits.check_id(session_id, "session_id")

    def prune(
        self,
        *,
        keep_last: int | None = None,
        older_than: timedelta | float | datetime | None = None,
        user_id: str | None = None,
        delete_sessions: bool = False,
    ) -> PruneReport:
        """Take away old checkpoints, which only looking back and forking need; messages, runs and summaries stay.

        ``keep_last``: the newest so many of each session stay (at least 1). ``older_than``: only those go that are older than a
        timedelta, a number of seconds, or an aware datetime. With both, what either keeps stays. ``user_id``: only this user's
        sessions. What is needed stays in any case: the last checkpoint, all of a run that is not finished, and the
        checkpoints of graphs nested in what stays; in a session that is being run, also those since the snapshot it builds on.
        ``delete_sessions=True`` (with ``older_than``) also deletes, with all in them, the sessions that nobody has used since:
        rules of retention are about what was said. Sessions with a run that is paused or was cut off are never deleted.

        Works in short transactions, so that runs go on meanwhile; killed half-way, it has done a part. Raises ValueError.
        """
        asked = retention.wanted(keep_last, older_than, check_user(user_id), int(self._clock() * 1_000_000))
        options.flag("delete_sessions", delete_sessions)
        if delete_sessions and older_than is None:
            raise ValueError("delete_sessions=True needs older_than=: how long a session must not have been used")
        report = retention.prune(self._read, self._write, asked)
        if delete_sessions:
            report += retention.delete_disused(self._read, self._write, asked, sessions.delete_rows)
        return report

    def repair_session(self, session_id: str, *, user_id: str | None = None) -> Repair:
        """Take a damaged session back to its last sound checkpoint: the last up to which every row matches its checksum.

        Never done by itself, because what came after is lost: checkpoints, messages and runs, as ``Repair.lost`` says. Export
        or copy the database first. What was left to run after that checkpoint is run by ``resume()``. A session without damage
        is left alone. Raises SessionNotFound, NotOwner, and CorruptCheckpoint when not even the first checkpoint is sound.
        """
        session_id, user_id = _checked(session_id, user_id)

        def work(tx: Transaction) -> Repair:
            migrations.current_version(tx)  # of a newer library, rows only look damaged
            ordinal, _ = sessions.existing(tx, session_id, user_id, hold=True)
            return repair.repair(tx, ordinal, self._stamp())

        def in_doubt(tx: Transaction, done: Repair) -> Repair:
            again = work(tx)
            return again if again.lost else done

        return self._write(work, in_doubt)

    @abstractmethod
    def schema_status(self) -> SchemaStatus:
        """Which version of the schema the database has. Makes and changes nothing, also where the version is too new."""

    def upgrade(self) -> int:
        """Bring the schema to this library's version, as the first use does; returns that. Raises SchemaTooNew."""
        return self._write(migrations.current_version)

    def check(self) -> CheckReport:
        """Verify everything that is stored. Raises SchemaTooNew when a newer library has upgraded the database."""
        with suppress(CorruptCheckpoint):
            self._read(migrations.current_version)
        return checks.check(self._read)


def _mine(held: Sequence[str]) -> dict[str, str]:
    """How statements are told which leases of this process are meant."""
    return {"held": dumps([*held]), "me": process_name()}


def _checked(id: str, user_id: str | None, what: str = "session_id") -> tuple[str, str | None]:
    return check_id(id, what), check_user(user_id)


def _listing(
    session_type: SessionType | str | None, user_id: str | None, component_id: str | None, name: str | None
) -> sessions.Listing:
    user_id = check_user(user_id)
    options.text("component_id", component_id, none="any")
    options.text("name", name, none="any")
    kinds = [kind.value for kind in SessionType]
    if session_type is not None and session_type not in kinds:
        raise ValueError(f"session_type={session_type!r}: give a SessionType, one of {', '.join(kinds)}")
    kind = None if session_type is None else str(session_type)
    return sessions.Listing(kind, user_id, plain_text(component_id), plain_text(name))


system_clock = time.time
