"""What graphs looked like, stored once by their fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphflow.core.ids import digest
from graphflow.db.jsontext import dumps, loads
from graphflow.errors import CorruptCheckpoint

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


def write(tx: Transaction, fingerprint: str, outline: str, now: int) -> None:
    """Store an outline, unless it is there."""
    tx.execute(tx.sql.insert_graph, {"fingerprint": fingerprint, "outline": dumps(outline), "created_at": now})


def read(tx: Transaction, fingerprint: str) -> str | None:
    """The outline of a fingerprint; None when it is not stored, or damaged: then only what is different is not known."""
    row = tx.one(tx.sql.get_graph, {"fingerprint": fingerprint})
    return None if row is None else sound(fingerprint, row[0])


def sound(fingerprint: str, text: str) -> str | None:
    """The outline in a stored text, if it is the one of the fingerprint."""
    try:
        outline: Any = loads(text)
    except CorruptCheckpoint:
        return None
    return outline if isinstance(outline, str) and digest(outline, 8) == fingerprint else None
