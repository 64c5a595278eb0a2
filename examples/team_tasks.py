"""A team that works through a list of tasks with dependencies: two tasks at the same time, then one that needs both.

    python examples/team_tasks.py

With OPENAI_API_KEY (or GRAPHFLOW_MODEL) set, a language model makes the plan. Without a key the plan is written out below, as
a language model might make it: the "offline" model only compares words and cannot plan. Everything else is the same.
"""

import os
import time

from graphflow import Agent, Message, Team, ToolCall
from graphflow.db import InMemoryDb
from graphflow.models.base import Model, Reply, Request

MODEL = None if os.environ.get("GRAPHFLOW_MODEL") or os.environ.get("OPENAI_API_KEY") else "offline"
OFFLINE = "offline" in (MODEL, os.environ.get("GRAPHFLOW_MODEL"))


class WrittenPlan(Model):
    """A leader whose plan is fixed: what it does next depends on what was answered so far."""

    id = "written plan"

    def respond(self, request: Request) -> Reply:
        """The next step of the plan."""
        answered = [message for message in request.messages if message.role == "tool"]
        steps = {
            0: [
                ("create_task", {"title": "Name three spices"}),
                ("create_task", {"title": "Name three vegetables"}),
                ("create_task", {"title": "Write the soup", "depends_on": ["task-1", "task-2"]}),
                ("execute_task", {"task_id": "task-3", "member_id": "cook"}),  # too early: it is told so
            ],
            4: [("execute_tasks", {"assignments": [self.give(1, "trader"), self.give(2, "gardener")]})],
            5: [("execute_task", self.give(3, "cook")), ("list_tasks", {})],
            7: [("finish", {"result": self.soup(answered)})],
        }
        calls = steps[len(answered)]
        return Reply(tool_calls=[ToolCall(f"{len(answered)}-{n}", name, args) for n, (name, args) in enumerate(calls)])

    @staticmethod
    def give(task: int, member: str) -> dict[str, str]:
        """An assignment."""
        return {"task_id": f"task-{task}", "member_id": member}

    @staticmethod
    def soup(answered: list[Message]) -> str:
        """What the cook said."""
        return next((message.text for message in reversed(answered) if message.name == "execute_task"), "")


class Specialist(Model):
    """A member that knows one thing and takes its time; for a run without a key."""

    id = "specialist"

    def __init__(self, knows: str) -> None:
        self.knows = knows

    def respond(self, request: Request) -> Reply:
        """What it knows, and what it was given."""
        time.sleep(0.5)
        given = [line.split("): ", 1)[1] for line in request.messages[-1].text.splitlines() if line.startswith("- ")]
        return Reply(f"{self.knows}{' and '.join(given)}")


members = [
    Agent(Specialist("pepper, caraway, nutmeg") if OFFLINE else MODEL, name="trader", instructions="You trade in spices."),
    Agent(Specialist("leek, carrot, potato") if OFFLINE else MODEL, name="gardener", instructions="You grow vegetables."),
    Agent(Specialist("A soup of ") if OFFLINE else MODEL, name="cook", instructions="You write short recipes."),
]
leader = WrittenPlan() if OFFLINE else MODEL
team = Team(members, mode="tasks", name="kitchen", model=leader, db=InMemoryDb(), session_id="soup")

started = 0.0
for event in team.run("Write me a soup of three spices and three vegetables", stream=True):
    if event.type == "run_started":
        started = time.perf_counter()
    elif event.type == "member_started":
        print(f"{time.perf_counter() - started:4.1f} s  {event.member} begins: {event.task.splitlines()[0]}")
    elif event.type == "member_completed":
        print(f"{time.perf_counter() - started:4.1f} s  {event.member} says: {event.content}")
    elif event.type == "run_completed":
        output = event.output

print("\nthe list:")
for id, task in team.graph.get_state("soup").values["tasks"].items():
    needs = f", after {' and '.join(task.depends_on)}" if task.depends_on else ""
    print(f"   {id} [{task.status} by {task.member}{needs}] {task.title}")
refused = [each.result for each in output.tools if each.result and "depends on" in each.result]
print("refused on the way:", *refused)
print(f"\n{output.content}")
