"""An agent is a graph, and the graph can be edited: a moderator before the model, and a summary of one's own after it.

    python examples/edit_agent_graph.py

The agent keeps everything else: history, sessions, streaming, printing, resuming. Runs without a key (the "offline" model);
with OPENAI_API_KEY or GRAPHFLOW_MODEL set, a language model answers.
"""

from __future__ import annotations

import os
from typing import Any

from graphflow import END, Agent, Context, Message
from graphflow.db import InMemoryDb
from graphflow_nodes import SummaryWrite, Update

MODEL = None if os.environ.get("GRAPHFLOW_MODEL") or os.environ.get("OPENAI_API_KEY") else "offline"
UNWELCOME = ("password", "credit card")
"""What nobody should type into a chat."""


def is_welcome(message: Message) -> bool:
    """Whether the model may see a message."""
    return not any(word in message.text.lower() for word in UNWELCOME)


def may_ask(state: Any) -> bool:
    """Whether the model may see what the user says now: where to go after the moderator."""
    return is_welcome(state["messages"][-1])


def moderate(state: Any, ctx: Context) -> dict[str, list[Message]]:
    """Tell whoever listens about the message, and take what should not have been said earlier out of the history."""
    ctx.write({"welcome": may_ask(state)})
    return {"history": [message for message in state["history"] if is_welcome(message)]}


def refuse(state: Any) -> dict[str, list[Message]]:
    """Answer in the place of the model, which is not asked in this run. (What was said stays in the session's log.)"""
    return {"messages": [Message("assistant", "Please do not type secrets into a chat.")]}


def build() -> Agent:
    """An agent with summaries, on an edited graph."""
    agent = Agent(MODEL, name="clerk", db=InMemoryDb(), session_id="desk", enable_session_summaries=True)
    builder = agent.graph_builder()
    print("the nodes of the agent:", ", ".join(builder.nodes))

    # What it gives is not stored, as the history is not: after a crash both are made again.
    builder.add_node("moderate", moderate, rerunnable=True)
    builder.add_node("refuse", refuse)
    builder.remove_edge("history", "model")
    builder.add_edge("history", "moderate")
    builder.add_conditional_edges("moderate", may_ask, {True: "model", False: "refuse"})
    builder.add_edge("refuse", END)

    builder.replace_node("summarize", keep_sayings)
    builder.remove_conditional_edges("model")  # it asked whether a summary is due; this one is made after every answer
    builder.add_edge("model", "summarize")
    return agent.with_graph(builder)


def keep_sayings(state: Any, ctx: Context) -> Update | None:
    """A summary without a model: what the user said before this run. It is stored with the step, in one transaction."""
    said = "; ".join(message.text for message in state["history"] if message.role == "user")
    if not said:
        return None
    text = f"{state['summary']}; {said}" if state["summary"] else f"The user said: {said}"
    return Update(writes=(SummaryWrite(text, upto_seq=ctx.first_message - 1),))


def main() -> None:
    """Talk to it."""
    agent = build()
    print(agent.graph.draw_ascii())
    for text in ("My name is Ann", "What is my name?", "My password is tulip", "Do I like tea?"):
        agent.print_response(text)
    print("summary:", agent.get_session_summary())
    print("in the session:", len(agent.get_chat_history()), "messages")


if __name__ == "__main__":
    main()
