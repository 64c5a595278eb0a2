"""All rows of one session as plain dicts: what export, import and fork have in common.

Rows refer to runs by run_id, times are microseconds since 1970, bodies stay the JSON text they are stored as. Checksums are
verified on the way out and made anew on the way in, because they cover the session's id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from graphflow.core.stored import OWN_ORIGINS
from graphflow.db.copies import renamed
from graphflow.db.jsontext import loads
from graphflow.db.media import verified_media
from graphflow.db.rows import COVERED, checksum, matches, no_contents, run_checksum, run_matches
from graphflow.db.seals import broken, check_time, run_seal, session_seal, time_seal
from graphflow.errors import CorruptCheckpoint, SerializationError

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction

Fields = dict[str, Any]


class Archive:
    """The rows of one session."""

    __slots__ = ("checkpoints", "media", "messages", "runs", "session", "summaries", "tasks")

    def __init__(self, session: Fields) -> None:
        self.session = session
        self.runs: list[Fields] = []
        self.checkpoints: list[Fields] = []
        self.tasks: list[Fields] = []
        self.messages: list[Fields] = []
        self.summaries: list[Fields] = []
        self.media: list[Fields] = []


# --- reading ---------------------------------------------------------------------------------------------------------------


def read_archive(tx: Transaction, ordinal: int) -> Archive:
    """Everything of a session. Raises CorruptCheckpoint for a row that does not match its checksum."""
    columns = tx.sql.columns
    row = tx.one(tx.sql.session_row, {"session": ordinal})
    assert row is not None
    archive = Archive(dict(zip(columns["gf_sessions"], row, strict=True)))
    session_id = archive.session["session_id"]
    if archive.session.pop("seal") not in (None, session_seal(archive.session)):
        raise broken(session_id)
    check_time(archive.session.pop("time_seal"), session_id, archive.session["updated_at"])
    rows = {
        table: [dict(zip(columns[table], row, strict=True)) for row in tx.all(statement, {"session": ordinal})]
        for table, statement in tx.sql.all_rows.items()
    }
    run_ids = {row["ordinal"]: row["run_id"] for row in rows["gf_runs"]}
    for table, found in rows.items():
        for row_fields in found:
            if table != "gf_runs" and "run" in row_fields:
                row_fields["run_id"] = run_ids.get(row_fields.pop("run"))
            if not is_sound(table, session_id, row_fields):
                raise CorruptCheckpoint(f"{describe(table, row_fields)} of session {session_id!r} does not match its checksum")
            row_fields.pop("sha256")
            if table == "gf_runs" and row_fields.pop("seal") not in (None, run_seal(row_fields)):
                raise broken(session_id, row_fields["run_id"])
            row_fields.pop("session")
    firsts: dict[str, int] = dict(tx.all(tx.sql.firsts_of_session, {"session": ordinal}))
    for ns, first in begins(rows["gf_checkpoints"]).items():
        if first != firsts.get(ns, 0):
            where = f"session {session_id!r}" + (f" (namespace {ns!r})" if ns else "")
            raise CorruptCheckpoint(f"the checkpoints of {where} begin at {first} instead of {firsts.get(ns, 0)}")
    archive.runs, archive.checkpoints, archive.tasks = rows["gf_runs"], rows["gf_checkpoints"], rows["gf_tasks"]
    archive.messages, archive.summaries = rows["gf_messages"], rows["gf_summaries"]
    for sha256, media_type, data in tx.all(tx.sql.media_used, {"session": ordinal}):
        archive.media.append({"sha256": sha256, "media_type": media_type, "data": verified_media(bytes(sha256), data)})
    return archive


def begins(checkpoints: list[Fields]) -> dict[str, int]:
    """The first checkpoint of each namespace."""
    found: dict[str, int] = {}
    for row in checkpoints:
        found[row["ns"]] = min(row["seq"], found.get(row["ns"], row["seq"]))
    return found


_KINDS: Final = {"gf_checkpoints": "checkpoint", "gf_tasks": "task", "gf_messages": "message", "gf_summaries": "summary"}


def is_sound(table: str, session_id: str, row: Fields) -> bool:
    """Whether a row is what its checksum says; ``run_id`` stands for its run."""
    stored = row["sha256"]
    return run_matches(row, stored) if table == "gf_runs" else matches(stored, *_covered(table, session_id, row))


def unreadable(row: Fields) -> str | None:
    """Which of its texts cannot be read, and why: a checksum says that a row is what was written, not that it was good."""
    for column in ("delta", "snapshot", "frontier", "value", "body", "metrics"):
        try:
            if row.get(column) is not None:
                loads(row[column], no_contents)
        except (ValueError, LookupError, TypeError, SerializationError, CorruptCheckpoint) as error:
            return f"a {column} that cannot be read: {error}"
    return None


def _covered(table: str, session_id: str, row: Fields) -> list[Any]:
    """What the checksum of a row covers."""
    kind = _KINDS[table]
    return [kind, session_id, *(row[column] for column in COVERED[kind])]


def left_behind(last: Fields, messages: list[Fields], tasks: list[Fields]) -> Iterator[tuple[str, Fields]]:
    """Rows of the outermost graph, with their tables, that came after its last checkpoint: those they belong to were lost."""
    for row in messages:
        if row["ns"] == "" and row["seq"] > last["log_head"]:
            yield "gf_messages", row
    for row in tasks:
        if row["ns"] == "" and last["seq"] < row["origin"] < OWN_ORIGINS:
            yield "gf_tasks", row


def describe(table: str, row: Fields) -> str:
    """A row in words: "message 3"."""
    if table == "gf_tasks":
        return f"the {row['kind']} of node {row['node']!r}"
    number = row.get("seq", row.get("upto_seq", row.get("run_id")))
    return f"{_KINDS.get(table, 'run')} {number!r}" + (f" (namespace {row['ns']!r})" if row.get("ns") else "")


# --- writing ---------------------------------------------------------------------------------------------------------------


def write_archive(tx: Transaction, archive: Archive, session_id: str, *, as_copy: bool) -> None:
    """Insert a session with all its rows. Raises ValueError when the session, or one of its runs, is there already.

    ``as_copy``: with ids of its own for its runs and tasks.
    """
    sql = tx.sql
    fields = {**archive.session, "session_id": session_id}
    seals = {"seal": session_seal(fields), "time_seal": time_seal(session_id, fields["updated_at"])}
    made = tx.one(sql.copy_session, {**fields, **seals})
    if made is None:
        raise ValueError(f"there is a session {session_id!r} already; give session_id= another id")
    session = made[0]
    if as_copy:
        renamed(archive, session_id)
    ordinals: dict[str | None, int] = {}
    for run in archive.runs:
        row = {**run, "session": session, "sha256": run_checksum(run), "seal": run_seal(run)}
        inserted = tx.one(sql.copy_run, row)
        if inserted is None:
            raise ValueError(f"there is a run {run['run_id']!r} already, in another session; give session_id= to import a copy")
        ordinals[run["run_id"]] = inserted[0]
    tables = {
        "gf_checkpoints": archive.checkpoints,
        "gf_tasks": archive.tasks,
        "gf_messages": archive.messages,
        "gf_summaries": archive.summaries,
    }
    for table, rows in tables.items():
        statement = sql.copy_rows[table]
        for fields in rows:
            row = {**fields, "session": session, "sha256": checksum(*_covered(table, session_id, fields))}
            row["run"] = ordinals.get(fields.get("run_id"))
            tx.execute(statement, {name: row[name] for name in sql.columns[table]})
    for ns, first in begins(archive.checkpoints).items():
        if first:
            tx.execute(sql.put_first, {"session": session, "ns": ns, "first": first})
    for contents in sorted(archive.media, key=lambda contents: contents["sha256"]):
        tx.execute(sql.insert_media, contents)
        tx.execute(sql.insert_media_use, {"sha256": contents["sha256"], "session": session})
