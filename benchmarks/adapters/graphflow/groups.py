"""graphflow's teams and workflows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, repeat
from typing import Any

from benchmarks.adapters.graphflow.model import Scripted
from benchmarks.adapters.graphflow.stores import db_on
from benchmarks.store import Store
from benchmarks.work import ANSWER, MEMBERS, STEPS, step
from graphflow import Agent, Team, ToolCall, Workflow
from graphflow.models.base import AsyncModel, Reply, Request
from graphflow.workflow import Step, StepInput

Ask = Callable[[str, str], Any]


class Leading(AsyncModel):
    """Gives each member a task, then answers; and again."""

    def __init__(self) -> None:
        tasks = [ToolCall(f"call-{name}", "delegate_task_to_member", {"member_id": name, "task": "Look."}) for name in MEMBERS]
        self._replies = cycle([Reply(tool_calls=tasks), Reply(ANSWER)])

    def respond(self, request: Request) -> Reply:
        """The next of its replies."""
        return next(self._replies)


def team(store: Store) -> Ask:
    """A leader who asks each member once."""
    members = [Agent(Scripted(repeat(ANSWER)), name=name) for name in MEMBERS]
    made = Team(members, model=Leading(), db=db_on(store))
    return lambda question, session: made.run(question, session_id=session)


def workflow(store: Store) -> Ask:
    """Steps that are functions, one after the other."""

    def work(given: StepInput) -> str:
        return step(str(given.previous_step_content or given.input))

    made = Workflow([Step(f"step-{number}", work) for number in range(STEPS)], db=db_on(store))
    return lambda question, session: made.run(question, session_id=session)
