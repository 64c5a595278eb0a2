"""Bits that flip in stored rows: noticed when they are read or by check(), or without any effect. Never something wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from graphflow.core.effects import Load, LoadMany, ReadHistory
from graphflow.db import PostgresDb, SqliteDb
from graphflow.errors import CorruptCheckpoint, GraphflowError
from tests.db.fixtures import program
from tests.faults.scale import SEED, rounds

KEYS = {
    "gf_sessions": ("ordinal",),
    "gf_runs": ("ordinal",),
    "gf_checkpoints": ("session", "ns", "seq"),
    "gf_tasks": ("session", "ns", "task_id", "kind", "name", "nth"),
    "gf_messages": ("session", "ns", "seq"),
    "gf_summaries": ("session", "ns", "upto_seq"),
    "gf_media": ("sha256",),
    "gf_media_uses": ("sha256", "session"),
    "gf_graphs": ("fingerprint",),
    "gf_pruned": ("session", "ns"),
    "gf_memories": ("ordinal",),
}


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Any]:
    """A database with all there is, one of its sessions pruned."""
    made = SqliteDb(tmp_path / "s.db", synchronous="normal") if request.param == "sqlite" else None
    made = made or request.getfixturevalue("postgres_db")
    program.talk(made)
    with suppress(ConnectionError):
        program.begin_order(made, "failed", stage="fail")
    program.begin_order(made, "paused", user_id="ann")
    program.begin_order(made, "done")
    program.order_graph(made).resume("done", "bob")
    made.rename_session("done", "The first order")
    made.prune(keep_last=5)
    _add_summary(made)
    made.add_user_memory("ann", "Ann lives in Oslo", ["home"])
    yield made
    made.close()


def _add_summary(db: Any) -> None:
    from graphflow.db.rows import checksum  # noqa: PLC0415

    row = {"session": 1, "ns": "", "upto_seq": 2, "run": 1, "body": '"They talked."', "created_at": 1}
    row["sha256"] = checksum("summary", "chat", "", 2, row["body"])
    db._write(lambda tx: tx.execute(tx.sql.copy_rows["gf_summaries"], row))


def contents(db: Any) -> Any:
    """Everything that users and graphs can see."""
    schema = program.order_graph(db).plan.schema
    seen: list[Any] = [db.count_sessions(), db.get_user_memories("ann")]
    for session_id, user in (("chat", "ann"), ("failed", None), ("paused", "ann"), ("done", None)):
        session = db.get_session(session_id, user_id=user)
        facts = (
            session.session_type,
            session.user_id,
            session.component_id,
            session.name,
            session.metadata,
            session.created_at,
            session.updated_at,
        )
        seen.append((session.session_id, session.status, *facts, session.session_state, session.summary))
        runs = db.get_runs(session_id, include_members=True)
        seen.append([(r.run_id, r.ns, r.number, r.status, r.user_id, r.component_id, r.error, dict(r.metrics)) for r in runs])
        seen.append([(r.parent_run_id, r.created_at, r.ended_at, r.messages) for r in runs])
        seen.append(db.get_messages(session_id, include_members=True))
        seen.append(db.read_history(ReadHistory(session_id, before=10**6)))
        if session_id != "chat":
            stored = db.load(Load(session_id, user, schema, with_log=True))
            seen.append((stored.values, stored.frontier, stored.log_head, stored.head, stored.tasks, stored.run))
            seen.append([(old.seq, old.values, old.created_at) for old in db.load_many(LoadMany(session_id, user, schema))])
    return seen


class Rows:
    """Every row of every table, to be damaged one bit at a time and put right again."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.binary = isinstance(db, PostgresDb)
        self.cells: list[tuple[str, str, dict[str, Any], Any]] = []
        for table, keys in KEYS.items():
            names, rows = db._read(lambda tx, table=table: self._all(tx, table))
            for row in rows:
                fields = dict(zip(names, row, strict=True))
                where = {name: fields[name] for name in keys}
                self.cells += [(table, name, where, value) for name, value in fields.items() if value not in (None, "", b"")]

    @staticmethod
    def _all(tx: Any, table: str) -> Any:
        cursor = tx.execute(f"SELECT * FROM {table}")
        return [column[0] for column in cursor.description], cursor.fetchall()

    def put(self, table: str, column: str, where: dict[str, Any], value: Any) -> None:
        """Write one cell. Damaged texts are written byte by byte."""
        condition = " AND ".join(f"{name} = {self._mark(name, key)}" for name, key in where.items())
        statement = f"UPDATE {table} SET {column} = {self._mark(column, value)} WHERE {condition}"
        done = self.db._write(lambda tx: tx.execute(statement, (value, *where.values())).rowcount)
        assert done == 1

    def _mark(self, column: str, value: Any) -> str:
        if self.binary:
            return "%s"
        return "CAST(? AS TEXT)" if isinstance(value, bytes) and column not in BLOBS else "?"


