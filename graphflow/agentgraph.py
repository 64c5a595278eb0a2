"""The graph that an agent compiles to: ``START → history → recall → model ⇄ tools → summarize → END``, ``remember`` beside
``model``. Each node is there when it is switched on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.builder import StateGraph
from graphflow.graph import Graph
from graphflow.states import ConversationState, RecollectingState, with_reducers
from graphflow.surroundings import Surroundings
from graphflow.tools import tool_table
from graphflow_nodes.model import call_tools, respond, wanted_calls

if TYPE_CHECKING:
    from graphflow.agent import Agent


def compile_agent(agent: Agent, with_history: bool) -> Graph:
    """The graph of an agent as it is set now."""
    around = Surroundings(agent, with_history)
    table = tool_table((*agent.tools, *around.tools))
    state = with_reducers(ConversationState if around.extra is None else RecollectingState, agent._session_reducers())
    builder = StateGraph(state, name=agent.component_id)
    aliases = around.lead_to(builder, "model")
    answering = respond(
        agent._model,
        instructions=agent.instructions,
        tools=table,
        tool_call_limit=agent.tool_call_limit,
        output_schema=agent.output_schema,
    )
    builder.add_node("model", answering)
    if table:
        tools = call_tools(table, on_tool_error=agent.on_tool_error, tool_call_limit=agent.tool_call_limit)
        builder.add_node("tools", tools)
        builder.add_edge("tools", "model")
    around.finish(builder, [("model", wanted_calls(), ["tools"] if table else [])])
    plan = builder.plan(agent.component_id, session_type="agent", on_unfinished="abandon", aliases=aliases)
    return Graph(plan, db=agent.db, on_event=agent.on_event)
