"""A team that researches a question: two members work at the same time, each with a tool, and the leader puts it together.

    python examples/team_research.py

Runs without a key: the "offline" model gives work to the members that are named, and members call a tool when its name is said.
With OPENAI_API_KEY (or GRAPHFLOW_MODEL) set, the same team is led by a language model:

    OPENAI_API_KEY=… python examples/team_research.py
"""

import os
import time

from graphflow import Agent, Context, Team
from graphflow.db import InMemoryDb

MODEL = None if os.environ.get("GRAPHFLOW_MODEL") or os.environ.get("OPENAI_API_KEY") else "offline"

LENGTHS = {"Rhine": 1230, "Danube": 2850, "Elbe": 1094}
TOWNS = {"Rhine": "Basel, Cologne, Rotterdam", "Danube": "Vienna, Budapest, Belgrade", "Elbe": "Dresden, Hamburg"}


def river_length(river: str, ctx: Context) -> str:
    """The length of a river in kilometres."""
    time.sleep(0.3)  # as long as a real source might take
    ctx.session_state[f"length of {river}"] = LENGTHS.get(river)
    return f"{LENGTHS.get(river, 'unknown')} km"


def river_towns(river: str, ctx: Context) -> str:
    """The towns on a river."""
    time.sleep(0.3)
    ctx.session_state[f"towns on {river}"] = TOWNS.get(river)
    return TOWNS.get(river, "unknown")


surveyor = Agent(name="surveyor", instructions="You know how long a river is.", tools=[river_length])
traveller = Agent(name="traveller", instructions="You know the towns a river flows through.", tools=[river_towns])
team = Team([surveyor, traveller], name="research", model=MODEL, db=InMemoryDb(), session_id="rivers")

QUESTION = "Ask the surveyor about the river length of Danube and the traveller about the river towns of Danube"

began: dict[str, float] = {}
for event in team.run(QUESTION, stream=True):
    if event.type == "member_started":
        began[event.ns + event.member] = time.perf_counter()
        print(f"-> {event.member}: {event.task}")
    elif event.type == "member_completed":
        print(f"<- {event.member} after {time.perf_counter() - began[event.ns + event.member]:.1f} s: {event.content}")
    elif event.type == "run_completed":
        output = event.output

print(f"\n{output.content}\n")
print("the session has:", output.session_state)
for run in team.db.get_runs("rivers", include_members=True):
    of = f"{run.ns}, for the run of {output.run_id}" if run.parent_run_id == output.run_id else f"the team, {run.run_id}"
    print(f"   a run of {of}: {run.status}")
print(f"{len(team.get_chat_history())} messages of the team,", end=" ")
print(f"{len(team.db.get_messages('rivers', include_members=True))} with those of its members")
