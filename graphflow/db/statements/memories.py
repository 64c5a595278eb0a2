"""Statements about summaries and memories."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, cast, delete, func, select, update

from graphflow.db.statements.compiled import ONE, Compiled, matches
from graphflow.db.tables import memories, summaries

MEMORY: Final = memories.c


class MemoryStatements(Compiled):
    """What is known of a conversation and of a user."""

    @cached_property
    def put_summary(self) -> str:
        """A summary; one that was made again up to the same row takes the place of the old one."""
        columns = [column.name for column in summaries.columns]
        insert = self.insert(summaries)
        changed = {name: insert.excluded[name] for name in ("run", "body", "sha256", "created_at")}
        return self.text(insert.on_conflict_do_update(index_elements=columns[:3], set_=changed), columns)

    @cached_property
    def lock_user(self) -> str | None:
        """Until the end of the transaction, where more than one can write at a time."""
        if self.dialect.name == "sqlite":
            return None
        return self.text(select(func.pg_advisory_xact_lock(cast(bindparam("key"), BigInteger))))

    @cached_property
    def memory_of_fact(self) -> str:
        return self.text(select(MEMORY.memory_id).where(matches(MEMORY.fact, "fact")))

    @cached_property
    def insert_memory(self) -> str:
        names = ["memory_id", "user_id", "memory", "topics", "fact", "run_id", "message_id", "created_at", "updated_at"]
        values: dict[str, Any] = {name: bindparam(name) for name in names}
        return self.text(self.insert(memories).values(version=ONE, **values).on_conflict_do_nothing())

    @cached_property
    def change_memory(self) -> str:
        names = ["memory", "topics", "fact", "run_id", "message_id", "updated_at"]
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
        return self.text(self._as_read(update(memories)).values(version=MEMORY.version + ONE, **values))

    @cached_property
    def drop_memory(self) -> str:
        return self.text(self._as_read(delete(memories)))

    def _as_read(self, statement: Any) -> Any:
        """Only while the memory is what somebody read."""
        return statement.where(*(matches(MEMORY[name], name) for name in ("memory_id", "user_id", "version")))
