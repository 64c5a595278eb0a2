"""A summary that is asked for, outside of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.contextpolicies import SummaryPolicy
from graphflow.core.effects import Commit, Flow
from graphflow.core.ids import new_id
from graphflow.core.memories import ReadSummary, Summary
from graphflow.core.sessions import existing
from graphflow.core.stored import Stored
from graphflow.errors import LeaseLost
from graphflow.recollection import model_of
from graphflow_nodes.summaries import folded

if TYPE_CHECKING:
    from graphflow.assistant import Assistant

ATTEMPTS = 5
"""How often the summary is offered to a session that others take meanwhile."""


def summarise(agent: Assistant, session_id: str, user_id: str | None) -> Flow[str | None]:
    """Fold all that was said into the session's summary; the session goes on undisturbed, also if a run is under way."""
    plan = agent.graph.plan
    begun: Stored = yield from existing(plan, session_id, user_id)
    asked = agent.summary or SummaryPolicy()
    model = model_of(agent, asked.model)
    while True:
        write = yield from folded(
            model,
            session_id,
            "",
            None,
            due=lambda said, _: bool(said),
            keep_last=0,
            max_words=asked.max_words,
            instructions=asked.instructions,
        )
        if write is None:
            known: Summary | None = yield ReadSummary(session_id)
            return None if known is None else known.text
        for attempt in range(ATTEMPTS):
            stored: Stored = yield from existing(plan, session_id, user_id)
            run_id = stored.run.run_id if stored.run is not None else new_id()
            try:
                yield Commit(session_id, stored.head, stored.epoch, run_id, side=(write,), session=begun.weight.session)
                break
            except LeaseLost:
                if attempt + 1 == ATTEMPTS:
                    raise
