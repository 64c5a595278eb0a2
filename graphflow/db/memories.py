"""Memories: facts about a user, across sessions. Whoever writes those of a user does so alone, whatever the database, and keeps
the index that they are searched by in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from graphflow.core.memories import ReadMemories, UserMemory
from graphflow.core.stored import MemoryWrite
from graphflow.db import memoryindex
from graphflow.db.counts import bounded
from graphflow.db.jsontext import dumps, loads
from graphflow.db.memoryindex import owner_of
from graphflow.db.rows import digest, plain_text
from graphflow.db.seals import memory_seal
from graphflow.db.times import as_time
from graphflow.errors import CorruptCheckpoint

if TYPE_CHECKING:
    from graphflow.db.transactions import Row, Transaction

CHANGED: Final = ("memory", "topics", "fact", "run_id", "message_id", "updated_at", "seal")
"""The columns that a change of a memory writes."""

# --- writing ---------------------------------------------------------------------------------------------------------------


def hold(tx: Transaction, user_id: str) -> None:
    """Keep other writers of this user's memories out until the transaction ends. Come here with the session's row held, if
    at all, and with users in sorted order, so that nobody waits in a circle.
    """
    if tx.sql.lock_user is not None:
        tx.execute(tx.sql.lock_user, {"key": owner_of(user_id)})


def settled(writes: Sequence[MemoryWrite]) -> list[MemoryWrite]:
    """The side writes of one commit, without changes of what another of them drops: all name the version that was there before,
    and a change that came first would be taken for one that the drop does not know of.
    """
    dropped = {(write.user_id, write.memory_id) for write in writes if write.action == "drop"}
    return [write for write in writes if write.action != "change" or (write.user_id, write.memory_id) not in dropped]


def apply(tx: Transaction, write: MemoryWrite, user_id: str, run_id: str | None, now: int) -> str | None:
    """Do what a side write says; doing it again changes nothing. Returns the id of the memory that says it now."""
    if write.action == "drop":
        _drop(tx, user_id, write)
        return None
    row = _row(user_id, write.memory, write.topics, now) | {"run_id": run_id, "message_id": write.message_id}
    known = tx.one(tx.sql.memory_of_fact, {"fact": row["fact"]})
    if write.action == "change":
        if known is not None and known[0] != write.memory_id:
            _drop(tx, user_id, write)  # it would say what another one says already
            return str(known[0])
        as_read = _as_read(user_id, write)
        begun = tx.one(tx.sql.memory_begun, as_read)
        if begun is not None:
            row |= {"created_at": begun[0], "memory_id": write.memory_id, "version": write.version + 1}
            row["seal"] = memory_seal(row)
            changed = {f"new_{name}": row[name] for name in CHANGED}
            moved = tx.one(tx.sql.change_memory, changed | as_read)
            assert moved is not None, "others are kept out"
            memoryindex.change(tx, user_id, moved[0], row["memory"])
            return write.memory_id
    if known is not None:
        return str(known[0])
    row |= {"memory_id": write.key, "version": 1}
    made = tx.one(tx.sql.insert_memory, row | {"seal": memory_seal(row)})
    if made is None:
        return None  # there is one of this id already: the same write, applied before and changed since
    memoryindex.add(tx, user_id, made[0], row["memory"])
    return write.key


def _drop(tx: Transaction, user_id: str, write: MemoryWrite) -> None:
    gone = tx.one(tx.sql.drop_memory, _as_read(user_id, write))
    if gone is not None:
        memoryindex.drop(tx, user_id, gone[0])


def _as_read(user_id: str, write: MemoryWrite) -> dict[str, Any]:
    return {"memory_id": write.memory_id, "user_id": user_id, "version": write.version}


def delete(tx: Transaction, user_id: str, memory_id: str) -> bool:
    """Delete one memory of a user; whether there was one."""
    hold(tx, user_id)
    gone = tx.one(tx.sql.delete_memory, {"memory_id": memory_id, "user_id": user_id})
    if gone is not None:
        memoryindex.drop(tx, user_id, gone[0])
    return gone is not None


def clear(tx: Transaction, user_id: str) -> int:
    """Delete all memories of a user; how many there were."""
    hold(tx, user_id)
    memoryindex.clear(tx, user_id)
    count: int = tx.execute(tx.sql.delete_memories, {"user_id": user_id}).rowcount
    return count


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


# --- reading ---------------------------------------------------------------------------------------------------------------


def count(tx: Transaction, user_id: str, upto: int) -> int:
    """How many memories a user has; no further than ``upto``."""
    row = tx.one(tx.sql.count_memories, {"user_id": user_id, "count": bounded(upto)})
    return 0 if row is None else int(row[0])


def newest(tx: Transaction, user_id: str, limit: int | None) -> list[UserMemory]:
    """The newest memories of a user, oldest first."""
    rows = tx.all(tx.sql.newest_memories, {"user_id": user_id, "count": bounded(limit)})
    return [_memory(row) for row in reversed(rows)]


def search(tx: Transaction, user_id: str, query: str, limit: int, topics: Collection[str] | None = None) -> list[UserMemory]:
    """The memories of a user that fit a query, best first; of those that are about one of ``topics``, if any are named."""
    among = None if topics is None else _about(tx, user_id, topics)
    wanted = memoryindex.search(tx, user_id, query, limit, among)
    found = {row[0]: _memory(row) for row in tx.all(tx.sql.memories_at, {"ordinals": dumps(wanted)})}
    return [found[ordinal] for ordinal in wanted if ordinal in found and found[ordinal].user_id == user_id]


def _about(tx: Transaction, user_id: str, topics: Collection[str]) -> list[int]:
    asked = {topic.casefold() for topic in topics}
    known = tx.all(tx.sql.memory_topics, {"user_id": user_id})
    return [ordinal for ordinal, said in known if not asked.isdisjoint(topic.casefold() for topic in loads(said))]


def recall(tx: Transaction, effect: ReadMemories) -> list[UserMemory]:
    """What ``core.memories.ReadMemories`` describes."""
    if count(tx, effect.user_id, effect.all_upto + 1) <= effect.all_upto:
        return newest(tx, effect.user_id, effect.all_upto)
    found = search(tx, effect.user_id, effect.query, effect.limit)
    known = {memory.memory_id for memory in found}
    rest = [memory for memory in reversed(newest(tx, effect.user_id, effect.limit)) if memory.memory_id not in known]
    return [*found, *rest][: effect.limit]


def _memory(row: Row) -> UserMemory:
    _, memory_id, memory, topics, user_id, run_id, created_at, updated_at, message_id, version, seal = row
    if seal is not None:
        named = {"memory_id": memory_id, "user_id": user_id, "memory": memory, "topics": topics, "version": version}
        named |= {"run_id": run_id, "message_id": message_id, "created_at": created_at, "updated_at": updated_at}
        if memory_seal(named) != seal:
            raise CorruptCheckpoint(f"memory {memory_id!r} of user {user_id!r} does not match its checksum; delete it")
    said = () if topics is None else tuple(loads(topics))
    return UserMemory(memory_id, memory, said, user_id, run_id, as_time(created_at), as_time(updated_at), message_id, version)
