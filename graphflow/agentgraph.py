"""The graph that an agent compiles to: ``START → history → recall → model ⇄ tools → summarize → END``, ``remember`` beside
``model``. Each node is there when it is switched on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphflow.builder import StateGraph
from graphflow.conversation import ConversationState, HistoryPolicy
from graphflow.core.control import END, START
from graphflow.graph import Graph
from graphflow.tools import tool_table
from graphflow_nodes.conversation import history
from graphflow_nodes.model import call_tools, respond, wanted_calls

if TYPE_CHECKING:
    from graphflow.agent import Agent
    from graphflow.recollection import Recollection


def compile_agent(agent: Agent, with_history: bool) -> Graph:
    """The graph of an agent as it is set now."""
    extra = None
    policy = agent.history_policy()
    if _recollects(agent, policy):
        extra = _recollection(agent, policy, with_history)
    table = tool_table(agent.tools if extra is None else (*agent.tools, *extra.tools))
    builder = StateGraph(ConversationState if extra is None else extra.state, name=agent.component_id)
    path = [START]
    if extra is not None and extra.history is not None:
        _read(builder, path, "history", extra.history)
    elif with_history:
        _read(builder, path, "history", history(last_runs=policy.runs, last_messages=policy.messages))
    if extra is not None and extra.recall is not None:
        _read(builder, path, "recall", extra.recall)
    answering = respond(
        agent._model,
        instructions=agent.instructions,
        tools=table,
        tool_call_limit=agent.tool_call_limit,
        output_schema=agent.output_schema,
    )
    builder.add_node("model", answering)
    builder.add_edge(path[-1], "model")
    _answer(builder, agent, table, extra)
    if extra is not None and extra.remember is not None:
        builder.add_node("remember", extra.remember)
        builder.add_edge(path[-1], "remember")
        builder.add_edge("remember", END)
    aliases = {name: "model" for name in ("history",) if name not in path}
    plan = builder.plan(agent.component_id, session_type="agent", on_unfinished="abandon", aliases=aliases)
    return Graph(plan, db=agent.db, on_event=agent.on_event)


def _read(builder: StateGraph, path: list[str], name: str, node: Any) -> None:
    """Add a node that only reads to the way to the model."""
    builder.add_node(name, node, rerunnable=True)
    builder.add_edge(path[-1], name)
    path.append(name)


def _answer(builder: StateGraph, agent: Agent, table: Any, extra: Recollection | None) -> None:
    """The edges out of the model: to the tools it wants, to the summary when one is due, to the end."""
    router, targets = wanted_calls(), ["tools"] if table else []
    if extra is not None and extra.summarize is not None:
        builder.add_node("summarize", extra.summarize)
        builder.add_edge("summarize", END)
        router, targets = extra.when_due(router), [*targets, "summarize"]
    if table:
        tools = call_tools(table, on_tool_error=agent.on_tool_error, tool_call_limit=agent.tool_call_limit)
        builder.add_node("tools", tools)
        builder.add_edge("tools", "model")
    if targets:
        builder.add_conditional_edges("model", router, [*targets, END])
    else:
        builder.add_edge("model", END)


def _recollects(agent: Agent, policy: HistoryPolicy) -> bool:
    """Whether an agent has more than history, model and tools."""
    if agent.enable_session_summaries or agent.update_memory_on_run:
        return True
    tools = agent.enable_agentic_memory or agent.enable_agentic_state
    return tools or policy.chat_history_tool or policy.past_sessions_tool


def _recollection(agent: Agent, policy: HistoryPolicy, with_history: bool) -> Recollection:
    from graphflow import recollection  # noqa: PLC0415  # nodes that most agents do without

    return recollection.recollection(agent, policy, with_history)
