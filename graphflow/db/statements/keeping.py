"""Statements of what looks after stored sessions: pruning, and what graphs looked like."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, bindparam, cast, delete, func, literal_column, or_, select, update

from graphflow.db.seals import MEMORY_SEALED
from graphflow.db.statements.compiled import (
    CHECKPOINT,
    COMPLETED,
    EMPTY,
    HERE,
    MINE,
    ONE,
    RUNNING,
    SESSION,
    ZERO,
    Compiled,
    matches,
)
from graphflow.db.tables import checkpoints, graphs, memories, messages, pruned, sessions, summaries, tasks


class KeepingStatements(Compiled):
    """Looking after what is stored."""

    # --- what graphs looked like ---------------------------------------------------------------------------------------

    @cached_property
    def insert_graph(self) -> str:
        return self.text(self.insert(graphs).on_conflict_do_nothing(), ["fingerprint", "outline", "created_at"])

    @cached_property
    def get_graph(self) -> str:
        return self.text(select(graphs.c.outline).where(matches(graphs.c.fingerprint, "fingerprint")))

    @cached_property
    def all_memories(self) -> str:
        m = memories.c
        return self.text(select(m.fact, m.seal, *(m[name] for name in MEMORY_SEALED)).order_by(m.ordinal))

    @cached_property
    def all_graphs(self) -> str:
        return self.text(select(graphs.c.fingerprint, graphs.c.outline).order_by(graphs.c.fingerprint))

    # --- seals -----------------------------------------------------------------------------------------------------------

    @cached_property
    def seal_session(self) -> str:
        return self.text(update(sessions).where(matches(SESSION.ordinal, "session")).values(seal=bindparam("new_seal")))

    # --- where checkpoints begin ---------------------------------------------------------------------------------------

    @cached_property
    def first_kept(self) -> str:
        """Where the checkpoints of a namespace have to begin, and where they do (NULL: there are none)."""
        known = select(pruned.c.first).where(matches(pruned.c.session, "session"), matches(pruned.c.ns, "ns"))
        there = select(func.min(CHECKPOINT.seq)).where(matches(CHECKPOINT.session, "session"), matches(CHECKPOINT.ns, "ns"))
        return self.text(select(func.coalesce(known.scalar_subquery(), ZERO), there.scalar_subquery()))

    @cached_property
    def put_first(self) -> str:
        insert = self.insert(pruned)
        changed = {"first": insert.excluded["first"]}
        return self.text(
            insert.on_conflict_do_update(index_elements=["session", "ns"], set_=changed), ["session", "ns", "first"]
        )

    @cached_property
    def drop_first(self) -> str:
        return self.text(delete(pruned).where(matches(pruned.c.session, "session"), matches(pruned.c.ns, "ns")))

    @cached_property
    def firsts_of_session(self) -> str:
        return self.text(select(pruned.c.ns, pruned.c.first).where(matches(pruned.c.session, "session")).order_by(pruned.c.ns))

    # --- pruning -------------------------------------------------------------------------------------------------------

    @cached_property
    def prunable(self) -> str:
        """Sessions after ``after`` that may have checkpoints to prune: older than ``before``, not among the newest ``keep``."""
        c = CHECKPOINT
        more = or_(c.ns != EMPTY, c.seq <= self.head - bindparam("keep", type_=BigInteger))
        some = select(c.seq).where(c.session == SESSION.ordinal, more, c.created_at < bindparam("before"))
        found = select(SESSION.ordinal).where(SESSION.ordinal > bindparam("after"), MINE, some.correlate(sessions).exists())
        return self.text(found.order_by(SESSION.ordinal).limit(bindparam("count", type_=BigInteger)).offset(ZERO))

    @cached_property
    def hold_to_prune(self) -> str:
        columns = (self.head, SESSION.status, SESSION.lease_owner, SESSION.session_id)
        return self.text(select(*columns).where(matches(SESSION.ordinal, "session")).with_for_update())

    @cached_property
    def spaces_of_checkpoints(self) -> str:
        """The namespaces of nested graphs: the last checkpoint of each, and when it was written."""
        c = CHECKPOINT
        return self.text(
            select(c.ns, func.max(c.seq), func.max(c.created_at))
            .where(matches(c.session, "session"), c.ns != EMPTY)
            .group_by(c.ns)
            .order_by(c.ns)
        )

    def _of_space(self, *columns: Any) -> Any:
        return select(*columns).where(matches(CHECKPOINT.session, "session"), matches(CHECKPOINT.ns, "ns"))

    @cached_property
    def checkpoint_facts(self) -> str:
        c = CHECKPOINT
        return self.text(self._of_space(c.base, c.created_at, c.run).where(matches(c.seq, "seq")))

    @cached_property
    def first_young(self) -> str:
        """The first checkpoint that is not older than ``before``."""
        c = CHECKPOINT
        young = self._of_space(c.seq).where(c.created_at >= bindparam("before"))
        return self.text(young.order_by(c.seq).limit(ONE).offset(ZERO))

    @cached_property
    def last_old(self) -> str:
        """The last checkpoint that was there at the time ``at``."""
        c = CHECKPOINT
        old = self._of_space(c.seq).where(c.created_at <= bindparam("at"))
        return self.text(old.order_by(c.seq.desc()).limit(ONE).offset(ZERO))

    @cached_property
    def last_of_other_run(self) -> str:
        """The last checkpoint that does not belong to ``run``."""
        c = CHECKPOINT
        other = self._of_space(c.seq).where(or_(c.run.is_(None), c.run != bindparam("run")))
        return self.text(other.order_by(c.seq.desc()).limit(ONE).offset(ZERO))

    @cached_property
    def next_snapshot(self) -> str:
        """The first checkpoint from ``low`` on that holds a snapshot."""
        c = CHECKPOINT
        found = self._of_space(c.seq).where(c.seq >= bindparam("low"), c.base == c.seq)
        return self.text(found.order_by(c.seq).limit(ONE).offset(ZERO))

    def _weight(self, *columns: Any) -> Any:
        """The bytes of texts."""
        if self.dialect.name == "sqlite":
            return sum((func.coalesce(func.length(cast(column, LargeBinary)), ZERO) for column in columns), ZERO)
        return sum((func.coalesce(func.octet_length(column), ZERO) for column in columns), ZERO)

    def _size(self, table: Any, *columns: Any) -> Any:
        weight = func.coalesce(func.sum(self._weight(*columns)), ZERO)
        return select(func.count(), weight).select_from(table).where(matches(table.c.session, "session"))

    @cached_property
    def checkpoints_below(self) -> str:
        """How many checkpoints stand before ``low``, and their bytes."""
        c = CHECKPOINT
        size = self._size(checkpoints, c.frontier, c.delta, c.snapshot)
        return self.text(size.where(matches(c.ns, "ns"), c.seq < bindparam("low")))

    @cached_property
    def session_sizes(self) -> list[str]:
        """For each table of rows with bodies: how many a session has, and their bytes."""
        m, t, s, c = messages.c, tasks.c, summaries.c, CHECKPOINT
        bodies = [(checkpoints, c.frontier, c.delta, c.snapshot), (messages, m.body), (tasks, t.value), (summaries, s.body)]
        return [self.text(self._size(*part)) for part in bodies]

    @cached_property
    def delete_checkpoints_below(self) -> str:
        c = CHECKPOINT
        return self.text(
            delete(checkpoints).where(matches(c.session, "session"), matches(c.ns, "ns"), c.seq < bindparam("low"))
        )

    @cached_property
    def chain_above(self) -> str:
        """The rows of a chain from ``low`` on, as far as they start from ``base``."""
        c = CHECKPOINT
        columns = (c.seq, c.log_head, c.epoch, c.frontier, c.delta, c.snapshot, c.created_at, c.sha256)
        found = self._of_space(*columns).where(c.seq >= bindparam("low"), matches(c.base, "base"))
        return self.text(found.order_by(c.seq))

    @cached_property
    def rebase(self) -> str:
        c = CHECKPOINT
        return self.text(
            update(checkpoints)
            .where(matches(c.session, "session"), matches(c.ns, "ns"), matches(c.seq, "of"))
            .values(base=bindparam("new_base"), snapshot=bindparam("new_snapshot"), sha256=bindparam("new_sha256"))
        )

    @cached_property
    def fence(self) -> str:
        """Make whoever has loaded the session load it again before writing."""
        return self.text(update(sessions).where(matches(SESSION.ordinal, "session")).values(epoch=SESSION.epoch + ONE))

    @cached_property
    def disused(self) -> str:
        """Sessions after ``after`` that nobody has used since ``before`` and that wait for nothing."""
        over = or_(SESSION.status == COMPLETED, *(SESSION.status == literal_column(f"'{s}'") for s in ("error", "cancelled")))
        found = select(SESSION.ordinal).where(SESSION.ordinal > bindparam("after"), MINE, over, SESSION.lease_owner.is_(None))
        old = found.where(SESSION.updated_at < bindparam("before"))
        return self.text(old.order_by(SESSION.ordinal).limit(bindparam("count", type_=BigInteger)).offset(ZERO))

    @cached_property
    def still_disused(self) -> str:
        """The same of one session, which nobody else writes from then on: its id, when it was used, and the seal of that."""
        columns = (SESSION.session_id, SESSION.updated_at, SESSION.time_seal)
        one = select(*columns).where(matches(SESSION.ordinal, "session"), SESSION.lease_owner.is_(None))
        one = one.where(SESSION.status != RUNNING, SESSION.updated_at < bindparam("before"))
        return self.text(one.with_for_update())

    @cached_property
    def pruned_here(self) -> str:
        """Where the checkpoints of a session begin, by its id."""
        joined = sessions.join(pruned, pruned.c.session == SESSION.ordinal)
        return self.text(select(pruned.c.first).select_from(joined).where(HERE, pruned.c.ns == EMPTY))
