"""Memories: facts about a user, across sessions. Whoever writes those of a user does so alone, whatever the database."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from graphflow.core.effects import MemoryWrite
from graphflow.db.jsontext import dumps
from graphflow.db.rows import digest, plain_text

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


def hold(tx: Transaction, user_id: str) -> None:
    """Keep other writers of this user's memories out until the transaction ends. Come here with the session's row held, if
    at all, and with users in sorted order, so that nobody waits in a circle."""
    if tx.sql.lock_user is not None:
        key = int.from_bytes(sha256(user_id.encode()).digest()[:8], "big", signed=True)
        tx.execute(tx.sql.lock_user, {"key": key})


def apply(tx: Transaction, write: MemoryWrite, user_id: str, run_id: str | None, now: int) -> None:
    """Do what a side write says. Doing it again changes nothing."""
    if write.action == "drop":
        _drop(tx, user_id, write)
        return
    row = _row(user_id, write.memory, write.topics, now) | {"run_id": run_id, "message_id": write.message_id}
    known = tx.one(tx.sql.memory_of_fact, {"fact": row["fact"]})
    if write.action == "change":
        if known is not None and known[0] != write.memory_id:
            _drop(tx, user_id, write)  # it would say what another one says already
            return
        changed = {f"new_{name}": value for name, value in row.items() if name not in ("user_id", "created_at")}
        of = {"memory_id": write.memory_id, "user_id": user_id, "version": write.version}
        if tx.execute(tx.sql.change_memory, changed | of).rowcount == 1:
            return
    if known is None:
        tx.execute(tx.sql.insert_memory, row | {"memory_id": write.key})


def _drop(tx: Transaction, user_id: str, write: MemoryWrite) -> None:
    tx.execute(tx.sql.drop_memory, {"memory_id": write.memory_id, "user_id": user_id, "version": write.version})


def _row(user_id: str, memory: str, topics: tuple[str, ...], now: int) -> dict[str, Any]:
    text = plain_text(memory.strip())
    return {
        "user_id": user_id,
        "memory": text,
        "topics": dumps(list(topics)) if topics else None,
        "fact": digest("memory", user_id, text),
        "created_at": now,
        "updated_at": now,
    }
