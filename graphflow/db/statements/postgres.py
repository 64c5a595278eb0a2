"""Statements that only PostgreSQL needs: whether the schema is there, who makes it, and a whole step in one round trip."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from sqlalchemy import bindparam, func, literal_column, select, update
from sqlalchemy.schema import CreateSchema

from graphflow.db.statements.compiled import SESSION, Compiled, matches
from graphflow.db.tables import checkpoints, schema_versions, sessions

MIGRATING: Final = int.from_bytes(b"gf_table", "big")
"""The advisory lock that is held while tables are made."""


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

    # --- committing --------------------------------------------------------------------------------------------------------

    @cached_property
    def step(self) -> str:
        """A plain step: the compare-and-set of ``advance`` and, if it held, the checkpoint.

        Values: those of ``advance``, then every column of the checkpoint but the session, in the order of the table.
        """
        names = [column.name for column in checkpoints.columns if column.name != "session"]
        advance = ["new_head", "session", "expected_head", "expected_epoch"]
        moved = (
            update(sessions)
            .where(SESSION.ordinal == bindparam("session"))
            .where(matches(SESSION.head, "expected_head"), matches(SESSION.epoch, "expected_epoch"))
            .values(head=bindparam("new_head"))
            .returning(SESSION.ordinal)
            .cte("moved")
        )
        values: list[Any] = [bindparam(name, type_=checkpoints.c[name].type) for name in names]
        insert = self.insert(checkpoints).from_select(["session", *names], select(moved.c.ordinal, *values)).add_cte(moved)
        return self.positional(insert, [*advance, *names])

    def _quoted_schema(self) -> str:
        return str(self.dialect.identifier_preparer.quote_schema(self.schema))
