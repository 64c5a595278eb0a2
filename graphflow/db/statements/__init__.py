"""The SQL of the store, written in SQLAlchemy Core and compiled once per dialect to text for the driver's own cursor.

Each property is one statement with named parameters; nothing else in the package writes SQL.
"""

from __future__ import annotations

from graphflow.db.statements.keeping import KeepingStatements
from graphflow.db.statements.memories import MemoryStatements
from graphflow.db.statements.postgres import PostgresStatements
from graphflow.db.statements.runs import RunStatements
from graphflow.db.statements.schema import SchemaStatements
from graphflow.db.statements.store import StoreStatements
from graphflow.db.statements.transfer import TransferStatements
from graphflow.db.statements.users import UserStatements


class Statements(
    SchemaStatements,
    StoreStatements,
    RunStatements,
    UserStatements,
    MemoryStatements,
    TransferStatements,
    KeepingStatements,
    PostgresStatements,
):
    """Every statement as text, for one dialect ("sqlite" or "postgresql") and one schema."""
