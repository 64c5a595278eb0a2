"""A graph of your own: fan-out, a join, a loop with a way out, and the ready-made nodes of conversations, in a stored session.

    python examples/custom_graph.py

A question is taken apart into topics, each topic is looked up by a task of its own, and that is repeated until there is enough
to say. Meanwhile the earlier messages of the session are read. When both are there, the model answers. Runs without a key (the
"offline" model); with OPENAI_API_KEY or GRAPHFLOW_MODEL set, a language model answers.
"""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal, TypedDict

from graphflow import END, START, Context, Message, Send, StateGraph, add_messages, append, logged, per_run, untracked
from graphflow.db import InMemoryDb
from graphflow.graph import Graph
from graphflow.models.resolve import resolve_model
from graphflow_nodes import history, respond

MODEL = None if os.environ.get("GRAPHFLOW_MODEL") or os.environ.get("OPENAI_API_KEY") else "offline"
BOOK = {
    "tea": ["Tea is made from leaves of an evergreen shrub.", "Green tea is not fermented."],
    "coffee": ["Coffee is made from roasted seeds.", "Coffee was first drunk in Yemen."],
    "cocoa": ["Cocoa is made from beans.", "Cocoa trees grow near the equator."],
}
"""What this small world knows."""
ENOUGH = 2
"""Facts on each topic before the model may answer."""


class State(TypedDict):
    """The channels of the graph."""

    messages: Annotated[list[Message], add_messages, logged]
    """What was said in this run; each message is appended to the session's log."""
    history: Annotated[list[Message], untracked]
    """Earlier messages, read from the log and not stored again."""
    topics: Annotated[list[str], per_run]
    """What the question is about."""
    facts: Annotated[list[str], append, per_run]
    """What was found; tasks that run at the same time append to it."""
    rounds: Annotated[int, per_run]
    """How often everything was looked up."""


class Lookup(TypedDict):
    """What a task of the fan-out gets instead of the state."""

    topic: str
    page: int


def understand(state: State) -> dict[str, object]:
    """Find the topics in the last message."""
    words = re.findall(r"\w+", state["messages"][-1].text.lower())
    return {"topics": [word for word in words if word in BOOK], "rounds": 0}


def fan_out(state: State) -> list[Send] | Literal["judge"]:
    """A task for each topic; without a topic there is nothing to look up."""
    lookups = [Send("look_up", Lookup(topic=topic, page=state["rounds"])) for topic in state["topics"]]
    return lookups or "judge"


def look_up(lookup: Lookup) -> dict[str, list[str]]:
    """Read one page about one topic."""
    return {"facts": BOOK[lookup["topic"]][lookup["page"] :][:1]}


def judge(state: State) -> dict[str, int]:
    """Count the rounds; the router after it decides whether there is another one."""
    return {"rounds": state["rounds"] + 1}


def go_on(state: State) -> list[Send] | Literal["judge", "ready"]:
    """Back to looking up, until there is enough to say."""
    return "ready" if len(state["facts"]) >= ENOUGH * len(state["topics"]) else fan_out(state)


def ready(state: State) -> None:
    """Nothing is left to look up: where the join waits for the history."""


def known(ctx: Context) -> str:
    """The system message: what was found."""
    return "\n".join(ctx.values["facts"])


def build() -> Graph:
    """The graph, on a database in memory."""
    builder = StateGraph(State, name="encyclopedia")
    builder.add_node("history", history(last_runs=3), rerunnable=True)
    builder.add_node("understand", understand)
    builder.add_node("look_up", look_up)
    builder.add_node("judge", judge)
    builder.add_node("ready", ready)
    builder.add_node("answer", respond(resolve_model(MODEL), instructions=known))
    builder.add_edge(START, "history")
    builder.add_edge(START, "understand")
    builder.add_conditional_edges("understand", fan_out, ["look_up", "judge"])
    builder.add_edge("look_up", "judge")
    builder.add_conditional_edges("judge", go_on, ["look_up", "ready"])
    builder.add_edge(["history", "ready"], "answer")
    builder.add_edge("answer", END)
    return builder.compile(db=InMemoryDb())


def shown(value: Any) -> str:
    """What a node wrote to a field, in a line."""
    items = value if isinstance(value, list) else [value]
    return " | ".join(item.text if isinstance(item, Message) else str(item) for item in items) or "nothing"


def main() -> None:
    """Talk to the graph and show its steps."""
    graph = build()
    print(graph.draw_mermaid())
    for text in ("My name is Ada. What is tea made from? What is coffee made from?", "What is my name?"):
        print(f"Ada: {text}")
        for update in graph.stream({"messages": [("user", text)]}, session_id="ada", stream_mode="updates"):
            for node, written in update.items():
                print(f"   {node:<10}", ", ".join(f"{field}: {shown(value)}" for field, value in (written or {}).items()))
        print(f"graph: {graph.get_state('ada').values['messages'][-1].text}\n")
    state = graph.get_state("ada")
    print(f"the session is {state.status} and stands at checkpoint {state.seq}")


if __name__ == "__main__":
    main()
