"""Verifying what is stored: checksums, gaps, and rows that refer to something that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from graphflow.db import outlines, relations
from graphflow.db.archive import Fields, describe, is_sound, unreadable
from graphflow.db.jsontext import loads
from graphflow.db.records import CheckReport
from graphflow.db.relations import Finding
from graphflow.db.rows import digest
from graphflow.db.seals import MEMORY_SEALED, memory_seal, run_seal
from graphflow.errors import CorruptCheckpoint

if TYPE_CHECKING:
    from graphflow.db.transactions import Row, Transaction


def check(read: Callable[[Callable[[Transaction], list[Finding]]], list[Finding]]) -> CheckReport:
    """Look at every row, a session at a time, each in a transaction of its own (``read``)."""
    findings: list[Finding] = []

    def look(work: Callable[[Transaction], Iterable[Finding]], where: str) -> None:
        try:
            findings.extend(read(lambda tx: list(work(tx))))
        except CorruptCheckpoint as error:
            findings.append(f"{where} cannot be read: {error}")

    known: list[Row] = []
    contents: list[Row] = []

    def list_all(tx: Transaction) -> Iterable[Finding]:
        known.extend(tx.all(tx.sql.session_ordinals, {}))
        contents.extend(tx.all(tx.sql.all_media, {}))
        return ()

    look(list_all, "the list of sessions")
    for ordinal, session_id in known:
        look(partial(check_session, ordinal=ordinal, session_id=session_id), f"session {session_id!r}")
    for (checksum,) in contents:
        look(partial(check_media, checksum=checksum), f"the contents with sha256 {checksum.hex()}")
    look(check_orphans, "the list of rows")
    look(check_graphs, "the list of graphs")
    look(check_memories, "the list of memories")
    return CheckReport(
        sum(finding is None for finding in findings), tuple(finding for finding in findings if finding is not None)
    )


def check_session(tx: Transaction, ordinal: int, session_id: str) -> Iterator[Finding]:
    """A finding for each row of a session, and one more for each thing that is missing."""
    where = f"session {session_id!r}"
    row = tx.one(tx.sql.session_row, {"session": ordinal})
    if row is None:
        return
    session = dict(zip(tx.sql.columns["gf_sessions"], row, strict=True))
    yield from relations.of_session(session)
    run_ids: dict[int, str] = {}
    tables: dict[str, list[Fields]] = {}
    for table, statement in tx.sql.all_rows.items():
        columns = tx.sql.columns[table]
        rows = [dict(zip(columns, row, strict=True)) for row in tx.all(statement, {"session": ordinal})]
        tables[table] = rows
        for fields in rows:
            if table == "gf_runs":
                run_ids[fields["ordinal"]] = fields["run_id"]
            elif fields.get("run") is not None and fields["run"] not in run_ids:
                yield f"{describe(table, fields)} of {where} belongs to a run that is not there"
            yield _verified(
                table, session_id, {**fields, "run_id": fields.get("run_id") or run_ids.get(fields.get("run", -1))}, where
            )
        if table in ("gf_checkpoints", "gf_messages"):
            firsts: dict[str, int] = (
                dict(tx.all(tx.sql.firsts_of_session, {"session": ordinal})) if table == "gf_checkpoints" else {}
            )
            yield from _gaps(table, rows, firsts, where)
        if table == "gf_checkpoints":
            yield from _chains(rows, session["head"], where)
    uses = []
    for checksum, _, data in tx.all(tx.sql.media_used, {"session": ordinal}):
        uses.append(bytes(checksum))
        if data is None:
            yield f"the contents with sha256 {uses[-1].hex()} of {where} are missing"
    yield from relations.of_rows(session, tables, uses)


def _verified(table: str, session_id: str, fields: Fields, where: str) -> Finding:
    name = f"{describe(table, fields)} of {where}"
    if table == "gf_runs" and fields["seal"] not in (None, run_seal(fields)):
        return f"what {name} began with does not match its checksum"
    if not is_sound(table, session_id, fields):
        return f"{name} does not match its checksum"
    fault = unreadable(fields)
    return None if fault is None else f"{name} has {fault}"


def _gaps(table: str, rows: list[Fields], firsts: dict[str, int], where: str) -> Iterator[Finding]:
    """``firsts``: where the rows of a namespace begin, when it is not where all begin."""
    first = 0 if table == "gf_checkpoints" else 1
    expected: dict[str, int] = {}
    for row in rows:
        seq = expected.get(row["ns"], firsts.get(row["ns"], first))
        if row["seq"] < seq:
            yield f"{describe(table, row)} of {where} was pruned and is there"
        elif row["seq"] > seq:
            yield f"{describe(table, {**row, 'seq': seq})} of {where} is missing"
        expected[row["ns"]] = row["seq"] + 1


def _chains(rows: list[Fields], head: int, where: str) -> Iterator[Finding]:
    last = max((row["seq"] for row in rows if row["ns"] == ""), default=-1)
    if last != head:
        yield f"{where} has its head at {head}, but its last checkpoint is {last}"
    starts = {(row["ns"], row["seq"]) for row in rows if row["snapshot"] is not None or row["seq"] == 0}
    for row in rows:
        if (row["ns"], row["base"]) not in starts:
            yield f"{describe('gf_checkpoints', row)} of {where} starts from checkpoint {row['base']}, which has no snapshot"


def check_media(tx: Transaction, checksum: bytes) -> Iterator[Finding]:
    """Whether the contents of an image or a file are what was stored."""
    row = tx.one(tx.sql.get_media, {"sha256": checksum})
    matches = row is not None and sha256(bytes(row[0])).digest() == checksum
    yield None if matches else f"the contents with sha256 {checksum.hex()} do not match it"


def check_graphs(tx: Transaction) -> Iterator[Finding]:
    """Whether each outline is the one of its fingerprint."""
    for fingerprint, text in tx.all(tx.sql.all_graphs, {}):
        sound = outlines.sound(fingerprint, text) is not None
        yield None if sound else f"the outline of the graph {fingerprint!r} does not match its fingerprint"


def check_memories(tx: Transaction) -> Iterator[Finding]:
    """Whether each memory is what was noted, of whom it was noted."""
    for fact, seal, *sealed in tx.all(tx.sql.all_memories, {}):
        row = dict(zip(MEMORY_SEALED, sealed, strict=True))
        sound = digest("memory", row["user_id"], row["memory"]) == fact and seal in (None, memory_seal(row))
        sound = sound and isinstance(loads(row["topics"] or "[]"), list)
        yield None if sound else f"memory {row['memory_id']!r} of user {row['user_id']!r} does not match its checksum"


def check_orphans(tx: Transaction) -> Iterator[Finding]:
    """Rows that belong to no session."""
    for table, statement in tx.sql.orphans.items():
        row = tx.one(statement, {})
        if row is not None and row[0]:
            yield f"{row[0]} rows of {table} belong to no session"
