"""Statements that only PostgreSQL needs: whether the schema is there, who makes it, and a whole step in one round trip."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, LargeBinary, Text, and_, bindparam, func, insert, literal_column, null, select, update
from sqlalchemy.schema import CreateSchema

from graphflow.db.rows import NEW_SESSION
from graphflow.db.statements.compiled import (
    CHECKPOINT,
    CLOSED,
    EMPTY,
    FREE_FOR,
    HERE,
    ONE,
    OWN,
    RUN,
    RUNNING,
    SESSION,
    USED,
    ZERO,
    Compiled,
    matches,
)
from graphflow.db.statements.store import OF_RUN, chained, told
from graphflow.db.tables import checkpoints, messages, runs, schema_versions, sessions

MIGRATING: Final = int.from_bytes(b"gf_table", "big")
"""The advisory lock that is held while tables are made."""
OPENED: Final = (
    *("run_id", "status", "parent_run_id", "component_id", "user_id", "input", "first_message", "first_seq", "fingerprint"),
    *("created_at", "seal"),
)
"""The columns that a run begins with, beside its place; without a key, which has to be looked up."""


class PostgresStatements(Compiled):
    """What ``PostgresDb`` executes beside the statements of all dialects."""

    # --- the schema: looking whether something is there takes no privileges, unlike making it if it is not -----------------

    @cached_property
    def lock_schema(self) -> str:
        """Until the end of the transaction."""
        return self.text(select(func.pg_advisory_xact_lock(literal_column(str(MIGRATING)))))

    @cached_property
    def has_schema(self) -> str:
        return self.text(select(func.to_regnamespace(literal_column(f"'{self._quoted_schema()}'")).is_not(None)))

    @cached_property
    def create_schema(self) -> str:
        return self.ddl(CreateSchema(self.schema or ""))[0]

    @cached_property
    def has_tables(self) -> str:
        table = f"{self._quoted_schema()}.{schema_versions.name}" if self.schema else schema_versions.name
        return self.text(select(func.to_regclass(literal_column(f"'{table}'")).is_not(None)))

    # --- loading -----------------------------------------------------------------------------------------------------------

    @cached_property
    def load_finished(self) -> str:
        """A session at its head: what ``load_head`` tells but for its lease, which a completed one has not, and the row of
        ``chain`` there. Few tables, joined by their keys, and no clock: what has to be learned is what a first look takes.
        """
        c = CHECKPOINT
        at = and_(c.session == SESSION.ordinal, c.ns == EMPTY, c.seq == SESSION.head)
        joined = sessions.join(checkpoints, at).outerjoin(runs, RUN.ordinal == c.run)
        columns = (*told(SESSION.head), *OF_RUN, null(), null(), *chained(c))
        return self.text(select(*columns).select_from(joined).where(HERE, FREE_FOR))

    # --- committing --------------------------------------------------------------------------------------------------------

    @cached_property
    def say(self) -> str:
        """A step that adds to the log. Gives the session's ordinal, or nothing when the session does not stand there."""
        moved = self._moved().returning(SESSION.ordinal).cte("moved")
        return self._at_once(moved, [moved.c.ordinal], bindparam("run", type_=BigInteger))

    @cached_property
    def found(self) -> str:
        """What a run of a new id begins with, and its session, if that is not there yet.

        Gives the ordinals of session and run, or nothing.
        """
        values: dict[str, Any] = {
            name: bindparam(f"of_{name}", type_=SESSION[name].type) for name in NEW_SESSION if name != "lease_ttl"
        }
        values |= {"lease_until": self.now + bindparam("of_lease_ttl", type_=BigInteger)}
        new = ~select(RUN.ordinal).where(matches(RUN.run_id, "run_id")).exists()
        made = self.insert(sessions).from_select(list(values), select(*values.values()).where(new)).on_conflict_do_nothing()
        moved = made.returning(SESSION.ordinal).cte("moved")
        began = self._began(moved, ONE)
        return self._at_once(moved, [moved.c.ordinal, began.c.ordinal], began.c.ordinal)

    @cached_property
    def begin(self) -> str:
        """What a run of a new id begins with, in a session that is its user's and that nobody holds.

        Gives the same. The seal was checked, or made, when the session was last read, and stays what it is.
        """
        taken = {
            "epoch": SESSION.epoch + ONE,
            "status": RUNNING,
            **USED,
            "lease_owner": bindparam("me"),
            "lease_until": self.now + bindparam("lease_ttl", type_=BigInteger),
        }
        new = ~select(RUN.ordinal).where(matches(RUN.run_id, "run_id")).exists()
        moved = self._moved(**taken).where(self.free_for("me"), *OWN, new).returning(SESSION.ordinal).cte("moved")

        others = runs.alias("others")
        last = select(func.max(others.c.number)).where(others.c.session == moved.c.ordinal, others.c.ns == EMPTY)
        began = self._began(moved, func.coalesce(last.scalar_subquery(), ZERO) + ONE)
        return self._at_once(moved, [moved.c.ordinal, began.c.ordinal], began.c.ordinal)

    def _began(self, moved: Any, number: Any) -> Any:
        """The row of the run."""
        values: dict[str, Any] = {name: bindparam(name, type_=RUN[name].type) for name in OPENED}
        values |= {"session": moved.c.ordinal, "ns": EMPTY, "number": number}
        return insert(runs).from_select(list(values), select(*values.values())).returning(RUN.ordinal).cte("began")

    @cached_property
    def end(self) -> str:
        """What a run ends with; its lease is given back. Gives the session's ordinal, or nothing."""
        given_up = {
            "status": bindparam("session_status"),
            **USED,
            "lease_owner": null(),
            "lease_until": null(),
        }
        moved = self._moved(**given_up).returning(SESSION.ordinal).cte("moved")
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in CLOSED}
        here = (matches(RUN.run_id, "run_id"), RUN.session == moved.c.ordinal)
        closed = update(runs).where(*here).values(**values).cte("closed")
        return self._at_once(moved, [moved.c.ordinal], bindparam("run", type_=BigInteger), closed)

    def _moved(self, **values: Any) -> Any:
        """The compare-and-set."""
        return self.compare_and_set().values(head=bindparam("new_head"), **values)

    def _at_once(self, moved: Any, given: list[Any], run: Any, *others: Any) -> str:
        """A statement that gives ``given`` and writes, beside ``moved`` and ``others``, a checkpoint and rows of the log.

        The rows of the log are lists of what their columns hold: ``seqs``, ``roles``, ``bodies``, ``checksums``.
        """
        columns = {column.name: bindparam(f"cp_{column.name}", type_=column.type) for column in checkpoints.columns}
        columns |= {"session": moved.c.ordinal, "ns": EMPTY, "run": run}
        stored = insert(checkpoints).from_select(list(columns), select(*columns.values())).cte("stored")
        lists = {"seqs": BigInteger, "roles": Text, "bodies": Text, "checksums": LargeBinary}
        given_lists: Iterator[Any] = (bindparam(name, type_=ARRAY(kind)) for name, kind in lists.items())
        rows = func.unnest(*given_lists).table_valued("seq", "role", "body", "sha256").render_derived(name="new")
        entry = {"session": moved.c.ordinal, "ns": EMPTY, "run": run}
        entry |= {name: rows.c[name] for name in ("seq", "role", "body", "sha256")}
        said = insert(messages).from_select(list(entry), select(*entry.values()).select_from(rows)).cte("said")
        return self.text(select(*given).add_cte(stored, said, *others))

    def _quoted_schema(self) -> str:
        return str(self.dialect.identifier_preparer.quote_schema(self.schema))
