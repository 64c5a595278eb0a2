"""The nodes around the one that answers: ``history`` and ``recall`` before it, ``remember`` beside it, ``summarize`` after it.
Each is there when it is switched on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from graphflow.builder import StateGraph
from graphflow.contextpolicies import HistoryPolicy
from graphflow.core.control import END, START
from graphflow_nodes.conversation import history

if TYPE_CHECKING:
    from graphflow.assistant import Assistant
    from graphflow.recollection import Recollection


class Surroundings:
    """What an assistant has besides the node that answers, its tools and its members."""

    def __init__(self, of: Assistant, with_history: bool) -> None:
        policy = of.history_policy()
        self.extra = _recollection(of, policy, with_history) if _recollects(of, policy) else None
        self.policy = policy
        self.with_history = with_history
        self.tools: tuple[Any, ...] = () if self.extra is None else self.extra.tools
        self._before = START
        """What comes before the node that answers."""

    def lead_to(self, builder: StateGraph, node: str) -> dict[str, str]:
        """Add the nodes that only read, on the way to ``node``. The aliases for those that are left out."""
        extra = self.extra
        path = [START]
        if extra is not None and extra.history is not None:
            _read(builder, path, "history", extra.history)
        elif self.with_history:
            _read(builder, path, "history", history(last_runs=self.policy.runs, last_messages=self.policy.messages))
        if extra is not None and extra.recall is not None:
            _read(builder, path, "recall", extra.recall)
        builder.add_edge(path[-1], node)
        self._before = path[-1]
        return {name: node for name in ("history",) if name not in path}

    def finish(self, builder: StateGraph, ways: Sequence[tuple[str, Callable[[Any], Any], Sequence[str]]]) -> None:
        """Add the ways out: ``(node, router, targets besides END)`` each. Where a router ends the run, a summary is made if one
        is due. Beside all that, what the user said is looked through for what to remember.
        """
        summarize = None if self.extra is None else self.extra.summarize
        if summarize is not None:
            builder.add_node("summarize", summarize)
            builder.add_edge("summarize", END)
        for node, router, targets in ways:
            if summarize is not None and self.extra is not None:
                builder.add_conditional_edges(node, self.extra.when_due(router), [*targets, "summarize", END])
            elif targets:
                builder.add_conditional_edges(node, router, [*targets, END])
            else:
                builder.add_edge(node, END)
        if self.extra is not None and self.extra.remember is not None:
            builder.add_node("remember", self.extra.remember)
            builder.add_edge(self._before, "remember")
            builder.add_edge("remember", END)


def _read(builder: StateGraph, path: list[str], name: str, node: Any) -> None:
    """Add a node that only reads to the way to the one that answers."""
    builder.add_node(name, node, rerunnable=True)
    builder.add_edge(path[-1], name)
    path.append(name)


def _recollects(of: Assistant, policy: HistoryPolicy) -> bool:
    """Whether it has more than history, model and tools."""
    if of.enable_session_summaries or of.add_session_summary_to_context or of.update_memory_on_run:
        return True
    tools = of.enable_agentic_memory or of.enable_agentic_state
    return tools or policy.chat_history_tool or policy.past_sessions_tool


def _recollection(of: Assistant, policy: HistoryPolicy, with_history: bool) -> Recollection:
    from graphflow import recollection  # noqa: PLC0415  # nodes that most agents do without

    return recollection.recollection(of, policy, with_history)