BLOBS = {"sha256", "data", "seal", "time_seal", "fact"}


def flipped(value: Any, dice: random.Random) -> Any:
    """The value with one bit changed, as the disk would: of a text, in its UTF-8."""
    if isinstance(value, int):
        return value ^ (1 << dice.randrange(max(value.bit_length() + 1, 2)))
    raw = bytearray(value.encode() if isinstance(value, str) else bytes(value))
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    return bytes(raw)


def as_stored(value: Any, cell: tuple[str, str, dict[str, Any], Any], binary: bool) -> Any:
    """What can be written at all: PostgreSQL keeps no text that is not UTF-8."""
    if isinstance(cell[3], str) and binary:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text
    return value


@pytest.mark.timeout(3600)
def test_no_flipped_bit_is_silently_wrong(store: Any) -> None:
    dice = random.Random(f"{SEED}")
    rows = Rows(store)
    expected, sound = contents(store), store.check()
    assert sound.ok, sound.problems
    by_table: dict[str, list[Any]] = {}
    for cell in rows.cells:
        by_table.setdefault(cell[0], []).append(cell)
    assert by_table.keys() == KEYS.keys()
    outcomes: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    wanted, tried = rounds(150, 5_000), 0
    while tried < wanted:
        table = dice.choice(list(by_table))
        cell = dice.choice(by_table[table])
        _, column, where, value = cell
        new = as_stored(flipped(value, dice), cell, rows.binary)
        if new is None or new == value:
            continue
        try:
            rows.put(table, column, where, new)
        except Exception:
            outcomes[table, "refused by the database"] += 1
            tried += 1
            continue
        tried += 1
        outcome = harm(store, expected)
        outcomes[table, outcome] += 1
        if outcome == "silent":
            wrong.append(f"{table}.{column} {where}: {value!r} -> {new!r}")
        moved = {name: new if name == column else old for name, old in where.items()}
        rows.put(table, column, moved, value)
    print(f"seed {SEED}")
    for table in KEYS:
        print(table, {outcome: count for (name, outcome), count in sorted(outcomes.items()) if name == table})
    assert wrong == []
    assert contents(store) == expected and store.check() == sound, "all was put right again"


TIMES = [("gf_sessions", "updated_at"), ("gf_runs", "ended_at"), ("gf_runs", "last_seq")]


@pytest.mark.parametrize(("table", "column"), TIMES, ids=lambda name: name)
def test_when_a_session_was_used_and_a_run_ended_is_under_a_checksum(store: Any, table: str, column: str) -> None:
    rows = Rows(store)
    cells = [cell for cell in rows.cells if cell[:2] == (table, column)]
    assert len(cells) >= 4
    sessions = store.get_sessions()
    for bit in (0, 1, 7, 20, 33, 50):
        table, column, where, value = cells[bit % len(cells)]
        rows.put(table, column, where, value ^ (1 << bit))
        assert [problem for problem in store.check().problems if "does not match its checksum" in problem]
        with pytest.raises(CorruptCheckpoint, match="does not match its checksum"):
            store.get_sessions()
            for session in sessions:
                store.get_runs(session.session_id, include_members=True)
        rows.put(table, column, where, value)
    assert store.check().ok and store.get_sessions() == sessions


def harm(db: Any, expected: Any) -> str:
    """What came of a flipped bit."""
    try:
        report = db.check()
        if not report.ok:
            return "found by check()"
    except GraphflowError:
        return "found by check()"
    try:
        seen = contents(db)
    except GraphflowError:
        return "an error when read"
    return "without effect" if seen == expected else "silent"
