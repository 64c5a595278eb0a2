"""Looking up, listing, renaming and deleting sessions and runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphflow.core.control import MISSING
from graphflow.core.reducers import apply_op
from graphflow.core.status import RunStatus
from graphflow.db import memories
from graphflow.db.counts import bounded
from graphflow.db.jsontext import loads
from graphflow.db.loading import check_not_foreign, read_chain
from graphflow.db.media import media_of
from graphflow.db.messagelog import folded, log_head, read_log
from graphflow.db.records import Reader, RunRecord, Session, SessionType
from graphflow.db.rows import ENDED, run_matches
from graphflow.db.seals import RUN_SEALED, SESSION_SEALED, broken, check_seal, check_time, run_seal, session_seal, time_seal
from graphflow.db.times import as_time
from graphflow.errors import CorruptCheckpoint, NotOwner, SessionNotFound
from graphflow.messages import Message

if TYPE_CHECKING:
    from graphflow.db.transactions import Row, Transaction

SORTABLE: Final = ("created_at", "updated_at", "name")


# --- sessions ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    """Which sessions, in which order."""

    session_type: str | None = None
    user_id: str | None = None
    component_id: str | None = None
    name: str | None = None

    def filters(self) -> dict[str, str]:
        """The columns to compare and their values."""
        return {name: value for name, value in self.__dict__.items() if value is not None}


def get_session(tx: Transaction, db: Reader, session_id: str, user_id: str | None) -> Session | None:
    """One session; None when there is none, or none of this user's."""
    filters = {"session_id": session_id} | ({} if user_id is None else {"user_id": user_id})
    row = tx.one(tx.sql.select_sessions(tuple(filters), "created_at", True), {**filters, "count": 1, "skip": 0})
    return None if row is None else _session(row, db)


def list_sessions(
    tx: Transaction, db: Reader, listing: Listing, limit: int | None, page: int, sort_by: str, descending: bool
) -> list[Session]:
    """One page of sessions."""
    filters = listing.filters()
    statement = tx.sql.select_sessions(tuple(filters), sort_by, descending)
    place = {"count": bounded(limit), "skip": bounded((page - 1) * bounded(limit))}
    return [_session(row, db) for row in tx.all(statement, {**filters, **place})]


def count_sessions(tx: Transaction, listing: Listing) -> int:
    """How many sessions there are."""
    filters = listing.filters()
    row = tx.one(tx.sql.count_sessions(tuple(filters)), filters)
    return 0 if row is None else int(row[0])


def _session(row: Row, db: Reader) -> Session:
    session_id, session_type, user_id, component_id, name, metadata, status, created_at, updated_at, *seals, owner, left = row
    sealed = (session_id, session_type, user_id, component_id, name, metadata, created_at)
    check_seal(seals[0], **dict(zip(SESSION_SEALED, sealed, strict=True)))
    check_time(seals[1], session_id, updated_at)
    return Session(
        session_id=session_id,
        session_type=SessionType(session_type),
        user_id=user_id,
        component_id=component_id,
        name=name,
        metadata=None if metadata is None else loads(metadata),
        status=_shown(status, session_id, [owner, left], db),
        created_at=as_time(created_at),
        updated_at=as_time(updated_at),
        _db=db,
    )


def _shown(status: str, session_id: str, lease: list[Any], db: Reader) -> str:
    """The status, where a run that nobody runs any more is a crashed one."""
    return "crashed" if status == "running" and not db.is_run(session_id, *lease) else status


def owned(tx: Transaction, session_id: str, user_id: str | None, *, hold: bool = False) -> tuple[int, int] | None:
    """Ordinal and head of a session that this user may change (no user: anybody's); None when there is none.

    With ``hold``, nobody else writes it until the transaction ends.
    """
    row = tx.one(tx.sql.hold if hold else tx.sql.standing, {"session_id": session_id})
    if row is None:
        return None
    ordinal, head, _, owner, *_ = row
    if user_id is not None and owner != user_id:
        raise NotOwner(f"session {session_id!r} does not belong to user {user_id!r}; nothing was changed")
    return ordinal, head


def existing(tx: Transaction, session_id: str, user_id: str | None, *, hold: bool = False) -> tuple[int, int]:
    """As ``owned``, but raises SessionNotFound."""
    found = owned(tx, session_id, user_id, hold=hold)
    if found is None:
        raise SessionNotFound(f"there is no session {session_id!r} in this database")
    return found


def usable(tx: Transaction, session_id: str, user_id: str | None, *, hold: bool = False) -> int:
    """The ordinal of a session that this user's runs may use: his, or nobody's. Raises NotOwner, SessionNotFound."""
    row = tx.one(tx.sql.hold_of_user if hold else tx.sql.standing_of_user, {"session_id": session_id, "user_id": user_id})
    if row is None:
        check_not_foreign(tx, session_id)
        raise SessionNotFound(f"there is no session {session_id!r} in this database")
    ordinal: int = row[0]
    return ordinal


