"""What an assistant has besides history, model and tools when it recalls: summaries, memories, and the tools about both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphflow.contextpolicies import HistoryPolicy, MemoryPolicy, SummaryPolicy
from graphflow.models.base import Model
from graphflow.models.resolve import resolve_model
from graphflow_nodes.conversation import history
from graphflow_nodes.memory import recall, remember
from graphflow_nodes.pasttools import (
    add_memory,
    change_memory,
    drop_memory,
    get_chat_history,
    search_past_sessions,
    update_session_state,
)
from graphflow_nodes.summaries import summarize, when_due

if TYPE_CHECKING:
    from graphflow.assistant import Assistant


@dataclass(slots=True)
class Recollection:
    """The nodes and tools that are switched on; None for those that are not."""

    history: Any = None
    recall: Any = None
    remember: Any = None
    summarize: Any = None
    when_due: Callable[[Any], Any] = field(default=lambda router: router)
    tools: tuple[Any, ...] = ()


def recollection(agent: Assistant, policy: HistoryPolicy, with_history: bool) -> Recollection:
    """The parts that the agent's settings ask for."""
    made = Recollection()
    summary, in_context = agent.summary or SummaryPolicy(), agent.add_session_summary_to_context
    if in_context or (in_context is None and agent.enable_session_summaries):
        made.history = history(
            last_runs=policy.runs if with_history else 0,
            last_messages=policy.messages,
            since_summary="summary",
            summarized=agent.enable_session_summaries,
            max_tokens=summary.max_context_tokens,
            incomplete="history_incomplete",
        )
    if agent.enable_session_summaries:
        _summaries(made, agent, summary, seen=made.history is not None and with_history)
    memory = agent.memory or MemoryPolicy()
    if agent.update_memory_on_run or agent.enable_agentic_memory:
        made.recall = recall(limit=memory.limit, all_upto=memory.all_upto, with_ids=agent.enable_agentic_memory)
    if agent.update_memory_on_run:
        made.remember = remember(model_of(agent, memory.model), limit=memory.limit, instructions=memory.instructions)
    wanted = (
        (agent.enable_agentic_memory, (add_memory, change_memory, drop_memory)),
        (agent.enable_agentic_state, (update_session_state,)),
        (policy.chat_history_tool, (get_chat_history,)),
        (policy.past_sessions_tool, (search_past_sessions,)),
    )
    made.tools = tuple(tool for switched_on, tools in wanted if switched_on for tool in tools)
    return made


def _summaries(made: Recollection, agent: Assistant, asked: SummaryPolicy, seen: bool) -> None:
    """``seen``: whether one is due is seen at the history, which is everything since the last; else the node has to look."""
    cap = asked.max_context_tokens if seen else None
    made.summarize = summarize(
        model_of(agent, asked.model),
        after_messages=asked.after_messages,
        keep_last=asked.keep_last,
        after_tokens=asked.after_tokens,
        max_tokens=cap,
        max_words=asked.max_words,
        instructions=asked.instructions,
    )
    made.when_due = lambda router: when_due(
        router, after_messages=asked.after_messages if seen else -1, after_tokens=asked.after_tokens, max_tokens=cap
    )


def model_of(agent: Assistant, model: Model | str | None) -> Model | Callable[[], Model]:
    """A model of its own for a job, or the agent's."""
    if model is None:
        return agent._model
    return model if isinstance(model, Model) else resolve_model(model)
