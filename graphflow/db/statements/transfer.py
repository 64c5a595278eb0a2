"""Statements that copy whole sessions: all columns out, all columns in."""

from __future__ import annotations

from functools import cached_property

from sqlalchemy import Table, func, select

from graphflow.db.statements.compiled import SESSION, Compiled, matches
from graphflow.db.tables import checkpoints, media, media_uses, messages, pruned, runs, sessions, summaries, tasks

_TABLES = (runs, checkpoints, tasks, messages, summaries)
"""Those with rows of a session, in the order in which they are read and written."""


class TransferStatements(Compiled):
    """Reading and writing the rows of one session."""

    def _rows(self, table: Table) -> str:
        return self.text(select(table).where(matches(table.c.session, "session")).order_by(*table.primary_key.columns))

    def _copy(self, table: Table) -> str:
        return self.text(self.insert(table), table.c.keys())

    @cached_property
    def session_row(self) -> str:
        columns = (self.head.label("head") if column is SESSION.head else column for column in sessions.columns)
        return self.text(select(*columns).where(matches(SESSION.ordinal, "session")))

    @cached_property
    def all_rows(self) -> dict[str, str]:
        """For each table with rows of a session: what reads them, in the order of their keys."""
        return {table.name: self._rows(table) for table in _TABLES}

    @cached_property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The columns that ``all_rows``, ``session_row`` and ``media_used`` give, by table."""
        return {table.name: tuple(table.c.keys()) for table in (sessions, *_TABLES, media)}

    @cached_property
    def media_used(self) -> str:
        """Contents that a session uses, with a row also for those that are missing."""
        joined = media_uses.outerjoin(media, media_uses.c.sha256 == media.c.sha256)
        columns = (media_uses.c.sha256, media.c.media_type, media.c.data)
        found = select(*columns).select_from(joined).where(matches(media_uses.c.session, "session"))
        return self.text(found.order_by(media_uses.c.sha256))

    @cached_property
    def key_columns(self) -> dict[str, tuple[str, ...]]:
        """The names of the keys of each table with rows of a session."""
        return {table.name: tuple(table.primary_key.columns.keys()) for table in _TABLES}

    @cached_property
    def row_keys(self) -> dict[str, str]:
        """The keys of a session's rows, without reading their texts."""
        return {
            table.name: self.text(
                select(*table.primary_key.columns)
                .where(matches(table.c.session, "session"))
                .order_by(*table.primary_key.columns)
            )
            for table in _TABLES
        }

    @cached_property
    def row_at(self) -> dict[str, str]:
        """One row by its keys."""
        return {
            table.name: self.text(select(table).where(*(matches(column, column.name) for column in table.primary_key.columns)))
            for table in _TABLES
        }

    @cached_property
    def copy_session(self) -> str:
        columns = [name for name in sessions.c.keys() if name != "ordinal"]  # noqa: SIM118 - not a dict
        return self.text(self.insert(sessions).on_conflict_do_nothing().returning(SESSION.ordinal), columns)

    @cached_property
    def copy_run(self) -> str:
        columns = [name for name in runs.c.keys() if name != "ordinal"]  # noqa: SIM118
        return self.text(self.insert(runs).on_conflict_do_nothing().returning(runs.c.ordinal), columns)

    @cached_property
    def copy_rows(self) -> dict[str, str]:
        """For each of the other tables: the insert of a whole row."""
        return {table.name: self._copy(table) for table in _TABLES if table is not runs}

    @cached_property
    def session_ordinals(self) -> str:
        return self.text(select(SESSION.ordinal, SESSION.session_id).order_by(SESSION.ordinal))

    @cached_property
    def orphans(self) -> dict[str, str]:
        """For each table: how many rows belong to no session."""
        known = select(SESSION.ordinal)
        tables = (runs, checkpoints, pruned, tasks, messages, summaries, media_uses)
        return {
            table.name: self.text(select(func.count()).select_from(table).where(table.c.session.not_in(known)))
            for table in tables
        }

    @cached_property
    def all_media(self) -> str:
        return self.text(select(media.c.sha256).order_by(media.c.sha256))