def rename(tx: Transaction, session_id: str, name: str | None, user_id: str | None, now: int) -> None:
    """Give a session a name."""
    ordinal, _ = existing(tx, session_id, user_id, hold=True)
    row = tx.one(tx.sql.session_row, {"session": ordinal})
    assert row is not None
    fields = dict(zip(tx.sql.columns["gf_sessions"], row, strict=True))
    if fields["seal"] not in (None, session_seal(fields)):
        raise broken(session_id)
    seals = {"new_seal": session_seal({**fields, "name": name}), "time_seal": time_seal(session_id, now)}
    tx.execute(tx.sql.rename, {"of": ordinal, "new_name": name, "now": now, **seals})


def delete(tx: Transaction, session_id: str, user_id: str | None) -> bool:
    """Delete a session and everything in it; whether there was one."""
    found = owned(tx, session_id, user_id, hold=True)
    if found is not None:
        delete_rows(tx, found[0])
    return found is not None


def delete_user(tx: Transaction, user_id: str) -> int:
    """Delete everything that belongs to a user; how many sessions that was."""
    ordinals = [row[0] for row in tx.all(tx.sql.ordinals_of_user, {"user_id": user_id})]
    for ordinal in ordinals:
        delete_rows(tx, ordinal)
    memories.clear(tx, user_id)
    return len(ordinals)


def delete_rows(tx: Transaction, ordinal: int) -> int:
    """Delete a session that nobody else writes; how many rows that was."""
    locking, *deleting = tx.sql.delete_session
    tx.execute(locking, {"session": ordinal})
    return sum(tx.execute(statement, {"session": ordinal}).rowcount for statement in deleting)


# --- parts of a session ----------------------------------------------------------------------------------------------------


def session_state(tx: Transaction, session_id: str, user_id: str | None) -> dict[str, Any]:
    """The value of the channel ``session_state`` at the head, read without knowing the state's schema."""
    row = tx.one(tx.sql.load_head_as_admin, {"session_id": session_id, "ns": "", "user_id": user_id})
    if row is None or row[2] is None:
        return {}
    ordinal, seq, base = row
    value: Any = MISSING
    fetch = media_of(tx)
    for chained in read_chain(tx, session_id, ordinal, "", base, seq):
        text = chained.snapshot or chained.delta
        op = {} if text is None else loads(text, fetch).get("session_state", {})
        for part in op.get("ops", (op,)) if op else ():
            value = apply_op(value, part)
    return value if isinstance(value, dict) else {}


# --- runs ------------------------------------------------------------------------------------------------------------------


def get_runs(
    tx: Transaction, db: Reader, session_id: str, include_members: bool, limit: int | None, user_id: str | None
) -> list[RunRecord]:
    """The runs of a session, oldest first; the newest ``limit`` of them."""
    statement = tx.sql.runs_with_members if include_members else tx.sql.root_runs
    rows = tx.all(statement, {"session_id": session_id, "user_id": user_id, "count": bounded(limit)})
    return [_run(row, db) for row in reversed(rows)]


def get_run(tx: Transaction, db: Reader, run_id: str, user_id: str | None) -> RunRecord | None:
    """One run, or None."""
    row = tx.one(tx.sql.run_by_id, {"run_id": run_id, "user_id": user_id})
    return None if row is None else _run(row, db)


def run_messages(tx: Transaction, run_id: str, user_id: str | None) -> list[Message]:
    """What was said in a run, as it stands now."""
    row = tx.one(tx.sql.run_range, {"run_id": run_id, "user_id": user_id})
    if row is None:
        return []
    session_id, session, ns, first, last, ordinal = row
    if last is None:
        last = log_head(tx, session_id, ns)
    rows = read_log(tx, session_id, session, ns, first, last, media_of(tx))
    return folded(row for row in rows if row.run == ordinal)


def _run(row: Row, db: Reader) -> RunRecord:
    (
        run_id,
        session_id,
        ns,
        number,
        status,
        parent,
        user_id,
        component_id,
        last_message,
        last_seq,
        error,
        metrics,
        checksum,
        created_at,
        ended_at,
        *began,
        seal,
        lease_owner,
        lease_left,
    ) = row
    sealed = dict(zip(RUN_SEALED, (run_id, ns, parent, component_id, user_id, *began, created_at), strict=True))
    if seal is not None and run_seal(sealed) != seal:
        raise broken(session_id, run_id)
    ended = dict(zip(ENDED, (run_id, status, last_message, last_seq, ended_at, error, metrics), strict=True))
    if not run_matches(ended, checksum):
        raise CorruptCheckpoint(f"run {run_id!r} of session {session_id!r} does not match its checksum")
    return RunRecord(
        run_id=run_id,
        session_id=session_id,
        ns=ns,
        number=number,
        status=RunStatus(_shown(status, session_id, [lease_owner, lease_left], db)),
        parent_run_id=parent,
        user_id=user_id,
        component_id=component_id,
        error=error,
        metrics={} if metrics is None else loads(metrics),
        created_at=as_time(created_at),
        ended_at=None if ended_at is None else as_time(ended_at),
        _db=db,
    )
