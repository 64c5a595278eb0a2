"""Statements that make what ``tables.py`` declares, as far as it is not there."""

from __future__ import annotations

from functools import cached_property

from sqlalchemy import Table, false, literal_column, select
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from graphflow.db.statements.compiled import Compiled
from graphflow.db.tables import metadata


class SchemaStatements(Compiled):
    """Tables, columns and indexes."""

    @cached_property
    def create_tables(self) -> list[tuple[str, str, dict[str, str]]]:
        """For each table: what makes it, what reads none of its rows, and what adds each of its columns."""
        return [
            (
                self.ddl(CreateTable(table, if_not_exists=True))[0],
                self.text(select(literal_column("*")).select_from(table).where(false())),
                {column.name: self._add(table, self.ddl(CreateColumn(column))[0]) for column in table.columns},
            )
            for table in metadata.sorted_tables
        ]

    @cached_property
    def create_indexes(self) -> list[str]:
        """Statements that make every index that is not there."""
        indexes = [index for table in metadata.sorted_tables for index in table.indexes]
        return self.ddl(
            *(CreateIndex(index, if_not_exists=True) for index in sorted(indexes, key=lambda index: str(index.name)))
        )

    @cached_property
    def drop_lease_index(self) -> str:
        """Drops an index that the first schemas had."""
        return f"DROP INDEX IF EXISTS {self._place('gf_sessions_lease')}"

    def _add(self, table: Table, column: str) -> str:
        return f"ALTER TABLE {self._place(table.name)} ADD COLUMN {column}"

    def _place(self, name: str) -> str:
        quoted = self.dialect.identifier_preparer.quote(name)
        return f"{self.dialect.identifier_preparer.quote_schema(self.schema)}.{quoted}" if self.schema else quoted
