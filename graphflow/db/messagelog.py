"""The message log of a session: rows that are appended and never written again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphflow.core.state import StateSchema
from graphflow.core.stored import LogEntry, Range, Stored
from graphflow.db.rows import decode_entry, matches
from graphflow.db.tags import Fetch
from graphflow.errors import CorruptCheckpoint
from graphflow.messages import Message, RemoveMessage

if TYPE_CHECKING:
    from graphflow.db.transactions import Row, Transaction


@dataclass(slots=True)
class LogRow:
    """A verified row of the message log."""

    seq: int
    entry: LogEntry
    run: int | None
    run_id: str | None


def read_log(tx: Transaction, session_id: str, session: int, ns: str, low: int, high: int, fetch: Fetch) -> list[LogRow]:
    """The rows of the log from ``low`` (at least 1) to ``high``, both included, as far as there are any."""
    found = tx.all(tx.sql.log_range, {"session": session, "ns": ns, "low": low, "high": high})
    return verified(found, session_id, ns, low, fetch)


def verified(found: Iterable[Row], session_id: str, ns: str, low: int, fetch: Fetch) -> list[LogRow]:
    """Rows of the log as they were read, from ``low`` on. Raises CorruptCheckpoint when one is missing or was changed."""
    rows: list[LogRow] = []
    for expected, (seq, role, body, checksum, run_id, run) in enumerate(found, low):
        if seq != expected:
            raise CorruptCheckpoint(f"message {expected} of session {session_id!r} is missing")
        if not matches(checksum, "message", session_id, ns, seq, run_id, role, body):
            raise CorruptCheckpoint(f"message {seq} of session {session_id!r} does not match its checksum")
        rows.append(LogRow(seq, decode_entry(role, body, seq, run_id, fetch), run, run_id))
    return rows


def log_head(tx: Transaction, session_id: str, ns: str) -> int:
    """The seq of the last row of a log, 0 when it is empty. Raises CorruptCheckpoint when a checkpoint knows of a later one."""
    known, last = tx.one(tx.sql.log_head, {"session_id": session_id, "ns": ns}) or (0, 0)
    return checked_head(session_id, known, last)


def checked_head(session_id: str, known: int | None, last: int | None) -> int:
    """The same, given the last row that a checkpoint knows of and the last that there is."""
    if (known or 0) > (last or 0):
        raise CorruptCheckpoint(f"message {known} of session {session_id!r} is missing")
    return last or 0


def folded(rows: Iterable[LogRow]) -> list[Message]:
    """The messages that rows of the log amount to."""
    return [message for _, message in folded_rows(rows)]


def folded_rows(rows: Iterable[LogRow]) -> list[tuple[LogRow, Message]]:
    """Those, each with the row that brought it: a later row replaces or removes one with its id.

    Ids that messages got by themselves (their run's and their seq) are good in the whole log, those that users gave within
    a run. Removing a message that is not among them does nothing: it may be older.
    """
    messages: dict[object, tuple[LogRow, Message]] = {}
    own: set[str] = set()
    for row in rows:
        entry = row.entry
        if entry.id is not None and entry.id == f"{row.run_id}-{row.seq}":
            own.add(entry.id)
        key: object = entry.id if entry.id in own else (row.run, entry.id or object())
        if isinstance(entry, RemoveMessage):
            messages.pop(key, None)
        else:
            messages[key] = (messages[key][0] if key in messages else row), entry
    return list(messages.values())


def without_replacements(tx: Transaction, rows: Iterable[LogRow], low: int) -> list[LogRow]:
    """Rows that were read from ``low`` on, without new versions of messages before it."""
    return [row for row in rows if row.entry.id == f"{row.run_id}-{row.seq}" or not _replaces_earlier(tx, row, low)]


def _replaces_earlier(tx: Transaction, row: LogRow, low: int) -> bool:
    """Whether the row is a new version of a message before ``low``, which got its id by itself: its run's id and its seq."""
    id = row.entry.id
    if isinstance(row.entry, RemoveMessage) or id is None:
        return False
    run_id, dash, seq = id.rpartition("-")
    if not dash or not seq.isdecimal() or int(seq) >= low:
        return False
    return run_id == row.run_id or tx.one(tx.sql.find_run, {"run_id": run_id}) is not None


def fill_logged(
    tx: Transaction, session_id: str, session: int, ns: str, schema: StateSchema, history: list[Stored], fetch: Fetch
) -> None:
    """Give the logged channels of each of ``history`` their messages."""
    wanted = sorted({pair for stored in history for ranges in stored.ranges.values() for pair in ranges})
    found: dict[int, LogRow] = {}
    for low, high in _joined(wanted):
        for row in read_log(tx, session_id, session, ns, low, high, fetch):
            found[row.seq] = row
    for stored in history:
        for name in schema.logged:
            ranges = stored.ranges.get(name)
            if ranges:
                stored.values[name] = folded(
                    _row(found, session_id, seq) for first, last in ranges for seq in range(first, last + 1)
                )


def _joined(ranges: list[Range]) -> list[Range]:
    joined: list[Range] = []
    for first, last in ranges:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _row(found: dict[int, LogRow], session_id: str, seq: int) -> LogRow:
    row = found.get(seq)
    if row is None:
        raise CorruptCheckpoint(f"message {seq} of session {session_id!r} is missing")
    return row
