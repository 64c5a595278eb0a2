"""Statements about summaries and memories."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, cast, delete, func, select, update
from sqlalchemy.schema import CreateIndex, CreateTable

from graphflow.db.statements.compiled import ONE, ZERO, Compiled, matches
from graphflow.db.tables import memories, memory_index, memory_terms, summaries

MEMORY: Final = memories.c
INDEX: Final = memory_index.c
TERM: Final = memory_terms.c


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
        names = ["memory_id", "user_id", "memory", "topics", "fact", "run_id", "message_id", "created_at", "updated_at", "seal"]
        values: dict[str, Any] = {name: bindparam(name) for name in names}
        return self.text(self.insert(memories).values(version=ONE, **values).on_conflict_do_nothing().returning(MEMORY.ordinal))

    @cached_property
    def change_memory(self) -> str:
        names = ["memory", "topics", "fact", "run_id", "message_id", "updated_at", "seal"]
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
        return self.text(
            self._as_read(update(memories)).values(version=MEMORY.version + ONE, **values).returning(MEMORY.ordinal)
        )

    @cached_property
    def memory_begun(self) -> str:
        return self.text(self._as_read(select(MEMORY.created_at)))

    @cached_property
    def drop_memory(self) -> str:
        return self.text(self._as_read(delete(memories)).returning(MEMORY.ordinal))

    def _as_read(self, statement: Any) -> Any:
        """Only while the memory is what somebody read."""
        return statement.where(*(matches(MEMORY[name], name) for name in ("memory_id", "user_id", "version")))

    # --- memories for users ------------------------------------------------------------------------------------------------

    @cached_property
    def delete_memory(self) -> str:
        gone = delete(memories).where(matches(MEMORY.memory_id, "memory_id"), matches(MEMORY.user_id, "user_id"))
        return self.text(gone.returning(MEMORY.ordinal))

    @cached_property
    def delete_memories(self) -> str:
        return self.text(delete(memories).where(matches(MEMORY.user_id, "user_id")))

    @cached_property
    def count_memories(self) -> str:
        found = self._upto(select(MEMORY.ordinal).where(matches(MEMORY.user_id, "user_id")))
        return self.text(select(func.count()).select_from(found.subquery()))

    @cached_property
    def newest_memories(self) -> str:
        newest = self._memories().where(matches(MEMORY.user_id, "user_id"))
        return self.text(self._upto(newest.order_by(MEMORY.updated_at.desc(), MEMORY.ordinal.desc())))

    @cached_property
    def memories_at(self) -> str:
        """Whosever they are: asked for the user, too, a planner may rather look through all that this one has."""
        return self.text(self._memories().where(MEMORY.ordinal.in_(self._numbers("ordinals"))))

    @cached_property
    def memory_topics(self) -> str:
        """The topics of those of a user's memories that have any."""
        ours = (matches(MEMORY.user_id, "user_id"), MEMORY.topics.is_not(None))
        return self.text(select(MEMORY.ordinal, MEMORY.topics).where(*ours))

    def _memories(self) -> Any:
        m = MEMORY
        told = (m.ordinal, m.memory_id, m.memory, m.topics, m.user_id, m.run_id)
        return select(*told, m.created_at, m.updated_at, m.message_id, m.version, m.seal)

    def _upto(self, statement: Any) -> Any:
        return statement.limit(bindparam("count", type_=BigInteger)).offset(ZERO)

    # --- their index -------------------------------------------------------------------------------------------------------

    @cached_property
    def create_memory_index(self) -> list[str]:
        tables = (memory_index, memory_terms)
        indexes = [index for table in tables for index in table.indexes]
        return self.ddl(
            *(CreateTable(table, if_not_exists=True) for table in tables),
            *(CreateIndex(index, if_not_exists=True) for index in indexes),
        )

    @cached_property
    def unindexed_memories(self) -> str:
        indexed = select(INDEX.memory)
        return self.text(
            select(MEMORY.ordinal, MEMORY.user_id, MEMORY.memory).where(MEMORY.ordinal.not_in(indexed)).order_by(MEMORY.ordinal)
        )

    @cached_property
    def last_place(self) -> str:
        return self.text(select(func.max(INDEX.place)).where(matches(INDEX.owner, "owner")))

    @cached_property
    def insert_index(self) -> str:
        return self.text(self.insert(memory_index), [column.name for column in memory_index.columns])

    @cached_property
    def insert_terms(self) -> str:
        """One row for each of the ``terms``, a JSON list."""
        names = ["owner", "term", "place"]
        value = self.texts("terms")
        rows = select(cast(bindparam("owner"), BigInteger), value, cast(bindparam("place"), BigInteger))
        return self.text(self.insert(memory_terms).from_select(names, rows))

    @cached_property
    def drop_index(self) -> str:
        return self.text(delete(memory_index).where(matches(INDEX.memory, "memory")).returning(INDEX.place, INDEX.terms))

    @cached_property
    def drop_terms(self) -> str:
        ours = (matches(TERM.owner, "owner"), matches(TERM.place, "place"))
        return self.text(delete(memory_terms).where(*ours, TERM.term.in_(select(self.texts("terms")))))

    @cached_property
    def clear_index(self) -> list[str]:
        tables = (memory_index, memory_terms)
        return [self.text(delete(table).where(matches(table.c.owner, "owner"))) for table in tables]

    @cached_property
    def count_places(self) -> str:
        found = self._upto(select(TERM.place).where(matches(TERM.owner, "owner"), matches(TERM.term, "term")))
        return self.text(select(func.count()).select_from(found.subquery()))

    @cached_property
    def places_of(self) -> str:
        """The newest places of a term."""
        found = select(TERM.place).where(matches(TERM.owner, "owner"), matches(TERM.term, "term"))
        return self.text(self._upto(found.order_by(TERM.place.desc())))

    @cached_property
    def index_at(self) -> str:
        return self.text(self._index().where(INDEX.place.in_(self._numbers("places"))))

    @cached_property
    def index_of(self) -> str:
        return self.text(self._index().where(INDEX.memory.in_(self._numbers("memories"))))

    def _index(self) -> Any:
        i = INDEX
        return select(i.place, i.memory, i.speaker, i.timely, i.terms).where(matches(i.owner, "owner"))

    def _numbers(self, name: str) -> Any:
        """The whole numbers of a parameter that is a JSON list."""
        return select(cast(self.texts(name), BigInteger))
