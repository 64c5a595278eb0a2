"""Side writes in the transaction of their superstep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.core.effects import Commit
from graphflow.core.stored import MemoryWrite, RunWrite, SummaryWrite
from graphflow.db import memories, summaries
from graphflow.db.nestedruns import NestedRun
from graphflow.db.tags import Media

if TYPE_CHECKING:
    from graphflow.db.transactions import Transaction


class ReadySideWrites:
    """The side writes of one commit, made ready before its transaction begins."""

    __slots__ = ("effect", "now", "runs", "summaries")

    def __init__(self, effect: Commit, now: int, media: Media) -> None:
        """Encode everything; what messages hold of images and files goes to ``media``. Raises SerializationError."""
        self.effect = effect
        self.now = now
        self.summaries = [
            summaries.summary_row(effect.session_id, write, now) for write in effect.side if isinstance(write, SummaryWrite)
        ]
        self.runs = [NestedRun(effect, write, now, media) for write in effect.side if isinstance(write, RunWrite)]

    def write(self, tx: Transaction, session: int, run: int | None) -> None:
        """Do it, in the order of the tasks."""
        for row in self.summaries:
            tx.execute(tx.sql.put_summary, {**row, "session": session, "run": run})
        for nested in self.runs:
            nested.write(tx, session)
        changes = memories.settled([write for write in self.effect.side if isinstance(write, MemoryWrite)])
        for user_id in sorted({write.user_id for write in changes if write.user_id is not None}):
            memories.hold(tx, user_id)
            for change in changes:
                if change.user_id == user_id:
                    memories.apply(tx, change, user_id, self.effect.run_id, self.now)
