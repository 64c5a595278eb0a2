"""What users ask of a database about sessions, runs and messages, and to move, prune, check and mend them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from graphflow.core import options
from graphflow.core.ids import check_id, check_user, new_id
from graphflow.db import checks, conversations, migrations, repair, retention, sessions, summaries, transfer
from graphflow.db.archive import write_archive
from graphflow.db.limits import Limits
from graphflow.db.records import CheckReport, Repair, RunRecord, SchemaStatus, Session, SessionType
from graphflow.db.retention import PruneReport
from graphflow.db.retries import at_least, unless_there
from graphflow.db.rows import plain_text
from graphflow.db.transactions import Transaction, Transactional
from graphflow.errors import CorruptCheckpoint
from graphflow.messages import Message


class UserSessions(Transactional):
    """The part of a database that people look after sessions with. Without ``user_id``, whoever calls is an administrator."""

    limits: Limits
    _clock: Callable[[], float]

    @abstractmethod
    def is_run(self, session_id: str, owner: str | None, left: int | None) -> bool:
        """Whether somebody runs a session, given its lease's owner and the microseconds it has left."""

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

        return self._write(work, at_least(work))

    def delete_user(self, user_id: str) -> int:
        """Delete everything that belongs to a user: sessions with all they hold, and memories. Returns how many sessions."""
        user_id = check_id(user_id, "user_id")

        def work(tx: Transaction) -> int:
            return sessions.delete_user(tx, user_id)

        return self._write(work, at_least(work))

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
        report, damage = retention.prune(self._read, self._write, asked)
        if delete_sessions:
            deleted, as_well = retention.delete_disused(self._read, self._write, asked, sessions.delete_rows)
            report, damage = report + deleted, damage or as_well
        if damage is not None:
            damage.add_note(f"the other sessions were pruned: {report}")
            raise damage
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
