"""Databases that keep sessions: ``SqliteDb``, ``PostgresDb``, ``InMemoryDb``. Names are loaded when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.lazy import exports

if TYPE_CHECKING:
    from graphflow.db.base import Db
    from graphflow.db.limits import Limits
    from graphflow.db.memory import InMemoryDb
    from graphflow.db.postgres import PostgresDb
    from graphflow.db.records import CheckReport, Repair, RunRecord, SchemaStatus, Session, SessionType, UserMemory
    from graphflow.db.retention import PruneReport
    from graphflow.db.sqlite import SqliteDb

__all__ = [
    # databases
    "SqliteDb",
    "PostgresDb",
    "InMemoryDb",
    "Db",
    "Limits",
    # what they give
    "Session",
    "SessionType",
    "RunRecord",
    "UserMemory",
    # what is said of them
    "CheckReport",
    "PruneReport",
    "Repair",
    "SchemaStatus",
]

_HOME = {
    "CheckReport": "graphflow.db.records",
    "Db": "graphflow.db.base",
    "InMemoryDb": "graphflow.db.memory",
    "Limits": "graphflow.db.limits",
    "PostgresDb": "graphflow.db.postgres",
    "PruneReport": "graphflow.db.retention",
    "Repair": "graphflow.db.records",
    "RunRecord": "graphflow.db.records",
    "SchemaStatus": "graphflow.db.records",
    "Session": "graphflow.db.records",
    "SessionType": "graphflow.db.records",
    "UserMemory": "graphflow.db.records",
    "SqliteDb": "graphflow.db.sqlite",
}


if not TYPE_CHECKING:  # a type checker sees only the names above, so that it reports a misspelt one
    __getattr__, __dir__ = exports(__name__, _HOME)
